// AVX-512 F, BW, DQ, VL.
#pragma once
#define PYLSTM_VEC_BYTES 64
#define PYLSTM_PANEL_VECTORS 4
#define PYLSTM_TILE_ROWS 6
#define PYLSTM_VECTORS_TOGETHER 4
#if !defined(PYLSTM_VECTOR_REGISTER)
#define PYLSTM_VECTOR_REGISTER "v"
#endif
#include "kernels/vec/vec.hpp"

PYLSTM_INLINE V<float> fma(V<float> a, V<float> b, V<float> c) { return _mm512_fmadd_ps(a, b, c); }
PYLSTM_INLINE V<double> fma(V<double> a, V<double> b, V<double> c) { return _mm512_fmadd_pd(a, b, c); }
constexpr bool kStoresPast = true;
PYLSTM_INLINE void store_past(float* p, V<float> v) { _mm512_stream_ps(p, v); }
PYLSTM_INLINE void store_past(double* p, V<double> v) { _mm512_stream_pd(p, v); }
PYLSTM_INLINE void finish_stores() { _mm_sfence(); }
template <>
constexpr bool kLooksUp<float> = true;
PYLSTM_INLINE Vec<float>::bits looked_up(Vec<float>::bits table, Vec<float>::bits at) {
  return reinterpret_cast<Vec<float>::bits>(
      _mm512_permutexvar_epi32(reinterpret_cast<__m512i>(at), reinterpret_cast<__m512i>(table)));
}
PYLSTM_INLINE V<float> root(V<float> a) { return _mm512_sqrt_ps(a); }
PYLSTM_INLINE V<double> root(V<double> a) { return _mm512_sqrt_pd(a); }
// As many elements as a vector of doubles has.
PYLSTM_INLINE V<double> load_as_double(const float* p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
// a < b ? a : b and a > b ? a : b; b if either is NaN. Compilers do not find the one instruction.
PYLSTM_INLINE V<float> smaller_of(V<float> a, V<float> b) { return _mm512_min_ps(a, b); }
PYLSTM_INLINE V<double> smaller_of(V<double> a, V<double> b) { return _mm512_min_pd(a, b); }
PYLSTM_INLINE V<float> larger_of(V<float> a, V<float> b) { return _mm512_max_ps(a, b); }
PYLSTM_INLINE V<double> larger_of(V<double> a, V<double> b) { return _mm512_max_pd(a, b); }

PYLSTM_INLINE V<float> load_n(const float* p, Dim n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
PYLSTM_INLINE V<double> load_n(const double* p, Dim n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
PYLSTM_INLINE void store_n(float* p, V<float> v, Dim n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
PYLSTM_INLINE void store_n(double* p, V<double> v, Dim n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
}

PYLSTM_INLINE V<float> load_half(const float* p) { return _mm512_zextps256_ps512(_mm256_loadu_ps(p)); }
PYLSTM_INLINE V<double> load_half(const double* p) { return _mm512_zextpd256_pd512(_mm256_loadu_pd(p)); }
PYLSTM_INLINE V<float> load_quarter(const float* p) { return _mm512_zextps128_ps512(_mm_loadu_ps(p)); }
PYLSTM_INLINE V<double> load_quarter(const double* p) { return _mm512_zextpd128_pd512(_mm_loadu_pd(p)); }
