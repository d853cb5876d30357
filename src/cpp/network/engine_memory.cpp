// What the network holds, and what a batch will need.
#include <algorithm>
#include <numeric>

#include "base/float_env.hpp"
#include "base/index.hpp"
#include "network/engine.hpp"
#include "ops/dense_softmax.hpp"

namespace pylstm {
namespace {

template <class T>
std::size_t bytes_of(const WeightsList<T>& weights) {
  std::size_t sum = 0;
  for (const auto& layer : weights) sum += layer ? layer->bytes() : 0;
  return sum;
}

// Elements of CallWork::dy: the loss's gradient goes to the first, each layer's dL/d(in) to the one where dy is not.
std::size_t gradients_in_turn(Dim of_loss, const std::vector<Dim>& dx) {
  Dim sizes[2] = {of_loss, 0};
  int last = 0;
  for (auto size = dx.rbegin(); size != dx.rend(); ++size) {
    if (*size == 0) continue;  // left where it was
    last = 1 - last;
    sizes[last] = std::max(sizes[last], *size);
  }
  return at(sizes[0] + sizes[1]);
}

}  // namespace

template <class T>
std::size_t Engine<T>::memory() const {
  const std::lock_guard<std::mutex> lock(pool_mutex_);
  std::size_t sum = train_work_ ? train_work_->bytes() : 0;
  for (const auto& work : pool_) sum += work->bytes();
  return sum;
}

template <class T>
MemoryUse Engine<T>::memory_use() const {
  MemoryUse use;
  {
    const std::lock_guard<std::mutex> lock(pool_mutex_);
    for (const auto& work : pool_) use.workspace += work->bytes();
    if (train_work_) {
      use.gradients = train_work_->gradients.bytes();
      use.workspace += train_work_->bytes() - use.gradients;
    }
  }
  const Reading reading(*settings_mutex_);
  const std::lock_guard<std::mutex> trainer_lock(trainer_mutex_);  // no training begins to pack its weights
  for (const Buffer<T>& slot : slots_) use.optimizer += slot.bytes();
  const std::lock_guard<std::mutex> snapshot_lock(snapshot_mutex_);
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  use.parameters = parameters_.bytes();
  use.packed_weights = snapshot_ ? bytes_of<T>(snapshot_->weights) : 0;
  if (!trains_elsewhere()) use.packed_weights += bytes_of<T>(training_weights_);
  return use;
}

template <class T>
std::size_t Engine<T>::plan_workspace(const KernelTable<T>& kernels, Dim batch, Dim steps, Mode mode) const {
  const bool loss = mode == Mode::kFit || mode == Mode::kEvaluate;
  // A model without a loss yet will get the one that its last layer is made for.
  const DenseLayer<T>* fused = compiled_ ? fused_dense() : last_dense(DenseActivation::kSoftmax);
  const DenseLayer<T>* softmax = last_dense(DenseActivation::kSoftmax);
  // Whether the last outputs are never stored.
  const bool unwritten = loss ? fused != nullptr : softmax != nullptr && mode == Mode::kPredict;
  PlannedCall call;
  call.batch = batch;
  call.steps = input_.sequence ? steps : 1;
  call.training = mode == Mode::kFit;
  const Dim rows = call.rows();
  std::size_t sum = input_.tokens ? at(rows) * sizeof(std::int32_t) : at(rows * input_.features) * sizeof(T);
  LayerScratchSizes scratch;
  std::vector<Dim> dx;  // of the layers that run backward
  Dim features = input_.features;
  bool trained = false;  // a layer below
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer<T>& layer = *layers_[i];
    const SampleShape out = layer.output_shape();
    call.want_dx = call.training && trained;
    trained = trained || !layer.variables().empty();
    call.repeats = i + 1 < layers_.size() && layers_[i + 1]->takes_repeats();
    call.results = i + 1 == layers_.size() && mode == Mode::kPredict;
    if (i + 1 < layers_.size() || !unwritten) {
      sum += layer.planned_work(kernels, call);
      scratch.cover(layer.planned_scratch(kernels, call));
      dx.push_back(layer.planned_dx(call));
    }
    if (i + 1 == layers_.size()) break;
    call.distinct = call.repeats ? layer.most_repeats(call.rows()) : 0;
    call.masked = (call.masked || layer.padding()) && out.sequence;
    if (!out.sequence) call.steps = 1;
    features = out.features;
  }
  const Dim last_rows = batch * (output_.sequence ? steps : 1);
  if (!loss) {
    if (unwritten) {
      sum += 2 * at(last_rows) * sizeof(T*);
      sum += dense_softmax_bytes(kernels, features, output_.features, last_rows);
    } else if (mode == Mode::kPredict) {
      sum += at(batch) * sizeof(T*);
    }
    return sum + scratch.template bytes<T>();
  }
  const bool labels = compiled_ ? target_shape().labels : fused != nullptr;
  sum += labels ? at(last_rows) * sizeof(std::int32_t) : at(last_rows * output_.features) * sizeof(T);
  sum += 2 * at(last_rows) * sizeof(T);                            // weights: the caller's, and the loss's
  sum += at(last_rows) * (sizeof(double) + sizeof(std::int32_t));  // loss and argmax
  const bool whole = crossentropy() && loss_.from_logits;
  if (fused != nullptr) {
    sum += fused->planned_loss(kernels, last_rows, call.training);
    if (call.training) {
      sum += gradients_in_turn(last_rows * features, dx) * sizeof(T);
      scratch.sums.cover(fused->planned_loss_sums(kernels, last_rows));
    }
  } else if (call.training || whole) {
    sum += gradients_in_turn(last_rows * output_.features, dx) * sizeof(T);
    sum += whole ? CrossEntropyScratch<T>::planned_rows(kernels, last_rows) : 0;
  }
  return sum + scratch.template bytes<T>();
}

template <class T>
MemoryUse Engine<T>::plan_memory(Dim batch, Dim steps, Mode mode) const {
  const FloatEnvironment guard;
  pylstm::check(batch >= 1 && steps >= 1, "batch and steps must be at least 1, got ", batch, " and ", steps);
  Dim widest = vocabulary_ + input_.features;
  for (const VariableInfo& v : variables_) widest += std::accumulate(v.shape.begin(), v.shape.end(), Dim{0});
  checked_product({batch, steps, widest, 64}, sizeof(T));  // more than any layer has of anything: no sum overflows
  const Reading reading(*settings_mutex_);
  const KernelTable<T>& kernels = table_of<T>(active_kernels());
  MemoryUse use;
  use.parameters = at(flat_count_) * sizeof(T);
  if (mode == Mode::kFit) use.gradients = use.parameters;
  for (const Buffer<T>& slot : slots_) use.optimizer += slot.bytes();
  for (const auto& layer : layers_) {
    use.packed_weights += layer->planned_weights(kernels, PackedFor::kReading);
    if (mode == Mode::kFit) use.packed_weights += layer->planned_weights(kernels, PackedFor::kTraining);
  }
  use.workspace = plan_workspace(kernels, batch, steps, mode);
  return use;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
