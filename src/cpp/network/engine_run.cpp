// Many batches: the training step in its two phases, evaluation and prediction.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/index.hpp"
#include "network/batches.hpp"
#include "network/engine.hpp"
#include "ops/batch_major.hpp"

namespace pylstm {

template <class T>
void Engine<T>::check_loss() const {
  pylstm::check(compiled_, "the model has no loss: call compile first");
  pylstm::check(!loss_.external,
                "loss: the model was compiled again, with one written in Python, while its data was looked at");
}

template <class T>
void Engine<T>::check_metrics() const {
  for (const std::string& metric : metrics_) {
    const bool of_classes = metric == "sparse_categorical_accuracy" || metric == "categorical_accuracy";
    pylstm::check(of_classes || (!target_shape().labels && fused_dense() == nullptr), "metrics: ", metric,
                  " does not fit a categorical loss");
  }
}

template <class T>
void Engine<T>::check_windows(const RunRequest& request) const {
  pylstm::check(request.tbptt >= 0, "tbptt must be at least 1 step, got ", request.tbptt);
  if (request.tbptt == 0) return;
  pylstm::check(input_.sequence && output_.sequence, "tbptt needs a model whose input and output are sequences");
  for (const auto& layer : layers_) {
    pylstm::check(!layer->reversed(), "tbptt is not possible with ", layer->name(), ", which reads time backwards");
  }
}

// Phase 2: clip, update, count. False, and nothing changed, if a gradient is not finite, or of a size that would make
// slots infinite.
template <class T>
bool Engine<T>::update(CallWork<T>& work) {
  const KernelTable<T>& kernels = table_of<T>(*training_kernels_);
  std::vector<VariableRange> ranges = ranges_;
  for (std::size_t v = 0; v < ranges.size(); ++v) {
    const std::size_t layer = at(variables_[v].layer);
    ranges[v].touched = layers_[layer]->touched_rows(*work.layers[layer]);
  }
  const std::vector<double> norms = squared_norms(kernels, ranges, work.gradients.data());
  if (!(std::accumulate(norms.begin(), norms.end(), 0.0) <= largest_squared_norm<T>(optimizer_))) return false;
  std::vector<T*> slots;
  for (Buffer<T>& slot : slots_) slots.push_back(slot.data());
  OptimizerConfig optimizer = optimizer_;
  optimizer.learning_rate = learning_rate_;
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  optimizer_step(kernels, optimizer, ranges, norms, iterations_ + 1, parameters_.data(), work.gradients.data(), slots);
  ++iterations_;
  ++version_;
  return true;
}

template <class T>
typename Engine<T>::StepResult Engine<T>::train_window(CallWork<T>& work, Totals& totals) {
  StepResult result;
  const WeightsList<T>& weights = training_weights();
  work.context.kernels = &table_of<T>(*training_kernels_);
  result.finished = loss_of_batch(work, weights, true, result);
  if (!result.finished) return result;
  // Without a real step there is nothing to learn, and a slot's momentum or a decay must not move the weights.
  result.finite = std::isfinite(result.loss) && (result.weight == 0 || update(work));
  totals["skipped"].first += !result.finite;
  count_batch(work, result, totals);
  return result;
}

template <class T>
Dim Engine<T>::train_batches(Data& data, const RunRequest& request, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  pylstm::check(trains_here(), "run: call start for a fit first");
  check_loss();
  check_metrics();
  check_windows(request);
  check_shapes(data, input_, target_shape(), Mode::kFit);
  awaits_backward_ = false;
  const Loan loan(*this, Mode::kFit);
  CallWork<T>& work = *loan;
  const Dim steps = steps_of(data);
  const bool windows = request.tbptt > 0;
  const Dim window = windows ? std::min(request.tbptt, steps) : steps;
  return each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
    open_context(work, *fit_kernels_, interrupt);
    work.context.training = work.context.keep = true;
    State<T> state = carried_state(Mode::kFit, windows);  // goes on from window to window
    for (Dim first = 0; first < steps; first += window) {
      if (!gather(data, target_shape(), rows, count, first, std::min(first + window, steps), work)) return false;
      open_state(work, state, count, windows);
      work.context.first_row = first * count;
      const StepResult result = train_window(work, data.totals);
      if (!result.finished) return false;
      if (work.context.state != nullptr && result.finite) state = work.state;
    }
    if (work.context.state != nullptr) keep_state(Mode::kFit, std::move(state));
    return true;
  });
}

template <class T>
Dim Engine<T>::read_batches(const Data& data, const TargetShape& target, const RunRequest& request,
                            Interrupt* interrupt, const ReadBatch& body) {
  check_shapes(data, input_, target, Mode::kEvaluate);
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  const Loan work(*this);
  return each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
    open_context(*work, *snap->kernels, interrupt);
    if (!gather(data, target, rows, count, 0, steps_of(data), *work)) return false;
    open_state(*work, carried_state(Mode::kPredict, false), count, false);
    if (!body(*work, snap->weights, rows, count)) return false;
    if (work->context.state != nullptr) keep_state(Mode::kPredict, work->state);
    return true;
  });
}

template <class T>
Dim Engine<T>::evaluate_batches(Data& data, const RunRequest& request, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  check_loss();
  check_metrics();
  const auto evaluate = [&](CallWork<T>& work, const WeightsList<T>& weights, const std::int64_t*, Dim) {
    StepResult result;
    if (!loss_of_batch(work, weights, false, result)) return false;
    count_batch(work, result, data.totals);
    return true;
  };
  return read_batches(data, target_shape(), request, interrupt, evaluate);
}

template <class T>
Dim Engine<T>::predict(const Data& data, const RunRequest& request, void* out, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  const Dim steps = output_.sequence ? steps_of(data) : 1, features = output_.features;
  T* y = static_cast<T*>(out);
  // Probabilities of many classes, and what a layer writes to results, are written once, where the caller wants them.
  const DenseLayer<T>* softmax = last_dense(DenseActivation::kSoftmax);
  const auto write = [&](CallWork<T>& work, const WeightsList<T>& weights, const std::int64_t* rows, Dim count) {
    if (softmax != nullptr) {
      const std::size_t last = layers_.size() - 1;
      run_layers(work, weights, last, nullptr);
      const Rows<T>& x = work.rows[last];
      work.x_rows.resize(at(steps * count));
      work.y_rows.resize(at(steps * count));
      for (Dim b = 0; b < count; ++b) {
        for (Dim t = 0; t < steps; ++t) {
          work.x_rows[at(b * steps + t)] = x.at(t, b);
          work.y_rows[at(b * steps + t)] = y + (rows[b] * steps + t) * features;
        }
      }
      softmax->write_probabilities(work.context, weights[last].get(), *work.layers[last], work.x_rows.data(),
                                   steps * count, work.y_rows.data(), true);
      return !stop_requested(interrupt);
    }
    work.y_rows.resize(at(count));
    for (Dim b = 0; b < count; ++b) work.y_rows[at(b)] = y + rows[b] * steps * features;
    run_layers(work, weights, layers_.size(), work.y_rows.data());
    if (stop_requested(interrupt)) return false;
    if (work.rows.back().data != nullptr) to_batch_major(work.rows.back().data, steps, count, features, rows, y);
    return true;
  };
  return read_batches(data, TargetShape{}, request, interrupt, write);
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
