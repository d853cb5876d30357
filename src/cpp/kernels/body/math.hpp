// exp, sigmoid and tanh, by one polynomial: exp(r) = 1 + r + r^2 P(r) for |r| <= ln(2) / 2, or a 16th of that.
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
  static constexpr float ln2 = 0.69314718055994530942f;
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float lowest = -87.33f, highest = 88.72f, infinity = __builtin_inff();
  static constexpr float tanh_one = 9.02f;      // tanh rounds to 1 from here
  static constexpr float sigmoid_zero = 88.3f;  // sigmoid(-x) is no normal number, and 1 + exp(x) is finite
  // exp(-x) is no normal number, and n so small that 2^n is 0 or, of parts, a denormal, which our state takes for 0.
  static constexpr float exp_zero = 88;
  static constexpr int mantissa = 23, bias = 127;
};
template <>
struct ExpConstants<double> {
  static constexpr double log2e = 1.44269504088896340736;
  static constexpr double ln2_high = 0.69314718055920820916;  // 40 bits
  static constexpr double ln2_low = 7.3710025651677989018e-13;
  static constexpr double ln2 = 0.69314718055994530942;
  static constexpr double round = 6755399441055744.0;
  static constexpr double lowest = -708.39, highest = 709.78, infinity = __builtin_inf();
  static constexpr double tanh_one = 19.07, sigmoid_zero = 709.4, exp_zero = 709;
  static constexpr int mantissa = 52, bias = 1023;
};

// P, for |r| <= ln(2) / (2 kParts).
template <class T, int kParts>
struct ExpPolynomial;
template <>
struct ExpPolynomial<float, 1> {
  static constexpr int degree = 4;
  static constexpr float p[] = {0.0013926176119935578884f, 0.0083631730745137109028f, 0.041666554662050533982f,
                                0.1666657702559798819f, 0.5f};
};
template <>
struct ExpPolynomial<float, 16> {
  static constexpr int degree = 1;
  static constexpr float p[] = {0.16666862164590477191f, 0.50000977491803010301f};
};
template <>
struct ExpPolynomial<double, 1> {
  static constexpr int degree = 9;
  static constexpr double p[] = {2.5100375832561233664e-8,  2.7620075879983366586e-7,
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

// exp(ax) = 2^n exp(ar) and exp(ar) = 1 + ar + |a| r^2 p, where n is a multiple of 1 / kParts. The low bits of `n` are
// kParts (n + the exponent's bias); those above leave in a shift to the exponent.
template <int kParts, class X, class Bits>
struct Reduced {
  X r, p;
  Bits n;
};

// For a of 1, -1 and -2, by which constants are multiplied without rounding. kPrecise: ln(2) in two parts, for any n;
// else in one, whose error grows with n, as for tanh its argument's matters less and less.
template <class T, int a, bool kPrecise, int kParts = 1, class X>
PYLSTM_INLINE auto reduce(X x) {
  using C = ExpConstants<T>;
  using P = ExpPolynomial<T, kParts>;
  constexpr T kRound = C::round / kParts + C::bias;
  const X rounded = fma(x, splat<T>(C::log2e * a), splat<T>(kRound));
  const X n = rounded - kRound;
  const X r = kPrecise ? fma(n, splat<T>(-C::ln2_low / a), fma(n, splat<T>(-C::ln2_high / a), x))
                       : fma(n, splat<T>(-C::ln2 / a), x);
  const auto coefficient = [](int i) {
    const int power = P::degree - i;
    return splat<T>(P::p[i] * T(a == -2 ? 2 << power : 1) * T(a < 0 && power % 2 != 0 ? -1 : 1));
  };
  X p = coefficient(0);
#pragma GCC unroll 16
  for (int i = 1; i <= P::degree; ++i) p = fma(p, r, coefficient(i));
  return Reduced<kParts, X, decltype(as_bits<T>(rounded))>{r, p, as_bits<T>(rounded)};
}

// The bits of 2^(j / 16), less j / 16 and the bias in the place of the exponent, where n brings them. From
// tools/fit_expm1.py.
alignas(64) constexpr int32_t kPowerBits[16] = {0,       -152893, -289342, -408621, -509968, -592590, -655657, -698305,
                                                -719629, -718684, -694486, -646004, -572163, -471841, -343865, -187011};

// 2^n, and 0, or of parts a denormal, for the n below that of the smallest normal number.
template <class T, int kParts, class X, class Bits>
PYLSTM_INLINE X power_of_two(const Reduced<kParts, X, Bits>& parts) {
  constexpr int kMantissa = ExpConstants<T>::mantissa;
  if constexpr (kParts == 1) {
    return from_bits<T>(parts.n << kMantissa);
  } else {
    static_assert(kParts == 16 && sizeof(T) == 4, "as kPowerBits");
    const auto table = as_bits<T>(load(reinterpret_cast<const T*>(kPowerBits)));
    return from_bits<T>((parts.n << (kMantissa - 4)) + looked_up(table, parts.n));
  }
}

// exp(r). 1 + r is rounded once and its error carried on: exp(r) - 1 would be rounded a second time, at half the size
// of the result's ulp when r < 0.
template <class T, class X, class Bits>
PYLSTM_INLINE X exp_of_rest(const Reduced<1, X, Bits>& parts) {
  const X sum = 1 + parts.r, low = parts.r - (sum - 1);
  return sum + fma(parts.r * parts.r, parts.p, low);
}

template <class T>
PYLSTM_INLINE V<T> vector_exp(V<T> x) {
  using C = ExpConstants<T>;
  const V<T> y = at_least<T>(at_most<T>(x, C::highest), C::lowest);
  const auto parts = reduce<T, 1, true>(y);
  // 2^n may overflow where exp(x) does not, so n is added to the exponent; that may turn a NaN into a number.
  const V<T> scaled = from_bits<T>(as_bits<T>(exp_of_rest<T>(parts)) + ((parts.n - C::bias) << C::mantissa));
  const V<T> value = x != x ? x : scaled, bounded = x > C::highest ? splat<T>(C::infinity) : value;
  return x < C::lowest ? V<T>{} : bounded;
}

// exp(x) for x <= 0 or NaN, 0 where it is no normal number. Shorter than vector_exp, and a third of an ulp less exact.
template <class T, class X>
PYLSTM_INLINE X exp_of_negative(X x) {
  constexpr int kParts = kLooksUp<T> ? 16 : 1;
  const auto parts = reduce<T, 1, true, kParts>(at_least<T>(x, -ExpConstants<T>::exp_zero));
  const X q = fma(parts.r * parts.r, parts.p, parts.r), power = power_of_two<T>(parts);
  // A product of its own would be flushed where both are small.
  return kFused ? fma(power, q, power) : (1 + q) * power;
}

// 1 / (1 + exp(-x)), with the shorter exp: its last half ulp is lost in the sum. 1 + 2^n loses at most half an ulp of
// that.
template <class T, class X>
PYLSTM_INLINE X vector_sigmoid(X x) {
  using C = ExpConstants<T>;
  const auto parts = reduce<T, -1, true>(at_least<T>(at_most<T>(x, -C::lowest), -C::sigmoid_zero));
  const X power = power_of_two<T>(parts);
  return 1 / fma(power, fma(parts.r * parts.r, parts.p, -parts.r), 1 + power);
}

// (1 - exp(-2|x|)) / (1 + exp(-2|x|)) for exp(-2|x|) = 2^n (1 + 2q). No cancellation near 0, where n is 0; at most 1
// far from it.
template <class T, class X>
PYLSTM_INLINE X vector_tanh(X x) {
  using C = ExpConstants<T>;
  const auto parts = reduce<T, -2, false>(at_most<T>(absolute<T>(x), C::tanh_one));
  const X q = fma(parts.r * parts.r, parts.p, -parts.r);
  const X power = power_of_two<T>(parts), twice = power + power;
  return with_sign_of<T>(X(fma(-twice, q, 1 - power) / fma(twice, q, 1 + power)), x);
}
