// Measures what this machine can do: multiply-adds and reads a second, with the active instruction set.
#pragma once

#include "kernels/table.hpp"

namespace pylstm {

// Floating-point operations a second of `threads` threads together; the best of several bursts in `seconds`.
template <class T>
double measure_peak(const KernelTable<T>& kernels, int threads, double seconds);

// Bytes a second that `threads` threads together read, each from its own `bytes` bytes.
double measure_bandwidth(const KernelTable<float>& kernels, int threads, Dim bytes, double seconds);

}  // namespace pylstm
