// The LSTM cell, forward and backward, as its equations:
//   i, f, o = sigmoid(z_i, z_f, z_o)   g = tanh(z_c)   c = f c_prev + i g   h = o tanh(c)
#pragma once

template <class T>
PYLSTM_INLINE void cell_forward(const LstmStepArgs<T>& p, Dim row, Dim unit, Dim n) {
  constexpr Dim W = Vec<T>::width;
  const T* z = p.z + row * p.z_row + unit / W * p.z_block;
  const V<T> i = vector_sigmoid<T>(load(z)), f = vector_sigmoid<T>(load(z + p.z_gate));
  const V<T> g = vector_tanh<T>(load(z + 2 * p.z_gate)), o = vector_sigmoid<T>(load(z + 3 * p.z_gate));
  const T* c_prev = p.c_prev + row * p.units + unit;
  T* c_out = p.c + row * p.units + unit;
  T* h_out = p.h + row * p.h_row + unit;
  T* gates = p.gates == nullptr ? nullptr : p.gates + row * 4 * p.units + unit;
  if (n == W) {
    const V<T> c = fma(f, load(c_prev), i * g);
    store(c_out, c);
    store(h_out, o * vector_tanh<T>(c));
    if (gates != nullptr) {
      store(gates, i);
      store(gates + p.units, f);
      store(gates + 2 * p.units, g);
      store(gates + 3 * p.units, o);
    }
  } else {
    const V<T> c = fma(f, load_n(c_prev, n), i * g);
    store_n(c_out, c, n);
    store_n(h_out, o * vector_tanh<T>(c), n);
    if (gates != nullptr) {
      store_n(gates, i, n);
      store_n(gates + p.units, f, n);
      store_n(gates + 2 * p.units, g, n);
      store_n(gates + 3 * p.units, o, n);
    }
  }
}

template <class T>
void lstm_step(const LstmStepArgs<T>& p) {
  if (p.rows == 0) return;
  constexpr Dim W = Vec<T>::width;
  constexpr Dim kPanelsOfBlock = 4 / kPanelVectors;
  const Dim blocks = (p.units + W - 1) / W;
  const Dim together = p.recurrent == nullptr ? blocks : panels_for(p.rows);
  GemmArgs<T> product = {p.h_prev, p.h_prev_row,   1,       p.recurrent, p.z, p.z_row, nullptr,
                         p.rows,   4 * W * blocks, p.units, Init::kKeep};
  product.backwards = p.backwards;
  const Dim end = p.last_block < 0 ? blocks : p.last_block;
  const Dim groups = (end - p.first_block + together - 1) / together;
  for (Dim i = 0; i < groups; ++i) {
    const Dim block = p.first_block + (p.backwards ? groups - 1 - i : i) * together;
    const Dim last = smaller(block + together, end);
    if (p.recurrent != nullptr) gemm_panels<T>(product, block * kPanelsOfBlock, last * kPanelsOfBlock);
    for (Dim row = 0; row < p.rows; ++row) {
      for (Dim b = block; b < last; ++b) cell_forward<T>(p, row, b * W, smaller(W, p.units - b * W));
    }
  }
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
    for (Dim unit = p.first_block * W; unit < end; unit += W)
      cell_backward<T>(p, row, unit, smaller(W, p.units - unit));
  }
}
