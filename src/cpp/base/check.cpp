#include "base/check.hpp"

#include <cstdio>
#include <limits>

namespace pylstm {

OutOfMemory::OutOfMemory(unsigned long long bytes) noexcept {
  if (bytes == 0) {
    std::snprintf(text_, sizeof(text_), "cannot allocate an array of more than 2^63 bytes");
  } else {
    std::snprintf(text_, sizeof(text_), "cannot allocate %llu bytes", bytes);
  }
}

std::string shape_text(const std::vector<Dim>& shape) {
  std::ostringstream out;
  out << '(';
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out << ", ";
    if (shape[i] < 0) {
      out << "None";
    } else {
      out << shape[i];
    }
  }
  if (shape.size() == 1) out << ',';
  out << ')';
  return out.str();
}

Dim checked_product(const std::vector<Dim>& shape, Dim element_size) {
  Dim product = element_size;
  for (const Dim dim : shape) {
    if (dim == 0) return 0;
    if (product > std::numeric_limits<Dim>::max() / dim) throw OutOfMemory(0);
    product *= dim;
  }
  return product / element_size;
}

}  // namespace pylstm
