// x86-64 as every processor has it: SSE2, no fused multiply-add, so fma rounds twice.
#pragma once
#define PYLSTM_VEC_BYTES 16
#define PYLSTM_PANEL_VECTORS 2
#define PYLSTM_TILE_ROWS 6
#define PYLSTM_VECTORS_TOGETHER 1
#define PYLSTM_VECTOR_REGISTER "x"
#include "kernels/vec/vec.hpp"

#include "kernels/vec/tails.hpp"

PYLSTM_INLINE V<float> fma(V<float> a, V<float> b, V<float> c) { return a * b + c; }
PYLSTM_INLINE V<double> fma(V<double> a, V<double> b, V<double> c) { return a * b + c; }
constexpr bool kStoresPast = true;
PYLSTM_INLINE void store_past(float* p, V<float> v) { _mm_stream_ps(p, v); }
PYLSTM_INLINE void store_past(double* p, V<double> v) { _mm_stream_pd(p, v); }
PYLSTM_INLINE void finish_stores() { _mm_sfence(); }
PYLSTM_INLINE V<float> root(V<float> a) { return _mm_sqrt_ps(a); }
PYLSTM_INLINE V<double> root(V<double> a) { return _mm_sqrt_pd(a); }
// a < b ? a : b and a > b ? a : b; b if either is NaN. Compilers do not find the one instruction.
PYLSTM_INLINE V<float> smaller_of(V<float> a, V<float> b) { return _mm_min_ps(a, b); }
PYLSTM_INLINE V<double> smaller_of(V<double> a, V<double> b) { return _mm_min_pd(a, b); }
PYLSTM_INLINE V<float> larger_of(V<float> a, V<float> b) { return _mm_max_ps(a, b); }
PYLSTM_INLINE V<double> larger_of(V<double> a, V<double> b) { return _mm_max_pd(a, b); }

PYLSTM_INLINE V<float> load_half(const float* p) {
  return _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
PYLSTM_INLINE V<double> load_half(const double* p) { return _mm_load_sd(p); }
PYLSTM_INLINE V<float> load_quarter(const float* p) { return _mm_load_ss(p); }
// As many elements as a vector of doubles has.
PYLSTM_INLINE V<double> load_as_double(const float* p) { return _mm_cvtps_pd(load_half(p)); }
