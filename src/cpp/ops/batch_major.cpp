#include "ops/batch_major.hpp"

#include <algorithm>
#include <cstring>

#include "base/parallel.hpp"

namespace pylstm {
namespace {

// Elements that a thread copies in some microseconds.
constexpr Dim kCopiedByThread = 16384;

}  // namespace

template <class T>
void to_batch_major(const T* x, Dim steps, Dim batch, Dim features, const std::int64_t* rows, T* y) {
  const auto copy = [=](Range part) {
    for (Dim i = part.begin; i < part.end; ++i) {
      const Dim b = i / steps, t = i % steps, to = rows == nullptr ? b : rows[b];
      std::memcpy(y + (to * steps + t) * features, x + (t * batch + b) * features,
                  static_cast<std::size_t>(features) * sizeof(T));
    }
  };
  const Dim count = batch * steps;
  if (count * features <= kCopiedByThread) return copy({0, count});
  parallel_for(count, (kCopiedByThread + features - 1) / features, copy);
}

#define PYLSTM_INSTANTIATE(T) template void to_batch_major<T>(const T*, Dim, Dim, Dim, const std::int64_t*, T*);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
