// Losses over rows. A row is one sample, or one step of one sample; its loss is the mean over its
// outputs (Keras), and the whole loss sum(weight * loss) / count, formed by the caller in row order.
#pragma once

#include <cstdint>

#include "kernels/table.hpp"

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

// The elementwise losses, from outputs y [rows, columns]: dy = scale * weight * dloss/dy, or null. from_logits (binary
// cross-entropy): y are logits. dy may equal y.
template <class T>
void elementwise_loss(const KernelTable<T>& kernels, Loss kind, bool from_logits, double smoothing, const T* y,
                      Dim rows, Dim columns, const Targets<T>& targets, double scale, T* dy,
                      const LossResult<T>& result);

// Cross-entropy of positive outputs p, divided by their sum and clipped to [1e-7, 1 - 1e-7] (Keras); dp = scale *
// weight * dloss/dp or null.
template <class T>
void probability_cross_entropy(const T* p, Dim rows, Dim columns, const Targets<T>& targets, double smoothing,
                               double scale, T* dp, const LossResult<T>& result);

}  // namespace pylstm
