#include "base/caches.hpp"

#if defined(__unix__)
#include <unistd.h>
#endif

namespace pylstm {

Dim first_level_cache() {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  static const long bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE);
  return bytes > 0 ? static_cast<Dim>(bytes) : 0;
#else
  return 0;
#endif
}

Dim second_level_cache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? static_cast<Dim>(bytes) : 0;
#else
  return 0;
#endif
}

}  // namespace pylstm
