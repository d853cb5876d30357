// Vectors of T by the GCC/Clang vector extension: arithmetic, comparison and `m ? a : b` come
// with the type. What the extension lacks is in the one shim that the instruction set brings; of that, store_past
// writes a vector to an address aligned to it, past the caches if kStoresPast, finish_stores orders such stores before
// later ones, and load_half and load_quarter read the first part of a vector, the rest 0: a processor passes that on
// from a vector just stored, where a masked load would wait. Where kLooksUp<T>, lane i of looked_up(table, at) is lane
// at[i] % width of table.
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
template <class T>
constexpr bool kLooksUp = false;

#define PYLSTM_INLINE inline __attribute__((always_inline))
// A function compiled once: GCC would else make another one for each constant that a caller gives.
#if defined(__clang__)
#define PYLSTM_NOINLINE __attribute__((noinline))
#else
#define PYLSTM_NOINLINE __attribute__((noinline, noclone))
#endif

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
// v in a register: a compiler would else load it from memory again for every use.
template <class T>
PYLSTM_INLINE V<T> held(V<T> v) {
  __asm__("" : "+" PYLSTM_VECTOR_REGISTER(v));
  return v;
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

// a0 b0 a1 b1 ... of the first halves, and of the second.
#if defined(__clang__)
template <class T>
PYLSTM_INLINE V<T> interleave_low(V<T> a, V<T> b) {
  if constexpr (Vec<T>::width == 2) {
    return __builtin_shufflevector(a, b, 0, 2);
  } else if constexpr (Vec<T>::width == 4) {
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  } else if constexpr (Vec<T>::width == 8) {
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  } else {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  }
}
template <class T>
PYLSTM_INLINE V<T> interleave_high(V<T> a, V<T> b) {
  if constexpr (Vec<T>::width == 2) {
    return __builtin_shufflevector(a, b, 1, 3);
  } else if constexpr (Vec<T>::width == 4) {
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  } else if constexpr (Vec<T>::width == 8) {
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  } else {
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  }
}
#else
template <class T>
PYLSTM_INLINE V<T> interleave_from(V<T> a, V<T> b, int first) {
  typename Vec<T>::bits lanes{};
#pragma GCC unroll 16
  for (int l = 0; l < Vec<T>::width; ++l) lanes[l] = first + l / 2 + (l % 2 == 0 ? 0 : Vec<T>::width);
  return __builtin_shuffle(a, b, lanes);
}
template <class T>
PYLSTM_INLINE V<T> interleave_low(V<T> a, V<T> b) {
  return interleave_from<T>(a, b, 0);
}
template <class T>
PYLSTM_INLINE V<T> interleave_high(V<T> a, V<T> b) {
  return interleave_from<T>(a, b, Vec<T>::width / 2);
}
#endif
