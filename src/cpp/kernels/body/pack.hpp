// Panels: derived copies of a matrix in the order in which the product reads it.
// A panel holds kPanelVectors vector columns, [inner][vectors][width]; the last one has fewer.
#pragma once

template <class T>
Dim packed_b(Dim inner, Dim columns) {
  return round_up(columns, Vec<T>::width) * inner;
}

// kPast: past the caches, where a vector is a line of them; less would be written to memory piece by piece.
template <class T, bool kPast>
PYLSTM_INLINE void store_packed(T* p, V<T> v) {
  kPast && sizeof(V<T>) == 64 ? store_past(p, v) : store(p, v);
}

// W x W elements: row i of `to` is column i of `from`. Each round interleaves vectors half the rows apart, which turns
// the number of an element, (row, column), by one bit; all bits of a row make a transposition.
template <class T, bool kPast>
PYLSTM_INLINE void transpose_square(const T* from, Dim from_row, T* to, Dim to_row) {
  constexpr int W = Vec<T>::width;
  V<T> v[W], turned[W];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) v[i] = load(from + i * from_row);
#pragma GCC unroll 4
  for (int round = 1; round < W; round *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; ++i) {
      turned[2 * i] = interleave_low<T>(v[i], v[i + W / 2]);
      turned[2 * i + 1] = interleave_high<T>(v[i], v[i + W / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) v[i] = turned[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) store_packed<T, kPast>(to + i * to_row, v[i]);
}

// Vector column v of the packed matrix is `count` columns of the source from `offset`, the rest 0.
template <class T, bool kPast>
PYLSTM_INLINE void pack_vector(const T* source, Dim row_stride, Dim column_stride, Dim inner, Dim count, T* packed,
                               Dim packed_row) {
  constexpr Dim W = Vec<T>::width;
  if (column_stride == 1) {
    for (Dim k = 0; k < inner; ++k) {
      const T* row = source + k * row_stride;
      __builtin_prefetch(row + kPanel<T>, 0, 2);  // of the next panel: rows are pages apart, so no hardware looks ahead
      store_packed<T, kPast>(packed + k * packed_row, count == W ? load(row) : load_n(row, count));
    }
    return;
  }
  // A transposed source: squares through registers, what is left in short runs along its rows.
  constexpr Dim kRun = 16;
  const Dim squares = row_stride == 1 && count == W ? inner / W * W : 0;
  for (Dim k = 0; k < squares; k += W) {
    transpose_square<T, kPast>(source + k, column_stride, packed + k * packed_row, packed_row);
  }
  for (Dim k = squares; k < inner; k += kRun) {
    const Dim end = smaller(k + kRun, inner);
    for (Dim l = 0; l < W; ++l) {
      for (Dim i = k; i < end; ++i) {
        packed[i * packed_row + l] = l < count ? source[i * row_stride + l * column_stride] : T(0);
      }
    }
  }
}

template <class T, bool kPast>
PYLSTM_INLINE void pack_columns(const T* source, Dim row_stride, Dim column_stride, Dim inner, Dim columns, T* packed) {
  constexpr Dim W = Vec<T>::width;
  for (Dim column = 0; column < columns; column += W) {
    const Dim panel = column / kPanel<T> * kPanel<T>;
    const Dim vectors = (smaller(columns - panel, kPanel<T>) + W - 1) / W;
    pack_vector<T, kPast>(source + column * column_stride, row_stride, column_stride, inner,
                          smaller(W, columns - column), packed + panel * inner + (column - panel), vectors * W);
  }
}

// Of a few panels a row at a time, which is as much of it as hardware needs to see to read ahead.
template <class T>
PYLSTM_INLINE void pack_rows(const T* source, Dim row_stride, Dim inner, Dim columns, T* packed) {
  constexpr Dim W = Vec<T>::width, kPanels = 4, kColumns = kPanels * kPanel<T>, kAhead = 4;
  Dim column = 0;
  for (; column + kColumns <= columns; column += kColumns) {
    for (Dim k = 0; k < inner; ++k) {
      const T* row = source + k * row_stride + column;
      const T* ahead = row + smaller(kAhead, inner - 1 - k) * row_stride;
      T* out = packed + column * inner + k * kPanel<T>;
#pragma GCC unroll 4
      for (Dim p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
        for (Dim v = 0; v < kPanelVectors; ++v) {
          const Dim n = p * kPanel<T> + v * W;
          if (n % kLine<T> == 0) __builtin_prefetch(ahead + n);
          store(out + p * kPanel<T> * inner + v * W, load(row + n));
        }
      }
    }
  }
  pack_columns<T, false>(source + column, row_stride, 1, inner, columns - column, packed + column * inner);
}

template <class T>
void pack_b(const T* source, Dim row_stride, Dim column_stride, Dim inner, Dim columns, T* packed, bool past_caches) {
  if (!past_caches && column_stride == 1) return pack_rows<T>(source, row_stride, inner, columns, packed);
  if (!past_caches) return pack_columns<T, false>(source, row_stride, column_stride, inner, columns, packed);
  pack_columns<T, true>(source, row_stride, column_stride, inner, columns, packed);
  finish_stores();
}

// Columns of a gate in a block of n units, see table.hpp.
template <class T>
PYLSTM_INLINE Dim gate_width(Dim n) {
  constexpr Dim W = Vec<T>::width;
  return n == 0 ? 0 : n <= W / 4 ? W / 4 : n <= W / 2 ? W / 2 : W;
}

template <class T>
Dim gate_columns(Dim units) {
  const Dim last = units % Vec<T>::width;
  return 4 * (units - last + gate_width<T>(last));
}

// A last block from unit `first`, of which vectors have lanes of several gates. It is one panel.
template <class T>
PYLSTM_INLINE void pack_narrow_block(const T* source, Dim row_stride, Dim inner, Dim units, Dim first, T* packed) {
  const Dim n = units - first, width = gate_width<T>(n);
  T* to = packed + 4 * first * inner;
  for (Dim k = 0; k < inner; ++k) {
    for (Dim gate = 0; gate < 4; ++gate, to += width) {
      const T* from = source + k * row_stride + gate * units + first;
      for (Dim lane = 0; lane < width; ++lane) to[lane] = lane < n ? from[lane] : T(0);
    }
  }
}

template <class T, bool kPast>
PYLSTM_INLINE void pack_blocks(const T* source, Dim row_stride, Dim inner, Dim units, T* packed) {
  constexpr Dim W = Vec<T>::width;
  for (Dim unit = 0; unit < units; unit += W) {
    const Dim n = smaller(W, units - unit);
    if (gate_width<T>(n) < W) return pack_narrow_block<T>(source, row_stride, inner, units, unit, packed);
    for (Dim gate = 0; gate < 4; ++gate) {
      const Dim column = 4 * unit + gate * W;
      const Dim panel = column / kPanel<T> * kPanel<T>;
      pack_vector<T, kPast>(source + gate * units + unit, row_stride, 1, inner, n,
                            packed + panel * inner + (column - panel), kPanel<T>);
    }
  }
}

template <class T>
void pack_gates(const T* source, Dim row_stride, Dim inner, Dim units, T* packed, bool past_caches) {
  if (!past_caches) return pack_blocks<T, false>(source, row_stride, inner, units, packed);
  pack_blocks<T, true>(source, row_stride, inner, units, packed);
  finish_stores();
}

// Tile by tile, a strip of rows, as every line is read for several tiles. The next strip is asked for meanwhile, as
// rows may stand anywhere.
template <class T>
void pack_a(const PackedColumns<T>& p, T* packed) {
  constexpr Dim kStrip = 16;
  constexpr int kTogether = 4;
  for (Dim begin = 0; begin < p.inner; begin += kStrip) {
    const Dim end = smaller(begin + kStrip, p.inner);
    T* tile = packed + begin * kTileRows;
    Dim place = p.place;
    for (Dim column = 0; column < p.columns;) {
      const auto row_at = [&](Dim k) { return p.rows[k] + p.first + column; };
      const auto ahead_of = [&](Dim k) { return row_at(smaller(k + kStrip, p.inner - 1)); };
      const Dim rest = p.columns - column, count = smaller(rest, p.height - place);
      const bool whole = place == 0 && rest >= kTileRows;
      T* out = tile + place;
      if (whole && rest >= (kTogether - 1) * p.height + kTileRows) {
        for (Dim k = begin; k < end; ++k, out += kTileRows) {
          const T *row = row_at(k), *ahead = ahead_of(k);
#pragma GCC unroll 4
          for (Dim i = 0; i < kTogether * kTileRows; i += kLine<T>) __builtin_prefetch(ahead + i);
          each<kTogether>([&](auto j) PYLSTM_INLINED {
            __builtin_memcpy(out + j.value * kTileRows * p.inner, row + j.value * p.height, kTileRows * sizeof(T));
          });
        }
        column += kTogether * p.height;
        tile += kTogether * kTileRows * p.inner;
        continue;
      }
      for (Dim k = begin; k < end; ++k, out += kTileRows) {
        const T* row = row_at(k);
        __builtin_prefetch(ahead_of(k));
        if (whole) {
          __builtin_memcpy(out, row, kTileRows * sizeof(T));
        } else {
          for (Dim i = 0; i < count; ++i) out[i] = row[i];
        }
      }
      column += count;
      tile += kTileRows * p.inner;
      place = 0;
    }
  }
}
