// Where the threads of one region meet between steps that are shorter than a region takes to start.
#pragma once

#include <atomic>
#include <thread>

#include "base/relax.hpp"

namespace pylstm {

class Meeting {
 public:
  explicit Meeting(int size) : size_(size) {}

  // Returns when all threads have come; what each wrote before is then seen by all. Waits awake: meetings are
  // microseconds apart, and a thread that is late has lost its core, which yielding may give back.
  void wait() {
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (unsigned i = 1; round_.load(std::memory_order_acquire) == round; ++i) {
      relax();
      if (i % kSpins == 0) std::this_thread::yield();
    }
  }

 private:
  static constexpr unsigned kSpins = 1024;
  const int size_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> round_{0};
};

}  // namespace pylstm
