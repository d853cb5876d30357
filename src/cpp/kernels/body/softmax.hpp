// Softmax by rows and its backward.
#pragma once

template <class T>
PYLSTM_INLINE T sum_lanes(V<T> v) {
  T sum = 0;
  for (Dim l = 0; l < Vec<T>::width; ++l) sum += v[l];
  return sum;
}

// NaN if any element is: it must reach the sum.
template <class T>
PYLSTM_INLINE T largest(Dim n, const T* x) {
  V<T> best = splat<T>(x[0]), poison = {};
  each_vector<T>(n, [&](Dim i, Dim m) {
    const V<T> v = get(x + i, m);
    if (m == Vec<T>::width) {
      best = larger_of(v, best);
    } else {
      for (Dim l = 0; l < m; ++l) best[l] = v[l] > best[l] ? v[l] : best[l];
    }
    poison = poison + (v != v ? v : V<T>{});
  });
  T result = best[0];
  for (Dim l = 1; l < Vec<T>::width; ++l) result = best[l] > result ? best[l] : result;
  return result + sum_lanes<T>(poison);
}

// y = exp(x - shift); returns the sum of y, two accumulators and the tail last.
template <class T>
PYLSTM_INLINE T exp_and_sum(Dim n, const T* x, T shift, T* y) {
  constexpr Dim W = Vec<T>::width;
  V<T> even = {}, odd = {};
  Dim i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const V<T> a = exp_of_negative<T>(load(x + i) - shift), b = exp_of_negative<T>(load(x + i + W) - shift);
    store(y + i, a);
    store(y + i + W, b);
    even = even + a;
    odd = odd + b;
  }
  T tail = 0;
  for (; i < n; i += W) {
    const Dim m = smaller(W, n - i);
    const V<T> a = exp_of_negative<T>(get(x + i, m) - shift);
    put(y + i, a, m);
    for (Dim l = 0; l < m; ++l) tail += a[l];
  }
  return sum_lanes<T>(even + odd) + tail;
}

template <class T>
void softmax(Dim rows, Dim columns, Dim row, const T* x, T* y) {
  if (columns == 0) return;
  for (Dim r = 0; r < rows; ++r) {
    const T sum = exp_and_sum<T>(columns, x + r * row, largest<T>(columns, x + r * row), y + r * row);
    scale_array<T>(columns, 1 / sum, y + r * row);
  }
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
