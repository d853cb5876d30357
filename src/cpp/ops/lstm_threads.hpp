// How the threads of an LSTM share a batch: each its own rows through all of time, or all rows, each its own units.
#pragma once

#include "ops/lstm.hpp"

namespace pylstm {

enum class Pass { kForward, kBackward };

// Threads that share all rows, each its own units in multiples of `multiple`, and meet after every step; 1: the rows
// are split. Units are split where rows are too few, and where weights are so large that each thread should read no
// more than its part of them; unless a meeting would cost more than it gains.
template <class T>
int threads_for_units(const LstmRun<T>& run, Pass pass, int threads, Dim multiple);

}  // namespace pylstm
