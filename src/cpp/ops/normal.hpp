// Standard normal numbers from additions, multiplications, divisions and square roots alone, which IEEE 754 rounds the
// same way everywhere: with the C library's log and cos a seed would have other bits on another system, and with the
// kernels' log on another instruction set.
#pragma once

#include "base/philox.hpp"

namespace pylstm {

// ln x for normal x > 0, to about 1e-15 of max(1, |ln x|).
double portable_log(double x);

// A sequence that is a function of the generator alone.
class NormalNumbers {
 public:
  explicit NormalNumbers(const Philox& random) : random_(random) {}
  double next();  // never 0

 private:
  Philox random_;
  std::uint64_t drawn_ = 0;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace pylstm
