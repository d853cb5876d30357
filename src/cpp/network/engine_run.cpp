// Batches: the training step in its two phases, evaluation and prediction.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/index.hpp"
#include "network/batches.hpp"
#include "network/engine.hpp"

namespace pylstm {
namespace {

template <class T>
Dim largest_index(const T* row, Dim columns) {
  return static_cast<Dim>(std::max_element(row, row + columns) - row);
}

}  // namespace

template <class T>
void Engine<T>::gather(const Data& data, const TargetShape& target, const std::int64_t* rows, Dim count, Dim first_step,
                       Dim last_step, CallWork<T>& work) const {
  gather_batch(data, input_, vocabulary_, target, rows, count, first_step, last_step, layers_.front()->reads_in_place(),
               work.batch);
}

// rows[0] is set; runs the first `count` layers.
template <class T>
void Engine<T>::run_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count) const {
  work.context.seed = seed_;
  work.rows.resize(layers_.size() + 1);
  work.rows[0] = work.batch.x;
  for (std::size_t i = 0; i < count; ++i) {
    work.rows[i + 1] = layers_[i]->forward(work.context, weights[i].get(), *work.layers[i], work.rows[i]);
  }
}

// A copy of `state` to run on: the original changes only when the work has succeeded.
template <class T>
void Engine<T>::open_state(CallWork<T>& work, State<T>& state, Dim batch, bool window) const {
  work.context.state = nullptr;
  if (!any_stateful() && !window) return;
  for (const StateBlock<T>& block : state) {
    pylstm::check(block.batch == 0 || block.batch == batch, "a stateful model keeps one state for each row: expected ",
                  block.batch, " rows as in the batch before, got ", batch, "; call reset_state() first");
  }
  work.state = state;
  work.context.state = &work.state;
  work.context.only_stateful = !window;
}

template <class T>
const DenseLayer<T>* Engine<T>::fused_dense() const {
  const bool crossentropy =
      loss_.kind == Loss::kCategoricalCrossentropy || loss_.kind == Loss::kSparseCategoricalCrossentropy;
  const auto* dense = dynamic_cast<const DenseLayer<T>*>(layers_.back().get());
  if (!crossentropy || loss_.external || dense == nullptr) return nullptr;
  const DenseActivation wanted = loss_.from_logits ? DenseActivation::kLinear : DenseActivation::kSoftmax;
  return dense->activation() == wanted ? dense : nullptr;
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

// dy is dL/d(rows[count]); gradients of trainable layers, down to the lowest that needs one. With `dx` all
// layers, and dL/d(input) into *dx.
template <class T>
void Engine<T>::backward_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count, T* dy,
                                T** dx) const {
  std::size_t lowest = dx != nullptr ? 0 : count;
  for (std::size_t i = count; i-- > 0;) {
    if (!gradients_of(work, i, dx != nullptr).empty()) lowest = i;
  }
  for (std::size_t i = count; i-- > lowest;) {
    dy = layers_[i]->backward(work.context, weights[i].get(), *work.layers[i], work.rows[i], dy,
                              gradients_of(work, i, dx != nullptr), i > lowest || dx != nullptr);
  }
  if (dx != nullptr) *dx = dy;
}

// Loss over outputs that exist as an array; returns dL/d(outputs) or null.
template <class T>
T* Engine<T>::generic_loss(CallWork<T>& work, const Rows<T>& out, const Targets<T>& targets, double scale,
                           bool gradient) const {
  const Dim rows = out.rows(), columns = out.features;
  const LossResult<T> result = {work.row_loss.data(), metrics_.empty() ? nullptr : work.argmax.data()};
  T* dy = gradient ? work.dy.reserve(rows * columns) : nullptr;
  const bool crossentropy =
      loss_.kind == Loss::kCategoricalCrossentropy || loss_.kind == Loss::kSparseCategoricalCrossentropy;
  if (crossentropy && loss_.from_logits) {
    T* z = work.dy.reserve(rows * columns);
    std::copy(out.data, out.data + rows * columns, z);
    softmax_cross_entropy(*work.context.kernels, z, rows, columns, targets, loss_.smoothing, scale, gradient, result,
                          work.cross_entropy.rows);
  } else if (crossentropy) {
    probability_cross_entropy(out.data, rows, columns, targets, loss_.smoothing, scale, dy, result);
  } else {
    elementwise_loss(loss_.kind, loss_.from_logits, loss_.smoothing, out.data, rows, columns, targets, scale, dy,
                     result);
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

// Accuracies over real steps of the batch that has just run. A fused loss leaves argmax and no outputs.
template <class T>
void Engine<T>::count_metrics(const CallWork<T>& work, Totals& totals) const {
  if (metrics_.empty()) return;
  const Rows<T>& out = work.rows[layers_.size() - (fused_dense() != nullptr)];
  const Targets<T> targets = targets_of(work);
  const Dim columns = output_.features;
  for (const std::string& name : metrics_) {
    double right = 0, count = 0;
    for (Dim row = 0; row < out.rows(); ++row) {
      if (out.mask != nullptr && out.mask[row] == 0) continue;
      count += 1;
      if (name == "binary_accuracy") {
        double matches = 0;
        for (Dim i = row * columns; i < (row + 1) * columns; ++i) {
          matches += (out.data[i] > T(0.5)) == (targets.dense[i] > T(0.5));
        }
        right += matches / static_cast<double>(columns);
      } else {
        const Dim label =
            targets.labels != nullptr ? targets.labels[row] : largest_index(targets.dense + row * columns, columns);
        right += work.argmax[at(row)] == label;
      }
    }
    totals[name].first += right;
    totals[name].second += count;
  }
}

// Forward, loss, and with `gradient` backward: phase 1. The network is not changed.
template <class T>
bool Engine<T>::loss_of_batch(CallWork<T>& work, const WeightsList<T>& weights, bool gradient,
                              StepResult& result) const {
  const DenseLayer<T>* fused = fused_dense();
  const std::size_t count = layers_.size() - (fused != nullptr);
  run_layers(work, weights, count);
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
    dy = gradient ? work.dy.reserve(rows * out.features) : nullptr;
    const DenseGradients<T> outputs = {mine.empty() ? nullptr : mine[0], mine.size() < 2 ? nullptr : mine[1], dy};
    dense_softmax_cross_entropy(*work.context.kernels, dense, out.data, rows, targets, loss_.smoothing, scale,
                                gradient ? &outputs : nullptr,
                                LossResult<T>{work.row_loss.data(), metrics_.empty() ? nullptr : work.argmax.data()},
                                work.context.interrupt, work.cross_entropy);
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

// Phase 2: clip, update, count. False, and nothing changed, if a gradient is not finite.
template <class T>
bool Engine<T>::update(CallWork<T>& work) {
  const KernelTable<T>& kernels = table_of<T>(*training_kernels_);
  const std::vector<double> norms = squared_norms(kernels, ranges_, work.gradients.data());
  if (!std::isfinite(std::accumulate(norms.begin(), norms.end(), 0.0))) return false;
  std::vector<T*> slots;
  for (Buffer<T>& slot : slots_) slots.push_back(slot.data());
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  optimizer_step(kernels, optimizer_, ranges_, norms, ++iterations_, parameters_.data(), work.gradients.data(), slots);
  weights_stale_ = true;
  published_ = false;
  return true;
}

template <class T>
typename Engine<T>::StepResult Engine<T>::train_window(CallWork<T>& work, Totals& totals, Interrupt* interrupt) {
  StepResult result;
  const WeightsList<T>& weights = training_weights();
  work.context.kernels = &table_of<T>(*training_kernels_);
  work.context.training = true;
  work.context.keep = true;
  work.context.interrupt = interrupt;
  result.finished = loss_of_batch(work, weights, true, result);
  if (!result.finished) return result;
  // Without a real step there is nothing to learn, and a slot's momentum or a decay must not move the weights.
  result.finite = std::isfinite(result.loss) && (result.weight == 0 || update(work));
  totals["loss"].first += result.loss;
  totals["loss"].second += result.weight;
  totals["tokens"].first += static_cast<double>(work.batch.x.rows());
  totals["skipped"].first += !result.finite;
  count_metrics(work, totals);
  return result;
}

template <class T>
Dim Engine<T>::run(Data& data, Mode mode, const RunRequest& request, Interrupt* interrupt) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const TargetShape target = target_shape();
  const Dim steps = input_.sequence ? data.steps() : 1;
  for (const std::string& metric : metrics_) {
    pylstm::check(metric != "binary_accuracy" || (!target.labels && fused_dense() == nullptr),
                  "metrics: binary_accuracy does not fit a categorical loss");
  }
  if (mode == Mode::kFit) {
    pylstm::check(training_ && trainer_.load() == std::this_thread::get_id(), "run: call start for a fit first");
    pylstm::check(request.tbptt >= 0, "tbptt must be at least 1 step, got ", request.tbptt);
    if (request.tbptt > 0) {
      pylstm::check(input_.sequence && output_.sequence, "tbptt needs a model whose input and output are sequences");
      for (const auto& layer : layers_) {
        pylstm::check(!layer->reversed(), "tbptt is not possible with ", layer->name(), ", which reads time backwards");
      }
    }
    CallWork<T>& work = open_training();
    const Dim window = request.tbptt > 0 ? std::min(request.tbptt, steps) : steps;
    return each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
      work.context.step = static_cast<std::uint32_t>(iterations_);
      State<T> carried;  // of this batch's windows; stateful layers go on from the batch before
      const bool windows = request.tbptt > 0;
      if (windows || any_stateful()) {
        const std::lock_guard<std::mutex> lock(state_mutex_);
        carried = fit_state_;
        std::size_t block = 0;
        for (const auto& layer : layers_) {
          for (Dim i = 0; i < layer->state_blocks(); ++i, ++block) {
            if (!layer->stateful()) carried[block].batch = 0;
          }
        }
      }
      for (Dim first = 0; first < steps; first += window) {
        gather(data, target, rows, count, first, std::min(first + window, steps), work);
        open_state(work, carried, count, windows);
        work.context.first_row = first * count;
        const StepResult result = train_window(work, data.totals, interrupt);
        if (!result.finished) return false;
        if (work.context.state != nullptr && result.finite) carried = work.state;
      }
      if (windows || any_stateful()) {
        const std::lock_guard<std::mutex> lock(state_mutex_);
        fit_state_ = std::move(carried);
      }
      return true;
    });
  }
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  std::unique_ptr<CallWork<T>> work = acquire_work();
  const Dim next = each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
    gather(data, target, rows, count, 0, steps, *work);
    work->context = {};
    work->context.kernels = &table_of<T>(*snap->kernels);
    work->context.interrupt = interrupt;
    State<T> carried;
    if (any_stateful()) {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      carried = predict_state_;
    }
    open_state(*work, carried, count, false);
    StepResult result;
    if (!loss_of_batch(*work, snap->weights, false, result)) return false;
    if (work->context.state != nullptr) {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      predict_state_ = work->state;
    }
    data.totals["loss"].first += result.loss;
    data.totals["loss"].second += result.weight;
    data.totals["tokens"].first += static_cast<double>(work->batch.x.rows());
    count_metrics(*work, data.totals);
    return true;
  });
  release_work(std::move(work));
  return next;
}

template <class T>
Dim Engine<T>::predict(const Data& data, const RunRequest& request, void* out, Interrupt* interrupt) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  std::unique_ptr<CallWork<T>> work = acquire_work();
  const Dim steps = input_.sequence ? data.steps() : 1, out_steps = output_.sequence ? steps : 1;
  T* y = static_cast<T*>(out);
  const Dim next = each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
    gather(data, TargetShape{}, rows, count, 0, steps, *work);
    work->context = {};
    work->context.kernels = &table_of<T>(*snap->kernels);
    work->context.interrupt = interrupt;
    State<T> carried;
    if (any_stateful()) {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      carried = predict_state_;
    }
    open_state(*work, carried, count, false);
    run_layers(*work, snap->weights, layers_.size());
    if (stop_requested(interrupt)) return false;
    if (work->context.state != nullptr) {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      predict_state_ = work->state;
    }
    const Rows<T>& result = work->rows.back();
    for (Dim b = 0; b < count; ++b) {
      for (Dim t = 0; t < out_steps; ++t) {
        std::memcpy(y + (rows[b] * out_steps + t) * result.features, result.data + (t * count + b) * result.features,
                    at(result.features) * sizeof(T));
      }
    }
    return true;
  });
  release_work(std::move(work));
  return next;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
