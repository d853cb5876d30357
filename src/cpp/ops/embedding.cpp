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

// f(row) for each of `rows` rows of `width` elements.
template <class F>
void each_row(Dim rows, Dim width, F f) {
  parallel_for(rows, std::max<Dim>(1, kGrain / std::max<Dim>(1, width)), [&](Range range) {
    for (Dim row = range.begin; row < range.end; ++row) f(row);
  });
}

template <class T>
void clear(Dim width, const TouchedRows& touched, T* gradient) {
  each_row(static_cast<Dim>(touched.rows.size()), width, [&](Dim i) {
    std::memset(gradient + touched.rows[static_cast<std::size_t>(i)] * width, 0,
                static_cast<std::size_t>(width) * sizeof(T));
  });
}

// The different ones of `ids`, ascending: a mark for each, then one look at the marks of all entries, eight at a time.
void find_touched(Dim entries, const std::int32_t* ids, Dim count, TouchedRows& touched) {
  touched.rows.clear();
  touched.rows.reserve(static_cast<std::size_t>(std::min(count, entries)));
  touched.seen.resize(static_cast<std::size_t>(entries), 0);
  std::uint8_t* const seen = touched.seen.data();
  for (Dim m = 0; m < count; ++m) seen[ids[m]] = 1;
  for (Dim row = 0; row < entries;) {
    std::uint64_t eight = 1;
    if (entries - row >= 8) std::memcpy(&eight, seen + row, 8);
    if (eight == 0) {
      row += 8;
      continue;
    }
    for (const Dim end = std::min(entries, row + 8); row < end; ++row) {
      if (seen[row] == 0) continue;
      seen[row] = 0;
      touched.rows.push_back(static_cast<std::int32_t>(row));
    }
  }
}

}  // namespace

// Threads take columns, so that every sum has one order, whatever tokens are frequent.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient, TouchedRows& touched) {
  clear(width, touched, gradient);
  find_touched(entries, ids, rows, touched);
  const Dim line = 64 / static_cast<Dim>(sizeof(T));
  const auto add = [&](Range columns) {
    for (Dim m = 0; m < rows; ++m) {
      kernels.add(columns.end - columns.begin, dy + m * width + columns.begin,
                  gradient + ids[m] * width + columns.begin);
    }
  };
  constexpr Dim kColumnsOfPiece = 128;  // at least: each piece walks all rows
  const Dim grain = std::max(line, kGrain / std::max<Dim>(1, rows));
  parallel_pieces(threads_for_grains(width / grain), width, std::max(kColumnsOfPiece, grain), line, add);
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
void embedding_backward_distinct(Dim width, const std::vector<std::int32_t>& ids, const T* dy, T* gradient,
                                 TouchedRows& touched) {
  clear(width, touched, gradient);
  touched.rows = ids;
  std::sort(touched.rows.begin(), touched.rows.end());
  each_row(static_cast<Dim>(ids.size()), width, [&](Dim i) {
    std::memcpy(gradient + ids[static_cast<std::size_t>(i)] * width, dy + i * width,
                static_cast<std::size_t>(width) * sizeof(T));
  });
}

#define PYLSTM_INSTANTIATE(T)                                                                                  \
  template void embedding_forward<T>(const T*, Dim, const std::int32_t*, Dim, T*);                             \
  template void embedding_backward<T>(const KernelTable<T>&, Dim, Dim, const std::int32_t*, Dim, const T*, T*, \
                                      TouchedRows&);                                                           \
  template void embedding_backward_distinct<T>(Dim, const std::vector<std::int32_t>&, const T*, T*, TouchedRows&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
