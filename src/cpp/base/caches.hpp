// What the sizes of blocks depend on.
#pragma once

#include "base/types.hpp"

namespace pylstm {

// Bytes of a core's first-level data cache and of its second-level cache; 0 where the system does not tell.
Dim first_level_cache();
Dim second_level_cache();

// A Zen 5 has 1 MiB a core; an Emerald Rapids 2 MiB, and a third level that is slow.
inline bool second_level_is_large() { return second_level_cache() >= (1 << 20); }

}  // namespace pylstm
