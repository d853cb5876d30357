// Loops over n elements: whole vectors, then one masked tail through the same function.
#pragma once

template <class T, class F>
PYLSTM_INLINE void each_vector(Dim n, F f) {
  constexpr Dim W = Vec<T>::width;
  Dim i = 0;
  for (; i + W <= n; i += W) f(i, W);
  if (i < n) f(i, n - i);
}
template <class T>
PYLSTM_INLINE V<T> get(const T* p, Dim n) {
  return n == Vec<T>::width ? load(p) : load_n(p, n);
}
template <class T>
PYLSTM_INLINE void put(T* p, V<T> v, Dim n) {
  if (n == Vec<T>::width) {
    store(p, v);
  } else {
    store_n(p, v, n);
  }
}

// The largest of each row's elements and of what is there, column n in lane n % width. A NaN is none.
template <class T>
PYLSTM_INLINE void take_largest(Dim rows, Dim columns, const T* x, Dim row, T* lanes) {
  constexpr Dim W = Vec<T>::width;
  for (Dim r = 0; r < rows; ++r) {
    V<T> best = load(lanes + r * W);
    each_vector<T>(columns, [&](Dim i, Dim m) {
      V<T> v = get(x + r * row + i, m);
      for (Dim l = m; l < W; ++l) v[l] = best[l];
      best = larger_of(v, best);
    });
    store(lanes + r * W, best);
  }
}

template <class T>
void exp_array(Dim n, const T* x, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, vector_exp<T>(get(x + i, m)), m); });
}
template <class T>
void sigmoid_array(Dim n, const T* x, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, vector_sigmoid<T>(get(x + i, m)), m); });
}
template <class T>
void tanh_array(Dim n, const T* x, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, vector_tanh<T>(get(x + i, m)), m); });
}

template <class T>
void activate(Activation kind, Dim n, const T* x, T* y) {
  switch (kind) {
    case Activation::kLinear:
      return each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, get(x + i, m), m); });
    case Activation::kRelu:
      return each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, at_least<T>(get(x + i, m), T(0)), m); });
    case Activation::kTanh:
      return tanh_array<T>(n, x, y);
    case Activation::kSigmoid:
      return sigmoid_array<T>(n, x, y);
  }
}

template <class T>
void activate_backward(Activation kind, Dim n, const T* y, const T* dy, T* dx) {
  each_vector<T>(n, [=](Dim i, Dim m) {
    const V<T> out = get(y + i, m), d = get(dy + i, m);
    V<T> slope = splat<T>(1);
    if (kind == Activation::kRelu) slope = out > 0 ? splat<T>(1) : out * 0;  // NaN stays
    if (kind == Activation::kTanh) slope = fma(-out, out, splat<T>(1));
    if (kind == Activation::kSigmoid) slope = out * (1 - out);
    put(dx + i, d * slope, m);
  });
}

template <class T>
void add_array(Dim n, const T* x, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, get(y + i, m) + get(x + i, m), m); });
}
template <class T>
void scale_array(Dim n, T factor, T* x) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(x + i, get(x + i, m) * factor, m); });
}
template <class T>
void multiply_array(Dim n, const T* x, const T* f, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, get(x + i, m) * get(f + i, m), m); });
}
template <class T>
void multiply_add_array(Dim n, const T* x, const T* f, T* y) {
  each_vector<T>(n, [=](Dim i, Dim m) { put(y + i, fma(get(x + i, m), get(f + i, m), get(y + i, m)), m); });
}

PYLSTM_INLINE V<double> load_as_double(const double* x) { return load<double>(x); }

// The sum of one(i)^2 in double: a float square never overflows there. some(i) is a vector of what one(i) … are. Four
// parts side by side, as hardware reads several streams faster than one; of each, eight sums with any width.
template <class One, class Some>
PYLSTM_INLINE double sum_squares(Dim n, One one, Some some) {
  constexpr Dim kParts = 4, kLanes = 8, W = Vec<double>::width;
  const Dim part = n / (kParts * kLanes) * kLanes;
  V<double> partial[kParts][kLanes / W] = {};
  for (Dim i = 0; i < part; i += kLanes) {
#pragma GCC unroll 4
    for (Dim p = 0; p < kParts; ++p) {
#pragma GCC unroll 4
      for (Dim j = 0; j < kLanes / W; ++j) {
        const V<double> v = some(p * part + i + j * W);
        partial[p][j] = partial[p][j] + v * v;
      }
    }
  }
  double sum = 0;
  for (Dim i = kParts * part; i < n; ++i) sum += one(i) * one(i);
  for (Dim l = 0; l < kLanes; ++l) {
    const auto lane = [&](Dim p) { return partial[p][l / W][l % W]; };
    sum += (lane(0) + lane(1)) + (lane(2) + lane(3));
  }
  return sum;
}

template <class T>
double sum_of_squares(Dim n, const T* x) {
  return sum_squares(
      n, [=](Dim i) { return double(x[i]); }, [=](Dim i) { return load_as_double(x + i); });
}

template <class T>
double squared_error(Dim n, const T* y, const T* target, T slope, T* dy) {
  const double sum = sum_squares(
      n, [=](Dim i) { return double(y[i]) - double(target[i]); },
      [=](Dim i) { return load_as_double(y + i) - load_as_double(target + i); });
  if (dy != nullptr) {
    each_vector<T>(n, [=](Dim i, Dim m) { put(dy + i, (get(y + i, m) - get(target + i, m)) * slope, m); });
  }
  return sum;
}

template <class T>
bool all_finite(Dim n, const T* x) {
  V<T> poison = {};  // x * 0 is 0 for finite x and NaN otherwise
  each_vector<T>(n, [&](Dim i, Dim m) { poison = poison + get(x + i, m) * T(0); });
  bool finite = true;
  for (Dim l = 0; l < Vec<T>::width; ++l) finite = finite && poison[l] == T(0);
  return finite;
}
