#include "ops/roofline.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/buffer.hpp"
#include "base/parallel.hpp"

namespace pylstm {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Every thread repeats work(thread), which returns a quantity, for `seconds`; the sum of their rates.
template <class F>
double sum_of_rates(int threads, double seconds, Rate rate, F work) {
  std::vector<double> rates(static_cast<std::size_t>(threads), 0.0);
  parallel_region(threads, [&](int index, int) {
    double best = 0, done = 0;
    const double begin = now();
    double end = begin;
    while (end < begin + seconds) {
      const double start = end, quantity = work(index);
      end = now();
      best = std::max(best, quantity / (end - start));
      done += quantity;
    }
    rates[static_cast<std::size_t>(index)] = rate == Rate::kBest ? best : done / (end - begin);
  });
  double sum = 0;
  for (const double each : rates) sum += each;
  return sum;
}

// The longer form on x86 lets the cache of decoded instructions, which counts bytes too, keep up.
void issue_one() {
#if defined(__x86_64__)
  __asm__ volatile("nopl 0(%rax,%rax,1)");
#else
  __asm__ volatile("nop");
#endif
}

double issue_burst(Dim rounds) {
  constexpr int kEach = 96;
  for (Dim round = 0; round < rounds; ++round) {
#pragma GCC unroll 96
    for (int i = 0; i < kEach; ++i) issue_one();
  }
  return static_cast<double>(rounds * kEach);
}

}  // namespace

template <class T>
double measure_peak(const KernelTable<T>& kernels, int threads, double seconds, Rate rate) {
  return sum_of_rates(threads, seconds, rate, [&](int) {
    T sink[3] = {T(1), T(0.5), T(0.25)};
    return static_cast<double>(kernels.fma_burst(100000, sink));
  });
}

double measure_issue_rate(int threads, double seconds, Rate rate) {
  return sum_of_rates(threads, seconds, rate, [](int) { return issue_burst(10000); });
}

double measure_bandwidth(const KernelTable<float>& kernels, int threads, Dim bytes, double seconds) {
  const Dim count = bytes / static_cast<Dim>(sizeof(float));
  std::vector<Buffer<float>> memory(static_cast<std::size_t>(threads));
  for (Buffer<float>& buffer : memory) std::fill_n(buffer.reserve(count), count, 1.0f);
  const Dim repeats = std::max<Dim>(1, (Dim{4} << 20) / std::max<Dim>(1, bytes));
  std::vector<float> sums(static_cast<std::size_t>(threads), 0.0f);
  return sum_of_rates(threads, seconds, Rate::kBest, [&](int index) {
    const auto mine = static_cast<std::size_t>(index);
    for (Dim i = 0; i < repeats; ++i) sums[mine] += kernels.read_all(count, memory[mine].data());
    return static_cast<double>(repeats * bytes);
  });
}

template double measure_peak<float>(const KernelTable<float>&, int, double, Rate);
template double measure_peak<double>(const KernelTable<double>&, int, double, Rate);

}  // namespace pylstm
