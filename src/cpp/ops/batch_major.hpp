// From the engine's order of rows to the caller's.
#pragma once

#include <cstdint>

#include "base/types.hpp"

namespace pylstm {

// y[rows[b], t] = x[t, b] for x [steps, batch, features] and rows of y [steps, features]; `rows` are distinct, null: b.
template <class T>
void to_batch_major(const T* x, Dim steps, Dim batch, Dim features, const std::int64_t* rows, T* y);

}  // namespace pylstm
