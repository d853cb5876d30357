// How the threads of an LSTM share a batch: each its own rows through all of time, or all rows, each its own units.
#pragma once

#include "base/parallel.hpp"
#include "ops/lstm.hpp"

namespace pylstm {

enum class Pass { kInference, kForward, kBackward };

// One thread's part of the units, in blocks of as many as a vector has.
struct UnitShare {
  Range blocks;       // of which it makes sums over h, and cells
  Dim lent = -1;      // one of them, whose inputs another thread projects
  Dim borrowed = -1;  // one of another's, whose inputs it projects
};

// Of nearly equal parts; lends: each thread with a block more than others lends one, as far as there are others.
UnitShare unit_share(Dim blocks, int index, int size, bool lends);

struct LstmThreads {
  int sharing;    // > 1: so many share all rows, each its own units, and meet after every step; 1: the rows are split
  int over_time;  // those that run its steps
  int most;       // those that run the steps of this batch or of any with fewer rows
  int gradients;  // those of dW, dU, db and dx after backward over time, at most
  bool lends;     // forward, sharing: see unit_share()
};

// Of units in multiples of `multiple`. Units are split where rows are too few, and where weights are so large that each
// thread should read no more than its part of them; unless a meeting would cost more than it gains.
template <class T>
LstmThreads lstm_threads(const LstmRun<T>& run, Pass pass, Dim multiple);

// Rows at most whose units threads share because they are few.
Dim most_few_rows();

// Whether two_steps gains in inference: not where threads share the units of few rows, as each would write lines that
// another has just read.
template <class T>
bool gains_by_two_steps(const LstmRun<T>& run);

// Rows of h, initial ones too, at most of such a run or of one of fewer rows, if each has two steps where that gains.
template <class T>
Dim most_rows_of_h(const LstmRun<T>& run);

// Steps over time between two looks at an interrupt, of so many rows: of a small layer many, as a look costs more than
// a step, of a large one each, which takes tens of milliseconds.
Dim poll_steps(Dim rows, Dim units);

}  // namespace pylstm
