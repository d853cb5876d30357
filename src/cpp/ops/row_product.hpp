// Matrix products that are sums over rows, as gradients of weights are.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "base/buffer.hpp"
#include "base/interrupt.hpp"
#include "kernels/table.hpp"

namespace pylstm {

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

struct RowProductSizes {
  Dim a = 0, d = 0;  // elements of RowProductScratch
  void cover(const RowProductSizes& other) {
    a = std::max(a, other.a);
    d = std::max(d, other.d);
  }
};

// What a sum over rows of `rows` rows will reserve in its scratch, for factors of these columns; of fewer rows, no
// more.
struct RowProductPlan {
  Dim block, threads;  // rows of a block at most
  bool by_tiles;       // threads share tiles of outputs, not panels of D
  Dim group;           // columns of D that are packed together
  RowProductSizes scratch;
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

struct RowProductOptions {
  bool accumulate = false;         // add to what the outputs hold
  Interrupt* interrupt = nullptr;  // when it asks to stop, outputs are incomplete
  // 1 where rows that one thread has written are too few to be sent to others.
  int most_threads = std::numeric_limits<int>::max();
};

// Every factor with the same D; those whose outputs follow one another share tiles, see row_tiles.hpp. The sum runs
// over m in ascending order, whatever the threads.
template <class T>
void product_over_rows(const KernelTable<T>& kernels, const std::vector<RowFactor<T>>& factors, const RowOperand<T>& d,
                       Dim columns, Dim rows, RowProductScratch<T>& scratch, const RowProductOptions& options = {});

}  // namespace pylstm
