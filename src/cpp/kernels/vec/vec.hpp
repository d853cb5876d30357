// Vectors of T by the GCC/Clang vector extension: arithmetic, comparison and `m ? a : b` come
// with the type. What the extension lacks is in the one shim that the instruction set brings.
// Included once per instruction set inside an unnamed namespace: nothing here has linkage.
#pragma once

template <class T>
struct Vec;
template <>
struct Vec<float> {
  static constexpr Dim width = PYLSTM_VEC_BYTES / 4;
  typedef float type __attribute__((vector_size(PYLSTM_VEC_BYTES)));
  typedef int32_t bits __attribute__((vector_size(PYLSTM_VEC_BYTES)));
  typedef float unaligned __attribute__((vector_size(PYLSTM_VEC_BYTES), aligned(4), may_alias));
  typedef int32_t bit;
};
template <>
struct Vec<double> {
  static constexpr Dim width = PYLSTM_VEC_BYTES / 8;
  typedef double type __attribute__((vector_size(PYLSTM_VEC_BYTES)));
  typedef int64_t bits __attribute__((vector_size(PYLSTM_VEC_BYTES)));
  typedef double unaligned __attribute__((vector_size(PYLSTM_VEC_BYTES), aligned(8), may_alias));
  typedef int64_t bit;
};

template <class T>
using V = typename Vec<T>::type;

#define PYLSTM_INLINE inline __attribute__((always_inline))

template <class T>
PYLSTM_INLINE V<T> splat(T x) {
  return x - V<T>{};  // -0 survives: x - 0 is x
}
template <class T>
PYLSTM_INLINE V<T> load(const T* p) {
  return *reinterpret_cast<const typename Vec<T>::unaligned*>(p);
}
template <class T>
PYLSTM_INLINE void store(T* p, V<T> v) {
  *reinterpret_cast<typename Vec<T>::unaligned*>(p) = v;
}
template <class T>
PYLSTM_INLINE typename Vec<T>::bits as_bits(V<T> v) {
  return reinterpret_cast<typename Vec<T>::bits>(v);
}
template <class T>
PYLSTM_INLINE V<T> from_bits(typename Vec<T>::bits b) {
  return reinterpret_cast<V<T>>(b);
}
template <class T>
PYLSTM_INLINE V<T> absolute(V<T> v) {
  return from_bits<T>(as_bits<T>(v) & ~(typename Vec<T>::bits{} + (typename Vec<T>::bit(1) << (8 * sizeof(T) - 1))));
}
template <class T>
PYLSTM_INLINE V<T> with_sign_of(V<T> magnitude, V<T> sign) {
  const typename Vec<T>::bits mask = typename Vec<T>::bits{} + (typename Vec<T>::bit(1) << (8 * sizeof(T) - 1));
  return from_bits<T>(as_bits<T>(magnitude) | (as_bits<T>(sign) & mask));
}
