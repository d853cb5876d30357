// The dense softmax layer at prediction: threads take rows some at a time, and make, scale and write their logits
// alone.
#include <algorithm>

#include "base/index.hpp"
#include "base/pieces.hpp"
#include "ops/softmax_rows.hpp"

namespace pylstm {
namespace {

// So many threads, each with room for so many rows of logits, whatever its share of all rows is.
struct Plan {
  int threads;
  Dim rows;
};

template <class T>
Plan plan_of(const KernelTable<T>& k, Dim rows, Dim inputs, Dim units) {
  const int threads = useful_threads(product_flops(rows, inputs, units));
  const Dim chunk = kChunkBytes / (threads * units * static_cast<Dim>(sizeof(T)));
  return {threads, std::min(rows, std::max(round_up(kRowsOfPiece, k.tile_rows), chunk))};
}

}  // namespace

template <class T>
void dense_softmax(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* const* x, Dim rows, T* const* y,
                   bool past_caches, Interrupt* interrupt, CrossEntropyScratch<T>& scratch) {
  if (rows == 0) return;
  const Plan plan = plan_of(kernels, rows, w.inputs, w.units);
  const Dim panel = kernels.panel_vectors * kernels.width, size = size_in_panels(kernels, plan.rows, w.units);
  T* near = scratch.x.reserve(rows * w.inputs);
  T* z = scratch.logits.reserve(plan.threads * size);
  reserve_rows(scratch.rows, plan.threads * plan.rows, kernels.width);
  // What is larger than a chunk of logits would only push those out.
  past_caches = past_caches && rows * w.units * static_cast<Dim>(sizeof(T)) > kChunkBytes;
  Pieces pieces(rows, plan.threads, kRowsOfPiece, kernels.tile_rows, plan.rows);
  parallel_region(plan.threads, [&](int index, int) {
    for (Range mine = pieces.next(index); mine.begin < mine.end && !stop_requested(interrupt);
         mine = pieces.next(index)) {
      for (Dim r = mine.begin; r < mine.end; ++r) std::copy(x[r], x[r] + w.inputs, near + r * w.inputs);
      const Range all = {0, mine.end - mine.begin};
      const Logits<T> logits = {z + index * size, all.end, w.units, panel, kernels.width};
      SoftmaxRows<T> softmax(kernels, logits, all, scratch.rows, index * plan.rows);
      make_logits(kernels, w, near + mine.begin * w.inputs, logits, all, softmax);
      softmax.find_largest();
      softmax.exponentials();
      softmax.write(y + mine.begin, past_caches);
    }
  });
}

template <class T>
std::size_t dense_softmax_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, Dim rows) {
  const Plan plan = plan_of(kernels, rows, inputs, units);
  const Dim values = plan.threads * size_in_panels(kernels, plan.rows, units) + rows * inputs;
  return static_cast<std::size_t>(values) * sizeof(T) +
         CrossEntropyScratch<T>::planned_rows(kernels, plan.threads * plan.rows);
}

#define PYLSTM_INSTANTIATE(T)                                                                                          \
  template void dense_softmax<T>(const KernelTable<T>&, const DenseWeights<T>&, const T* const*, Dim, T* const*, bool, \
                                 Interrupt*, CrossEntropyScratch<T>&);                                                 \
  template std::size_t dense_softmax_bytes<T>(const KernelTable<T>&, Dim, Dim, Dim);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
