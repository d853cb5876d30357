// Threads that share work whose steps are shorter than a region takes to start: they meet between them.
#pragma once

#include <mutex>
#include <optional>

#include "base/interrupt.hpp"
#include "base/meeting.hpp"
#include "base/parallel.hpp"

namespace pylstm {

// One thread's part in what several do together: by default it is alone, and meets nobody.
class Sharer {
 public:
  struct Team {
    explicit Team(int size) : meeting(size) {}
    Meeting meeting;
    bool stop = false;
  };
  Sharer() = default;
  Sharer(Team& team, int index) : team_(&team), index_(index) {}

  void meet() {
    if (team_ != nullptr) team_->meeting.wait();
  }
  // The same answer for all; between two questions they must meet. The first thread may run the caller's signal
  // handlers to find it, while the others wait awake.
  bool stopped(Interrupt* interrupt) {
    if (team_ == nullptr) return stop_requested(interrupt);
    if (index_ == 0) team_->stop = stop_requested(interrupt);
    meet();
    return team_->stop;
  }

 private:
  Team* team_ = nullptr;
  int index_ = 0;
};

// Runs body(index, size, sharer) on `threads` threads. If the body throws, the program ends: the others would wait for
// that thread for ever.
template <class F>
void sharing_region(int threads, F body) {
  std::optional<Sharer::Team> team;
  std::once_flag once;
  parallel_region(threads, [&](int index, int size) {
    std::call_once(once, [&] { team.emplace(size); });
    [&]() noexcept { body(index, size, Sharer(*team, index)); }();
  });
}

}  // namespace pylstm
