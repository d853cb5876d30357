#include "base/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <csignal>
#endif

#include "base/placement.hpp"
#include "base/relax.hpp"

namespace pylstm {
namespace {

// Threads that are made while it lives take no signals, which are for the program's own, but those of their faults.
class SignalsBlocked {
#if !defined(_WIN32)
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
#endif
};

using Body = std::function<void(int, int)>;

// About the longest pause between two regions of one training step, and well below a time slice.
constexpr auto kSpin = std::chrono::microseconds(50);
// Then sleep soon: a thread that wakes is put on an idle core, while two that only yield to each other may share one
// for as long as the call lasts.
constexpr auto kYield = std::chrono::microseconds(200);
constexpr auto kAskAgain = std::chrono::seconds(5);

// Spins, then yields, until ready() holds (true) or the time is up (false). Where held_up() tells that who is waited
// for was last seen on this core, it yields at once: beside a busy process a system may leave two threads on one core,
// where one that spins only keeps the other from being ready.
template <class Ready, class HeldUp>
bool wait_awake(Ready ready, HeldUp held_up) {
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      relax();
    }
    const auto waited = std::chrono::steady_clock::now() - start;
    if (waited > kSpin + kYield) return false;
    if (waited > kSpin || held_up()) std::this_thread::yield();
  }
}

// A flag that can be waited for awake and asleep. The pair (value, sleeping) is sequentially consistent: either
// the waker sees the sleeper or the sleeper sees the value.
class Gate {
 public:
  void set(unsigned value) {
    value_.store(value);
    if (!sleeping_.load()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!sleeping_.load()) return;  // it saw the value before it slept
    sleeper_.wakes();
    wake_.notify_one();
  }
  // `awake`: how many of the team are; null: the waiting thread is a caller, whose affinity is none of our business.
  template <class HeldUp>
  void wait(unsigned value, std::atomic<int>* awake, HeldUp held_up) {
    if (wait_awake([&] { return value_.load(std::memory_order_acquire) == value; }, held_up)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    if (awake != nullptr) {
      sleeper_.sleeps();
      awake->fetch_sub(1, std::memory_order_relaxed);
    }
    sleeping_.store(true);
    wake_.wait(lock, [&] { return value_.load() == value; });
    sleeping_.store(false);
    sleeper_.woke();
    if (awake != nullptr) awake->fetch_add(1, std::memory_order_relaxed);
  }

 private:
  alignas(64) std::atomic<unsigned> value_{0};
  std::atomic<bool> sleeping_{false};
  Sleeper sleeper_;
  std::mutex mutex_;
  std::condition_variable wake_;
};

class Team {
 public:
  bool run(int size, const Body& body) {
    const std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
    if (!owner) return false;
    while (static_cast<int>(workers_.size()) < size - 1 && asks_for_workers()) {
      if (!add_worker()) refused_ = std::chrono::steady_clock::now();
    }
    size = std::min(size, static_cast<int>(workers_.size()) + 1);
    if (size < 2) return false;
    body_ = &body;
    size_ = size;
    caller_core_.store(current_core(), std::memory_order_relaxed);
    running_.store(size - 1);
    ++round_;
    for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(size); ++i) workers_[i]->start.set(++workers_[i]->round);
    body(0, size);
    done_.wait(round_, nullptr, [this] {
      const int here = current_core();
      for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(size_); ++i) {
        if (here >= 0 && workers_[i]->core.load(std::memory_order_relaxed) == here) return true;
      }
      return false;
    });
    return true;
  }

  int awake() const { return awake_.load(std::memory_order_relaxed); }

 private:
  struct Worker {
    Gate start;
    unsigned round = 0;
    std::atomic<int> core{-1};  // where it was last seen
  };

  // Not soon after the system had none to give: to be refused takes long.
  bool asks_for_workers() const {
    return refused_.time_since_epoch().count() == 0 || std::chrono::steady_clock::now() - refused_ > kAskAgain;
  }

  // False if the system has no thread to give.
  bool add_worker() {
    workers_.push_back(std::make_unique<Worker>());
    Worker* worker = workers_.back().get();
    const int index = static_cast<int>(workers_.size());
    try {
      awake_.fetch_add(1, std::memory_order_relaxed);
      [[maybe_unused]] const SignalsBlocked blocked;
      std::thread([this, worker, index] { serve(*worker, index); }).detach();
      return true;
    } catch (...) {  // std::system_error, std::bad_alloc
      awake_.fetch_sub(1, std::memory_order_relaxed);
      workers_.pop_back();
      return false;
    }
  }

  void serve(Worker& worker, int index) {
    for (unsigned next = 1;; ++next) {
      worker.start.wait(next, &awake_, [this] {
        const int here = current_core();
        return here >= 0 && caller_core_.load(std::memory_order_relaxed) == here;
      });
      worker.core.store(current_core(), std::memory_order_relaxed);
      (*body_)(index, size_);
      const unsigned round = round_;  // read before the owner can start another
      if (running_.fetch_sub(1) == 1) done_.set(round);
    }
  }

  std::mutex owner_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::chrono::steady_clock::time_point refused_;  // 0: never
  std::atomic<int> caller_core_{-1};               // where it was last seen
  const Body* body_ = nullptr;
  int size_ = 0;
  unsigned round_ = 0;
  std::atomic<int> running_{0};
  std::atomic<int> awake_{0};  // threads, besides callers
  Gate done_;
};

Team& the_team() {
  // Never destroyed: its threads outlive static destructors, and a forked child has none of them to join.
  static Team* const team = new Team;
  return *team;
}

}  // namespace

bool run_on_team(int size, const Body& body) { return the_team().run(size, body); }

int threads_awake() { return the_team().awake(); }

}  // namespace pylstm
