// AVX2 with FMA.
#pragma once
#define PYLSTM_VEC_BYTES 32
#define PYLSTM_PANEL_VECTORS 2
#define PYLSTM_TILE_ROWS 6
#define PYLSTM_VECTORS_TOGETHER 1
#define PYLSTM_VECTOR_REGISTER "v"
#include "kernels/vec/vec.hpp"

PYLSTM_INLINE V<float> fma(V<float> a, V<float> b, V<float> c) { return _mm256_fmadd_ps(a, b, c); }
PYLSTM_INLINE V<double> fma(V<double> a, V<double> b, V<double> c) { return _mm256_fmadd_pd(a, b, c); }
constexpr bool kStoresPast = true;
PYLSTM_INLINE void store_past(float* p, V<float> v) { _mm256_stream_ps(p, v); }
PYLSTM_INLINE void store_past(double* p, V<double> v) { _mm256_stream_pd(p, v); }
PYLSTM_INLINE void finish_stores() { _mm_sfence(); }
PYLSTM_INLINE V<float> root(V<float> a) { return _mm256_sqrt_ps(a); }
PYLSTM_INLINE V<double> root(V<double> a) { return _mm256_sqrt_pd(a); }
// As many elements as a vector of doubles has.
PYLSTM_INLINE V<double> load_as_double(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
// a < b ? a : b and a > b ? a : b; b if either is NaN. Compilers do not find the one instruction.
PYLSTM_INLINE V<float> smaller_of(V<float> a, V<float> b) { return _mm256_min_ps(a, b); }
PYLSTM_INLINE V<double> smaller_of(V<double> a, V<double> b) { return _mm256_min_pd(a, b); }
PYLSTM_INLINE V<float> larger_of(V<float> a, V<float> b) { return _mm256_max_ps(a, b); }
PYLSTM_INLINE V<double> larger_of(V<double> a, V<double> b) { return _mm256_max_pd(a, b); }

PYLSTM_INLINE __m256i lanes_below(float, Dim n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
PYLSTM_INLINE __m256i lanes_below(double, Dim n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
PYLSTM_INLINE V<float> load_n(const float* p, Dim n) { return _mm256_maskload_ps(p, lanes_below(0.0f, n)); }
PYLSTM_INLINE V<double> load_n(const double* p, Dim n) { return _mm256_maskload_pd(p, lanes_below(0.0, n)); }
PYLSTM_INLINE void store_n(float* p, V<float> v, Dim n) { _mm256_maskstore_ps(p, lanes_below(0.0f, n), v); }
PYLSTM_INLINE void store_n(double* p, V<double> v, Dim n) { _mm256_maskstore_pd(p, lanes_below(0.0, n), v); }

PYLSTM_INLINE V<float> load_half(const float* p) { return _mm256_zextps128_ps256(_mm_loadu_ps(p)); }
PYLSTM_INLINE V<double> load_half(const double* p) { return _mm256_zextpd128_pd256(_mm_loadu_pd(p)); }
PYLSTM_INLINE V<float> load_quarter(const float* p) {
  return _mm256_zextps128_ps256(_mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
PYLSTM_INLINE V<double> load_quarter(const double* p) { return _mm256_zextpd128_pd256(_mm_load_sd(p)); }
