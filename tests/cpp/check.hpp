// What every C++ test uses: checks that count and go on, and random numbers that never change.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <sstream>
#include <string>

namespace pylstm::test {

struct Report {
  std::string context;  // "avx2 float: " before every message
  long checks = 0, failures = 0;
};

inline Report& report() {
  static Report instance;
  return instance;
}

inline bool count(bool passed) {
  ++report().checks;
  return passed;
}

// Prints the parts, for the first few failures; false.
template <class... Parts>
bool fail(const Parts&... parts) {
  constexpr long kShown = 40;
  if (++report().failures <= kShown) {
    std::ostringstream out;
    out.precision(std::numeric_limits<double>::max_digits10);
    (out << ... << parts);
    std::printf("FAILED %s%s\n", report().context.c_str(), out.str().c_str());
  }
  return false;
}

// Prints the count and returns what main returns.
inline int finish(const char* name) {
  std::printf("%s: %ld checks, %ld failures\n", name, report().checks, report().failures);
  return report().failures == 0 ? 0 : 1;
}

// The same bits; a NaN equals itself and 0 differs from -0.
template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

class Random {
 public:
  explicit Random(unsigned long long seed) : engine_(seed) {}
  // In [low, high): the engine's output is fixed by the standard, the library's distributions are not.
  template <class T>
  T uniform(T low, T high) {
    return static_cast<T>(low + (high - low) * (static_cast<double>(engine_() >> 11) * 0x1p-53));
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace pylstm::test

// Whether the condition holds; the message is formed only when it does not.
#define PYLSTM_EXPECT(condition, ...) (::pylstm::test::count(condition) || ::pylstm::test::fail(__VA_ARGS__))
