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

// Threads take table entries, so that every sum has one order.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient) {
  parallel_for(entries, std::max<Dim>(1, 131072 / std::max<Dim>(1, width)), [&](Range range) {
    std::memset(gradient + range.begin * width, 0,
                static_cast<std::size_t>((range.end - range.begin) * width) * sizeof(T));
    for (Dim m = 0; m < rows; ++m) {
      if (ids[m] >= range.begin && ids[m] < range.end) kernels.add(width, dy + m * width, gradient + ids[m] * width);
    }
  });
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
void embedding_backward_distinct(Dim entries, Dim width, const std::vector<std::int32_t>& ids, const T* dy,
                                 T* gradient) {
  parallel_for(entries, std::max<Dim>(1, 131072 / std::max<Dim>(1, width)), [&](Range range) {
    std::memset(gradient + range.begin * width, 0,
                static_cast<std::size_t>((range.end - range.begin) * width) * sizeof(T));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < range.begin || ids[i] >= range.end) continue;
      std::memcpy(gradient + ids[i] * width, dy + static_cast<Dim>(i) * width,
                  static_cast<std::size_t>(width) * sizeof(T));
    }
  });
}

#define PYLSTM_INSTANTIATE(T)                                                                                   \
  template void embedding_forward<T>(const T*, Dim, const std::int32_t*, Dim, T*);                              \
  template void embedding_backward<T>(const KernelTable<T>&, Dim, Dim, const std::int32_t*, Dim, const T*, T*); \
  template void embedding_backward_distinct<T>(Dim, Dim, const std::vector<std::int32_t>&, const T*, T*);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
