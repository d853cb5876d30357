// Measures what this machine can do: multiply-adds and reads a second, with the active instruction set.
#pragma once

#include "kernels/table.hpp"

namespace pylstm {

// Floating-point operations a second of `threads` threads together, each in bursts for `seconds`: those of its best
// burst, or of all.
enum class Rate { kBest, kMean };
template <class T>
double measure_peak(const KernelTable<T>& kernels, int threads, double seconds, Rate rate);

// Bytes a second that `threads` threads together read, each from its own `bytes` bytes.
double measure_bandwidth(const KernelTable<float>& kernels, int threads, Dim bytes, double seconds);

}  // namespace pylstm
