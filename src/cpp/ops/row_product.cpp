// Sums over rows, a block of them at a time: the factors are packed as tiles and D as panels, and every tile runs over
// every panel. Threads share panels, or tiles where panels are too few or too uneven for them.
#include "ops/row_product.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/index.hpp"
#include "base/pieces.hpp"
#include "ops/product.hpp"
#include "ops/row_tiles.hpp"
#include "ops/sharing.hpp"

namespace pylstm {
namespace {

// Rows of a block at most: a panel of D streams from the second-level cache, where the tiles of A are, or the kernel
// cuts it for the first.
constexpr Dim kRowBlock = 256;

// Panels of D that are packed together, and outputs at most that run over them in turn, a bias beside 512 weights among
// them: in float, the packed rows of both take three eighths of a second level of 2 MiB; fewer gained nothing beside
// 1 MiB.
constexpr Dim kPanelsPacked = 4, kMostOutputs = 516;

// Panels that a thread takes at a time, at least.
constexpr Dim kPanelsOfPiece = 2;

// The share of their time that threads work if they split so many parts, of which the last may be smaller: together
// `whole` parts.
double busy_share(Dim threads, Dim parts, double whole) {
  return whole / static_cast<double>(threads * ((parts + threads - 1) / threads));
}

// Whether threads share tiles and not panels: then they pack D together, and meet for each group of panels.
bool share_tiles(Dim threads, Dim tiles, double panels) {
  constexpr double kGain = 1.1;
  const double by_panels = busy_share(threads, static_cast<Dim>(std::ceil(panels)), panels);
  return threads > 1 && busy_share(threads, tiles, static_cast<double>(tiles)) > kGain * by_panels;
}

template <class T>
class RowSum {
 public:
  RowSum(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d, Dim columns,
         Dim rows, RowProductScratch<T>& scratch, const RowProductOptions& options)
      : k_(kernels),
        factors_(factors),
        d_(d),
        columns_(columns),
        rows_(rows),
        options_(options),
        panel_(kernels.panel_vectors * kernels.width),
        panels_((columns + panel_ - 1) / panel_),
        segments_(segments_of(factors, kernels.tile_rows)) {
    std::vector<Dim> sizes;
    for (const RowFactor<T>& factor : factors) sizes.push_back(factor.columns);
    plan_ = plan_product_over_rows(kernels, sizes, columns, rows, in_place());
    for (const Segment<T>& segment : segments_) tiles_ += segment.tiling.tiles();
    packed_a_ = scratch.a.reserve(plan_.scratch.a);
    by_tiles_ = plan_.by_tiles && threads() > 1;
    const Dim groups = by_tiles_ ? 1 : threads();
    packed_d_ = in_place() ? nullptr : scratch.d.reserve(groups * plan_.group * plan_.block);
    pieces_.emplace(panels_, threads(), kPanelsOfPiece);
  }

  int threads() const { return std::min(static_cast<int>(plan_.threads), options_.most_threads); }

  // One thread's part. All meet before a block is packed where the last one was, and before what they packed is read.
  void operator()(int index, int size, Sharer sharer) {
    const Range tiles = by_tiles_ ? split(tiles_, index, size) : Range{0, tiles_};
    // Nearly equal blocks: a short one would pay for all the outputs.
    const Dim blocks = std::max<Dim>(1, (rows_ + kRowBlock - 1) / kRowBlock);
    for (Dim i = 0; i < blocks; ++i) {
      if (sharer.stopped(options_.interrupt)) return;
      const Block block = {rows_ * i / blocks, rows_ * (i + 1) / blocks - rows_ * i / blocks};
      pack_factors(block, by_tiles_ ? tiles : split(tiles_, index, size));
      if (!by_tiles_) pieces_->renew(index, size);
      sharer.meet();
      if (by_tiles_) {
        run_together(block, tiles, index, size, sharer);
      } else {
        T* mine = in_place() ? nullptr : packed_d_ + index * plan_.group * plan_.block;
        for (Range p = pieces_->next(index); p.begin < p.end; p = pieces_->next(index)) run_alone(block, p, mine);
      }
    }
  }

 private:
  struct Block {
    Dim begin, rows;
  };

  bool in_place() const { return d_.panel_rows > 0; }

  // All tiles over some panels, packed in `mine`.
  void run_alone(Block block, Range panels, T* mine) const {
    for (Dim first = panels.begin; first < panels.end; first += kPanelsPacked) {
      const Range group = {first, std::min(first + kPanelsPacked, panels.end)};
      if (!in_place()) pack_panels(block, group, {0, group.end - first}, mine);
      multiply(block, {0, tiles_}, group, panels.end, mine);
    }
  }

  // A thread's tiles over all panels, which all threads pack.
  void run_together(Block block, Range tiles, int index, int size, Sharer& sharer) const {
    for (Dim first = 0; first < panels_; first += kPanelsPacked) {
      const Range group = {first, std::min(first + kPanelsPacked, panels_)};
      if (!in_place()) {
        if (first > 0) sharer.meet();  // then nobody reads the group before
        pack_panels(block, group, split(group.end - first, index, size), packed_d_);
        sharer.meet();
      }
      multiply(block, tiles, group, panels_, packed_d_);
    }
  }

  Dim columns_of(Dim panel) const { return std::min(panel_, columns_ - panel * panel_); }

  // f(segment, those of its tiles that are in a range, numbered from its first; packed rows of that first one)
  template <class F>
  void each_segment(Range tiles, Dim rows, F f) const {
    for (const Segment<T>& segment : segments_) {
      const Range mine = {std::max<Dim>(0, tiles.begin - segment.first_tile),
                          std::min(tiles.end - segment.first_tile, segment.tiling.tiles())};
      if (mine.begin < mine.end) f(segment, mine, packed_a_ + segment.first_tile * k_.tile_rows * rows);
    }
  }

  void pack_factors(Block block, Range tiles) const {
    each_segment(tiles, block.rows, [&](const Segment<T>& segment, Range mine, T* packed) {
      const Tiling& tiling = segment.tiling;
      const Range wanted = {tiling.outputs_before(mine.begin), tiling.outputs_before(mine.end)};
      Dim before = 0;
      for (Dim i = segment.factors.begin; i < segment.factors.end; ++i) {
        const RowFactor<T>& factor = factors_[at(i)];
        const Range outputs = {std::max(wanted.begin, before), std::min(wanted.end, before + factor.columns)};
        tiling.each_height(outputs, [&](Range some, Dim height, Dim tile, Dim place) {
          k_.pack_a({factor.rows + block.begin, some.begin - before, block.rows, some.end - some.begin, place, height},
                    packed + tile * k_.tile_rows * block.rows);
        });
        before += factor.columns;
      }
    });
  }

  // Some of the panels of a group, numbered from its first, which stands where `packed` begins.
  void pack_panels(Block block, Range group, Range some, T* packed) const {
    if (some.begin == some.end) return;
    const Dim first = (group.begin + some.begin) * panel_, last = std::min((group.begin + some.end) * panel_, columns_);
    k_.pack_b(d_.data + block.begin * d_.row + first, d_.row, 1, block.rows, last - first,
              packed + some.begin * panel_ * block.rows, false);
  }

  // outputs[., group] (+)= packed rows * D, for the outputs in a range of tiles; of D in place, what follows up to
  // panel `end` runs next.
  void multiply(Block block, Range tiles, Range group, Dim end, const T* packed) const {
    const Init init = block.begin == 0 && !options_.accumulate ? Init::kZero : Init::kKeep;
    const auto panel_at = [&](Dim p) {
      if (!in_place()) return packed + (p - group.begin) * panel_ * block.rows;
      return d_.data + p * panel_ * d_.panel_rows + block.begin * round_up(columns_of(p), k_.width);
    };
    each_segment(tiles, block.rows, [&](const Segment<T>& segment, Range mine, const T* packed_a) {
      // Nearly equal parts: a short one would read the panels for little.
      const Tiling& tiling = segment.tiling;
      const Dim count = tiling.outputs_before(mine.end) - tiling.outputs_before(mine.begin);
      const int parts = static_cast<int>((count + kMostOutputs - 1) / kMostOutputs);
      for (int i = 0; i < parts; ++i) {
        const Range share = split(mine.end - mine.begin, i, parts),
                    part = {mine.begin + share.begin, mine.begin + share.end};
        for (Dim p = group.begin; p < group.end; ++p) {
          GemmPackedArgs<T> args;
          args.a = packed_a + part.begin * k_.tile_rows * block.rows;
          args.b = panel_at(p);
          args.c = segment.output + tiling.outputs_before(part.begin) * segment.output_row + p * panel_;
          args.c_row = segment.output_row;
          args.height = tiling.height;
          args.low = std::max<Dim>(0, std::min(part.end, tiling.low) - part.begin);
          args.high = part.end - part.begin - args.low;
          args.columns = columns_of(p);
          args.inner = block.rows;
          args.init = init;
          if (p + 1 < (in_place() ? end : group.end)) args.next = panel_at(p + 1);
          // A panel streams from a second-level cache then, and C is read half as often.
          if (second_level_is_large()) args.cut = block.rows;
          k_.gemm_packed(args);
        }
      }
    });
  }

  const KernelTable<T>& k_;
  const std::vector<RowFactor<T>>& factors_;
  const RowOperand<T>& d_;
  Dim columns_, rows_;
  RowProductOptions options_;
  Dim panel_, panels_, tiles_ = 0;
  std::vector<Segment<T>> segments_;
  RowProductPlan plan_;
  bool by_tiles_;
  T *packed_a_, *packed_d_;
  std::optional<Pieces> pieces_;  // of the panels, of use unless by tiles
};

}  // namespace

template <class T>
RowProductPlan plan_product_over_rows(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns,
                                      Dim rows, bool in_panels) {
  RowProductPlan plan = {};
  Dim outputs = 0;  // at most, as factors may stand apart
  for (const Dim factor : factors) outputs += round_up(factor, kernels.tile_rows);
  // The largest of any number of rows up to this.
  plan.block = std::min(rows, kRowBlock);
  const Dim tiles = outputs / kernels.tile_rows, panel = kernels.panel_vectors * kernels.width;
  const double panels = static_cast<double>(columns) / static_cast<double>(panel);
  // Of less in a block each thread would mostly wait for rows that another core has written.
  const Dim useful = useful_threads(product_flops(outputs, columns, plan.block));
  plan.threads = std::max<Dim>(1, std::min(useful, std::max(tiles, static_cast<Dim>(std::ceil(panels)))));
  plan.by_tiles = share_tiles(plan.threads, tiles, panels);
  plan.scratch.a = outputs * plan.block;
  plan.group = std::min(kPanelsPacked * panel, round_up(columns, panel));
  // With fewer rows there may be fewer threads, who share panels where more would share tiles.
  Dim groups = plan.threads;
  while (share_tiles(groups, tiles, panels)) --groups;
  plan.scratch.d = in_panels ? 0 : groups * plan.group * plan.block;
  return plan;
}

template <class T>
void product_over_rows(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d,
                       Dim columns, Dim rows, RowProductScratch<T>& scratch, const RowProductOptions& options) {
  RowSum<T> sum(kernels, factors, d, columns, rows, scratch, options);
  sharing_region(sum.threads(), [&](int index, int size, Sharer sharer) { sum(index, size, sharer); });
}

#define PYLSTM_INSTANTIATE(T)                                                                                        \
  template RowProductPlan plan_product_over_rows<T>(const KernelTable<T>&, const std::vector<Dim>&, Dim, Dim, bool); \
  template void product_over_rows<T>(const KernelTable<T>&, const std::vector<RowFactor<T>>&, const RowOperand<T>&,  \
                                     Dim, Dim, RowProductScratch<T>&, const RowProductOptions&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
