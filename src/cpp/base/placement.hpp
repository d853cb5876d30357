// Where a thread of the team wakes. In a virtual machine a kernel may take an idle core for a busy one, and then
// queues a woken thread on the core of its waker: both take turns there, for 10 ms and more, until the kernel balances
// its load. So a waker forbids its own core to the sleeper, which is allowed it again as soon as it runs.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace pylstm {

// The core that the calling thread runs on; -1 where the system does not tell.
int current_core();

// One thread's sleep. Calls are made under one lock. Without sleeps(), and where the system knows no affinity, refuses
// it or leaves one core only, nothing is done. A thread that was moved keeps to the cores that it was allowed then,
// even if the system widens the process' set later.
class Sleeper {
 public:
  void sleeps();  // by the thread, before it sleeps
  void wakes();   // by its waker
  void woke();    // by the thread; its affinity is what it was before wakes()

#if defined(__linux__)
 private:
  pid_t thread_ = 0;
  bool moved_ = false;
  cpu_set_t before_{};
#endif
};

}  // namespace pylstm
