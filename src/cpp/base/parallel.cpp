#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/cgroup.hpp"
#include "base/check.hpp"
#include "base/env.hpp"
#include "base/float_env.hpp"
#include "base/pieces.hpp"
#include "base/thread_pool.hpp"

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace pylstm {
namespace {

std::atomic<int> user_threads{0};   // 0: not set
std::atomic<bool> in_child{false};  // a team of threads does not survive a fork
thread_local bool in_region = false;
thread_local bool with_others = false;  // in a region that other threads are in too

#if !defined(_WIN32)
const int fork_hook = pthread_atfork(nullptr, nullptr, [] { in_child.store(true); });
#endif

int affinity_cores() {
#if defined(__linux__)
  constexpr std::size_t kMostSets = 64;  // of 1024 processors each; a kernel refuses a set smaller than its own
  for (std::size_t sets = 1; sets <= kMostSets; sets *= 2) {
    std::vector<cpu_set_t> set(sets);
    if (sched_getaffinity(0, sets * sizeof(cpu_set_t), set.data()) == 0)
      return std::max(1, CPU_COUNT_S(sets * sizeof(cpu_set_t), set.data()));
    if (errno != EINVAL) break;
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int requested_by_environment() {
  const std::string value = environment("PYLSTM_NUM_THREADS");
  if (value.empty()) return 0;
  char* end = nullptr;
  const long n = std::strtol(value.c_str(), &end, 10);
  check(*end == '\0' && n >= 1 && n <= 4096, "PYLSTM_NUM_THREADS must be a whole number from 1 to 4096, got '", value,
        "'");
  return static_cast<int>(n);
}

int default_threads() {
  static const int cores = available_cores();
#if defined(_OPENMP)
  // Read at each call: threadpoolctl and omp_set_num_threads change it for the calling thread.
  return std::max(1, std::min(cores, omp_get_max_threads()));
#elif defined(PYLSTM_POOL)
  // The variable that people set for every library; 0 when it is not set or does not begin with a number.
  static const long requested = std::strtol(environment("OMP_NUM_THREADS").c_str(), nullptr, 10);
  return requested > 0 ? static_cast<int>(std::min<long>(cores, requested)) : cores;
#else
  return std::min(cores, 1);
#endif
}

}  // namespace

int available_cores() { return std::min(affinity_cores(), quota_cores(cgroup_folders("cpu"))); }

const char* thread_backend() {
#if defined(_OPENMP)
  return "openmp";
#elif defined(PYLSTM_POOL)
  return "pool";
#else
  return "none";
#endif
}

int num_threads() {
  const int set = user_threads.load(std::memory_order_relaxed);
  if (in_child.load(std::memory_order_relaxed)) return 1;
  if (set > 0) return set;
  static const int from_environment = requested_by_environment();  // throws again at each call
  return from_environment > 0 ? from_environment : default_threads();
}

void set_num_threads(int n) {
  check(n >= 1 && n <= 4096, "n must be a number of threads from 1 to 4096, got ", n);
  user_threads.store(n);
}

namespace {

// Grains of work that are worth waking a thread for, which takes as long as some of them.
constexpr Dim kGrainsOfWaking = 4;

Dim threads_ready() {
#if defined(PYLSTM_POOL) && !defined(_OPENMP)
  return 1 + threads_awake();
#else
  return num_threads();
#endif
}

// body in our floating-point state; an exception stays behind in `first`.
class Guarded {
 public:
  explicit Guarded(const std::function<void(int, int)>& body) : body_(body) {}
  void operator()(int index, int size) {
    const FloatEnvironment guard;
    const bool outer = in_region, outer_with_others = with_others;
    in_region = true;
    with_others = outer_with_others || size > 1;
    try {
      body_(index, size);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!first_) first_ = std::current_exception();
    }
    in_region = outer;
    with_others = outer_with_others;
  }
  void rethrow() const {
    if (first_) std::rethrow_exception(first_);
  }

 private:
  const std::function<void(int, int)>& body_;
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace

void parallel_region(int threads, const std::function<void(int, int)>& body) {
  Guarded guarded(body);
  const bool alone = in_region || threads <= 1 || in_child.load(std::memory_order_relaxed);
  if (alone) {
    guarded(0, 1);
  } else {
#if defined(_OPENMP)
#pragma omp parallel num_threads(threads)
    guarded(omp_get_thread_num(), omp_get_num_threads());
#elif defined(PYLSTM_POOL)
    if (!run_on_team(threads, std::ref(guarded))) guarded(0, 1);
#else
    guarded(0, 1);
#endif
  }
  guarded.rethrow();
}

bool inside_shared_region() { return with_others; }

Range split(Dim n, int index, int size, Dim multiple) {
  const Dim units = (n + multiple - 1) / multiple;
  const Dim begin = units * index / size * multiple;
  const Dim end = units * (index + 1) / size * multiple;
  return {std::min(begin, n), std::min(end, n)};
}

int threads_for_grains(Dim grains) {
  const Dim most = std::min<Dim>(num_threads(), grains);
  if (most <= 1) return 1;
  return static_cast<int>(std::min(most, std::max(threads_ready(), grains / kGrainsOfWaking)));
}

void parallel_pieces(int threads, Dim n, Dim smallest, Dim multiple, const std::function<void(Range)>& body) {
  if (n <= 0) return;
  if (threads <= 1) return parallel_region(1, [&](int, int) { body({0, n}); });
  Pieces pieces(n, threads, smallest, multiple);
  parallel_region(threads, [&](int index, int size) {
    if (size == 1) return body({0, n});
    for (Range piece = pieces.next(index); piece.begin < piece.end; piece = pieces.next(index)) body(piece);
  });
}

void parallel_for(Dim n, Dim grain, const std::function<void(Range)>& body, Dim multiple) {
  grain = std::max<Dim>(1, grain);
  parallel_pieces(threads_for_grains(n / grain), n, grain, multiple, body);
}

}  // namespace pylstm
