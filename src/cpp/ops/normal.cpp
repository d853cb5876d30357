#include "ops/normal.hpp"

#include <cmath>
#include <cstring>

namespace pylstm {

double portable_log(double x) {
  constexpr double kLn2 = 0.693147180559945309417;
  constexpr std::uint64_t kFraction = (std::uint64_t{1} << 52) - 1, kOne = std::uint64_t{1023} << 52;
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & kFraction) | kOne;
  double m;  // x = m * 2^exponent, m in [1, 2), then within a factor sqrt(2) of 1
  std::memcpy(&m, &bits, sizeof(m));
  if (m > 1.4142135623730951) {
    m /= 2;
    ++exponent;
  }
  // ln m = 2 artanh s = 2 (s + s^3 / 3 + ...) with s = (m - 1) / (m + 1), |s| < 0.172: s^24 / 25 < 2e-20 is left out.
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return exponent * kLn2 + 2 * s * sum;
}

// Marsaglia's polar method: a point of the disc gives two numbers.
double NormalNumbers::next() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  for (;;) {
    // Odd multiples of 2^-53: symmetric about 0 and never 0.
    const double u = 2 * random_.uniform(drawn_) - 1 + 0x1p-53, v = 2 * random_.uniform(drawn_ + 1) - 1 + 0x1p-53;
    drawn_ += 2;
    const double square = u * u + v * v;
    if (square >= 1) continue;
    const double scale = std::sqrt(-2 * portable_log(square) / square);
    spare_ = v * scale;
    has_spare_ = true;
    return u * scale;
  }
}

}  // namespace pylstm
