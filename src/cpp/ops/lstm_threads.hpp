// How the threads of an LSTM share a batch: each its own rows through all of time, or all rows, each its own units.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>

#include "base/meeting.hpp"
#include "base/parallel.hpp"
#include "ops/lstm.hpp"

namespace pylstm {

enum class Pass { kForward, kBackward };

// Threads that share all rows, each its own units in multiples of `multiple`, and meet after every step; 1: the rows
// are split. Units are split where rows are too few, and where weights are so large that each thread should read no
// more than its part of them; unless a meeting would cost more than it gains.
template <class T>
int threads_for_units(const LstmRun<T>& run, Pass pass, int threads, Dim multiple) {
  // Times are of a Zen 5 with AVX-512, from benchmarks/results, for float: a core has 264 GFLOP/s and reads 127 GB/s
  // out of the third-level cache, so a weight in 32 ps.
  // What a meeting costs each thread, with all else that is not split: a step of batch 1 with 128 units takes 2.16 us
  // on one thread and 1.32 on two, 0.24 more than half, in which a core could do 63000 operations.
  constexpr Dim kFlopsOfMeeting = 65536;
  // Reading a weight takes as long as its 2 operations for each of 4 rows: threads with no more rows of their own, each
  // reading all weights, would wait for them ...
  constexpr Dim kFewRows = 4;
  // ... unless the weights stay in a core's second-level cache, 1 MiB on a Zen 4 and 5 (bytes).
  constexpr Dim kLargeWeights = 1024 * 1024;
  // With more rows forward need not wait, but gains by reading less, if no thread gets more than a share and this part
  // of it: on two cores of a Zen 4, 142 ms by rows and 118 by units with 20 rows of 1500 units; 66 and 63 with 32 of
  // 512; 11.4 and 12.2 with 32 of 300, where one thread has 7 % more. Backward gains nothing there: its threads would
  // hand over four gates at every step instead of h.
  constexpr Dim kUneven = 32;

  const LstmWeights<T>& w = *run.weights;
  const Dim batch = run.schedule->batch, parts = (w.units + multiple - 1) / multiple;
  const Dim bytes = 4 * w.units * w.units * static_cast<Dim>(sizeof(T));
  const bool even = (round_up(parts, Dim{threads}) - parts) * kUneven <= parts;
  const bool few = batch < threads || (batch <= kFewRows * threads && bytes >= kLargeWeights);
  const bool far = pass == Pass::kForward && bytes > kLargeWeights && even;
  const bool plain = w.groups == 1 && run.schedule->dense;
  const bool small = 8 * batch * w.units * w.units < kFlopsOfMeeting * threads;
  return plain && !small && (few || far) ? static_cast<int>(std::min<Dim>(threads, parts)) : 1;
}

// What the threads that share rows have in common: when to meet, and whether to stop, which all must see alike.
class Sharing {
 public:
  explicit Sharing(int size) : meeting_(size) {}

  void meet() { meeting_.wait(); }

  bool stopped(int index, Interrupt* interrupt) {
    if (index == 0) stop_ = stop_requested(interrupt);
    meet();
    return stop_;
  }

 private:
  Meeting meeting_;
  bool stop_ = false;
};

// Runs body(index, size, sharing) on `threads` threads, which share one Sharing. The body must not throw: the others
// would wait for the thread that did.
template <class F>
void sharing_region(int threads, F body) {
  std::optional<Sharing> sharing;
  std::once_flag once;
  parallel_region(threads, [&](int index, int size) {
    std::call_once(once, [&] { sharing.emplace(size); });
    body(index, size, *sharing);
  });
}

}  // namespace pylstm
