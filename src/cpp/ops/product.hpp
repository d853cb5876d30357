// Matrix products on packed panels, split over threads by independent outputs.
#pragma once

#include <vector>

#include "base/buffer.hpp"
#include "base/interrupt.hpp"
#include "base/parallel.hpp"
#include "kernels/table.hpp"

namespace pylstm {

// A matrix in the order in which the product reads it; derived data of one instruction set.
template <class T>
class Panels {
 public:
  // B(k, n) = source[k * row_stride + n * column_stride]
  void pack(const KernelTable<T>& kernels, const T* source, Dim row_stride, Dim column_stride, Dim inner, Dim columns);
  // source [inner, 4 * units] in Keras' gate order
  void pack_gates(const KernelTable<T>& kernels, const T* source, Dim inner, Dim units);

  // c[n] += factor * B(k, n)
  void add_row(const KernelTable<T>& kernels, Dim k, T factor, T* c) const;

  const T* data() const { return data_.data(); }
  Dim inner() const { return inner_; }
  Dim columns() const { return columns_; }
  std::size_t bytes() const { return data_.bytes(); }

 private:
  Buffer<T> data_;
  Dim inner_ = 0, columns_ = 0;
};

// GemmArgs::cut for sums over features of so many rows on this machine.
template <class T>
Dim cut_of_features(const KernelTable<T>& kernels, Dim rows);

// kernels.gemm, cut for this machine.
template <class T>
void run_product(const KernelTable<T>& kernels, GemmArgs<T> args);

// Sums over features: C[rows, columns] = init + A * B. Serial: callers split rows. When `interrupt` asks to stop, C is
// incomplete.
template <class T>
void product(const KernelTable<T>& kernels, const T* a, Dim a_row, const Panels<T>& b, T* c, Dim c_row, Dim rows,
             Init init, const T* bias = nullptr, Interrupt* interrupt = nullptr);

// One factor of a sum over rows: output[columns, D's columns] (+)= sum over m of rows[m][.] * D[m][.]
template <class T>
struct RowFactor {
  const T* const* rows;  // [M] pointers to `columns` elements each
  Dim columns;
  T* output;  // row stride output_row
  Dim output_row;
};

template <class T>
struct RowProductScratch {
  Buffer<T> a, d;
  std::size_t bytes() const { return a.bytes() + d.bytes(); }
};

// What a sum over rows of `rows` rows will reserve in its scratch, for factors of these columns; of fewer rows, no
// more.
struct RowProductPlan {
  Dim outputs, block, threads;  // padded columns of all factors; rows of a block at most
  Dim group;                    // columns of D that are packed together
  Dim a, d;                     // elements of RowProductScratch
};
template <class T>
RowProductPlan plan_product_over_rows(const KernelTable<T>& kernels, const std::vector<Dim>& factors, Dim columns,
                                      Dim rows, bool in_panels);

// D of a sum over rows, [M, columns]: element (m, n) is data[m * row + n]; or, with panel_rows >= M, it stands in
// panels of the same kernels already, panel after panel [panel_rows][its columns rounded up to a vector].
template <class T>
struct RowOperand {
  const T* data;
  Dim row;
  Dim panel_rows;
};

// Sums over rows: every factor with the same D. The sum runs over m in
// ascending order, whatever the threads. accumulate: add to what the outputs hold. When `interrupt` asks to stop, the
// outputs are incomplete.
template <class T>
void product_over_rows(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d,
                       Dim columns, Dim rows, bool accumulate, RowProductScratch<T>& scratch,
                       Interrupt* interrupt = nullptr);

inline double product_flops(Dim rows, Dim inner, Dim columns) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
}

// Threads worth starting for `flops` floating-point operations.
int useful_threads(double flops);

}  // namespace pylstm
