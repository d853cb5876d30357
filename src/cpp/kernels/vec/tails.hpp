// load_n and store_n for instruction sets without masked memory access.
#pragma once

template <class T>
PYLSTM_INLINE V<T> load_lanes(const T* p, Dim n) {
  V<T> v = {};
  for (Dim l = 0; l < Vec<T>::width; ++l) {
    if (l < n) v[l] = p[l];
  }
  return v;
}
template <class T>
PYLSTM_INLINE void store_lanes(T* p, V<T> v, Dim n) {
  for (Dim l = 0; l < Vec<T>::width; ++l) {
    if (l < n) p[l] = v[l];
  }
}
PYLSTM_INLINE V<float> load_n(const float* p, Dim n) { return load_lanes(p, n); }
PYLSTM_INLINE V<double> load_n(const double* p, Dim n) { return load_lanes(p, n); }
PYLSTM_INLINE void store_n(float* p, V<float> v, Dim n) { store_lanes(p, v, n); }
PYLSTM_INLINE void store_n(double* p, V<double> v, Dim n) { store_lanes(p, v, n); }
