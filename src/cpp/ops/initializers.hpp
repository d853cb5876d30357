// Random initial values and orders, the same bits everywhere: from Philox and correctly rounded operations, whatever
// the version of NumPy, of a BLAS or of the C library, the instruction set and the threads. In double; the caller
// rounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/types.hpp"

namespace pylstm {

// kind: "uniform" in [a, b); "normal" with mean a and deviation b; "truncated_normal", the same redrawn
// beyond two deviations; "orthogonal": gain a times a matrix with orthonormal rows (or columns,
// whichever are fewer), shape of two dimensions. Throws std::invalid_argument otherwise.
std::vector<double> initial_values(const std::string& kind, const std::vector<Dim>& shape, double a, double b,
                                   std::uint64_t seed, std::uint32_t stream);

// A permutation of 0 .. n - 1 (Fisher and Yates).
std::vector<std::int64_t> permutation(Dim n, std::uint64_t seed, std::uint32_t stream);

}  // namespace pylstm
