#include "ops/product.hpp"

#include <algorithm>

#include "base/caches.hpp"
#include "base/index.hpp"

namespace pylstm {
namespace {

// Rows that one pass of a sum over rows packs: the kernel cuts a panel of D for the first-level cache, or it streams
// from the second, where the tiles of A are.
constexpr Dim kRowBlock = 256;

// Below this a fork and join costs more than the second core gives.
constexpr double kFlopsPerThread = 1e6;

// Panels of D that are packed together, and outputs at most that run over them in turn: in float, the packed rows of
// both take three eighths of a second level of 2 MiB. Smaller ones were not measured.
constexpr Dim kPanelsPacked = 4, kMostOutputs = 512;

// Bytes of a panel that stay in a first-level cache of 48 KiB beside rows of A and C; the kernels' sums over rows take
// as much. Each cut is a pass over C, so that it is of fewer rows than so many whole tiles. Shares of the peak of an
// Emerald Rapids by blocks of 128 | 32 KiB (benchmarks/products.cpp): of 512 x 2048, 12 rows 76 | 79 %, 20 rows 89 |
// 89, 24 rows 93 | 90, 32 rows 92 | 90; of 6000 x 1500, 20 rows 84 | 88. Other processors were not measured.
constexpr Dim kNearBytes = 32 << 10, kLargeFirstLevel = 48 << 10, kTilesCut = 4;

// Rows at a time of a sum over features whose A else leaves the second-level cache before the next panel reads it
// again. Shares of the peak of an Emerald Rapids, whole | so many at a time (benchmarks/products.cpp): of 3200 x 1024,
// 256 columns 87 | 93 %, of 700 x 2600, 650 columns 84 | 91. Other processors were not measured.
constexpr Dim kRowsTogether = 96;

// What large second-level caches are for: an Emerald Rapids, of 2 MiB a core and a slow third level.
bool second_level_is_large() { return second_level_cache() >= (2 << 20); }

Dim blocks_of(Dim rows) { return std::max<Dim>(1, (rows + kRowBlock - 1) / kRowBlock); }

// Whether weights of so many elements are packed past the caches, to be read from memory once more. An Emerald Rapids
// packs 5 to 26 MB two to three times as fast; a training step of
// two layers of 650 units gains 9 | 4 % on 1 | 2 threads. Smaller second levels were not measured.
template <class T>
bool past_caches(Dim elements) {
  return second_level_is_large() && elements * static_cast<Dim>(sizeof(T)) > second_level_cache() / 2;
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
  if (rows <= kernels.tile_rows || rows >= kTilesCut * kernels.tile_rows || first_level_cache() < kLargeFirstLevel)
    return 0;
  return kNearBytes / (kernels.panel_vectors * kernels.width * static_cast<Dim>(sizeof(T)));
}

template <class T>
void run_product(const KernelTable<T>& kernels, GemmArgs<T> args) {
  args.cut = cut_of_features(kernels, args.rows * args.row_blocks);
  kernels.gemm(args);
}

template <class T>
void product(const KernelTable<T>& kernels, const T* a, Dim a_row, const Panels<T>& b, T* c, Dim c_row, Dim rows,
             Init init, const T* bias, Interrupt* interrupt) {
  const Dim near = second_level_cache() / 2;  // 0: unknown
  const bool fits = near == 0 || rows * b.inner() * static_cast<Dim>(sizeof(T)) <= near;
  const int parts = static_cast<int>(fits ? 1 : (rows + kRowsTogether - 1) / kRowsTogether);
  for (int i = 0; i < parts && !stop_requested(interrupt); ++i) {
    const Range part = split(rows, i, parts, kernels.tile_rows);
    run_product(kernels, {a + part.begin * a_row, a_row, b.data(), c + part.begin * c_row, c_row, bias,
                          part.end - part.begin, b.columns(), b.inner(), init});
  }
}

template <class T>
RowProductPlan plan_blocks(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns, Dim block,
                           bool in_panels) {
  RowProductPlan plan = {};
  for (const Dim factor : factors) plan.outputs += round_up(factor, kernels.tile_rows);
  plan.block = block;
  plan.threads = useful_threads(product_flops(plan.outputs, columns, plan.block));
  plan.a = plan.outputs * plan.block;
  const Dim panel = kernels.panel_vectors * kernels.width;
  plan.group = std::min(kPanelsPacked * panel, round_up(columns, panel));
  plan.d = in_panels ? 0 : plan.threads * plan.group * plan.block;
  return plan;
}

// Of blocks as large as they may be: with fewer rows, but just too many for some blocks, nearly equal ones are larger.
template <class T>
RowProductPlan plan_product_over_rows(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns,
                                      Dim rows, bool in_panels) {
  return plan_blocks(kernels, factors, columns, std::min(rows, kRowBlock), in_panels);
}

namespace {

// outputs[., group] (+)= packed rows * D: rows [begin, begin + count), columns [group.begin, group.end) of D, of which
// `packed` holds panel after panel; null where D itself stands in panels, and what follows up to `end` runs next.
template <class T>
void multiply_group(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d,
                    Dim begin, Dim count, Range group, Dim end, Init init, const T* packed_a, const T* packed) {
  const Dim panel = kernels.panel_vectors * kernels.width;
  const auto panel_at = [&](Dim column) {
    if (d.panel_rows == 0) return packed + (column - group.begin) * count;
    return d.data + column * d.panel_rows + begin * round_up(std::min(panel, end - column), kernels.width);
  };
  for (const RowFactor<T>& factor : factors) {
    // Nearly equal parts: a short one would read the panels for little.
    const int parts = static_cast<int>((factor.columns + kMostOutputs - 1) / kMostOutputs);
    for (int part = 0; part < parts; ++part) {
      const Range outputs = split(factor.columns, part, parts, kernels.tile_rows);
      for (Dim column = group.begin; column < group.end; column += panel) {
        GemmPackedArgs<T> args = {packed_a + outputs.begin * count,
                                  panel_at(column),
                                  factor.output + outputs.begin * factor.output_row + column,
                                  factor.output_row,
                                  outputs.end - outputs.begin,
                                  std::min(panel, group.end - column),
                                  count,
                                  init};
        if (column + panel < (d.panel_rows > 0 ? end : group.end)) args.next = panel_at(column + panel);
        // A panel streams from a second-level cache then, and C is read half as often.
        if (second_level_is_large()) args.cut = count;
        kernels.gemm_packed(args);
      }
    }
    packed_a += round_up(factor.columns, kernels.tile_rows) * count;
  }
}

}  // namespace

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
      T* mine = packed_d == nullptr ? nullptr : packed_d + index * plan.group * block;
      for (Dim first = part.begin; first < part.end; first += plan.group) {
        const Range group = {first, std::min(first + plan.group, part.end)};
        if (mine != nullptr) {
          kernels.pack_b(d.data + begin * d.row + first, d.row, 1, count, group.end - first, mine, false);
        }
        multiply_group(kernels, factors, d, begin, count, group, part.end, init, packed_a, mine);
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
  template Dim cut_of_features<T>(const KernelTable<T>&, Dim);                                                      \
  template void run_product<T>(const KernelTable<T>&, GemmArgs<T>);                                                 \
  template void product<T>(const KernelTable<T>&, const T*, Dim, const Panels<T>&, T*, Dim, Dim, Init, const T*,    \
                           Interrupt*);                                                                             \
  template void product_over_rows<T>(const KernelTable<T>&, const std::vector<RowFactor<T>>&, const RowOperand<T>&, \
                                     Dim, Dim, bool, RowProductScratch<T>&, Interrupt*);                            \
  template RowProductPlan plan_product_over_rows<T>(const KernelTable<T>&, const std::vector<Dim>&, Dim, Dim, bool);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
