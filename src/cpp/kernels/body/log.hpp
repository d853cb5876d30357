// The natural logarithm of a normal positive double, <= 2.5 ulp: one call a row of the cross-entropy of a softmax. The
// C library's, which ops/losses.cpp calls for other losses, differs between systems, and that loss must not.
#pragma once

// log(m) = 2 atanh(s), s = (m - 1) / (m + 1), for m in [sqrt(1/2), sqrt(2)): |s| < 0.1716, where the
// series to s^23 has a relative error below 1e-18.
inline double natural_log(double x) {
  if (!(x > 0) || x - x != 0) return x == 0 ? -__builtin_inf() : x;  // NaN, inf
  int64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  int64_t exponent = (bits >> 52) - 1023;
  bits = (bits & 0xFFFFFFFFFFFFFll) | (1023ll << 52);
  double m;
  __builtin_memcpy(&m, &bits, 8);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1), q = s * s;
  double series = 0;
  for (int k = 23; k >= 3; k -= 2) series = series * q + 1.0 / k;
  const double log_m = 2 * s + 2 * s * q * series;
  return double(exponent) * 0.693147180559945286 + (log_m + double(exponent) * 2.3190468138462996e-17);
}
