// How many steps of an LSTM are projected at a time (z = b + x W), before they are walked.
#pragma once

#include <algorithm>

#include "ops/lstm.hpp"

namespace pylstm {

// Pre-activations of a chunk (bytes): with the recurrent weights of 128 units, 16 * 128 * 128 bytes, they fill a
// second-level cache of 512 KiB ...
inline constexpr Dim kLstmChunkBytes = 256 * 1024;
// ... but no fewer rows than this: then a weight of the kernel is read in 4 % of the time of its 2 * 96 operations, on
// a Zen 5 with AVX-512 in float: a core has 276 GFLOP/s and reads 128 GB/s out of the third-level cache.
inline constexpr Dim kLstmChunkRows = 96;

// Steps of a chunk of `height` rows.
template <class T>
Dim chunk_steps(const LstmRun<T>& run, Dim height) {
  const Dim fitting = kLstmChunkBytes / (height * run.weights->z_columns * static_cast<Dim>(sizeof(T)));
  return std::min(run.schedule->steps, std::max(fitting, (kLstmChunkRows + height - 1) / height));
}

// At least the rows of a chunk of whatever height up to `height`.
template <class T>
Dim most_chunk_rows(const LstmRun<T>& run, Dim height) {
  const Dim fitting = kLstmChunkBytes / (run.weights->z_columns * static_cast<Dim>(sizeof(T)));
  return std::min(run.schedule->steps * height, std::max(fitting, kLstmChunkRows + height - 1));
}

}  // namespace pylstm
