#include "ops/product.hpp"

#include <algorithm>

#include "base/caches.hpp"
#include "base/index.hpp"

namespace pylstm {
namespace {

// Rows that one pass of a sum over rows packs: a panel of D stays in the first-level cache and
// the tiles of A in the second (elements of a panel column).
constexpr Dim kRowBlock = 256;

// Below this a fork and join costs more than the second core gives.
constexpr double kFlopsPerThread = 1e6;

Dim blocks_of(Dim rows) { return std::max<Dim>(1, (rows + kRowBlock - 1) / kRowBlock); }

// Whether weights of so many elements are packed past the caches, to be read from memory once more. An Emerald Rapids,
// of 2 MiB a core in the second level and a slow third, packs 5 to 26 MB two to three times as fast; a training step of
// two layers of 650 units gains 9 | 4 % on 1 | 2 threads. Smaller second levels were not measured.
template <class T>
bool past_caches(Dim elements) {
  const Dim cache = second_level_cache();
  return cache >= (2 << 20) && elements * static_cast<Dim>(sizeof(T)) > cache / 2;
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
  columns_ = 4 * round_up(units, kernels.width);
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
void product(const KernelTable<T>& kernels, const T* a, Dim a_row, const Panels<T>& b, T* c, Dim c_row, Dim rows,
             Init init, const T* bias) {
  kernels.gemm({a, a_row, b.data(), c, c_row, bias, rows, b.columns(), b.inner(), init});
}

template <class T>
RowProductPlan plan_blocks(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns, Dim block,
                           bool in_panels) {
  RowProductPlan plan = {};
  for (const Dim factor : factors) plan.outputs += round_up(factor, kernels.tile_rows);
  plan.block = block;
  plan.threads = useful_threads(product_flops(plan.outputs, columns, plan.block));
  plan.a = plan.outputs * plan.block;
  plan.d = in_panels ? 0 : plan.threads * kernels.panel_vectors * kernels.width * plan.block;
  return plan;
}

// Of blocks as large as they may be: with fewer rows, but just too many for some blocks, nearly equal ones are larger.
template <class T>
RowProductPlan plan_product_over_rows(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns,
                                      Dim rows, bool in_panels) {
  return plan_blocks(kernels, factors, columns, std::min(rows, kRowBlock), in_panels);
}

template <class T>
void product_over_rows(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d,
                       Dim columns, Dim rows, bool accumulate, RowProductScratch<T>& scratch, Interrupt* interrupt) {
  const Dim tile = kernels.tile_rows, panel = kernels.panel_vectors * kernels.width;
  Dim outputs = 0;
  std::vector<Dim> first_of(factors.size()), columns_of(factors.size());
  for (std::size_t f = 0; f < factors.size(); ++f) {
    first_of[f] = outputs;
    columns_of[f] = factors[f].columns;
    outputs += round_up(factors[f].columns, tile);
  }
  // Nearly equal blocks: a short one would pay for all the outputs.
  const Dim blocks = blocks_of(rows), block = (rows + blocks - 1) / blocks;
  const RowProductPlan plan = plan_blocks(kernels, columns_of, columns, block, d.panel_rows > 0);
  const int threads = static_cast<int>(plan.threads);
  T* packed_a = scratch.a.reserve(plan.a);
  T* packed_d = d.panel_rows > 0 ? nullptr : scratch.d.reserve(plan.d);
  for (Dim i = 0; i < blocks && !stop_requested(interrupt); ++i) {
    const Dim begin = rows * i / blocks, count = rows * (i + 1) / blocks - begin;
    parallel_region(threads, [&](int index, int size) {
      for (std::size_t f = 0; f < factors.size(); ++f) {
        const Range part = split(factors[f].columns, index, size, tile);
        if (part.begin < part.end) {
          kernels.pack_a(factors[f].rows + begin, part.begin, count, part.end - part.begin,
                         packed_a + (first_of[f] + part.begin) * count);
        }
      }
    });
    const Init init = begin == 0 && !accumulate ? Init::kZero : Init::kKeep;
    parallel_region(threads, [&](int index, int size) {
      const Range part = split(columns, index, size, panel);
      T* mine = packed_d == nullptr ? nullptr : packed_d + index * panel * block;
      // Panel by panel: what has just been packed is used while it is in the second-level cache.
      for (Dim column = part.begin; column < part.end; column += panel) {
        const Dim width = std::min(panel, part.end - column);
        const T* b = mine;
        const T* next = nullptr;
        if (d.panel_rows == 0) {
          kernels.pack_b(d.data + begin * d.row + column, d.row, 1, count, width, mine, false);
        } else {
          b = d.data + column * d.panel_rows + begin * round_up(width, kernels.width);
          if (column + panel < part.end) {
            const Dim next_row = round_up(std::min(panel, part.end - column - panel), kernels.width);
            next = d.data + (column + panel) * d.panel_rows + begin * next_row;
          }
        }
        for (std::size_t f = 0; f < factors.size(); ++f) {
          const RowFactor<T>& factor = factors[f];
          kernels.gemm_packed({packed_a + first_of[f] * count, b, factor.output + column, factor.output_row,
                               factor.columns, width, count, init, next});
        }
      }
    });
  }
}

int useful_threads(double flops) {
  const int threads = num_threads();
  if (threads == 1) return 1;
  return std::max(1, static_cast<int>(std::min<double>(threads, flops / kFlopsPerThread)));
}

#define PYLSTM_INSTANTIATE(T)                                                                                       \
  template class Panels<T>;                                                                                         \
  template void product<T>(const KernelTable<T>&, const T*, Dim, const Panels<T>&, T*, Dim, Dim, Init, const T*);   \
  template void product_over_rows<T>(const KernelTable<T>&, const std::vector<RowFactor<T>>&, const RowOperand<T>&, \
                                     Dim, Dim, bool, RowProductScratch<T>&, Interrupt*);                            \
  template RowProductPlan plan_product_over_rows<T>(const KernelTable<T>&, const std::vector<Dim>&, Dim, Dim, bool);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
