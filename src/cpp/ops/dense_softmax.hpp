// The dense softmax layer at prediction.
#pragma once

#include "ops/softmax_loss.hpp"

namespace pylstm {

// Dense layer and softmax: y[r] [units] are the probabilities of x[r] [inputs]. Rows that lie together
// run together, so that outputs which do are written together; past_caches: past the caches if they are many, for a
// caller that does not read them soon. Every y[r] is aligned to T. Incomplete when `interrupt` asks to stop.
template <class T>
void dense_softmax(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* const* x, Dim rows,
                   T* const* y, bool past_caches, Interrupt* interrupt, CrossEntropyScratch<T>& scratch);

// What it reserves at most, of as many rows or fewer.
template <class T>
std::size_t dense_softmax_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, Dim rows);

}  // namespace pylstm
