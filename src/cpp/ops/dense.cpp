#include "ops/dense.hpp"

#include <algorithm>
#include <cstring>

namespace pylstm {
template <class T>
void DenseWeights<T>::pack(const KernelTable<T>& kernels, const T* source, const T* bias_source, Dim inputs_,
                           Dim units_, bool backward) {
  inputs = inputs_;
  units = units_;
  has_bias = bias_source != nullptr;
  kernel.pack(kernels, source, units, 1, inputs, units);
  if (backward) kernel_t.pack(kernels, source, 1, units, units, inputs);
  if (has_bias) std::memcpy(bias.reserve(units), bias_source, static_cast<std::size_t>(units) * sizeof(T));
}

template <class T>
std::size_t DenseWeights<T>::planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias,
                                           bool backward) {
  const Dim panels = kernels.packed_b(inputs, units) + (backward ? kernels.packed_b(units, inputs) : 0);
  return static_cast<std::size_t>(panels + (has_bias ? units : 0)) * sizeof(T);
}

template <class T>
RowProductSizes dense_sums(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias, Dim rows,
                           bool in_panels) {
  const std::vector<Dim> factors = has_bias ? std::vector<Dim>{inputs, 1} : std::vector<Dim>{inputs};
  return plan_product_over_rows(kernels, factors, units, rows, in_panels).scratch;
}

template <class T>
void dense_forward(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* x, Dim rows, T* y,
                   Interrupt* interrupt) {
  const Init init = w.has_bias ? Init::kBias : Init::kZero;
  product_in_parallel(kernels, whole_product(x, w.inputs, w.kernel, y, w.units, rows, init, w.bias.data()), interrupt);
}

template <class T>
void dense_backward(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* x, const T* dz, Dim rows,
                    bool accumulate, T* d_kernel, T* d_bias, T* dx, DenseScratch<T>& scratch,
                    RowProductScratch<T>& sums, Interrupt* interrupt) {
  if (dx != nullptr) {
    product_in_parallel(kernels, whole_product(dz, w.units, w.kernel_t, dx, w.inputs, rows), interrupt);
  }
  if (d_kernel == nullptr) return;
  kernel_gradient(kernels, w, x, static_cast<const T*>(nullptr), {dz, w.units, 0}, rows, accumulate, d_kernel, d_bias,
                  scratch, sums, interrupt);
}

template <class T>
void kernel_gradient(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* x, const T* row_scale,
                     const RowOperand<T>& dz, Dim rows, bool accumulate, T* d_kernel, T* d_bias,
                     DenseScratch<T>& scratch, RowProductScratch<T>& sums, Interrupt* interrupt) {
  static const T one = 1;
  scratch.x_rows.resize(static_cast<std::size_t>(rows));
  scratch.one_rows.resize(static_cast<std::size_t>(rows));
  for (Dim m = 0; m < rows; ++m) {
    scratch.x_rows[static_cast<std::size_t>(m)] = x + m * w.inputs;
    scratch.one_rows[static_cast<std::size_t>(m)] = row_scale == nullptr ? &one : row_scale + m;
  }
  std::vector<RowFactor<T>> factors = {{scratch.x_rows.data(), w.inputs, d_kernel, w.units}};
  if (d_bias != nullptr) factors.push_back({scratch.one_rows.data(), 1, d_bias, w.units});
  product_over_rows(kernels, factors, dz, w.units, rows, sums, {accumulate, interrupt});
}

#define PYLSTM_INSTANTIATE(T)                                                                                        \
  template struct DenseWeights<T>;                                                                                   \
  template RowProductSizes dense_sums<T>(const KernelTable<T>&, Dim, Dim, bool, Dim, bool);                          \
  template void dense_forward<T>(const KernelTable<T>&, const DenseWeights<T>&, const T*, Dim, T*, Interrupt*);      \
  template void dense_backward<T>(const KernelTable<T>&, const DenseWeights<T>&, const T*, const T*, Dim, bool, T*,  \
                                  T*, T*, DenseScratch<T>&, RowProductScratch<T>&, Interrupt*);                      \
  template void kernel_gradient<T>(const KernelTable<T>&, const DenseWeights<T>&, const T*, const T*,                \
                                   const RowOperand<T>&, Dim, bool, T*, T*, DenseScratch<T>&, RowProductScratch<T>&, \
                                   Interrupt*);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
