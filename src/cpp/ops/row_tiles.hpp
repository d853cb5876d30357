// How the outputs of a sum over rows stand in tiles.
#pragma once

#include <algorithm>
#include <vector>

#include "base/types.hpp"
#include "ops/row_product.hpp"

namespace pylstm {

// Tiles of nearly equal height, the lower ones first: a tail of one row would run at a fraction of the speed.
struct Tiling {
  Dim height = 0, low = 0, high = 0;  // `low` tiles of `height` outputs, then `high` of one more

  Tiling(Dim outputs, Dim most) {
    const Dim tiles = (outputs + most - 1) / most;
    if (tiles == 0) return;
    height = outputs / tiles;
    high = outputs - height * tiles;
    low = tiles - high;
  }

  Dim tiles() const { return low + high; }
  Dim outputs_before(Dim tile) const { return tile * height + std::max<Dim>(0, tile - low); }

  // f(some of the outputs of a range that stand in tiles of one height, that height, the first one's tile and its place
  // in there)
  template <class F>
  void each_height(Range outputs, F f) const {
    const Dim bound = low * height;
    const auto part = [&](Dim begin, Dim end, Dim first, Dim rows, Dim tile) {
      if (begin < end) f(Range{begin, end}, rows, tile + (begin - first) / rows, (begin - first) % rows);
    };
    part(outputs.begin, std::min(outputs.end, bound), 0, height, 0);
    part(std::max(outputs.begin, bound), outputs.end, bound, height + 1, low);
  }
};

// Factors whose outputs follow one another in memory, as those of one layer's variables mostly do: they share tiles.
template <class T>
struct Segment {
  Range factors;
  Dim first_tile;
  Tiling tiling;
  T* output;
  Dim output_row;
};

template <class T>
std::vector<Segment<T>> segments_of(const std::vector<RowFactor<T>>& factors, Dim tile_rows) {
  std::vector<Segment<T>> segments;
  Dim tile = 0;
  for (std::size_t i = 0; i < factors.size();) {
    const RowFactor<T>& first = factors[i];
    const std::size_t begin = i;
    Dim outputs = 0;
    do {
      outputs += factors[i++].columns;
    } while (i < factors.size() && factors[i].output_row == first.output_row &&
             factors[i].output == first.output + outputs * first.output_row);
    const Tiling tiling(outputs, tile_rows);
    segments.push_back({{static_cast<Dim>(begin), static_cast<Dim>(i)}, tile, tiling, first.output, first.output_row});
    tile += tiling.tiles();
  }
  return segments;
}

}  // namespace pylstm
