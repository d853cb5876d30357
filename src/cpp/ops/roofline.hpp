// Measures what this machine can do: multiply-adds and reads a second, with the active instruction set, and
// instructions a second.
#pragma once

#include "kernels/table.hpp"

namespace pylstm {

// Of a thread's bursts: its best one, or all.
enum class Rate { kBest, kMean };

// Floating-point operations a second of `threads` threads together, each in bursts for `seconds`.
template <class T>
double measure_peak(const KernelTable<T>& kernels, int threads, double seconds, Rate rate);

// Instructions a second that `threads` threads together start, of those that wait for no data and no unit. Where
// another hyperthread of the same core is busy about half of the best, although multiply-adds may have all of theirs.
double measure_issue_rate(int threads, double seconds, Rate rate);

// Bytes a second that `threads` threads together read, each from its own `bytes` bytes.
double measure_bandwidth(const KernelTable<float>& kernels, int threads, Dim bytes, double seconds);

}  // namespace pylstm
