// A Dim as an index of a standard container. For source files: no header of ours includes it.
#pragma once

#include <cstddef>

#include "base/types.hpp"

namespace pylstm {

inline std::size_t at(Dim i) { return static_cast<std::size_t>(i); }

}  // namespace pylstm
