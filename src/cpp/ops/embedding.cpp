#include "ops/embedding.hpp"

#include <algorithm>
#include <cstring>

#include "base/parallel.hpp"

namespace pylstm {

template <class T>
void embedding_forward(const T* table, Dim width, const std::int32_t* ids, Dim rows, T* y) {
  parallel_for(rows, std::max<Dim>(1, 65536 / std::max<Dim>(1, width)), [&](Range range) {
    for (Dim m = range.begin; m < range.end; ++m) {
      std::memcpy(y + m * width, table + ids[m] * width, static_cast<std::size_t>(width) * sizeof(T));
    }
  });
}

namespace {

constexpr Dim kGrain = 131072;  // elements of one thread's share

// f(first, last) for ranges of `rows` rows of `width` elements.
template <class F>
void each_row(Dim rows, Dim width, F f) {
  parallel_for(rows, std::max<Dim>(1, kGrain / std::max<Dim>(1, width)), [&](Range range) {
    for (Dim row = range.begin; row < range.end; ++row) f(row);
  });
}

// The gradient is 0, and `touched` are the rows of `ids`, which are about to be written.
template <class T>
void touch(Dim entries, Dim width, const std::int32_t* ids, Dim count, T* gradient, TouchedRows& touched) {
  const auto clear = [&](Dim row) {
    std::memset(gradient + row * width, 0, static_cast<std::size_t>(width) * sizeof(T));
  };
  if (touched.all) {
    each_row(entries, width, clear);
  } else {
    each_row(static_cast<Dim>(touched.rows.size()), width,
             [&](Dim i) { clear(touched.rows[static_cast<std::size_t>(i)]); });
  }
  touched.all = false;
  touched.rows.clear();
  touched.rows.reserve(static_cast<std::size_t>(std::min(count, entries)));
  touched.seen.resize(static_cast<std::size_t>(entries), 0);
  for (Dim m = 0; m < count; ++m) touched.seen[static_cast<std::size_t>(ids[m])] = 1;
  std::uint8_t* const seen = touched.seen.data();
  for (Dim from = 0;;) {
    void* const found =
        from < entries ? std::memchr(seen + from, 1, static_cast<std::size_t>(entries - from)) : nullptr;
    if (found == nullptr) break;
    *static_cast<std::uint8_t*>(found) = 0;
    from = static_cast<std::uint8_t*>(found) - seen + 1;
    touched.rows.push_back(static_cast<std::int32_t>(from - 1));
  }
}

}  // namespace

// Threads take columns, so that every sum has one order, whatever tokens are frequent.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient, TouchedRows& touched) {
  touch(entries, width, ids, rows, gradient, touched);
  const Dim line = 64 / static_cast<Dim>(sizeof(T));
  const auto add = [&](Range columns) {
    for (Dim m = 0; m < rows; ++m) {
      kernels.add(columns.end - columns.begin, dy + m * width + columns.begin,
                  gradient + ids[m] * width + columns.begin);
    }
  };
  parallel_for(width, std::max(line, kGrain / std::max<Dim>(1, rows)), add, line);
}

bool find_distinct(const std::int32_t* ids, Dim rows, Dim entries, Dim most, DistinctIds& found) {
  found.place.resize(static_cast<std::size_t>(entries), -1);
  found.ids.clear();
  found.ids.reserve(static_cast<std::size_t>(most) + 1);
  found.index.clear();
  found.index.reserve(static_cast<std::size_t>(rows));
  for (Dim m = 0; m < rows && static_cast<Dim>(found.ids.size()) <= most; ++m) {
    std::int32_t& place = found.place[static_cast<std::size_t>(ids[m])];
    if (place < 0) {
      place = static_cast<std::int32_t>(found.ids.size());
      found.ids.push_back(ids[m]);
    }
    found.index.push_back(place);
  }
  for (const std::int32_t id : found.ids) found.place[static_cast<std::size_t>(id)] = -1;
  return static_cast<Dim>(found.ids.size()) <= most;
}

template <class T>
void embedding_backward_distinct(Dim entries, Dim width, const std::vector<std::int32_t>& ids, const T* dy, T* gradient,
                                 TouchedRows& touched) {
  touch(entries, width, ids.data(), static_cast<Dim>(ids.size()), gradient, touched);
  each_row(static_cast<Dim>(ids.size()), width, [&](Dim i) {
    std::memcpy(gradient + ids[static_cast<std::size_t>(i)] * width, dy + i * width,
                static_cast<std::size_t>(width) * sizeof(T));
  });
}

#define PYLSTM_INSTANTIATE(T)                                                                                  \
  template void embedding_forward<T>(const T*, Dim, const std::int32_t*, Dim, T*);                             \
  template void embedding_backward<T>(const KernelTable<T>&, Dim, Dim, const std::int32_t*, Dim, const T*, T*, \
                                      TouchedRows&);                                                           \
  template void embedding_backward_distinct<T>(Dim, Dim, const std::vector<std::int32_t>&, const T*, T*, TouchedRows&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
