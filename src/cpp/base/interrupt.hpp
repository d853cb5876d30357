// A request to stop long work early. Any thread may ask; only the thread that made the object calls
// `poll`, at most every 50 ms, so that a front end can look for signals under its own lock. It must not throw: others
// may wait for the thread that asks.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

namespace pylstm {

class Interrupt {
 public:
  explicit Interrupt(std::function<bool()> poll) : poll_(std::move(poll)) {}

  bool requested() {
    if (flag_.load(std::memory_order_relaxed)) return true;
    if (std::this_thread::get_id() != owner_ || !poll_) return false;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(50)) return false;
    last_ = now;
    if (poll_()) flag_.store(true);
    return flag_.load();
  }

 private:
  std::function<bool()> poll_;
  std::thread::id owner_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> flag_{false};
};

// `interrupt` may be null: work that nobody can stop.
inline bool stop_requested(Interrupt* interrupt) { return interrupt != nullptr && interrupt->requested(); }

}  // namespace pylstm
