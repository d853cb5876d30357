// Inverted dropout. A mask is a pure function of the seed and the place of the element, so that
// backward and any number of threads recompute the same one.
#pragma once

#include "base/philox.hpp"
#include "base/types.hpp"

namespace pylstm {

// out[i] = 0 with probability `rate`, else 1 / (1 - rate), for elements first .. first + count.
// rate in [0, 1]; 1 drops everything.
template <class T>
void dropout_mask(const Philox& random, double rate, Dim first, Dim count, T* out);

// y = x * mask over n elements, the mask from its element `first` on; y may equal x. Forward and backward are the same
// operation.
template <class T>
void dropout(const Philox& random, double rate, Dim first, Dim n, const T* x, T* y);

}  // namespace pylstm
