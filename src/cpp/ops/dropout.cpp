#include "ops/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"

namespace pylstm {
namespace {

// A word below this value drops its element.
std::uint64_t threshold(double rate) { return static_cast<std::uint64_t>(std::llround(rate * 0x1p32)); }

// f(i, factor) for i in [first, first + count), four elements a block of random words.
template <class T, class F>
void each_factor(const Philox& random, double rate, Dim first, Dim count, F f) {
  const std::uint64_t limit = threshold(rate);
  const T keep = rate < 1 ? static_cast<T>(1 / (1 - rate)) : T(0);
  for (Dim i = first; i < first + count;) {
    const auto words = random.block(static_cast<std::uint64_t>(i / 4));
    for (Dim lane = i % 4; lane < 4 && i < first + count; ++lane, ++i) {
      f(i, words[static_cast<std::size_t>(lane)] < limit ? T(0) : keep);
    }
  }
}

}  // namespace

template <class T>
void dropout_mask(const Philox& random, double rate, Dim first, Dim count, T* out) {
  each_factor<T>(random, rate, first, count, [=](Dim i, T factor) { out[i - first] = factor; });
}

template <class T>
void dropout(const Philox& random, double rate, Dim first, Dim n, const T* x, T* y) {
  parallel_for(n, 16384, [&](Range range) {
    each_factor<T>(random, rate, first + range.begin, range.end - range.begin, [=](Dim element, T factor) {
      const Dim i = element - first;
      y[i] = factor == 0 ? T(0) : x[i] * factor;
    });
  });
}

#define PYLSTM_INSTANTIATE(T)                                         \
  template void dropout_mask<T>(const Philox&, double, Dim, Dim, T*); \
  template void dropout<T>(const Philox&, double, Dim, Dim, const T*, T*);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
