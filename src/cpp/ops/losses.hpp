// Losses over rows. A row is one sample, or one step of one sample; its loss is the mean over its
// outputs (Keras), and the whole loss sum(weight * loss) / count, formed by the caller in row order.
#pragma once

#include <cstdint>
#include <vector>

#include "base/interrupt.hpp"
#include "ops/dense.hpp"

namespace pylstm {

enum class Loss {
  kCategoricalCrossentropy,
  kSparseCategoricalCrossentropy,
  kBinaryCrossentropy,
  kMeanSquaredError,
  kMeanAbsoluteError,
};

template <class T>
struct Targets {
  const std::int32_t* labels = nullptr;  // [rows] for sparse targets
  const T* dense = nullptr;              // [rows, columns] otherwise
  const T* weights = nullptr;            // [rows] sample weight times mask, or null for 1
};

template <class T>
struct LossResult {                // each [rows] or null
  double* loss = nullptr;          // unweighted loss of the row
  std::int32_t* argmax = nullptr;  // first largest output (softmax losses)
};

// Softmax cross-entropy from logits z [rows, columns], in place: with `gradient` z becomes
// scale * weight * dloss/dz, otherwise it is destroyed.
template <class T>
void softmax_cross_entropy(const KernelTable<T>& kernels, T* z, Dim rows, Dim columns, const Targets<T>& targets,
                           double smoothing, double scale, bool gradient, const LossResult<T>& result);

// The other losses, from outputs y [rows, columns]: dy = scale * weight * dloss/dy, or null. from_logits (binary
// cross-entropy): y are logits. dy may equal y.
template <class T>
void elementwise_loss(Loss kind, bool from_logits, double smoothing, const T* y, Dim rows, Dim columns,
                      const Targets<T>& targets, double scale, T* dy, const LossResult<T>& result);

// Cross-entropy of positive outputs p, divided by their sum and clipped to [1e-7, 1 - 1e-7] (Keras); dp = scale *
// weight * dloss/dp or null.
template <class T>
void probability_cross_entropy(const T* p, Dim rows, Dim columns, const Targets<T>& targets, double smoothing,
                               double scale, T* dp, const LossResult<T>& result);

template <class T>
struct CrossEntropyScratch {
  Buffer<T> logits;
  DenseScratch<T> dense;
};

template <class T>
struct DenseGradients {  // null members are not computed
  T* kernel = nullptr;
  T* bias = nullptr;
  T* dx = nullptr;
};

// Dense layer, softmax and cross-entropy in chunks of rows: logits live for one chunk only and no
// probability or one-hot row is ever stored. gradients null: loss only. `interrupt` is asked between chunks.
template <class T>
void dense_softmax_cross_entropy(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* x, Dim rows,
                                 const Targets<T>& targets, double smoothing, double scale,
                                 const DenseGradients<T>* gradients, const LossResult<T>& result, Interrupt* interrupt,
                                 CrossEntropyScratch<T>& scratch);

}  // namespace pylstm
