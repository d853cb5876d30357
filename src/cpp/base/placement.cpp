#include "base/placement.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pylstm {

#if defined(__linux__)

int current_core() { return sched_getcpu(); }

void Sleeper::sleeps() { thread_ = static_cast<pid_t>(syscall(SYS_gettid)); }

void Sleeper::wakes() {
  if (thread_ == 0 || moved_) return;  // thread 0 would be the waker itself
  const int here = sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE || sched_getaffinity(thread_, sizeof(before_), &before_) != 0) return;
  cpu_set_t elsewhere = before_;
  CPU_CLR(here, &elsewhere);
  if (CPU_COUNT(&elsewhere) == 0 || CPU_EQUAL(&elsewhere, &before_)) return;
  moved_ = sched_setaffinity(thread_, sizeof(elsewhere), &elsewhere) == 0;
}

void Sleeper::woke() {
  if (moved_) sched_setaffinity(thread_, sizeof(before_), &before_);
  moved_ = false;
}

#else

int current_core() { return -1; }

void Sleeper::sleeps() {}
void Sleeper::wakes() {}
void Sleeper::woke() {}

#endif

}  // namespace pylstm
