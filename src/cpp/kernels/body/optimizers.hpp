// Optimizer steps, Keras' update rules on flat arrays.
#pragma once

template <class T>
PYLSTM_INLINE V<T> clipped_gradient(const UpdateArgs<T>& p, Dim i, Dim n) {
  if (p.g == nullptr) return V<T>{};
  V<T> g = get(p.g + i, n) * p.gradient_scale;
  if (p.clip_value > 0) g = at_least<T>(at_most<T>(g, p.clip_value), -p.clip_value);
  return g;
}

// momentum: m = beta_1 m - rate g; p += m, or with nesterov p += beta_1 m - rate g.
template <class T>
void sgd(const UpdateArgs<T>& p) {
  each_vector<T>(p.n, [&](Dim i, Dim n) {
    const V<T> step = clipped_gradient<T>(p, i, n) * p.rate;
    V<T> w = get(p.p + i, n);
    w = w - w * p.decay;
    if (p.m == nullptr) return put(p.p + i, w - step, n);
    const V<T> m = get(p.m + i, n) * p.beta_1 - step;
    put(p.m + i, m, n);
    put(p.p + i, p.nesterov ? w + (m * p.beta_1 - step) : w + m, n);
  });
}

// v = rho v + (1 - rho) g^2; centered subtracts the square of the mean gradient u;
// momentum: m = beta_1 m + rate g / sqrt(v + eps); p -= m.
template <class T>
void rmsprop(const UpdateArgs<T>& p) {
  each_vector<T>(p.n, [&](Dim i, Dim n) {
    const V<T> g = clipped_gradient<T>(p, i, n);
    V<T> w = get(p.p + i, n);
    w = w - w * p.decay;
    const V<T> v = get(p.v + i, n) * p.beta_2 + g * g * p.rest_2;
    put(p.v + i, v, n);
    V<T> spread = v + p.epsilon;
    if (p.centered) {
      const V<T> u = get(p.u + i, n) * p.beta_2 + g * p.rest_2;
      put(p.u + i, u, n);
      spread = at_least<T>(spread - p.epsilon - u * u, T(0)) + p.epsilon;  // rounding can take it below 0
    }
    V<T> step = g * p.rate / root(spread);
    if (p.m != nullptr) {
      step = get(p.m + i, n) * p.beta_1 + step;
      put(p.m + i, step, n);
    }
    put(p.p + i, w - step, n);
  });
}

// m += (g - m)(1 - beta_1); v += (g^2 - v)(1 - beta_2); p -= rate m / (sqrt(v) + eps).
template <class T>
void adam(const UpdateArgs<T>& p) {
  each_vector<T>(p.n, [&](Dim i, Dim n) {
    const V<T> g = clipped_gradient<T>(p, i, n);
    V<T> w = get(p.p + i, n);
    w = w - w * p.decay;
    V<T> m = get(p.m + i, n), v = get(p.v + i, n);
    m = m + (g - m) * p.rest_1;
    v = v + (g * g - v) * p.rest_2;
    put(p.m + i, m, n);
    put(p.v + i, v, n);
    put(p.p + i, w - m * p.rate / (root(v) + p.epsilon), n);
  });
}
