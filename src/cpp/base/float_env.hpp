// The floating-point state of our calls: denormals are zero, rounding is to nearest, nothing
// traps. Restored on scope exit to the bit, sticky flags included.
#pragma once

namespace pylstm {

unsigned long long float_state() noexcept;  // of this thread

class FloatEnvironment {
 public:
  FloatEnvironment() noexcept;
  explicit FloatEnvironment(unsigned long long state) noexcept;  // float_state() of another time: a caller's
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  unsigned long long saved_;
};

}  // namespace pylstm
