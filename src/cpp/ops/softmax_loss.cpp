#include "ops/softmax_loss.hpp"

#include <algorithm>

#include "base/caches.hpp"
#include "ops/softmax_rows.hpp"

namespace pylstm {
namespace {

// Columns of logits, or of their gradient, that a product with the transposed kernel takes at a time: each time it
// reads and writes dx, and more would cut a panel of the kernel. They take a quarter of the second-level cache at most,
// which also holds dx and the panels that the product reads now and next.
constexpr Dim kMostColumns = 512;

// With so many classes for each input, rows of x and dx are scaled instead of the logits.
constexpr Dim kManyClasses = 8;

// dx (+)= the values of some panels, while they are near, times their columns of the kernel.
template <class T>
void times_kernel_t(const KernelTable<T>& k, const DenseWeights<T>& w, const Logits<T>& logits, Range rows,
                    Range panels, T* dx) {
  if (dx == nullptr) return;
  GemmArgs<T> args = whole_product(logits.at(panels.begin, rows.begin), logits.row_of(panels.begin), w.kernel_t, dx,
                                   w.inputs, rows.end - rows.begin, panels.begin == 0 ? Init::kZero : Init::kKeep);
  args.first_inner = panels.begin * logits.panel;
  args.last_inner = std::min(panels.end * logits.panel, logits.columns);
  args.a_panel = logits.panel * logits.rows;
  k.gemm(args);
}

// f(panels) for all panels of the logits, so many at a time that they stay in the second-level cache.
template <class T, class F>
void each_group(const Logits<T>& logits, Dim rows, F f) {
  const Dim fitting = second_level_cache() / 4 / (rows * static_cast<Dim>(sizeof(T)));
  const Dim together = std::max<Dim>(1, std::min(fitting, kMostColumns) / logits.panel);
  logits.each_alike([&](Range panels) {
    for (Dim p = panels.begin; p < panels.end; p += together) f(Range{p, std::min(p + together, panels.end)});
  });
}

// From logits to losses and, with `gradient`, to dz in their place; to dx [rows, inputs] unless null; and, deferred, to
// factor * x in `scaled` unless null.
template <class T>
void make_gradients(const KernelTable<T>& k, const DenseWeights<T>& w, const Logits<T>& logits, Range rows, const T* x,
                    bool gradient, T* dx, T* scaled, LossRows<T>& softmax) {
  const Dim count = rows.end - rows.begin;
  softmax.begin();
  each_group(logits, count, [&](Range panels) {
    for (Dim p = panels.begin; p < panels.end; ++p) softmax.exponentials(p);
    if (softmax.deferred()) times_kernel_t(k, w, logits, rows, panels, dx);
  });
  softmax.finish();
  if (!softmax.deferred() && gradient) {
    each_group(logits, count, [&](Range panels) {
      for (Dim p = panels.begin; p < panels.end; ++p) softmax.gradient(p);
      times_kernel_t(k, w, logits, rows, panels, dx);
    });
  } else if (softmax.deferred() && dx != nullptr) {
    softmax.finish_product(w.kernel_t, dx);
  }
  if (scaled != nullptr) softmax.times_factor(w.inputs, x, scaled);
}

// Rows of a chunk of logits.
template <class T>
Dim chunk_rows(Dim rows, Dim units) {
  return std::min(rows, most_logit_rows<T>(units, 1));
}

// Chunk by chunk: rows_of(begin, logits, mine) on several threads, each with some rows at a time of the chunk that
// begins at row `begin`; then after(begin, logits) on one.
template <class T, class RowsOf, class After>
void each_chunk(const KernelTable<T>& kernels, const DenseWeights<T>& w, Dim rows, Interrupt* interrupt,
                CrossEntropyScratch<T>& scratch, RowsOf rows_of, After after) {
  if (rows == 0) return;
  const Dim most = chunk_rows<T>(rows, w.units), chunks = (rows + most - 1) / most;
  T* z = scratch.logits.reserve(size_in_panels(kernels, most, w.units));
  reserve_rows(scratch.rows, most, kernels.width);
  for (Dim i = 0; i < chunks && !stop_requested(interrupt); ++i) {
    const Dim begin = rows * i / chunks, count = rows * (i + 1) / chunks - begin;
    const Logits<T> logits = {z, count, w.units, kernels.panel_vectors * kernels.width, kernels.width};
    const int threads = useful_threads(product_flops(count, w.inputs, w.units));
    parallel_pieces(threads, count, kRowsOfPiece, shared_rows(kernels, count, threads),
                    [&](Range mine) { rows_of(begin, logits, mine); });
    after(begin, logits);
  }
}

}  // namespace

template <class T>
std::size_t CrossEntropyScratch<T>::planned_rows(const KernelTable<T>& kernels, Dim rows) {
  return static_cast<std::size_t>(rows * (kernels.width + 3)) * sizeof(T) +
         static_cast<std::size_t>(2 * rows) * sizeof(double);
}

template <class T>
std::size_t CrossEntropyScratch<T>::planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, Dim rows,
                                                  bool gradients) {
  const Dim most = chunk_rows<T>(rows, units);
  const Dim values = size_in_panels(kernels, most, units) + (gradients ? most * inputs : 0);
  return static_cast<std::size_t>(values) * sizeof(T) + planned_rows(kernels, most) +
         (gradients ? DenseScratch<T>::planned_bytes(most) : 0);
}

template <class T>
RowProductSizes CrossEntropyScratch<T>::planned_sums(const KernelTable<T>& kernels, Dim inputs, Dim units,
                                                     bool has_bias, Dim rows) {
  return dense_sums(kernels, inputs, units, has_bias, chunk_rows<T>(rows, units), true);
}

template <class T>
std::size_t CrossEntropyScratch<T>::bytes() const {
  return logits.bytes() + x.bytes() + product.bytes() + rows.lanes.bytes() + rows.shift.bytes() + rows.factor.bytes() +
         rows.scale.bytes() + rows.mass.bytes() + rows.weighted.bytes();
}

template <class T>
void softmax_cross_entropy(const KernelTable<T>& kernels, T* z, Dim rows, Dim columns, const Targets<T>& targets,
                           double smoothing, double scale, bool gradient, const LossResult<T>& result,
                           SoftmaxScratch<T>& scratch) {
  reserve_rows(scratch, rows, kernels.width);
  const Logits<T> logits = {z, rows, columns, columns, 1};
  const LossInputs<T> inputs = {targets, smoothing, scale, result};
  parallel_for(rows, std::max<Dim>(1, 8192 / columns), [&](Range range) {
    LossRows<T> softmax(kernels, logits, range, inputs, false, scratch);
    softmax.take(0);
    softmax.begin();
    softmax.exponentials(0);
    softmax.finish();
    if (gradient) softmax.gradient(0);
  });
}

template <class T>
void dense_softmax_cross_entropy(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* x, Dim rows,
                                 const Targets<T>& targets, double smoothing, double scale,
                                 const DenseGradients<T>* gradients, const LossResult<T>& result, Interrupt* interrupt,
                                 CrossEntropyScratch<T>& scratch, RowProductScratch<T>& sums) {
  const LossInputs<T> inputs = {targets, smoothing, scale, result};
  const bool deferred = targets.labels != nullptr && smoothing == 0 && w.units >= kManyClasses * w.inputs;
  const bool want_kernel = gradients != nullptr && gradients->kernel != nullptr;
  const bool want_dx = gradients != nullptr && gradients->dx != nullptr;
  T* scaled = want_kernel && deferred ? scratch.x.reserve(chunk_rows<T>(rows, w.units) * w.inputs) : nullptr;
  const auto rows_of = [&](Dim begin, const Logits<T>& logits, Range mine) {
    LossRows<T> softmax(kernels, logits, mine, inputs.from(begin, w.units), deferred, scratch.rows);
    make_logits(kernels, w, x + begin * w.inputs, logits, mine, softmax);
    const Dim first = (begin + mine.begin) * w.inputs;
    make_gradients(kernels, w, logits, mine, x + first, gradients != nullptr, want_dx ? gradients->dx + first : nullptr,
                   scaled == nullptr ? nullptr : scaled + mine.begin * w.inputs, softmax);
  };
  const auto after = [&](Dim begin, const Logits<T>& logits) {
    if (!want_kernel) return;
    kernel_gradient(kernels, w, deferred ? scaled : x + begin * w.inputs,
                    deferred ? scratch.rows.factor.data() : nullptr, {logits.z, 0, logits.rows}, logits.rows, begin > 0,
                    gradients->kernel, gradients->bias, scratch.product, sums);
  };
  each_chunk(kernels, w, rows, interrupt, scratch, rows_of, after);
}

#define PYLSTM_INSTANTIATE(T)                                                                                          \
  template struct CrossEntropyScratch<T>;                                                                              \
  template void softmax_cross_entropy<T>(const KernelTable<T>&, T*, Dim, Dim, const Targets<T>&, double, double, bool, \
                                         const LossResult<T>&, SoftmaxScratch<T>&);                                    \
  template void dense_softmax_cross_entropy<T>(                                                                        \
      const KernelTable<T>&, const DenseWeights<T>&, const T*, Dim, const Targets<T>&, double, double,                 \
      const DenseGradients<T>*, const LossResult<T>&, Interrupt*, CrossEntropyScratch<T>&, RowProductScratch<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
