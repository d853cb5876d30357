// AArch64 Advanced SIMD.
#pragma once
#define PYLSTM_VEC_BYTES 16
#define PYLSTM_PANEL_VECTORS 4
#define PYLSTM_TILE_ROWS 6
#define PYLSTM_VECTORS_TOGETHER 1  // more not measured
#define PYLSTM_VECTOR_REGISTER "w"
#include "kernels/vec/vec.hpp"

#include "kernels/vec/tails.hpp"

PYLSTM_INLINE V<float> fma(V<float> a, V<float> b, V<float> c) {
  return (V<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
PYLSTM_INLINE V<double> fma(V<double> a, V<double> b, V<double> c) {
  return (V<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
constexpr bool kStoresPast = false;
PYLSTM_INLINE void store_past(float* p, V<float> v) { store(p, v); }
PYLSTM_INLINE void store_past(double* p, V<double> v) { store(p, v); }
PYLSTM_INLINE void finish_stores() {}
PYLSTM_INLINE V<float> root(V<float> a) { return (V<float>)vsqrtq_f32((float32x4_t)a); }
PYLSTM_INLINE V<double> root(V<double> a) { return (V<double>)vsqrtq_f64((float64x2_t)a); }
// As many elements as a vector of doubles has.
PYLSTM_INLINE V<double> load_as_double(const float* p) { return (V<double>)vcvt_f64_f32(vld1_f32(p)); }
// b if either is NaN, which the instruction would pass on.
PYLSTM_INLINE V<float> smaller_of(V<float> a, V<float> b) { return a < b ? a : b; }
PYLSTM_INLINE V<double> smaller_of(V<double> a, V<double> b) { return a < b ? a : b; }
PYLSTM_INLINE V<float> larger_of(V<float> a, V<float> b) { return a > b ? a : b; }
PYLSTM_INLINE V<double> larger_of(V<double> a, V<double> b) { return a > b ? a : b; }

PYLSTM_INLINE V<float> load_half(const float* p) { return (V<float>)vcombine_f32(vld1_f32(p), vdup_n_f32(0)); }
PYLSTM_INLINE V<double> load_half(const double* p) { return (V<double>)vcombine_f64(vld1_f64(p), vdup_n_f64(0)); }
PYLSTM_INLINE V<float> load_quarter(const float* p) { return (V<float>)vld1q_lane_f32(p, vdupq_n_f32(0), 0); }
