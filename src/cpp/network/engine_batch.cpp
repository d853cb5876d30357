// One batch: through the layers, the loss, and back.
#include <algorithm>
#include <cmath>

#include "base/index.hpp"
#include "network/engine.hpp"

namespace pylstm {
namespace {

template <class T>
Dim largest_index(const T* row, Dim columns) {
  return static_cast<Dim>(std::max_element(row, row + columns) - row);
}

// Those that are not masked.
template <class T>
Dim real_rows(const Rows<T>& rows) {
  if (rows.mask == nullptr) return rows.rows();
  return rows.rows() - std::count(rows.mask, rows.mask + rows.rows(), std::uint8_t{0});
}

}  // namespace

// In an open context; false when interrupted.
template <class T>
bool Engine<T>::gather(const Data& data, const TargetShape& target, const std::int64_t* rows, Dim count, Dim first_step,
                       Dim last_step, CallWork<T>& work) const {
  return gather_batch(data, input_, vocabulary_, target, rows, count, first_step, last_step,
                      layers_.front()->reads_in_place(), work.context.interrupt, work.batch);
}

// For layers without dropout that keep nothing and begin with zeros.
template <class T>
void Engine<T>::open_context(CallWork<T>& work, const Kernels& kernels, Interrupt* interrupt) const {
  work.context = {};
  work.context.kernels = &table_of<T>(kernels);
  work.context.seed = seed_;
  work.context.step = static_cast<std::uint32_t>(iterations_);
  work.context.scratch = &work.scratch;
  work.context.interrupt = interrupt;
}

// The first `count` layers.
template <class T>
void Engine<T>::run_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count,
                           T* const* results) const {
  work.rows.assign(layers_.size() + 1, {});  // those of an earlier call point at what may be gone
  work.rows[0] = work.batch.x;
  for (std::size_t i = 0; i < count; ++i) {
    work.context.repeats = i + 1 < count && layers_[i + 1]->takes_repeats();
    work.context.results = i + 1 == layers_.size() ? results : nullptr;
    work.rows[i + 1] = layers_[i]->forward(work.context, weights[i].get(), *work.layers[i], work.rows[i]);
  }
}

template <class T>
std::vector<T*> Engine<T>::gradients_of(CallWork<T>& work, std::size_t layer, bool all) const {
  std::vector<T*> pointers;
  bool wanted = all;
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    if (variables_[v].layer != static_cast<Dim>(layer)) continue;
    pointers.push_back(work.gradients.data() + variables_[v].offset);
    wanted = wanted || ranges_[v].trainable;
  }
  return wanted ? pointers : std::vector<T*>{};
}

// The first of `count` layers that is trained, or count.
template <class T>
std::size_t Engine<T>::lowest_trained(std::size_t count) const {
  Dim lowest = static_cast<Dim>(count);
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    if (ranges_[v].trainable) lowest = std::min(lowest, variables_[v].layer);
  }
  return at(lowest);
}

// dy is dL/d(rows[count]); gradients of trainable layers, down to the lowest that needs one. With `dx` all
// layers, and dL/d(input) into *dx.
template <class T>
void Engine<T>::backward_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count, T* dy,
                                T** dx) const {
  const std::size_t lowest = dx != nullptr ? 0 : lowest_trained(count);
  for (std::size_t i = count; i-- > lowest;) {
    Buffer<T>& other = work.dy[dy == work.dy[0].data() ? 1 : 0];
    dy = layers_[i]->backward(work.context, weights[i].get(), *work.layers[i], work.rows[i], dy,
                              gradients_of(work, i, dx != nullptr), i > lowest || dx != nullptr ? &other : nullptr);
  }
  if (dx != nullptr) *dx = dy;
}

// Loss over outputs that exist as an array; returns dL/d(outputs) or null.
template <class T>
T* Engine<T>::generic_loss(CallWork<T>& work, const Rows<T>& out, const Targets<T>& targets, double scale,
                           bool gradient) const {
  const Dim rows = out.rows(), columns = out.features;
  const LossResult<T> result = {work.row_loss.data(), metrics_.empty() ? nullptr : work.argmax.data()};
  T* dy = gradient ? work.dy[0].reserve(rows * columns) : nullptr;
  if (crossentropy() && loss_.from_logits) {
    T* z = work.dy[0].reserve(rows * columns);
    std::copy(out.data, out.data + rows * columns, z);
    softmax_cross_entropy(*work.context.kernels, z, rows, columns, targets, loss_.smoothing, scale, gradient, result,
                          work.cross_entropy.rows);
  } else if (crossentropy()) {
    probability_cross_entropy(out.data, rows, columns, targets, loss_.smoothing, scale, dy, result);
  } else {
    elementwise_loss(*work.context.kernels, loss_.kind, loss_.from_logits, loss_.smoothing, out.data, rows, columns,
                     targets, scale, dy, result);
    for (Dim row = 0; row < rows && !metrics_.empty(); ++row) {
      work.argmax[at(row)] = static_cast<std::int32_t>(largest_index(out.data + row * columns, columns));
    }
  }
  return dy;
}

template <class T>
Targets<T> Engine<T>::targets_of(const CallWork<T>& work) const {
  Targets<T> targets;
  if (target_shape().labels) {
    targets.labels = work.batch.labels.data();
  } else {
    targets.dense = work.batch.targets.data();
  }
  return targets;
}

// Loss, steps, and metrics over real steps of the batch that has just run. A fused loss leaves argmax and no outputs,
// so that check_metrics refuses those that look at outputs.
template <class T>
void Engine<T>::count_batch(const CallWork<T>& work, const StepResult& result, Totals& totals) const {
  totals["loss"].first += result.loss;
  totals["loss"].second += result.weight;
  // A layer that makes a mask is the first: it has run, and joins the batch's own mask to its.
  totals["tokens"].first += static_cast<double>(real_rows(work.rows[layers_.front()->padding() ? 1 : 0]));
  if (metrics_.empty()) return;
  const Rows<T>& out = work.rows[layers_.size() - (fused_dense() != nullptr)];
  const Targets<T> targets = targets_of(work);
  const Dim columns = output_.features;
  const auto mean_over_outputs = [&](Dim row, auto value) {
    double sum = 0;
    for (Dim i = row * columns; i < (row + 1) * columns; ++i) sum += value(out.data[i], targets.dense[i]);
    return sum / static_cast<double>(columns);
  };
  const auto value_of = [&](const std::string& name, Dim row) -> double {
    if (name == "binary_accuracy") {
      return mean_over_outputs(row, [](T y, T target) { return T(y > T(0.5)) == target; });
    }
    const auto error = [](T y, T target) { return static_cast<double>(y) - static_cast<double>(target); };
    if (name == "mean_squared_error") {
      return mean_over_outputs(row, [&](T y, T target) { return error(y, target) * error(y, target); });
    }
    if (name == "mean_absolute_error") {
      return mean_over_outputs(row, [&](T y, T target) { return std::fabs(error(y, target)); });
    }
    const Dim label =
        targets.labels != nullptr ? targets.labels[row] : largest_index(targets.dense + row * columns, columns);
    return work.argmax[at(row)] == label;
  };
  for (const std::string& name : metrics_) {
    double sum = 0, count = 0;
    for (Dim row = 0; row < out.rows(); ++row) {
      if (out.mask != nullptr && out.mask[row] == 0) continue;
      count += 1;
      sum += value_of(name, row);
    }
    totals[name].first += sum;
    totals[name].second += count;
  }
}

// Forward, loss, and with `gradient` backward: phase 1. The network is not changed.
template <class T>
bool Engine<T>::loss_of_batch(CallWork<T>& work, const WeightsList<T>& weights, bool gradient,
                              StepResult& result) const {
  const DenseLayer<T>* fused = fused_dense();
  const std::size_t count = layers_.size() - (fused != nullptr);
  run_layers(work, weights, count, nullptr);
  Rows<T> out = work.rows[count];
  const Dim rows = out.rows();
  work.row_loss.assign(at(rows), 0.0);
  work.argmax.assign(at(rows), 0);
  Targets<T> targets = targets_of(work);
  result.weight = static_cast<double>(rows);
  if (work.batch.has_weights || out.mask != nullptr) {
    T* w = work.weights.reserve(rows);
    if (out.mask != nullptr) result.weight = 0;
    for (Dim row = 0; row < rows; ++row) {
      const bool real = out.mask == nullptr || out.mask[row] != 0;
      w[row] = !real ? T(0) : work.batch.has_weights ? work.batch.weights[row] : T(1);
      if (out.mask != nullptr) result.weight += real;
    }
    targets.weights = w;
  }
  const double scale = result.weight > 0 ? 1 / result.weight : 0;
  T* dy = nullptr;
  if (fused != nullptr) {
    const auto& dense = static_cast<const DenseLayerWeights<T>*>(weights[count].get())->dense;
    const std::vector<T*> mine = gradient ? gradients_of(work, count, false) : std::vector<T*>{};
    dy = gradient && lowest_trained(count) < count ? work.dy[0].reserve(rows * out.features) : nullptr;
    const DenseGradients<T> outputs = {mine.empty() ? nullptr : mine[0], mine.size() < 2 ? nullptr : mine[1], dy};
    dense_softmax_cross_entropy(*work.context.kernels, dense, out.data, rows, targets, loss_.smoothing, scale,
                                gradient ? &outputs : nullptr,
                                LossResult<T>{work.row_loss.data(), metrics_.empty() ? nullptr : work.argmax.data()},
                                work.context.interrupt, work.cross_entropy, work.scratch.sums);
  } else {
    dy = generic_loss(work, out, targets, scale, gradient);
  }
  if (gradient) backward_layers(work, weights, count, dy, nullptr);
  if (stop_requested(work.context.interrupt)) return false;
  for (Dim row = 0; row < rows; ++row) {
    const double w = targets.weights == nullptr ? 1.0 : static_cast<double>(targets.weights[row]);
    if (w != 0) result.loss += w * work.row_loss[at(row)];
  }
  return true;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
