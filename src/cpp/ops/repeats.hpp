// Rows of which many are equal, as those of tokens that occur again.
#pragma once

#include <cstdint>

#include "base/types.hpp"

namespace pylstm {

template <class T>
struct Repeats {
  const T* values = nullptr;  // [count, columns]: every distinct row once; null: the rows are not known to repeat
  Dim count = 0;
  const std::int32_t* index = nullptr;  // [rows]: row m equals values row index[m]
};

}  // namespace pylstm
