// The plain types that every room shares. No member functions and no standard
// library beyond <stddef.h>: the kernels include this file under many flags.
#pragma once

#include <stddef.h>

namespace pylstm {

static_assert(sizeof(ptrdiff_t) == 8, "sizes are products that 32 bits do not hold");

using Dim = ptrdiff_t;  // sizes, strides and indices, in elements unless said otherwise

struct Range {
  Dim begin;
  Dim end;
};

}  // namespace pylstm
