// Somebody else's array: any real dtype, byte order and strides. Elements are read one batch at a
// time; the array itself is never copied or written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace pylstm {

enum class ElementType { kBool, kI8, kI16, kI32, kI64, kU8, kU16, kU32, kU64, kF16, kF32, kF64 };

struct ArrayView {
  const unsigned char* data = nullptr;
  ElementType type = ElementType::kF32;
  bool swapped = false;  // not in this machine's byte order
  std::vector<Dim> shape;
  std::vector<Dim> strides;  // in bytes

  bool empty() const { return data == nullptr && shape.empty(); }
  Dim rank() const { return static_cast<Dim>(shape.size()); }
};

bool is_floating(ElementType type);
std::size_t element_size(ElementType type);

// Element i of `count` elements from byte address `from`, `stride` bytes apart, converted to Out. Integers that Out
// cannot hold exactly are rounded. What is floating and not in an integral Out's range, and NaN, becomes -1; integers
// have no range check.
template <class Out>
void read_elements(const ArrayView& array, const unsigned char* from, Dim stride, Dim count, Out* out);

// All elements of `array`, whose shape must be `shape` of at most three dimensions, in C order as T. Throws
// std::invalid_argument that names `name`.
template <class T>
void read_array(const ArrayView& array, const std::vector<Dim>& shape, const std::string& name, T* out);

}  // namespace pylstm
