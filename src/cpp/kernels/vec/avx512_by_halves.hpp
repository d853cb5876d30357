// What the AVX-512 kernels compute, to the bit, on a processor that has only AVX2: for their laws, not for use. The
// intrinsics that avx512.hpp names work on two halves; the vector extension splits all else by itself. For GCC.
#pragma once
#if defined(__clang__)
#error "avx512_by_halves needs GCC"
#endif
#define PYLSTM_VECTOR_REGISTER "m"  // no register holds such a vector
#define PYLSTM_BY_HALVES
#define PYLSTM_HALVES inline __attribute__((always_inline))  // PYLSTM_INLINE comes with avx512.hpp

template <class Whole, class Half>
union Halves {
  Whole whole;
  Half half[2];
};
using FloatHalves = Halves<__m512, __m256>;
using DoubleHalves = Halves<__m512d, __m256d>;

template <class Of, class F, class... Whole>
PYLSTM_HALVES auto by_halves(F f, Whole... x) {
  Of result;
  for (int i = 0; i < 2; ++i) result.half[i] = f(Of{x}.half[i]...);
  return result.whole;
}
template <class Of, class Half>
PYLSTM_HALVES auto joined_halves(Half low, Half high) {
  Of result;
  result.half[0] = low;
  result.half[1] = high;
  return result.whole;
}
#define PYLSTM_FLOATS(name, ...) by_halves<FloatHalves>([](auto... x) { return _mm256_##name(x...); }, __VA_ARGS__)
#define PYLSTM_DOUBLES(name, ...) by_halves<DoubleHalves>([](auto... x) { return _mm256_##name(x...); }, __VA_ARGS__)
#define _mm512_fmadd_ps(...) PYLSTM_FLOATS(fmadd_ps, __VA_ARGS__)
#define _mm512_fmadd_pd(...) PYLSTM_DOUBLES(fmadd_pd, __VA_ARGS__)
#define _mm512_sqrt_ps(...) PYLSTM_FLOATS(sqrt_ps, __VA_ARGS__)
#define _mm512_sqrt_pd(...) PYLSTM_DOUBLES(sqrt_pd, __VA_ARGS__)
#define _mm512_min_ps(...) PYLSTM_FLOATS(min_ps, __VA_ARGS__)
#define _mm512_min_pd(...) PYLSTM_DOUBLES(min_pd, __VA_ARGS__)
#define _mm512_max_ps(...) PYLSTM_FLOATS(max_ps, __VA_ARGS__)
#define _mm512_max_pd(...) PYLSTM_DOUBLES(max_pd, __VA_ARGS__)

#define _mm512_zextps256_ps512(low) joined_halves<FloatHalves>(low, __m256{})
#define _mm512_zextpd256_pd512(low) joined_halves<DoubleHalves>(low, __m256d{})
#define _mm512_zextps128_ps512(low) _mm512_zextps256_ps512(_mm256_zextps128_ps256(low))
#define _mm512_zextpd128_pd512(low) _mm512_zextpd256_pd512(_mm256_zextpd128_pd256(low))

PYLSTM_HALVES __m512d halves_as_double(__m256 v) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(v)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
  return joined_halves<DoubleHalves>(low, high);
}
#define _mm512_cvtps_pd(v) halves_as_double(v)

PYLSTM_HALVES void stream_halves(float* p, FloatHalves v) {
  for (int i = 0; i < 2; ++i) _mm256_stream_ps(p + 8 * i, v.half[i]);
}
PYLSTM_HALVES void stream_halves(double* p, DoubleHalves v) {
  for (int i = 0; i < 2; ++i) _mm256_stream_pd(p + 4 * i, v.half[i]);
}
#define _mm512_stream_ps(p, v) stream_halves(p, FloatHalves{v})
#define _mm512_stream_pd(p, v) stream_halves(p, DoubleHalves{v})

// Lanes whose bit is 0 are neither read nor written.
template <class Whole, class T>
PYLSTM_HALVES Whole load_lanes_of(unsigned mask, const T* p) {
  Whole v = {};
  for (unsigned l = 0; l < 64 / sizeof(T); ++l) {
    if ((mask >> l & 1) != 0) v[l] = p[l];
  }
  return v;
}
template <class Whole, class T>
PYLSTM_HALVES void store_lanes_of(T* p, unsigned mask, Whole v) {
  for (unsigned l = 0; l < 64 / sizeof(T); ++l) {
    if ((mask >> l & 1) != 0) p[l] = v[l];
  }
}
#define _mm512_maskz_loadu_ps(mask, p) load_lanes_of<__m512>(mask, p)
#define _mm512_maskz_loadu_pd(mask, p) load_lanes_of<__m512d>(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) store_lanes_of<__m512>(p, mask, v)
#define _mm512_mask_storeu_pd(p, mask, v) store_lanes_of<__m512d>(p, mask, v)

PYLSTM_HALVES __m512i lanes_at(__m512i at, __m512i table) {
  typedef int32_t Lanes __attribute__((vector_size(64)));
  return reinterpret_cast<__m512i>(__builtin_shuffle(
      reinterpret_cast<Lanes>(table), reinterpret_cast<Lanes>(at)));  // takes at % 16, as the instruction does
}
#define _mm512_permutexvar_epi32(at, table) lanes_at(at, table)

#include "kernels/vec/avx512.hpp"

#undef PYLSTM_HALVES
