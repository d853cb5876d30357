// Matrix products on packed panels: sums over features.
#pragma once

#include <limits>

#include "base/buffer.hpp"
#include "base/caches.hpp"
#include "base/interrupt.hpp"
#include "base/paces.hpp"
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

// What sizes of caches stand for. A first level of 48 KiB holds a part of a panel beside rows of A and C. Measured were
// 1 MiB of second level on a Zen 5, beside 48 KiB, and 2 MiB on an Emerald Rapids; caches of unknown size count as
// small.
inline bool first_level_is_large() { return first_level_cache() >= (48 << 10); }
inline bool third_level_is_slow() { return second_level_cache() >= (2 << 20); }
inline bool second_level_is_large() {
  return third_level_is_slow() || (second_level_cache() >= (1 << 20) && first_level_is_large());
}

// GemmArgs::cut for sums over features of so many rows on this machine.
template <class T>
Dim cut_of_features(const KernelTable<T>& kernels, Dim rows);

// kernels.gemm, cut for this machine.
template <class T>
void run_product(const KernelTable<T>& kernels, GemmArgs<T> args);

// C[rows, columns] = init + A * B
template <class T>
GemmArgs<T> whole_product(const T* a, Dim a_row, const Panels<T>& b, T* c, Dim c_row, Dim rows, Init init = Init::kZero,
                          const T* bias = nullptr) {
  GemmArgs<T> args;
  args.a = a;
  args.a_row = a_row;
  args.b = b.data();
  args.c = c;
  args.c_row = c_row;
  args.rows = rows;
  args.columns = b.columns();
  args.inner = b.inner();
  args.init = init;
  args.bias = bias;
  return args;
}

// A product as whole_product makes it, on one thread: cut for this machine, and so many rows at a time that they stay
// near. When `interrupt` asks to stop, C is incomplete.
template <class T>
void product(const KernelTable<T>& kernels, const GemmArgs<T>& args, Interrupt* interrupt = nullptr);

// The same, its rows shared by threads.
template <class T>
void product_in_parallel(const KernelTable<T>& kernels, const GemmArgs<T>& args, Interrupt* interrupt,
                         int most_threads = std::numeric_limits<int>::max());

// Rows that a thread takes at a time where threads share a product: with fewer, the panels are read too often.
inline constexpr Dim kRowsOfPiece = 48;

// Threads share rows in whole tiles, unless that left some with few or none.
template <class T>
Dim shared_rows(const KernelTable<T>& kernels, Dim rows, int threads) {
  return rows < Paces::kFewUnits * threads * kernels.tile_rows ? 1 : kernels.tile_rows;
}

inline double product_flops(Dim rows, Dim inner, Dim columns) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
}

// Threads worth starting for `flops` floating-point operations.
int useful_threads(double flops);

}  // namespace pylstm
