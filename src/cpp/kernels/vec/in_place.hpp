// fma(a, b, c) in the register of c: compilers else let sums change registers in a loop, which costs moves. The only
// form of the instruction that AArch64 has, and nothing to choose where there is none.
#pragma once

#if defined(__FMA__)
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
