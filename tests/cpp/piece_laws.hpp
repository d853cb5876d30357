// Paces as a test wishes them, and the laws of sharing work out.
#pragma once

#include "base/paces.hpp"

namespace pylstm::test {

// As if each thread had lately been faster than the one before, or as fast.
inline void set_paces(int threads, bool differ) {
  for (int region = 0; region < 40; ++region) {
    Paces paces(threads);
    for (int i = 0; i < threads; ++i) paces.did(i, differ ? 1 + i : 1, 1);
  }
}

void piece_laws();

}  // namespace pylstm::test
