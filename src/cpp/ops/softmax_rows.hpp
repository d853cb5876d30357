// Softmax and its loss over rows of logits that stand in panels: the steps that softmax_loss.cpp and dense_softmax.cpp
// put between products.
#pragma once

#include <algorithm>
#include <limits>

#include "ops/product.hpp"
#include "ops/softmax_loss.hpp"

namespace pylstm {

// [rows, columns] in panels: panel p is [rows][row_of(p)], where the last may be narrower. One panel as wide as the
// matrix is a plain matrix; those of products and of logits_write are the kernel's.
template <class T>
struct Logits {
  T* z;
  Dim rows, columns, panel, width;

  Dim panels() const { return (columns + panel - 1) / panel; }
  Dim columns_of(Dim p) const { return std::min(panel, columns - p * panel); }
  Dim row_of(Dim p) const { return (columns_of(p) + width - 1) / width * width; }
  T* at(Dim p, Dim row) const { return z + p * panel * rows + row * row_of(p); }
  T& element(Dim row, Dim column) const { return at(column / panel, row)[column % panel]; }
  // f(panels): the kernels run a last panel of narrower rows alone.
  template <class F>
  void each_alike(F f) const {
    const Dim alike = row_of(panels() - 1) < panel ? panels() - 1 : panels();
    if (alike > 0) f(Range{0, alike});
    if (alike < panels()) f(Range{alike, panels()});
  }
};

// Elements of logits in panels.
template <class T>
Dim size_in_panels(const KernelTable<T>& k, Dim rows, Dim columns) {
  return rows * ((columns + k.width - 1) / k.width * k.width);
}

// Logits stay in the last-level cache (bytes).
inline constexpr Dim kChunkBytes = Dim{8} << 20;

// Rows of logits at a time, for each of so many threads that have some of their own.
template <class T>
Dim most_logit_rows(Dim units, int threads) {
  return std::max(kRowsOfPiece, kChunkBytes / (threads * units * static_cast<Dim>(sizeof(T))));
}

template <class T>
void reserve_rows(SoftmaxScratch<T>& scratch, Dim rows, Dim width) {
  scratch.lanes.reserve(rows * width);
  for (Buffer<T>* buffer : {&scratch.shift, &scratch.factor, &scratch.scale}) buffer->reserve(rows);
  for (Buffer<double>* buffer : {&scratch.mass, &scratch.weighted}) buffer->reserve(rows);
}

// What a loss asks of every row.
template <class T>
struct LossInputs {
  Targets<T> targets;
  double smoothing, scale;
  LossResult<T> result;

  // The same for rows from `row` on.
  LossInputs from(Dim row, Dim columns) const {
    LossInputs q = *this;
    if (q.targets.labels != nullptr) q.targets.labels += row;
    if (q.targets.dense != nullptr) q.targets.dense += row * columns;
    if (q.targets.weights != nullptr) q.targets.weights += row;
    if (q.result.loss != nullptr) q.result.loss += row;
    if (q.result.argmax != nullptr) q.result.argmax += row;
    return q;
  }
};

// Rows [rows.begin, rows.end) of the logits, on one thread: their maxima, by take() or by a product through largest();
// then find_largest(), exponentials(), write() every panel. What they carry is in `scratch` from row `place` on.
template <class T>
class SoftmaxRows {
 public:
  SoftmaxRows(const KernelTable<T>& kernels, const Logits<T>& logits, Range rows, SoftmaxScratch<T>& scratch, Dim place)
      : k_(kernels),
        logits_(logits),
        rows_(rows),
        lanes_(scratch.lanes.data() + place * kernels.width),
        shift_(scratch.shift.data() + place),
        factor_(scratch.factor.data() + place) {
    std::fill(lanes_, lanes_ + count() * k_.width, -std::numeric_limits<T>::infinity());
  }

  void take(Dim panel) { k_.logits_max(block(panel), lanes_); }
  T* largest() const { return lanes_; }  // for a product that takes what it writes

  void find_largest() { k_.largest_lanes(count(), lanes_, shift_); }

  void begin_sums() { std::fill(lanes_, lanes_ + count() * k_.width, T(0)); }
  void exponentials(Dim panel) { k_.logits_exp(block(panel), shift_, lanes_); }
  // factor becomes the sum of each row.
  void end_sums() { k_.sum_lanes(count(), lanes_, factor_); }

  void exponentials() {
    begin_sums();
    for (Dim p = 0; p < logits_.panels(); ++p) exponentials(p);
    end_sums();
  }

  // Probabilities, of row r to y[r].
  void write(T* const* y, bool past_caches) {
    for (Dim r = 0; r < count(); ++r) factor_[r] = 1 / factor_[r];
    logits_.each_alike([&](Range panels) {
      LogitsBlock<T> some = block(panels.begin);
      some.columns = std::min(panels.end * logits_.panel, logits_.columns) - panels.begin * logits_.panel;
      some.z_panel = logits_.rows * logits_.panel;
      k_.logits_write(some, factor_, y + rows_.begin, panels.begin * logits_.panel, past_caches);
    });
  }

 protected:
  Dim count() const { return rows_.end - rows_.begin; }

  LogitsBlock<T> block(Dim p) const {
    const bool alike = p + 1 < logits_.panels() && logits_.row_of(p + 1) == logits_.row_of(p);
    const T* next = alike ? logits_.at(p + 1, rows_.begin) : nullptr;
    return {count(), logits_.columns_of(p), logits_.at(p, rows_.begin), logits_.row_of(p), nullptr, 0, next};
  }

  const KernelTable<T>& k_;
  Logits<T> logits_;
  Range rows_;
  T *lanes_, *shift_, *factor_;
};

// Logits of some rows of x [., inputs], with their maxima.
template <class T>
void make_logits(const KernelTable<T>& k, const DenseWeights<T>& w, const T* x, const Logits<T>& logits, Range rows,
                 SoftmaxRows<T>& softmax) {
  logits.each_alike([&](Range panels) {
    const Dim row = logits.row_of(panels.begin);
    GemmArgs<T> args = whole_product(x + rows.begin * w.inputs, w.inputs, w.kernel, logits.z + rows.begin * row, row,
                                     rows.end - rows.begin, w.has_bias ? Init::kBias : Init::kZero, w.bias.data());
    args.c_panel = logits.panel * logits.rows;
    args.first_panel = panels.begin;
    args.last_panel = panels.end;
    args.largest = softmax.largest();
    run_product(k, args);
  });
}

// SoftmaxRows with a loss: the maxima, begin(), exponentials() of every panel, finish(). If it is `deferred`,
// the exponentials, less their sum where the label is, are then the gradient divided by factor: their products need not
// wait for the sum. Otherwise gradient() of every panel makes them the gradient.
template <class T>
class LossRows : public SoftmaxRows<T> {
 public:
  // deferred: only for labels without smoothing.
  LossRows(const KernelTable<T>& kernels, const Logits<T>& logits, Range rows, const LossInputs<T>& inputs,
           bool deferred, SoftmaxScratch<T>& scratch)
      : SoftmaxRows<T>(kernels, logits, rows, scratch, rows.begin),
        q_(inputs.from(rows.begin, logits.columns)),
        share_(static_cast<T>(inputs.smoothing) / static_cast<T>(logits.columns)),
        keep_(1 - static_cast<T>(inputs.smoothing)),
        deferred_(deferred),
        scale_(scratch.scale.data() + rows.begin),
        mass_(scratch.mass.data() + rows.begin),
        weighted_(scratch.weighted.data() + rows.begin) {}

  bool deferred() const { return deferred_; }

  void begin() {
    this->find_largest();
    find_argmax();
    measure_targets();
    this->begin_sums();
  }

  void finish() {
    this->end_sums();
    const T* sum = factor_;
    for (Dim r = 0; r < count(); ++r) {
      if (deferred_) logits_.element(rows_.begin + r, q_.targets.labels[r]) -= sum[r];
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
    const Dim first = panel * logits_.panel, last = first + logits_.columns_of(panel);
    for (Dim r = 0; q_.targets.labels != nullptr && r < count(); ++r) {
      const Dim label = q_.targets.labels[r];
      if (label >= first && label < last) logits_.element(rows_.begin + r, label) -= scale_[r] * keep_;
    }
  }

  // y = factor x, rows of `columns` elements.
  void times_factor(Dim columns, const T* x, T* y) const {
    for (Dim r = 0; r < count(); ++r) {
      for (Dim i = 0; i < columns; ++i) y[r * columns + i] = factor_[r] * x[r * columns + i];
    }
  }

  // Deferred: dx, the product of the exponentials as they were before finish(), becomes that of the gradient.
  void finish_product(const Panels<T>& kernel_t, T* dx) const {
    for (Dim r = 0; r < count(); ++r, dx += kernel_t.columns()) {
      k_.scale(kernel_t.columns(), factor_[r], dx);
      kernel_t.add_row(k_, q_.targets.labels[r], -scale_[r], dx);
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

  LossInputs<T> q_;
  T share_, keep_;
  bool deferred_;
  T* scale_;
  double *mass_, *weighted_;
};

}  // namespace pylstm
