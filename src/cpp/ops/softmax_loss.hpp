// Softmax, and its cross-entropy: of logits, and fused with the dense layer that makes them.
#pragma once

#include "base/interrupt.hpp"
#include "ops/dense.hpp"
#include "ops/losses.hpp"

namespace pylstm {

template <class T>
struct SoftmaxScratch {  // what a row carries from its logits to their gradient
  Buffer<T> lanes, shift, factor, scale;
  Buffer<double> mass, weighted;
};

// From logits z [rows, columns], in place: with `gradient` z becomes scale * weight * dloss/dz, otherwise it is
// destroyed.
template <class T>
void softmax_cross_entropy(const KernelTable<T>& kernels, T* z, Dim rows, Dim columns, const Targets<T>& targets,
                           double smoothing, double scale, bool gradient, const LossResult<T>& result,
                           SoftmaxScratch<T>& scratch);

template <class T>
struct CrossEntropyScratch {
  Buffer<T> logits, x;
  SoftmaxScratch<T> rows;
  DenseScratch<T> product;
  std::size_t bytes() const;
  // At least what bytes() is after dense_softmax_cross_entropy of so many rows; of softmax_cross_entropy it is
  // planned_rows alone.
  static std::size_t planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, Dim rows, bool gradients);
  static std::size_t planned_rows(const KernelTable<T>& kernels, Dim rows);
  // What the latter reserves for its sums over rows.
  static RowProductSizes planned_sums(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias, Dim rows);
};

template <class T>
struct DenseGradients {  // null members are not computed
  T* kernel = nullptr;
  T* bias = nullptr;
  T* dx = nullptr;
};

// Dense layer, softmax and cross-entropy in chunks of rows: logits live for one chunk only and no
// probability or one-hot row is ever stored. gradients null: loss only. `interrupt` is asked between chunks; when it
// asks to stop, losses, argmax and gradients are incomplete.
template <class T>
void dense_softmax_cross_entropy(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* x, Dim rows,
                                 const Targets<T>& targets, double smoothing, double scale,
                                 const DenseGradients<T>* gradients, const LossResult<T>& result, Interrupt* interrupt,
                                 CrossEntropyScratch<T>& scratch, RowProductScratch<T>& sums);

}  // namespace pylstm
