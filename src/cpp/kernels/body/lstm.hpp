// The LSTM cell, forward and backward, as its equations:
//   i, f, o = sigmoid(z_i, z_f, z_o)   g = tanh(z_c)   c = f c_prev + i g   h = o tanh(c)
#pragma once

// N cells, each a vector of units: one block of units of N rows, or N blocks of one row. `n` units of a block exist.
template <class T, int N, bool kWhole>
struct Cells {
  using X = Many<V<T>, N>;
  Dim row, block, n;
  bool along_units;

  // What they have in an array whose rows are `stride` apart, its blocks of units `width`.
  PYLSTM_INLINE X read(const T* x, Dim stride, Dim width = Vec<T>::width) const {
    const Dim step = along_units ? width : stride;
    x += row * stride + block * width;
    return X::each([&](int j) { return kWhole ? load(x + j * step) : load_n(x + j * step, n); });
  }
  // Args, here and below: LstmStepArgs or CellArgs.
  template <class Args>
  PYLSTM_INLINE X pre_activation(const Args& p, Dim gate) const {
    constexpr Dim W = Vec<T>::width;
    if (p.z_gate > 0) return read(p.z + gate * p.z_gate, p.z_row);
    if (kWhole) return read(p.z + gate * W, p.z_row, 4 * W);
    const Dim columns = gate_width<T>(n);
    const T* x = p.z + row * p.z_row + block * 4 * W + gate * columns;
    if (columns == W) return X::each([&](int j) { return load_n(x + j * p.z_row, n); });
    if constexpr (W > 2) {
      if (columns < W / 2) return X::each([&](int j) { return load_quarter(x + j * p.z_row); });
    }
    return X::each([&](int j) { return load_half(x + j * p.z_row); });
  }
  PYLSTM_INLINE void write(T* x, Dim stride, const X& value) const {
    const Dim step = along_units ? Vec<T>::width : stride;
    x += row * stride + block * Vec<T>::width;
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) put(x + j * step, value.v[j]);
  }
  // The same, to rows that stand anywhere.
  PYLSTM_INLINE void write(T* const* x, Dim first, const X& value) const {
    first += block * Vec<T>::width;
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) put(along_units ? x[row] + first + j * Vec<T>::width : x[row + j] + first, value.v[j]);
  }

 private:
  PYLSTM_INLINE void put(T* x, V<T> value) const { kWhole ? store(x, value) : store_n(x, value, n); }
};

// f(cells) for blocks [first, last) of `units` of all rows.
template <class T, int N, class F>
PYLSTM_INLINE void each_cells(Dim rows, Dim units, Dim first, Dim last, F f) {
  constexpr Dim W = Vec<T>::width;
  const Dim whole = smaller(last, units / W);
  if (rows < N) {
    for (Dim row = 0; row < rows; ++row)
      in_groups<N>(first, whole, [&](Dim block, auto n) PYLSTM_INLINED {
        f(Cells<T, n.value, true>{row, block, W, true});
      });
  } else {
    for (Dim block = first; block < whole; ++block)
      in_groups<N>(0, rows, [&](Dim row, auto n) PYLSTM_INLINED { f(Cells<T, n.value, true>{row, block, W, false}); });
  }
  if (whole == last) return;
  in_groups<N>(0, rows, [&](Dim row, auto n) PYLSTM_INLINED {
    f(Cells<T, n.value, false>{row, whole, units - whole * W, false});
  });
}

// Asks for the lines that these rows of cells write in block `next` of units, while its product runs: one in each of
// many rows, which no prefetcher foresees, nor need rows begin at a line. In inference c is written in place, and is
// near, as is h where it goes to y too.
template <class T, int N, bool kWhole>
PYLSTM_INLINE void ask_for_block(const LstmStepArgs<T>& p, const Cells<T, N, kWhole>& cells, Dim next) {
  constexpr Dim W = Vec<T>::width, kBlocks = kLine<T> / W;  // of a line
  if (next % kBlocks != (p.backwards ? kBlocks - 1 : 0)) return;
  const Dim first = next / kBlocks * kLine<T>, unit = p.backwards ? first : smaller(first + kLine<T>, p.units) - 1;
#pragma GCC unroll 4
  for (int j = 0; j < N; ++j) {
    const Dim row = cells.row + j;
    __builtin_prefetch((p.y == nullptr ? p.h + row * p.h_row : p.y[row] + p.y_first) + unit, 1);
    if (p.gates == nullptr) continue;
    __builtin_prefetch(p.c + row * p.units + unit, 1);
#pragma GCC unroll 4
    for (Dim gate = 0; gate < 4; ++gate) __builtin_prefetch(p.gates + (4 * row + gate) * p.units + unit, 1);
  }
}

// To where backward finds it.
template <class T, int N, bool kWhole, class Args>
PYLSTM_INLINE void keep_gate(const Args& p, const Cells<T, N, kWhole>& cells, Dim gate, const Many<V<T>, N>& value) {
  if (p.gates != nullptr) cells.write(p.gates + gate * p.units, 4 * p.units, value);
}

// The new c. In this order registers hold nearly all of it.
template <class T, int N, bool kWhole, class Args>
PYLSTM_INLINE Many<V<T>, N> next_c(const Args& p, const Cells<T, N, kWhole>& cells) {
  using X = Many<V<T>, N>;
  const X i = vector_sigmoid<T>(cells.pre_activation(p, 0));
  keep_gate(p, cells, 0, i);
  const X g = vector_tanh<T>(cells.pre_activation(p, 2));
  keep_gate(p, cells, 2, g);
  const X ig = i * g, f = vector_sigmoid<T>(cells.pre_activation(p, 1));
  keep_gate(p, cells, 1, f);
  const X c = fma(f, cells.read(p.c_prev, p.units), ig);
  cells.write(p.c, p.units, c);
  return c;
}

template <class T, int N, bool kWhole, class Args>
PYLSTM_INLINE void next_h(const Args& p, const Cells<T, N, kWhole>& cells, const Many<V<T>, N>& c) {
  using X = Many<V<T>, N>;
  const X o = vector_sigmoid<T>(cells.pre_activation(p, 3));
  keep_gate(p, cells, 3, o);
  const X h = o * vector_tanh<T>(c);
  cells.write(p.h, p.h_row, h);
  if (p.y != nullptr) cells.write(p.y, p.y_first, h);
}

template <class T, int N, bool kWhole>
PYLSTM_INLINE void cells_forward(const LstmStepArgs<T>& p, const Cells<T, N, kWhole>& cells) {
  next_h(p, cells, next_c(p, cells));
}

// A copy of what cells use of LstmStepArgs, which a compiler can keep in registers: it loads what is behind a reference
// again after each store of a vector, which might have changed it.
template <class T>
struct CellArgs {
  Dim units, z_row, z_gate, h_row, y_first;
  const T *z, *c_prev;
  T *c, *h, *gates;
  T* const* y;
};

// Where one vector of cells runs at a time, c of so many, or of all rows of a block, is computed before their h. h
// waits for c, and a processor looks no farther ahead than a cell is long: in two passes it finds the next one's. With
// AVX2, on a Zen 3, 32 rows of 17 units gain 16 % forward, of 128 units 3 %.
constexpr Dim kFewCells = 32;

template <class T, class F>
PYLSTM_INLINE void run_passes(const CellArgs<T> p, Dim rows, Dim first, Dim last, F then) {
  const Dim blocks = rows < kFewCells ? kFewCells / rows : 1;
  for (Dim block = first; block < last; block += blocks) {
    const Dim end = smaller(block + blocks, last);
    each_cells<T, 1>(rows, p.units, block, end, [&](const auto& cells) PYLSTM_INLINED { next_c(p, cells); });
    each_cells<T, 1>(rows, p.units, block, end, [&](const auto& cells) PYLSTM_INLINED {
      next_h(p, cells, cells.read(p.c, p.units));
      then(cells);
    });
  }
}

// Blocks [first, last) of units of all rows; then(cells) after each.
template <class T, class F>
PYLSTM_INLINE void run_cells(const LstmStepArgs<T>& p, Dim first, Dim last, F then) {
  if constexpr (kVectorsTogether > 1) {
    each_cells<T, kVectorsTogether>(p.rows, p.units, first, last, [&](const auto& cells) {
      cells_forward(p, cells);
      then(cells);
    });
  } else {
    CellArgs<T> own = {p.units, p.z_row, p.z_gate, p.h_row, p.y_first, p.z, p.c_prev, p.c, p.h, p.gates, p.y};
    if (p.z_gate > 0) return run_passes<T>(own, p.rows, first, last, then);
    own.z_gate = 0;  // known to the compiler, as gates are below: these loops do not test it
    if (p.gates != nullptr) return run_passes<T>(own, p.rows, first, last, then);
    own.gates = nullptr;
    run_passes<T>(own, p.rows, first, last, then);
  }
}

constexpr Dim kPanelsOfBlock = 4 / kPanelVectors;

// One row whose weights come from farther away than a first-level cache: while those of some units pass, the cells of
// those before are computed. Beside near weights that gains nothing, and h would be there later.
template <class T>
PYLSTM_INLINE void stream_step(const LstmStepArgs<T>& p, const GemmArgs<T>& product, Dim end) {
  constexpr Dim W = Vec<T>::width;
  const auto cells_of = [&](Dim block) {
    const Dim n = p.units - block * W;
    n >= W ? cells_forward<T>(p, Cells<T, 1, true>{0, block, W, true})
           : cells_forward<T>(p, Cells<T, 1, false>{0, block, n, true});
  };
  Dim before = -1;
  stream_row<T>(product, p.first_block, end, 0, [&](Dim block) {
    if (before >= 0) cells_of(before);
    before = block;
  });
  if (before >= 0) cells_of(before);
}

template <class T>
void lstm_step(const LstmStepArgs<T>& p) {
  if (p.rows == 0 || p.units == 0) return;
  const Dim blocks = (p.units + Vec<T>::width - 1) / Vec<T>::width;
  GemmArgs<T> product;  // not cleared first: a small step would take longer
  product.a = p.h_prev;
  product.a_row = p.h_prev_row;
  product.b = p.recurrent;
  product.c = p.z;
  product.c_row = p.z_row;
  product.bias = nullptr;
  product.rows = p.rows;
  product.columns = gate_columns<T>(p.units);
  product.inner = p.units;
  product.init = Init::kKeep;
  product.backwards = p.backwards;
  product.cut = p.cut;
  const Dim end = p.last_block < 0 ? blocks : smaller(p.last_block, blocks);
  if (p.first_block >= end) return;
  const bool one_row = p.rows == 1 && p.recurrent != nullptr;
  if constexpr (kPanelsOfBlock == 1) {
    if (one_row && row_streams(product)) return stream_step(p, product, end);
  }
  const Dim together = p.recurrent == nullptr ? blocks : one_row ? kPanelsTogether : panels_for(p.rows);
  const Dim groups = (end - p.first_block + together - 1) / together;
  const Dim panels = (product.columns + kPanel<T> - 1) / kPanel<T>;
  for (Dim i = 0; i < groups; ++i) {
    const auto first_of = [&](Dim group) {
      return p.first_block + (p.backwards ? groups - 1 - group : group) * together;
    };
    const Dim block = first_of(i), last = smaller(block + together, end);
    // Few rows write whole runs of blocks, as prefetchers expect.
    const Dim next = together == 1 && i + 1 < groups ? first_of(i + 1) : -1;
    const Dim panel = block * kPanelsOfBlock, last_panel = smaller(last * kPanelsOfBlock, panels);
    if (one_row) {
      run_row<T>(product, panel, last_panel, 0);
    } else if (p.recurrent != nullptr) {
      gemm_panels<T>(product, panel, last_panel);
    }
    run_cells(p, block, last, [&](const auto& cells) PYLSTM_INLINED {
      if (next >= 0) ask_for_block<T>(p, cells, next);
    });
  }
}

// Asks for what the cell one row below reads from far away: its gates and c_prev were last used as long ago as there
// are steps. dc was used in the step before, as c was, and a product has just written dh. Of many units a second-level
// cache keeps the lines.
template <class T>
PYLSTM_INLINE void ask_for_next_row(const LstmCellsBackwardArgs<T>& p, Dim row, Dim unit) {
  if (row + 1 == p.rows || unit % kLine<T> != 0) return;
  __builtin_prefetch(p.c_prev + (row + 1) * p.units + unit);
#pragma GCC unroll 4
  for (Dim gate = 0; gate < 4; ++gate) __builtin_prefetch(p.gates + (4 * (row + 1) + gate) * p.units + unit, 1);
}

template <class T>
PYLSTM_INLINE void cell_backward(const LstmCellsBackwardArgs<T>& p, Dim row, Dim unit, Dim n) {
  const bool whole = n == Vec<T>::width;
  const auto get = [&](const T* x) { return whole ? load(x) : load_n(x, n); };
  const auto put = [&](T* x, V<T> v) { whole ? store(x, v) : store_n(x, v, n); };
  const Dim at = row * p.units + unit;
  T* gates = p.gates + row * 4 * p.units + unit;
  const V<T> i = get(gates), f = get(gates + p.units), g = get(gates + 2 * p.units), o = get(gates + 3 * p.units);
  const V<T> dh = get(p.dh + at), tanh_c = vector_tanh<T>(get(p.c + at));
  const V<T> d_tanh = fma(-tanh_c, tanh_c, splat<T>(1));
  const V<T> dc = fma(dh * o, d_tanh, get(p.dc + at));
  put(gates, dc * g * (i * (1 - i)));
  put(gates + p.units, dc * get(p.c_prev + at) * (f * (1 - f)));
  put(gates + 2 * p.units, dc * i * fma(-g, g, splat<T>(1)));
  put(gates + 3 * p.units, dh * tanh_c * (o * (1 - o)));
  put(p.dc + at, dc * f);
}

template <class T>
void lstm_cells_backward(const LstmCellsBackwardArgs<T>& p) {
  constexpr Dim W = Vec<T>::width;
  const Dim end = p.last_block < 0 ? p.units : smaller(p.last_block * W, p.units);
  for (Dim row = 0; row < p.rows; ++row) {
    for (Dim unit = p.first_block * W; unit < end; unit += W) {
      ask_for_next_row<T>(p, row, unit);
      cell_backward<T>(p, row, unit, smaller(W, p.units - unit));
    }
  }
}
