// Steps that are padding by what they hold.
#pragma once

#include <algorithm>

#include "network/rows.hpp"

namespace pylstm {

// Whether a row of x, dense, is padding: its token is `value`, or all of its features are.
template <class T>
bool is_padding(const Rows<T>& x, Dim row, T value) {
  if (x.ids != nullptr) return static_cast<T>(x.ids[row]) == value;
  const T* features = x.data + row * x.features;
  return std::all_of(features, features + x.features, [value](T feature) { return feature == value; });
}

// The mask of rows of x, and of padding beside it.
template <class T>
void mask_padding(const Rows<T>& x, T value, Range rows, std::uint8_t* mask) {
  for (Dim row = rows.begin; row < rows.end; ++row) {
    mask[row] = (x.mask == nullptr || x.mask[row] != 0) && !is_padding(x, row, value);
  }
}

// 0 in rows of `columns` values beside padding of x.
template <class T, class Out>
void clear_padding(const Rows<T>& x, T value, Range rows, Dim columns, Out* out) {
  for (Dim row = rows.begin; row < rows.end; ++row) {
    if (is_padding(x, row, value)) std::fill_n(out + row * columns, columns, Out(0));
  }
}

}  // namespace pylstm
