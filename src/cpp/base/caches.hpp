// What the sizes of blocks depend on.
#pragma once

#include "base/types.hpp"

namespace pylstm {

// Bytes of a core's first-level data cache and of its second-level cache; 0 where the system does not tell.
Dim first_level_cache();
Dim second_level_cache();

}  // namespace pylstm
