// exp, sigmoid and tanh, by one polynomial: exp(r) = 1 + r + r^2 P(r) for |r| <= ln(2) / 2.
// An argument x of type X is a vector V<T> or Many of them. Coefficients: tools/fit_expm1.py. Relative error of the
// polynomial 8e-9 (float), 2e-17 (double).
#pragma once

template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
  static constexpr float log2e = 1.44269504088896340736f;
  static constexpr float ln2_high = 0.693115234375f;  // 14 bits: n * ln2_high is exact
  static constexpr float ln2_low = 0.000031946184945309417232f;
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float lowest = -87.33f, highest = 88.72f, infinity = __builtin_inff();
  static constexpr float tanh_one = 9.02f;  // tanh rounds to 1 from here
  static constexpr int mantissa = 23, bias = 127, degree = 4;
  static constexpr float p[5] = {0.0013926176119935578884f, 0.0083631730745137109028f, 0.041666554662050533982f,
                                 0.1666657702559798819f, 0.5f};
};
template <>
struct ExpConstants<double> {
  static constexpr double log2e = 1.44269504088896340736;
  static constexpr double ln2_high = 0.69314718055920820916;  // 40 bits
  static constexpr double ln2_low = 7.3710025651677989018e-13;
  static constexpr double round = 6755399441055744.0;
  static constexpr double lowest = -708.39, highest = 709.78, infinity = __builtin_inf();
  static constexpr double tanh_one = 19.07;
  static constexpr int mantissa = 52, bias = 1023, degree = 9;
  static constexpr double p[10] = {2.5100375832561233664e-8,  2.7620075879983366586e-7,
                                   2.7557268480310025526e-6,  0.000024801521322368693266,
                                   0.00019841269863040545271, 0.0013888888917196719077,
                                   0.0083333333333300644495,  0.041666666666624161903,
                                   0.16666666666666667452,    0.5};
};

// NaN in v survives both.
template <class T, class X>
PYLSTM_INLINE X at_most(X v, T limit) {
  return smaller_of(X(splat<T>(limit)), v);
}
template <class T, class X>
PYLSTM_INLINE X at_least(X v, T limit) {
  return larger_of(X(splat<T>(limit)), v);
}

// x = n ln(2) + r, exp(r) = 1 + r + r^2 p. n is in the low bits of `n`; those above leave in a shift to the exponent,
// as the constant that rounds has none below.
template <class X, class Bits>
struct Reduced {
  X r, p;
  Bits n;
};

template <class T, class X>
PYLSTM_INLINE auto reduce(X x) {
  using C = ExpConstants<T>;
  const X rounded = fma(x, splat<T>(C::log2e), splat<T>(C::round));
  const X n = rounded - C::round;
  const X r = fma(n, splat<T>(-C::ln2_low), fma(n, splat<T>(-C::ln2_high), x));
  X p = splat<T>(C::p[0]);
#pragma GCC unroll 16
  for (int i = 1; i <= C::degree; ++i) p = fma(p, r, splat<T>(C::p[i]));
  return Reduced<X, decltype(as_bits<T>(rounded))>{r, p, as_bits<T>(rounded)};
}

// value * 2^n for value = exp(r). Adding n to the exponent cannot leave the normal range for x in [lowest, highest].
template <class T, class X, class Bits>
PYLSTM_INLINE X times_power(X value, Bits n, X x) {
  const X scaled = from_bits<T>(as_bits<T>(value) + (n << ExpConstants<T>::mantissa));
  return if_number(x, scaled);  // the exponent of a NaN may have been changed
}

// x between the bounds, or NaN.
template <class T, class X>
PYLSTM_INLINE X inside(X x) {
  return at_least<T>(at_most<T>(x, ExpConstants<T>::highest), ExpConstants<T>::lowest);
}

// 1 + r is rounded once and its error carried on: exp(r) - 1 would be rounded a second time, at half the size of
// the result's ulp when r < 0.
template <class T>
PYLSTM_INLINE V<T> exp_between(V<T> x) {
  const auto parts = reduce<T>(x);
  const V<T> sum = 1 + parts.r, low = parts.r - (sum - 1);
  return times_power<T>(sum + fma(parts.r * parts.r, parts.p, low), parts.n, x);
}

template <class T>
PYLSTM_INLINE V<T> vector_exp(V<T> x) {
  using C = ExpConstants<T>;
  const V<T> value = exp_between<T>(inside<T>(x));
  const V<T> bounded = x > C::highest ? splat<T>(C::infinity) : value;
  return x < C::lowest ? V<T>{} : bounded;
}

// vector_exp for x <= 0 or NaN.
template <class T>
PYLSTM_INLINE V<T> exp_of_negative(V<T> x) {
  using C = ExpConstants<T>;
  const V<T> value = exp_between<T>(at_least<T>(x, C::lowest));
  return x < C::lowest ? V<T>{} : value;
}

// 1 / (1 + exp(-x)), with the shorter exp: its last half ulp is lost in the sum.
template <class T, class X>
PYLSTM_INLINE X vector_sigmoid(X x) {
  const X y = inside<T>(-x);
  const auto parts = reduce<T>(y);
  return 1 / (1 + times_power<T>(X(1 + fma(parts.r * parts.r, parts.p, parts.r)), parts.n, y));
}

// expm1(2|x|) / (expm1(2|x|) + 2): no cancellation near 0, at most 1 far from it.
template <class T, class X>
PYLSTM_INLINE X vector_tanh(X x) {
  using C = ExpConstants<T>;
  const X y = at_most<T>(absolute<T>(x), C::tanh_one);
  const auto parts = reduce<T>(X(y + y));
  const X power = from_bits<T>((parts.n + C::bias) << C::mantissa);  // 2^n
  const X expm1 = fma(power, fma(parts.r * parts.r, parts.p, parts.r), power - 1);
  return with_sign_of<T>(X(expm1 / (expm1 + 2)), x);
}
