// What products and packing are tried on.
#pragma once

#include <utility>
#include <vector>

#include "laws.hpp"

namespace pylstm::test {

// A and B at random with strides, their product in Wide, and the sum of the magnitudes of its terms.
template <class T>
struct Problem {
  Dim rows, columns, inner;
  Dim a_row, a_inner, b_row, b_column;
  T* a;
  T* b;
  std::vector<Wide<T>> sum, magnitude;  // [rows, columns]
};

template <class T>
struct Memory {
  explicit Memory(Dim count)
      : a(count), b(count), packed_a(count), packed_b(count), c(count), alone(count), bias(count) {}
  Guarded<T> a, b, packed_a, packed_b, c, alone, bias;
};

// Element (i, j) of i_count x j_count elements with these strides lies below this.
inline Dim extent(Dim i_count, Dim i_stride, Dim j_count, Dim j_stride) {
  return i_count == 0 || j_count == 0 ? 0 : (i_count - 1) * i_stride + (j_count - 1) * j_stride + 1;
}

template <class T>
Problem<T> make_problem(Memory<T>& memory, Dim rows, Dim columns, Dim inner, bool transposed_a, bool transposed_b,
                        Random& random) {
  Problem<T> p = {};
  p.rows = rows;
  p.columns = columns;
  p.inner = inner;
  p.a_row = transposed_a ? 1 : inner + 3;
  p.a_inner = transposed_a ? rows + 2 : 1;
  p.b_row = transposed_b ? 1 : columns + 1;
  p.b_column = transposed_b ? inner + 5 : 1;
  p.a = memory.a.take(extent(rows, p.a_row, inner, p.a_inner));
  p.b = memory.b.take(extent(inner, p.b_row, columns, p.b_column));
  for (Dim k = 0; k < inner; ++k) {
    for (Dim r = 0; r < rows; ++r) p.a[r * p.a_row + k * p.a_inner] = random.uniform<T>(-1, 1);
    for (Dim n = 0; n < columns; ++n) p.b[k * p.b_row + n * p.b_column] = random.uniform<T>(-1, 1);
  }
  const auto size = static_cast<std::size_t>(rows * columns);
  p.sum.assign(size, 0);
  p.magnitude.assign(size, 0);
  for (Dim r = 0; r < rows; ++r) {
    for (Dim k = 0; k < inner; ++k) {
      const Wide<T> x = p.a[r * p.a_row + k * p.a_inner];
      for (Dim n = 0; n < columns; ++n) {
        const Wide<T> term = x * p.b[k * p.b_row + n * p.b_column];
        const auto i = static_cast<std::size_t>(r * columns + n);
        p.sum[i] += term;
        p.magnitude[i] += term < 0 ? -term : term;
      }
    }
  }
  return p;
}

// Rows of A in tiles: `low` of them of `height` rows, then `high` of one more.
struct Heights {
  Dim height, low, high;
  Dim tiles() const { return low + high; }
  // Tile and place of a row.
  std::pair<Dim, Dim> place_of(Dim row) const {
    const Dim past = row - low * height;
    return past < 0 ? std::pair{row / height, row % height} : std::pair{low + past / (height + 1), past % (height + 1)};
  }
};

// As even as can be; and tiles of four and five, whatever is left for the other.
inline std::vector<Heights> heights_of(Dim rows, Dim most) {
  const Dim tiles = (rows + most - 1) / most, height = tiles == 0 ? 0 : rows / tiles;
  std::vector<Heights> heights = {{height, tiles - (rows - height * tiles), rows - height * tiles}};
  if (rows % 4 * 5 <= rows && most > 4) heights.push_back({4, (rows - rows % 4 * 5) / 4, rows % 4});
  return heights;
}

// Packs A^T from rows [inner][columns of A], each height in two calls that part within a tile.
template <class T>
T* pack_tiles(const KernelTable<T>& k, Memory<T>& memory, const T* const* sources, Dim first, Dim inner, Heights h) {
  const Dim tile = k.tile_rows * inner;
  T* packed = memory.packed_a.take(h.tiles() * tile);
  const auto pack = [&](Dim row, Dim count, Dim height, T* at) {
    const Dim cut = count / 2;
    k.pack_a({sources, first + row, inner, cut, 0, height}, at);
    k.pack_a({sources, first + row + cut, inner, count - cut, cut % height, height}, at + cut / height * tile);
  };
  if (h.low > 0) pack(0, h.low * h.height, h.height, packed);
  if (h.high > 0) pack(h.low * h.height, h.high * (h.height + 1), h.height + 1, packed + h.low * tile);
  PYLSTM_EXPECT(memory.packed_a.intact(), "pack_a wrote in front of its output");
  return packed;
}

}  // namespace pylstm::test
