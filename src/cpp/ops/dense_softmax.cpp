// The dense softmax layer at prediction: threads take rows some at a time, and make, scale and write their logits
// alone.
#include "ops/dense_softmax.hpp"

#include <algorithm>

#include "base/index.hpp"
#include "base/pieces.hpp"
#include "ops/softmax_rows.hpp"

namespace pylstm {
namespace {

// Rows that a thread has room for: its largest share, or a part of it.
template <class T>
Dim room_of(const KernelTable<T>& k, Dim rows, Dim units, int threads) {
  const Dim share =
      threads == 1 ? rows : static_cast<Dim>(Paces::kMostShare * static_cast<double>(rows) / threads) + k.tile_rows;
  return round_up(std::min({rows, share, most_logit_rows<T>(units, threads)}), k.tile_rows);
}

// Bytes of the scratch of so many threads, each with so many rows.
template <class T>
std::size_t bytes_of(const KernelTable<T>& k, Dim inputs, Dim units, int threads, Dim room) {
  const Dim values = threads * (size_in_panels(k, room, units) + room * inputs);
  return static_cast<std::size_t>(values) * sizeof(T) + CrossEntropyScratch<T>::planned_rows(k, threads * room);
}

}  // namespace

template <class T>
void dense_softmax(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* const* x, Dim rows, T* const* y,
                   bool past_caches, Interrupt* interrupt, CrossEntropyScratch<T>& scratch) {
  if (rows == 0) return;
  const int threads = useful_threads(product_flops(rows, w.inputs, w.units));
  const Dim room = room_of(kernels, rows, w.units, threads), size = size_in_panels(kernels, room, w.units);
  const Dim panel = kernels.panel_vectors * kernels.width;
  T* near = scratch.x.reserve(threads * room * w.inputs);
  T* z = scratch.logits.reserve(threads * size);
  reserve_rows(scratch.rows, threads * room, kernels.width);
  // What is larger than a chunk of logits would only push those out.
  past_caches = past_caches && rows * w.units * static_cast<Dim>(sizeof(T)) > kChunkBytes;
  // Nearly equal pieces: a short one reads the kernel for little.
  const Dim pieces_of_all = (rows + room - 1) / room, multiple = shared_rows(kernels, rows, threads);
  const Dim largest = round_up((rows + pieces_of_all - 1) / pieces_of_all, multiple);
  Pieces pieces(rows, threads, kRowsOfPiece, multiple, std::min(room, largest));
  parallel_region(threads, [&](int index, int) {
    T* const own = near + index * room * w.inputs;
    for (Range mine = pieces.next(index); mine.begin < mine.end && !stop_requested(interrupt);
         mine = pieces.next(index)) {
      const Range all = {0, mine.end - mine.begin};
      for (Dim r = 0; r < all.end; ++r) {
        std::copy(x[mine.begin + r], x[mine.begin + r] + w.inputs, own + r * w.inputs);
      }
      const Logits<T> logits = {z + index * size, all.end, w.units, panel, kernels.width};
      SoftmaxRows<T> softmax(kernels, logits, all, scratch.rows, index * room);
      make_logits(kernels, w, own, logits, all, softmax);
      softmax.find_largest();
      softmax.exponentials();
      softmax.write(y + mine.begin, past_caches);
    }
  });
}

template <class T>
std::size_t dense_softmax_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, Dim rows) {
  std::size_t most = 0;  // of fewer rows fewer threads may have more
  for (int threads = useful_threads(product_flops(rows, inputs, units)); threads > 0 && rows > 0; --threads) {
    most = std::max(most, bytes_of(kernels, inputs, units, threads, room_of(kernels, rows, units, threads)));
  }
  return most;
}

#define PYLSTM_INSTANTIATE(T)                                                                                          \
  template void dense_softmax<T>(const KernelTable<T>&, const DenseWeights<T>&, const T* const*, Dim, T* const*, bool, \
                                 Interrupt*, CrossEntropyScratch<T>&);                                                 \
  template std::size_t dense_softmax_bytes<T>(const KernelTable<T>&, Dim, Dim, Dim);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
