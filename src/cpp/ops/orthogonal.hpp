// Random matrices with orthonormal rows.
#pragma once

#include "base/types.hpp"
#include "ops/normal.hpp"

namespace pylstm {

// out [count, width], count <= width, dense: orthonormal rows, uniformly distributed, as are those of Q in QR of a
// Gaussian matrix with positive R. The same bits whatever the threads and the instruction set.
void orthonormal_rows(NormalNumbers& random, Dim count, Dim width, double* out);

}  // namespace pylstm
