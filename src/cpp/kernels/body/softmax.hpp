// Backward of softmax by rows; forward works in blocks of logits.
#pragma once

template <class T>
PYLSTM_INLINE T sum_lanes(V<T> v) {
  T sum = 0;
  for (Dim l = 0; l < Vec<T>::width; ++l) sum += v[l];
  return sum;
}

template <class T>
void softmax_backward(Dim rows, Dim columns, const T* y, const T* dy, T* dx) {
  for (Dim r = 0; r < rows; ++r, y += columns, dy += columns, dx += columns) {
    V<T> sums = {};
    each_vector<T>(columns, [&](Dim i, Dim m) { sums = fma(get(y + i, m), get(dy + i, m), sums); });
    const T dot = sum_lanes<T>(sums);
    each_vector<T>(columns, [=](Dim i, Dim m) { put(dx + i, get(y + i, m) * (get(dy + i, m) - dot), m); });
  }
}
