// The floating-point state of our calls: denormals are zero, rounding is to nearest, nothing
// traps. Restored on scope exit to the bit, sticky flags included.
#pragma once

namespace pylstm {

class FloatEnvironment {
 public:
  FloatEnvironment() noexcept;
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  unsigned long long saved_;
};

}  // namespace pylstm
