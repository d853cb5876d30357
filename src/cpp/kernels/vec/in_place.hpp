// Whether fma is one operation; and fma(a, b, c) in the register of c: compilers else let sums change registers in a
// loop, which costs moves. AArch64 has no other form of the instruction, and nothing can be chosen where there is none,
// or where no register holds c.
#pragma once

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;  // fma rounds twice
#endif

#if defined(__FMA__) && !defined(PYLSTM_BY_HALVES)
PYLSTM_INLINE V<float> fma_in_place(V<float> a, V<float> b, V<float> c) {
  __asm__("vfmadd231ps %2, %1, %0"
          : "+" PYLSTM_VECTOR_REGISTER(c)
          : PYLSTM_VECTOR_REGISTER(a), PYLSTM_VECTOR_REGISTER(b));
  return c;
}
PYLSTM_INLINE V<double> fma_in_place(V<double> a, V<double> b, V<double> c) {
  __asm__("vfmadd231pd %2, %1, %0"
          : "+" PYLSTM_VECTOR_REGISTER(c)
          : PYLSTM_VECTOR_REGISTER(a), PYLSTM_VECTOR_REGISTER(b));
  return c;
}
#else
PYLSTM_INLINE V<float> fma_in_place(V<float> a, V<float> b, V<float> c) { return fma(a, b, c); }
PYLSTM_INLINE V<double> fma_in_place(V<double> a, V<double> b, V<double> c) { return fma(a, b, c); }
#endif
