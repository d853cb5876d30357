// N vectors side by side. An operation is that of every one of them, independent and in a row: a processor, which looks
// only some hundred instructions ahead, then always finds some whose operands are ready. Lanes have the bits of V<T>.
#pragma once

// Vectors whose exponentials, or cells, run side by side. An Emerald Rapids needs an eighth less time for four cells at
// a time with AVX-512, a Zen 5 gains about as much by four exponentials; with AVX2, whose registers hold one cell, two
// cells take more than twice the time of one after the other.
constexpr int kVectorsTogether = PYLSTM_VECTORS_TOGETHER;

template <auto kValue>
struct Constant {
  static constexpr auto value = kValue;
};

// f(Constant<0>()), f(Constant<1>()), ... What f writes at constant places a compiler keeps in registers; in loops that
// are unrolled later, not always: in tall tiles it is the other way round.
template <int kCount, class F>
PYLSTM_INLINE void each(F f) {
  if constexpr (kCount > 0) {
    each<kCount - 1>(f);
    f(Constant<kCount - 1>());
  }
}
#define PYLSTM_INLINED __attribute__((always_inline))

// f(i, Constant<n>) for all of [first, last), n at a time: as many as N, in the end fewer.
template <int N, class F>
PYLSTM_INLINE void in_groups(Dim first, Dim last, F f) {
  for (; first + N <= last; first += N) f(first, Constant<N>());
  if constexpr (N > 1) in_groups<N / 2>(first, last, f);
}

template <class Vector, int N>
struct Many {
  Vector v[N];

  Many() = default;
  // One by one: a compiler else keeps copies in memory, which nobody reads, and each store takes most of a Zen 5's
  // cycle from multiply-adds.
  PYLSTM_INLINE Many(const Many& x) { *this = x; }
  PYLSTM_INLINE Many& operator=(const Many& x) {
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) v[j] = x.v[j];
    return *this;
  }
  PYLSTM_INLINE Many(Vector x) : Many(each([=](int) { return x; })) {}
  template <class Scalar, class = decltype(Scalar() * 1.0)>
  PYLSTM_INLINE Many(Scalar x) : Many(static_cast<decltype(+Vector{}[0])>(x) - Vector{}) {}

  // f(0) ... f(N - 1).
  template <class F>
  static PYLSTM_INLINE Many each(F f) {
    Many result;
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) result.v[j] = f(j);
    return result;
  }

  friend PYLSTM_INLINE Many operator-(const Many& a) {
    return each([&](int j) { return -a.v[j]; });
  }
  friend PYLSTM_INLINE Many operator+(const Many& a, const Many& b) {
    return each([&](int j) { return a.v[j] + b.v[j]; });
  }
  friend PYLSTM_INLINE Many operator-(const Many& a, const Many& b) {
    return each([&](int j) { return a.v[j] - b.v[j]; });
  }
  friend PYLSTM_INLINE Many operator*(const Many& a, const Many& b) {
    return each([&](int j) { return a.v[j] * b.v[j]; });
  }
  friend PYLSTM_INLINE Many operator/(const Many& a, const Many& b) {
    return each([&](int j) { return a.v[j] / b.v[j]; });
  }
  friend PYLSTM_INLINE Many operator<<(const Many& a, int bits) {
    return each([&](int j) { return a.v[j] << bits; });
  }
  friend PYLSTM_INLINE Many fma(const Many& a, const Many& b, const Many& c) {
    return each([&](int j) { return fma(a.v[j], b.v[j], c.v[j]); });
  }
  friend PYLSTM_INLINE Many smaller_of(const Many& a, const Many& b) {
    return each([&](int j) { return smaller_of(a.v[j], b.v[j]); });
  }
  friend PYLSTM_INLINE Many larger_of(const Many& a, const Many& b) {
    return each([&](int j) { return larger_of(a.v[j], b.v[j]); });
  }
};

template <class T, int N>
PYLSTM_INLINE Many<typename Vec<T>::bits, N> as_bits(const Many<V<T>, N>& x) {
  return Many<typename Vec<T>::bits, N>::each([&](int j) { return as_bits<T>(x.v[j]); });
}
template <class T, int N>
PYLSTM_INLINE Many<V<T>, N> from_bits(const Many<typename Vec<T>::bits, N>& x) {
  return Many<V<T>, N>::each([&](int j) { return from_bits<T>(x.v[j]); });
}
template <class T, int N>
PYLSTM_INLINE Many<V<T>, N> absolute(const Many<V<T>, N>& x) {
  return Many<V<T>, N>::each([&](int j) { return absolute<T>(x.v[j]); });
}
template <class T, int N>
PYLSTM_INLINE Many<V<T>, N> with_sign_of(const Many<V<T>, N>& magnitude, const Many<V<T>, N>& sign) {
  return Many<V<T>, N>::each([&](int j) { return with_sign_of<T>(magnitude.v[j], sign.v[j]); });
}
template <class Bits, int N>
PYLSTM_INLINE Many<Bits, N> looked_up(Bits table, const Many<Bits, N>& at) {
  return Many<Bits, N>::each([&](int j) { return looked_up(table, at.v[j]); });
}
