#include "ops/softmax_loss.hpp"

#include <algorithm>
#include <limits>

namespace pylstm {
namespace {

// A chunk of logits stays in the last-level cache (bytes).
constexpr Dim kChunkBytes = Dim{8} << 20;

// [rows, columns] in panels: panel p is [rows][row_of(p)], where the last may be narrower. One panel as wide as the
// matrix is a plain matrix.
template <class T>
struct Logits {
  T* z;
  Dim rows, columns, panel, width;

  Dim panels() const { return (columns + panel - 1) / panel; }
  Dim columns_of(Dim p) const { return std::min(panel, columns - p * panel); }
  Dim row_of(Dim p) const { return (columns_of(p) + width - 1) / width * width; }
  T* at(Dim p, Dim row) const { return z + p * panel * rows + row * row_of(p); }
  T& element(Dim row, Dim column) const { return at(column / panel, row)[column % panel]; }
};

// Elements of logits in panels.
template <class T>
Dim size_in_panels(const KernelTable<T>& k, Dim rows, Dim columns) {
  return rows * ((columns + k.width - 1) / k.width * k.width);
}

template <class T>
SoftmaxScratch<T>& reserve(SoftmaxScratch<T>& scratch, Dim rows, Dim width) {
  scratch.lanes.reserve(rows * width);
  for (Buffer<T>* buffer : {&scratch.shift, &scratch.factor, &scratch.scale}) buffer->reserve(rows);
  for (Buffer<double>* buffer : {&scratch.mass, &scratch.weighted}) buffer->reserve(rows);
  return scratch;
}

// What a loss asks of every row.
template <class T>
struct Question {
  Targets<T> targets;
  double smoothing, scale;
  LossResult<T> result;

  // The same for rows from `row` on.
  Question from(Dim row, Dim columns) const {
    Question q = *this;
    if (q.targets.labels != nullptr) q.targets.labels += row;
    if (q.targets.dense != nullptr) q.targets.dense += row * columns;
    if (q.targets.weights != nullptr) q.targets.weights += row;
    if (q.result.loss != nullptr) q.result.loss += row;
    if (q.result.argmax != nullptr) q.result.argmax += row;
    return q;
  }
};

// Rows [rows.begin, rows.end) of the logits, on one thread: take() every panel, find_largest(), exponentials(), then
// write() every panel.
template <class T>
class SoftmaxRows {
 public:
  SoftmaxRows(const KernelTable<T>& kernels, const Logits<T>& logits, Range rows, SoftmaxScratch<T>& scratch)
      : k_(kernels),
        logits_(logits),
        rows_(rows),
        lanes_(scratch.lanes.data() + rows.begin * kernels.width),
        shift_(scratch.shift.data() + rows.begin),
        factor_(scratch.factor.data() + rows.begin) {
    std::fill(lanes_, lanes_ + count() * k_.width, -std::numeric_limits<T>::infinity());
  }

  void take(Dim panel) { k_.logits_max(block(panel), lanes_); }

  void find_largest() { k_.largest_lanes(count(), lanes_, shift_); }

  // factor becomes the sum of each row.
  void exponentials() {
    std::fill(lanes_, lanes_ + count() * k_.width, T(0));
    for (Dim p = 0; p < logits_.panels(); ++p) k_.logits_exp(block(p), shift_, lanes_);
    k_.sum_lanes(count(), lanes_, factor_);
  }

  void write(T* const* y) {
    for (Dim r = 0; r < count(); ++r) factor_[r] = 1 / factor_[r];
    for (Dim p = 0; p < logits_.panels(); ++p) {
      k_.logits_write(block(p), factor_, y + rows_.begin, p * logits_.panel);
    }
  }

 protected:
  Dim count() const { return rows_.end - rows_.begin; }

  LogitsBlock<T> block(Dim p) const {
    return {count(), logits_.columns_of(p), logits_.at(p, rows_.begin), logits_.row_of(p), nullptr, 0};
  }

  const KernelTable<T>& k_;
  const Logits<T>& logits_;
  Range rows_;
  T *lanes_, *shift_, *factor_;
};

// The same with a loss: take() every panel, finish(), then gradient() of every panel if it is wanted.
template <class T>
class LossRows : public SoftmaxRows<T> {
 public:
  LossRows(const KernelTable<T>& kernels, const Logits<T>& logits, Range rows, const Question<T>& question,
           SoftmaxScratch<T>& scratch)
      : SoftmaxRows<T>(kernels, logits, rows, scratch),
        q_(question.from(rows.begin, logits.columns)),
        share_(static_cast<T>(question.smoothing) / static_cast<T>(logits.columns)),
        keep_(1 - static_cast<T>(question.smoothing)),
        scale_(scratch.scale.data() + rows.begin),
        mass_(scratch.mass.data() + rows.begin),
        weighted_(scratch.weighted.data() + rows.begin) {}

  void finish() {
    this->find_largest();
    find_argmax();
    measure_targets();
    this->exponentials();
    const T* sum = factor_;
    for (Dim r = 0; r < count(); ++r) {
      if (q_.result.loss != nullptr) {
        q_.result.loss[r] = mass_[r] * k_.log(static_cast<double>(sum[r])) - weighted_[r];
      }
      const double weight = q_.targets.weights == nullptr ? 1.0 : static_cast<double>(q_.targets.weights[r]);
      scale_[r] = static_cast<T>(q_.scale * weight);
      factor_[r] = scale_[r] * static_cast<T>(mass_[r]) / sum[r];
    }
  }

  void gradient(Dim panel) {
    k_.logits_gradient(with_targets(panel), factor_, scale_, keep_, share_);
    if (q_.targets.labels == nullptr) return;
    const Dim first = panel * logits_.panel, last = first + logits_.columns_of(panel);
    for (Dim r = 0; r < count(); ++r) {
      const Dim label = q_.targets.labels[r];
      if (label >= first && label < last) logits_.element(rows_.begin + r, label) -= scale_[r] * keep_;
    }
  }

 private:
  using SoftmaxRows<T>::count;
  using SoftmaxRows<T>::k_;
  using SoftmaxRows<T>::logits_;
  using SoftmaxRows<T>::rows_;
  using SoftmaxRows<T>::shift_;
  using SoftmaxRows<T>::factor_;

  LogitsBlock<T> with_targets(Dim p) const {
    LogitsBlock<T> block = this->block(p);
    block.given = q_.targets.labels == nullptr ? q_.targets.dense + p * logits_.panel : nullptr;
    block.given_row = logits_.columns;
    return block;
  }

  void find_argmax() {
    if (q_.result.argmax == nullptr) return;
    std::fill(q_.result.argmax, q_.result.argmax + count(), -1);
    for (Dim p = 0; p < logits_.panels(); ++p) {
      k_.logits_argmax(this->block(p), shift_, p * logits_.panel, q_.result.argmax);
    }
    for (Dim r = 0; r < count(); ++r) q_.result.argmax[r] = std::max(q_.result.argmax[r], 0);  // all NaN
  }

  // sum(target) and sum(target * (z - shift)): the shift keeps both small.
  void measure_targets() {
    const bool labels = q_.targets.labels != nullptr;
    std::fill(mass_, mass_ + count(), labels ? 1.0 : 0.0);
    std::fill(weighted_, weighted_ + count(), 0.0);
    if (!labels || share_ != 0) {
      for (Dim p = 0; p < logits_.panels(); ++p)
        k_.logits_targets(with_targets(p), shift_, keep_, share_, mass_, weighted_);
    }
    for (Dim r = 0; labels && r < count(); ++r) {
      const T z = logits_.element(rows_.begin + r, q_.targets.labels[r]);
      weighted_[r] += static_cast<double>(keep_) * static_cast<double>(z - shift_[r]);
    }
  }

  Question<T> q_;
  T share_, keep_;
  T* scale_;
  double *mass_, *weighted_;
};

// Logits of the rows of one chunk, panel by panel; their maxima are taken while they are near.
template <class T>
void make_logits(const KernelTable<T>& k, const DenseWeights<T>& w, const T* x, const Logits<T>& logits, Range rows,
                 SoftmaxRows<T>& softmax) {
  const Dim panels = logits.panels();
  const bool narrow_last = logits.row_of(panels - 1) < logits.panel;
  for (Dim p = 0; p < panels;) {
    const bool narrow = narrow_last && p + 1 == panels;
    const Dim last = narrow ? panels : std::min(p + k.panels_together, panels - narrow_last);
    GemmArgs<T> args = {x + rows.begin * w.inputs,
                        w.inputs,
                        1,
                        w.kernel.data(),
                        nullptr,
                        logits.row_of(p),
                        w.bias.data(),
                        rows.end - rows.begin,
                        w.units,
                        w.inputs,
                        w.has_bias ? Init::kBias : Init::kZero,
                        p,
                        last};
    args.c = logits.z + rows.begin * args.c_row;
    args.c_panel = logits.panel * logits.rows;
    k.gemm(args);
    for (; p < last; ++p) softmax.take(p);
  }
}

// Each panel becomes its gradient and is multiplied by its columns of the kernel while it is near.
template <class T>
void make_gradients(const KernelTable<T>& k, const DenseWeights<T>& w, const Logits<T>& logits, Range rows, T* dx,
                    LossRows<T>& softmax) {
  for (Dim p = 0; p < logits.panels(); ++p) {
    softmax.gradient(p);
    if (dx == nullptr) continue;
    GemmArgs<T> args = {logits.at(p, rows.begin),
                        logits.row_of(p),
                        1,
                        w.kernel_t.data(),
                        dx + rows.begin * w.inputs,
                        w.inputs,
                        nullptr,
                        rows.end - rows.begin,
                        w.inputs,
                        w.units,
                        p == 0 ? Init::kZero : Init::kKeep};
    args.first_inner = p * logits.panel;
    args.last_inner = args.first_inner + logits.columns_of(p);
    k.gemm(args);
  }
}

}  // namespace

namespace {

// Rows of a chunk of logits.
template <class T>
Dim chunk_rows(Dim rows, Dim units) {
  return std::min(rows, std::max<Dim>(48, kChunkBytes / (units * static_cast<Dim>(sizeof(T)))));
}

}  // namespace

template <class T>
std::size_t CrossEntropyScratch<T>::planned_rows(const KernelTable<T>& kernels, Dim rows) {
  return static_cast<std::size_t>(rows * (kernels.width + 3)) * sizeof(T) +
         static_cast<std::size_t>(2 * rows) * sizeof(double);
}

template <class T>
std::size_t CrossEntropyScratch<T>::planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, bool has_bias,
                                                  Dim rows, bool loss, bool gradients) {
  const Dim most = chunk_rows<T>(rows, units);
  const Dim values = size_in_panels(kernels, most, units) + (loss ? 0 : rows * inputs);
  return static_cast<std::size_t>(values) * sizeof(T) + planned_rows(kernels, most) +
         (gradients ? DenseScratch<T>::planned_bytes(kernels, inputs, units, has_bias, most, true) : 0);
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
  reserve(scratch, rows, kernels.width);
  const Logits<T> logits = {z, rows, columns, columns, 1};
  const Question<T> question = {targets, smoothing, scale, result};
  parallel_for(rows, std::max<Dim>(1, 8192 / columns), [&](Range range) {
    LossRows<T> softmax(kernels, logits, range, question, scratch);
    softmax.take(0);
    softmax.finish();
    if (gradient) softmax.gradient(0);
  });
}

// Chunk by chunk: rows_of(begin, logits, mine) on several threads, each with its rows of the chunk that begins at row
// `begin`; then after(begin, logits) on one.
template <class T, class RowsOf, class After>
void each_chunk(const KernelTable<T>& kernels, const DenseWeights<T>& w, Dim rows, Interrupt* interrupt,
                CrossEntropyScratch<T>& scratch, RowsOf rows_of, After after) {
  if (rows == 0) return;
  const Dim most = chunk_rows<T>(rows, w.units), chunks = (rows + most - 1) / most;
  T* z = scratch.logits.reserve(size_in_panels(kernels, most, w.units));
  reserve(scratch.rows, most, kernels.width);
  for (Dim i = 0; i < chunks && !stop_requested(interrupt); ++i) {
    const Dim begin = rows * i / chunks, count = rows * (i + 1) / chunks - begin;
    const Logits<T> logits = {z, count, w.units, kernels.panel_vectors * kernels.width, kernels.width};
    parallel_region(useful_threads(product_flops(count, w.inputs, w.units)), [&](int index, int size) {
      const Range mine = split(count, index, size);
      if (mine.begin < mine.end) rows_of(begin, logits, mine);
    });
    after(begin, logits);
  }
}

template <class T>
void dense_softmax(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* const* x, Dim rows, T* const* y,
                   Interrupt* interrupt, CrossEntropyScratch<T>& scratch) {
  T* near = scratch.x.reserve(rows * w.inputs);
  const auto rows_of = [&](Dim begin, const Logits<T>& logits, Range mine) {
    for (Dim r = begin + mine.begin; r < begin + mine.end; ++r) {
      std::copy(x[r], x[r] + w.inputs, near + r * w.inputs);
    }
    SoftmaxRows<T> softmax(kernels, logits, mine, scratch.rows);
    make_logits(kernels, w, near + begin * w.inputs, logits, mine, softmax);
    softmax.find_largest();
    softmax.exponentials();
    softmax.write(y + begin);
  };
  each_chunk(kernels, w, rows, interrupt, scratch, rows_of, [](Dim, const Logits<T>&) {});
}

template <class T>
void dense_softmax_cross_entropy(const KernelTable<T>& kernels, const DenseWeights<T>& w, const T* x, Dim rows,
                                 const Targets<T>& targets, double smoothing, double scale,
                                 const DenseGradients<T>* gradients, const LossResult<T>& result, Interrupt* interrupt,
                                 CrossEntropyScratch<T>& scratch) {
  const Question<T> question = {targets, smoothing, scale, result};
  const auto rows_of = [&](Dim begin, const Logits<T>& logits, Range mine) {
    LossRows<T> softmax(kernels, logits, mine, question.from(begin, w.units), scratch.rows);
    make_logits(kernels, w, x + begin * w.inputs, logits, mine, softmax);
    softmax.finish();
    if (gradients == nullptr) return;
    T* dx = gradients->dx == nullptr ? nullptr : gradients->dx + begin * w.inputs;
    make_gradients(kernels, w, logits, mine, dx, softmax);
  };
  const auto after = [&](Dim begin, const Logits<T>& logits) {
    if (gradients == nullptr || gradients->kernel == nullptr) return;
    kernel_gradient(kernels, w, x + begin * w.inputs, {logits.z, 0, logits.rows}, logits.rows, begin > 0,
                    gradients->kernel, gradients->bias, scratch.product);
  };
  each_chunk(kernels, w, rows, interrupt, scratch, rows_of, after);
}

#define PYLSTM_INSTANTIATE(T)                                                                                          \
  template void dense_softmax<T>(const KernelTable<T>&, const DenseWeights<T>&, const T* const*, Dim, T* const*,       \
                                 Interrupt*, CrossEntropyScratch<T>&);                                                 \
  template struct CrossEntropyScratch<T>;                                                                              \
  template void softmax_cross_entropy<T>(const KernelTable<T>&, T*, Dim, Dim, const Targets<T>&, double, double, bool, \
                                         const LossResult<T>&, SoftmaxScratch<T>&);                                    \
  template void dense_softmax_cross_entropy<T>(const KernelTable<T>&, const DenseWeights<T>&, const T*, Dim,           \
                                               const Targets<T>&, double, double, const DenseGradients<T>*,            \
                                               const LossResult<T>&, Interrupt*, CrossEntropyScratch<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
