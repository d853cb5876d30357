#include "base/check.hpp"

#include <limits>
#include <new>

namespace pylstm {

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
    if (product > std::numeric_limits<Dim>::max() / dim) throw std::bad_alloc();
    product *= dim;
  }
  return product / element_size;
}

}  // namespace pylstm
