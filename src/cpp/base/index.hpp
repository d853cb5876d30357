// Dims as indices and sizes. For source files: no header of ours includes it.
#pragma once

#include <cstddef>

#include "base/types.hpp"

namespace pylstm {

// As an index of a standard container.
inline std::size_t at(Dim i) { return static_cast<std::size_t>(i); }

// The least multiple that is not below n; n >= 0, multiple > 0.
constexpr Dim round_up(Dim n, Dim multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace pylstm
