// Locks that a fork finds free. A child has only the thread that forked: what another thread had locked would stay
// locked there, and what it was writing would stay half written.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

namespace pylstm {

// While it lives, a fork waits for these locks, takes them in this order, and frees them in parent and child, where
// `in_child` is called then. Whoever holds one must never wait for the thread that forks: not for the GIL, for one.
class ForkLocks {
 public:
  explicit ForkLocks(std::vector<std::mutex*> locks, std::function<void()> in_child = nullptr);
  ~ForkLocks();
  ForkLocks(const ForkLocks&) = delete;
  ForkLocks& operator=(const ForkLocks&) = delete;

 private:
  friend struct ForkRegistry;
  std::vector<std::mutex*> locks_;
  std::function<void()> in_child_;
};

}  // namespace pylstm
