// Checks whose messages name the argument, what was expected and what came.
#pragma once

#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace pylstm {

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Throws std::invalid_argument with the concatenation of `parts` unless `condition`.
template <class... Parts>
void check(bool condition, const Parts&... parts) {
  if (!condition) throw std::invalid_argument(text(parts...));
}

// "(3, None, 4)": -1 stands for a dimension that is not known yet.
std::string shape_text(const std::vector<Dim>& shape);

// std::bad_alloc that says what was asked for. Needs no memory itself.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(unsigned long long bytes) noexcept;  // 0: more than can be addressed
  const char* what() const noexcept override { return text_; }

 private:
  char text_[64];
};

// The product of the dimensions; throws OutOfMemory when `product * element_size` overflows Dim.
Dim checked_product(const std::vector<Dim>& shape, Dim element_size = 1);

}  // namespace pylstm
