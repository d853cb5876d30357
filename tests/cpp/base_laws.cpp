// The base room: random numbers, floating-point state, threads, buffers, checks.
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#include <cfenv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/buffer.hpp"
#include "base/cgroup.hpp"
#include "base/float_env.hpp"
#include "base/parallel.hpp"
#include "base/philox.hpp"
#include "base/placement.hpp"
#include "check.hpp"
#include "piece_laws.hpp"

namespace pylstm::test {
namespace {

// Known answers of the generator's authors (Random123, kat_vectors): counter, key, result.
void philox_known_answers() {
  struct Known {
    std::uint64_t index, seed;
    std::array<std::uint32_t, 4> words;
  };
  // The counter's upper half holds step and purpose; all zeros there is purpose 0, stream 0, step 0.
  const Known zero = {0, 0, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}};
  const Philox random(zero.seed, static_cast<Purpose>(0), 0, 0);
  PYLSTM_EXPECT(random.block(zero.index) == zero.words, "Philox4x32-10 of zeros differs from its known answer");
  const Philox ones(~0ull, static_cast<Purpose>(0xFF), 0x00FFFFFFu, 0xFFFFFFFFu);
  const std::array<std::uint32_t, 4> answer = {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu};
  PYLSTM_EXPECT(ones.block(~0ull) == answer, "Philox4x32-10 of ones differs from its known answer");
}

void uniform_numbers() {
  const Philox random(7, Purpose::kInitialize, 3, 4);
  double sum = 0;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    const double u = random.uniform(static_cast<std::uint64_t>(i));
    PYLSTM_EXPECT(u >= 0 && u < 1, "uniform(", i, ") is ", u);
    sum += u;
  }
  // Six standard deviations of a mean of kCount uniform numbers.
  PYLSTM_EXPECT(std::fabs(sum / kCount - 0.5) < 6 * std::sqrt(1.0 / 12 / kCount), "mean of uniform numbers is ",
                sum / kCount);
}

// Through volatile variables: what the compiler computes itself shows nothing of the state.
double half_of(double x) {
  volatile double whole = x;
  volatile double half = whole / 2;
  return half;
}
bool rounds_upward() {
  volatile double one = 1, tiny = 1e-30;
  volatile double sum = one + tiny;
  return sum > one;
}

void floating_point_state() {
  const double smallest = std::numeric_limits<double>::min();
  PYLSTM_EXPECT(half_of(smallest) > 0, "a test must start without flushing");
  std::fesetround(FE_UPWARD);
  std::feclearexcept(FE_ALL_EXCEPT);
  {
    const FloatEnvironment guard;
    PYLSTM_EXPECT(half_of(smallest) == 0, "denormals survive inside FloatEnvironment");
    PYLSTM_EXPECT(!rounds_upward(), "FloatEnvironment does not round to nearest");
    {
      const FloatEnvironment inner;
      PYLSTM_EXPECT(half_of(smallest) == 0, "denormals survive inside two of them");
    }
    PYLSTM_EXPECT(half_of(smallest) == 0, "the inner FloatEnvironment ended the outer one");
    volatile double zero = 0;
    volatile double inexact = 1 / (zero + 3), infinite = 1 / zero;
    (void)inexact;
    (void)infinite;
  }
  PYLSTM_EXPECT(rounds_upward(), "the caller's rounding was not restored");
  PYLSTM_EXPECT(std::fetestexcept(FE_DIVBYZERO) == 0, "our exceptions show in the caller's flags");
  std::fesetround(FE_TONEAREST);
  PYLSTM_EXPECT(half_of(smallest) > 0, "denormals were not restored");
}

void splitting() {
  for (const Dim n : {0, 1, 7, 64, 1000}) {
    for (const int size : {1, 2, 3, 5, 16}) {
      for (const Dim multiple : {1, 6, 64}) {
        Dim next = 0;
        for (int i = 0; i < size; ++i) {
          const Range part = split(n, i, size, multiple);
          PYLSTM_EXPECT(part.begin == next && part.end >= part.begin && (part.end % multiple == 0 || part.end == n),
                        "split(", n, ", ", i, ", ", size, ", ", multiple, ") is [", part.begin, ", ", part.end, ")");
          next = part.end;
        }
        PYLSTM_EXPECT(next == n, "parts of ", n, " end at ", next);
      }
    }
  }
}

void regions() {
  for (const int threads : {1, 2, 3, 5}) {
    set_num_threads(threads);
    PYLSTM_EXPECT(num_threads() == threads, "num_threads is ", num_threads());
    std::vector<std::atomic<int>> visits(1000);
    std::atomic<int> nested{0}, flushed{0}, parts{0};
    std::mutex mutex;
    std::set<std::thread::id> ran;
    parallel_for(1000, 10, [&](Range range) {
      ++parts;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        ran.insert(std::this_thread::get_id());
      }
      flushed += half_of(std::numeric_limits<double>::min()) == 0;
      for (Dim i = range.begin; i < range.end; ++i) ++visits[static_cast<std::size_t>(i)];
      parallel_region(4, [&](int index, int size) { nested += index == 0 && size == 1; });
    });
    for (const auto& count : visits) PYLSTM_EXPECT(count == 1, "an element was visited ", count, " times");
    PYLSTM_EXPECT(ran.size() <= static_cast<std::size_t>(threads), ran.size(), " threads ran, of ", threads);
    PYLSTM_EXPECT(threads > 1 || parts == 1, parts, " parts on one thread");
    int whole = 0;
    parallel_region(1, [&](int, int) {
      parallel_pieces(threads, 100, 1, 1, [&](Range range) { whole += range.begin == 0 && range.end == 100; });
    });
    PYLSTM_EXPECT(whole == 1, "a region that gets one thread cuts its work for ", threads);
    PYLSTM_EXPECT(flushed == parts, "a thread of a region does not flush denormals");
    PYLSTM_EXPECT(nested == parts, "a region inside a region is not serial");
    std::atomic<int> small{0};
    parallel_for(9, 10, [&](Range) { ++small; });
    PYLSTM_EXPECT(small == 1, "9 elements with a grain of 10 ran in ", small, " parts");
    bool caught = false;
    try {
      parallel_region(threads, [](int index, int size) {
        if (index == size - 1) throw std::runtime_error("from a thread");
      });
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "from a thread";
    }
    PYLSTM_EXPECT(caught, "an exception in a region was lost");
    PYLSTM_EXPECT(half_of(std::numeric_limits<double>::min()) > 0, "a region left denormals flushed");
  }
}

// Every index of every region runs once, before the region returns, and sees what the caller wrote.
void many_regions(int regions, int pause_every) {
  std::vector<int> seen(8);
  for (int round = 1; round <= regions; ++round) {
    const int threads = 1 + round % 7;
    int size_seen = 0;
    parallel_region(threads, [&](int index, int size) {
      seen[static_cast<std::size_t>(index)] = round;
      if (index == 0) size_seen = size;
    });
    int ran = 0;
    for (const int last : seen) ran += last == round;
    if (!PYLSTM_EXPECT(ran == size_seen && ran <= threads, "region ", round, " ran ", ran, " of ", size_seen)) return;
    if (pause_every > 0 && round % pause_every == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void teams() {
  many_regions(8000, 0);
  many_regions(60, 1);  // the threads have gone to sleep before each
  many_regions(3000, 100);
  // Callers at once: whoever does not get the threads runs alone, and none waits for another.
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&wrong, caller] {
      for (int round = 0; round < 2000; ++round) {
        std::vector<int> parts(100, 0);
        parallel_for(100, 5, [&](Range range) {
          for (Dim i = range.begin; i < range.end; ++i) parts[static_cast<std::size_t>(i)] += caller + round;
        });
        for (const int part : parts) wrong += part != caller + round;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  PYLSTM_EXPECT(wrong == 0, wrong, " elements are wrong when regions run at once");
}

// A few grains of work wake nobody, and are shared with threads that are awake; many are shared in any case.
void few_grains() {
  if (std::string(thread_backend()) != "pool") return;
  set_num_threads(2);
  // The system may take the core just when a thread is about to sleep, or to be found awake.
  constexpr int kTries = 1000;
  int tries = 0;
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  } while (threads_for_grains(2) != 1 && ++tries < kTries);
  PYLSTM_EXPECT(tries < kTries, "two grains of work wake a thread");
  PYLSTM_EXPECT(threads_for_grains(1000) == 2, "1000 grains of work wake nobody");
  tries = 0;
  do {
    parallel_region(2, [](int, int) {});
  } while (threads_for_grains(2) != 2 && ++tries < kTries);
  PYLSTM_EXPECT(tries < kTries, "a thread that is awake does not share two grains of work");
}

#if defined(__linux__)
std::vector<cpu_set_t> affinities(int threads) {
  std::vector<cpu_set_t> result(static_cast<std::size_t>(threads));
  parallel_region(threads, [&](int index, int) {
    sched_getaffinity(0, sizeof(cpu_set_t), &result[static_cast<std::size_t>(index)]);
  });
  return result;
}

// Between wakes() and woke() a thread may not run on its waker's core; before and after, where it might.
void sleepers() {
  cpu_set_t all, during, after;
  sched_getaffinity(0, sizeof(all), &all);
  Sleeper sleeper;
  std::atomic<int> stage{0};
  pid_t sleeping = 0;
  std::thread thread([&] {
    sleeping = static_cast<pid_t>(syscall(SYS_gettid));
    sleeper.sleeps();
    stage = 1;
    while (stage != 2) std::this_thread::yield();
    sleeper.woke();
    sched_getaffinity(0, sizeof(after), &after);
  });
  while (stage != 1) std::this_thread::yield();
  const int here = sched_getcpu();
  cpu_set_t one, others = all;
  CPU_ZERO(&one);
  CPU_SET(here, &one);
  if (CPU_COUNT(&all) > 1) CPU_CLR(here, &others);
  sched_setaffinity(0, sizeof(one), &one);
  sleeper.wakes();
  sleeper.wakes();  // once is enough
  sched_getaffinity(sleeping, sizeof(during), &during);
  sched_setaffinity(0, sizeof(all), &all);
  stage = 2;
  thread.join();
  PYLSTM_EXPECT(CPU_EQUAL(&during, &others), "a woken thread may run on ", CPU_COUNT(&during), " cores of ",
                CPU_COUNT(&all), ", its waker's among them or others missing");
  PYLSTM_EXPECT(CPU_EQUAL(&after, &all), "a thread that woke was not given back its cores");
}

// Threads that slept wake on other cores than the caller's, are then allowed every core that they were allowed before,
// and the caller is never moved.
void places() {
  if (std::string(thread_backend()) != "pool") return;
  cpu_set_t all;
  sched_getaffinity(0, sizeof(all), &all);
  constexpr int kThreads = 3;
  for (const cpu_set_t& allowed : affinities(kThreads)) {
    PYLSTM_EXPECT(CPU_EQUAL(&allowed, &all), "a thread of the team has another affinity than its maker");
  }
  cpu_set_t one;
  std::vector<int> cores(kThreads, -1);
  const auto region = [&] {
    parallel_region(kThreads, [&](int index, int) { cores[static_cast<std::size_t>(index)] = sched_getcpu(); });
  };
  int apart = 0;
  constexpr int kWakes = 20;
  region();
  for (int wake = 0; wake < kWakes; ++wake) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // all have gone to sleep
    const int here = cores[1];                                  // where thread 1 would like to wake
    CPU_ZERO(&one);
    CPU_SET(here, &one);
    sched_setaffinity(0, sizeof(one), &one);
    region();
    apart += cores[1] != here;
    PYLSTM_EXPECT(cores[0] == here, "the caller ran on core ", cores[0], ", bound to ", here);
  }
  // The kernel may move a running thread at any time, as it likes; it does so rarely.
  if (CPU_COUNT(&all) > 1) PYLSTM_EXPECT(apart > kWakes / 2, apart, " of ", kWakes, " wakes were on another core");
  const std::vector<cpu_set_t> after = affinities(kThreads);
  PYLSTM_EXPECT(CPU_EQUAL(&after[0], &one), "the caller's affinity was changed");
  for (std::size_t i = 1; i < after.size(); ++i) {
    PYLSTM_EXPECT(CPU_EQUAL(&after[i], &all), "thread ", i, " was not given back its cores");
  }
  sched_setaffinity(0, sizeof(all), &all);
}
#else
void sleepers() {}
void places() {}
#endif

template <class F>
bool throws_invalid(F f) {
  try {
    f();
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

void buffers_and_checks() {
  Buffer<float> buffer;
  float* first = buffer.reserve(100);
  PYLSTM_EXPECT(reinterpret_cast<std::uintptr_t>(first) % kAlignment == 0, "a buffer is not aligned");
  PYLSTM_EXPECT(buffer.reserve(50) == first && buffer.count() == 100, "a buffer shrank");
  bool refused = false;
  try {
    Buffer<double> huge(std::numeric_limits<Dim>::max() / 4);
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  PYLSTM_EXPECT(refused, "a buffer larger than the address space was granted");
  PYLSTM_EXPECT(throws_invalid([] { set_num_threads(0); }), "0 threads are accepted");
  const auto cores = [](const char* quota, const char* period) { return cores_of_quota(quota, period); };
  PYLSTM_EXPECT(cores("100000", "100000") == 1 && cores("200000", "100000") == 2, "a whole quota is misread");
  PYLSTM_EXPECT(cores("150000", "100000") == 2 && cores("1000", "100000") == 1, "a quota is not rounded up");
  PYLSTM_EXPECT(cores("400000", "50000") == 8, "the period is not regarded");
  for (const char* none : {"max", "-1", "", "0"}) {
    PYLSTM_EXPECT(cores(none, "100000") > 100000, "'", none, "' is taken for a quota");
  }
  PYLSTM_EXPECT(cores("100000", "") > 100000 && cores("1e300", "1") > 100000, "a quota of no period limits");
  PYLSTM_EXPECT(throws_invalid([] { check(false, "n must be ", 3); }), "check(false) does not throw");
  PYLSTM_EXPECT(shape_text({3, -1, 4}) == "(3, None, 4)", "shape_text gives ", shape_text({3, -1, 4}));
}

// Every group above a process limits it too.
void control_groups() {
  using Folders = std::vector<std::string>;
  const std::string one = "12:pids:/a\n4:cpu,cpuacct:/job/step\n3:cpuset:/c\nnonsense\n1:memory:relative\n";
  PYLSTM_EXPECT(
      cgroup_folders("cpu", one, "/g") == (Folders{"/g/cpu,cpuacct/job/step", "/g/cpu,cpuacct/job", "/g/cpu,cpuacct",
                                                   "/g/cpu/job/step", "/g/cpu/job", "/g/cpu"}),
      "groups of version 1");
  PYLSTM_EXPECT(cgroup_folders("cpu", "0::/user.slice/x.service\n", "/g") ==
                    (Folders{"/g/user.slice/x.service", "/g/user.slice", "/g"}),
                "groups of version 2");
  PYLSTM_EXPECT(cgroup_folders("cpu", "0::/\n", "/g") == Folders{"/g"}, "the group of a container");
  PYLSTM_EXPECT(cgroup_folders("cpu", "0::/../..\n", "/g") == Folders{"/g"}, "a group outside the namespace");
  PYLSTM_EXPECT(cgroup_folders("cpu", "0::/a..b\n", "/g") == (Folders{"/g/a..b", "/g"}),
                "a group with dots in its name");
  PYLSTM_EXPECT(cgroup_folders("memory", one, "/g").empty() && cgroup_folders("cpu", "", "/g").empty(), "no group");

  namespace fs = std::filesystem;
  const fs::path root = fs::temp_directory_path() / ("pylstm_laws_" + std::to_string(std::random_device()()));
  fs::create_directories(root / "a" / "b");
  const auto quota_of = [&] {
    return quota_cores({(root / "a" / "b").string(), (root / "a").string(), root.string()});
  };
  PYLSTM_EXPECT(quota_of() > 100000, "no file is taken for a quota");
  std::ofstream(root / "a" / "b" / "cpu.max") << "max 100000\n";
  std::ofstream(root / "a" / "cpu.max") << "300000 100000\n";
  PYLSTM_EXPECT(quota_of() == 3, "the quota of a group above is not regarded");
  std::ofstream(root / "cpu.cfs_quota_us") << "150000\n";
  std::ofstream(root / "cpu.cfs_period_us") << "100000\n";
  PYLSTM_EXPECT(quota_of() == 2, "the smallest quota does not win");
  fs::remove_all(root);
}

}  // namespace
}  // namespace pylstm::test

int main() {
  using namespace pylstm::test;
  philox_known_answers();
  uniform_numbers();
  floating_point_state();
  splitting();
  regions();
  teams();
  few_grains();
  piece_laws();
  sleepers();
  places();
  buffers_and_checks();
  control_groups();
  return finish("base_laws");
}
