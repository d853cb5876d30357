#include "ops/product.hpp"

#include <algorithm>

#include "base/index.hpp"

namespace pylstm {
namespace {

// Below this a fork and join costs more than the second core gives.
constexpr double kFlopsPerThread = 1e6;

// Bytes of a panel that stay in a first-level cache of 48 KiB beside rows of A and C. Each cut is a pass over C, so
// that it is of fewer rows than so many whole tiles. Shares of the peak by blocks of 128 | 32 KiB
// (benchmarks/products.cpp), of an Emerald Rapids with 512 x 2048: 12 rows 76 | 79 %, 20 rows 89 | 89, 24 rows 93 | 90,
// 32 rows 92 | 90; with 6000 x 1500: 20 rows 84 | 88. Of a Zen 5 with 512 x 2048: 12 rows 91 | 88, 20 rows 95 | 92;
// with 1536 x 6144, which come from memory: 16 rows 62 | 73, for whose sake 12 are cut too, 20 rows 90 | 88.
constexpr Dim kNearBytes = 32 << 10;
Dim tiles_uncut() { return third_level_is_slow() ? 4 : 3; }

// Rows at a time of a sum over features whose A else leaves the second-level cache before the next panel reads it
// again. Shares of the peak of an Emerald Rapids, whole | so many at a time (benchmarks/products.cpp): of 3200 x 1024,
// 256 columns 87 | 93 %, of 700 x 2600, 650 columns 84 | 91. Other processors were not measured.
constexpr Dim kRowsTogether = 96;

// Whether weights of so many elements are packed past the caches, to be read from memory once more. An Emerald Rapids
// packs 5 to 26 MB two to three times as fast; a training step of two layers of 650 units gains 9 | 4 % on 1 | 2
// threads.
template <class T>
bool past_caches(Dim elements) {
  return second_level_is_large() && elements * static_cast<Dim>(sizeof(T)) > second_level_cache() / 2;
}

template <class T>
GemmArgs<T> rows_of(GemmArgs<T> args, Range rows) {
  args.a += rows.begin * args.a_row;
  args.c += rows.begin * args.c_row;
  args.rows = rows.end - rows.begin;
  return args;
}

}  // namespace

template <class T>
void Panels<T>::pack(const KernelTable<T>& kernels, const T* source, Dim row_stride, Dim column_stride, Dim inner,
                     Dim columns) {
  inner_ = inner;
  columns_ = columns;
  const Dim elements = kernels.packed_b(inner, columns);
  T* packed = data_.reserve(elements);
  const bool past = past_caches<T>(elements);
  const Dim panel = kernels.panel_vectors * kernels.width;
  parallel_for(
      columns, std::max<Dim>(panel, 65536 / std::max<Dim>(1, inner)),
      [&](Range range) {
        kernels.pack_b(source + range.begin * column_stride, row_stride, column_stride, inner, range.end - range.begin,
                       packed + range.begin * inner, past);
      },
      panel);
}

template <class T>
void Panels<T>::pack_gates(const KernelTable<T>& kernels, const T* source, Dim inner, Dim units) {
  inner_ = inner;
  columns_ = kernels.gate_columns(units);
  const Dim elements = kernels.packed_b(inner, columns_);
  kernels.pack_gates(source, 4 * units, inner, units, data_.reserve(elements), past_caches<T>(elements));
}

template <class T>
void Panels<T>::add_row(const KernelTable<T>& kernels, Dim k, T factor, T* c) const {
  const Dim panel = kernels.panel_vectors * kernels.width;
  for (Dim first = 0; first < columns_; first += panel) {
    const Dim count = std::min(panel, columns_ - first);
    const T* row = data_.data() + first * inner_ + k * round_up(count, kernels.width);
    for (Dim n = 0; n < count; ++n) c[first + n] += factor * row[n];
  }
}

template <class T>
Dim cut_of_features(const KernelTable<T>& kernels, Dim rows) {
  // A single tile uses no element of a panel twice.
  if (rows <= kernels.tile_rows || rows >= tiles_uncut() * kernels.tile_rows || !first_level_is_large()) return 0;
  return kNearBytes / (kernels.panel_vectors * kernels.width * static_cast<Dim>(sizeof(T)));
}

template <class T>
void run_product(const KernelTable<T>& kernels, GemmArgs<T> args) {
  args.cut = cut_of_features(kernels, args.rows * args.row_blocks);
  kernels.gemm(args);
}

template <class T>
void product(const KernelTable<T>& kernels, const GemmArgs<T>& args, Interrupt* interrupt) {
  const Dim near = second_level_cache() / 2;  // 0: unknown
  const bool fits = near == 0 || args.rows * args.inner * static_cast<Dim>(sizeof(T)) <= near;
  const int parts = static_cast<int>(fits ? 1 : (args.rows + kRowsTogether - 1) / kRowsTogether);
  for (int i = 0; i < parts && !stop_requested(interrupt); ++i) {
    run_product(kernels, rows_of(args, split(args.rows, i, parts, kernels.tile_rows)));
  }
}

template <class T>
void product_in_parallel(const KernelTable<T>& kernels, const GemmArgs<T>& args, Interrupt* interrupt,
                         int most_threads) {
  const int threads = std::min(most_threads, useful_threads(product_flops(args.rows, args.inner, args.columns)));
  parallel_pieces(threads, args.rows, kRowsOfPiece, shared_rows(kernels, args.rows, threads),
                  [&](Range rows) { product(kernels, rows_of(args, rows), interrupt); });
}

int useful_threads(double flops) {
  const int threads = num_threads();
  if (threads == 1) return 1;
  return std::max(1, static_cast<int>(std::min<double>(threads, flops / kFlopsPerThread)));
}

#define PYLSTM_INSTANTIATE(T)                                                      \
  template class Panels<T>;                                                        \
  template Dim cut_of_features<T>(const KernelTable<T>&, Dim);                     \
  template void run_product<T>(const KernelTable<T>&, GemmArgs<T>);                \
  template void product<T>(const KernelTable<T>&, const GemmArgs<T>&, Interrupt*); \
  template void product_in_parallel<T>(const KernelTable<T>&, const GemmArgs<T>&, Interrupt*, int);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
