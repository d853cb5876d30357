// y = x W + b over rows, and its gradients. The activation is the caller's next operation. When an `interrupt` asks to
// stop, outputs are incomplete.
#pragma once

#include "ops/product.hpp"
#include "ops/row_product.hpp"

namespace pylstm {

template <class T>
struct DenseWeights {
  Dim inputs = 0, units = 0;
  Panels<T> kernel;    // [inputs, units]
  Panels<T> kernel_t;  // [units, inputs], for backward
  Buffer<T> bias;      // [units] or empty
  bool has_bias = false;

  // kernel in Keras' layout [inputs, units]; bias may be null
  void pack(const KernelTable<T>& kernels, const T* kernel, const T* bias, Dim inputs, Dim units, bool backward);
  std::size_t bytes() const { return kernel.bytes() + kernel_t.bytes() + bias.bytes(); }
  // What bytes() is after pack.
  static std::size_t planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias, bool backward);
};

template <class T>
void dense_forward(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* x, Dim rows, T* y,
                   Interrupt* interrupt = nullptr);

template <class T>
struct DenseScratch {
  std::vector<const T*> x_rows, one_rows;
  std::size_t bytes() const { return (x_rows.capacity() + one_rows.capacity()) * sizeof(const T*); }
  // What bytes() is after kernel_gradient of so many rows.
  static std::size_t planned_bytes(Dim rows) { return static_cast<std::size_t>(2 * rows) * sizeof(const T*); }
};

// What kernel_gradient reserves for its sums over so many rows.
template <class T>
RowProductSizes dense_sums(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias, Dim rows,
                           bool in_panels);

// d_kernel [inputs, units], d_bias [units] or null (+)= sums over rows. row_scale [rows] or null: dz[m] lacks this
// factor, which x[m] has already.
template <class T>
void kernel_gradient(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* x, const T* row_scale,
                     const RowOperand<T>& dz, Dim rows, bool accumulate, T* d_kernel, T* d_bias,
                     DenseScratch<T>& scratch, RowProductScratch<T>& sums, Interrupt* interrupt = nullptr);

// d_kernel [inputs, units], d_bias [units] (+)= sums over rows; dx [rows, inputs] = dz W^T. Each may be null
// (d_bias is null without d_kernel).
template <class T>
void dense_backward(const KernelTable<T>& kernels, const DenseWeights<T>& weights, const T* x, const T* dz, Dim rows,
                    bool accumulate, T* d_kernel, T* d_bias, T* dx, DenseScratch<T>& scratch,
                    RowProductScratch<T>& sums, Interrupt* interrupt = nullptr);

}  // namespace pylstm
