// How the threads of an LSTM share a batch: each its own rows through all of time, or all rows, each its own units.
#pragma once

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
int threads_for_units(const LstmRun<T>& run, Pass pass, int threads, Dim multiple);

// One thread's part in the work on rows: by default they are its own, and it meets nobody.
class Sharer {
 public:
  struct Rows {
    explicit Rows(int size) : meeting(size) {}
    Meeting meeting;
    bool stop = false;
  };
  Sharer() = default;
  Sharer(Rows& rows, int index) : rows_(&rows), index_(index) {}

  void meet() {
    if (rows_ != nullptr) rows_->meeting.wait();
  }
  // The same answer for all; between two questions they must meet.
  bool stopped(Interrupt* interrupt) {
    if (rows_ == nullptr) return stop_requested(interrupt);
    if (index_ == 0) rows_->stop = stop_requested(interrupt);
    meet();
    return rows_->stop;
  }

 private:
  Rows* rows_ = nullptr;
  int index_ = 0;
};

// Runs body(index, size, sharer) on `threads` threads that share all rows. If the body throws, the program ends: the
// others would wait for that thread for ever.
template <class F>
void sharing_region(int threads, F body) {
  std::optional<Sharer::Rows> rows;
  std::once_flag once;
  parallel_region(threads, [&](int index, int size) {
    std::call_once(once, [&] { rows.emplace(size); });
    [&]() noexcept { body(index, size, Sharer(*rows, index)); }();
  });
}

}  // namespace pylstm
