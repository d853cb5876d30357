// One token drawn from a distribution over a vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.hpp"

namespace pylstm {

struct SampleOptions {
  double temperature = 1;  // 0: the likeliest token, the first of equal ones
  Dim top_k = 0;           // of the likeliest tokens, so many; 0: all
  double top_p = 1;        // of those, the fewest likeliest that together have this share of their weights
  std::uint64_t seed = 0;
};

// Memory for any number of draws.
template <class T>
struct SampleScratch {
  std::vector<Dim> ids;
  std::vector<T> weights;
};

// The token at `uniform`, from 0 to below 1, of the weights p ^ (1 / temperature) of the tokens kept, in the order of
// their ids: whatever order the likelihoods have, near equal ones cannot change which token a number means. Of equal
// likelihoods, the first ids are kept. p: [count] probabilities, finite.
template <class T>
Dim sample(const T* p, Dim count, const SampleOptions& options, double uniform, SampleScratch<T>& scratch);

}  // namespace pylstm
