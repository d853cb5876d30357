// Parameters, packed weights, snapshots and state.
#include "network/engine.hpp"

#include <algorithm>

#include "base/float_env.hpp"
#include "network/build.hpp"

namespace pylstm {
namespace {

constexpr const char* kBeingTrained = "the model is being trained";

}  // namespace

template <class T>
void read_array(const ArrayView& array, const std::vector<Dim>& shape, const std::string& name, T* out) {
  pylstm::check(array.shape == shape, name, " must have shape ", shape_text(shape), ", got ", shape_text(array.shape),
                array.shape.size() == 2 && shape.size() == 2 && array.shape[0] == shape[1] && array.shape[1] == shape[0]
                    ? "; is it transposed?"
                    : "");
  const std::size_t rank = shape.size();
  const Dim inner = rank == 0 ? 1 : shape.back();
  const Dim outer = rank < 2 ? 1 : shape[rank - 2], more = rank < 3 ? 1 : shape[rank - 3];
  for (Dim i = 0; i < more; ++i) {
    for (Dim j = 0; j < outer; ++j) {
      const unsigned char* from =
          array.data + (rank < 3 ? 0 : i * array.strides[rank - 3]) + (rank < 2 ? 0 : j * array.strides[rank - 2]);
      read_elements(array, from, rank == 0 ? 0 : array.strides.back(), inner, out + (i * outer + j) * inner);
    }
  }
}
template void read_array<float>(const ArrayView&, const std::vector<Dim>&, const std::string&, float*);
template void read_array<double>(const ArrayView&, const std::vector<Dim>&, const std::string&, double*);

std::unique_ptr<Network> Network::create(const std::string& config_json, const std::vector<Dim>& input_shape,
                                         const std::string& dtype) {
  const JsonValue document = parse_json(config_json);
  const JsonView layers = JsonView(document, "config").at("layers");
  const SampleShape input = input_of(layers, input_shape);
  if (dtype == "float32") return std::make_unique<Engine<float>>(build_layers<float>(layers, input), input);
  if (dtype == "float64") return std::make_unique<Engine<double>>(build_layers<double>(layers, input), input);
  throw std::invalid_argument(text("dtype must be 'float32' or 'float64', got '", dtype, "'"));
}

template <class T>
std::size_t CallWork<T>::bytes() const {
  std::size_t sum = batch.bytes() + dy.bytes() + weights.bytes() + gradients.bytes() + cross_entropy.bytes();
  for (const auto& layer : layers) sum += layer->bytes();
  return sum;
}

template <class T>
Engine<T>::Engine(std::vector<std::unique_ptr<Layer<T>>> layers, SampleShape input)
    : layers_(std::move(layers)), input_(input), output_(layers_.back()->output_shape()) {
  constexpr Dim kAlign = static_cast<Dim>(kAlignment / sizeof(T));
  Dim states = 0;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    for (const VariableSpec& spec : layers_[i]->variables()) {
      const Dim count = checked_product(spec.shape, sizeof(T));
      variables_.push_back({layers_[i]->name() + "/" + spec.name, spec.shape, static_cast<Dim>(i), flat_count_, count});
      ranges_.push_back({flat_count_, count, true});
      flat_count_ = checked_product({flat_count_ + count + kAlign}, sizeof(T)) / kAlign * kAlign;
    }
    layers_[i]->set_first_state(states);
    states += layers_[i]->state_blocks();
  }
  if (input_.tokens) vocabulary_ = variables_.front().shape[0];
  parameters_.reserve_zeroed(flat_count_);
  fit_state_ = empty_state();
  predict_state_ = empty_state();
}

template <class T>
std::vector<std::vector<Dim>> Engine<T>::layer_output_shapes() const {
  std::vector<std::vector<Dim>> shapes;
  for (const auto& layer : layers_) shapes.push_back(layer->output_shape().dims());
  return shapes;
}

template <class T>
std::vector<OwnedArray> Engine<T>::get_weights() const {
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  std::vector<OwnedArray> arrays;
  for (const VariableInfo& v : variables_) arrays.push_back(own_array(v.shape, parameters_.data() + v.offset));
  return arrays;
}

template <class T>
void Engine<T>::set_weights(const std::vector<ArrayView>& weights) {
  if (training_ && trainer_.load() != std::this_thread::get_id()) throw std::runtime_error(kBeingTrained);
  pylstm::check(weights.size() == variables_.size(), "weights must be a list of ", variables_.size(), " arrays, got ",
                weights.size());
  const FloatEnvironment guard;
  Buffer<T> fresh;
  fresh.reserve_zeroed(flat_count_);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    read_array(weights[i], variables_[i].shape, variables_[i].path, fresh.data() + variables_[i].offset);
  }
  {
    const std::lock_guard<std::mutex> lock(parameters_mutex_);
    parameters_ = std::move(fresh);
    weights_stale_ = true;
    published_ = false;
  }
  publish();
}

template <class T>
void Engine<T>::set_trainable(const std::vector<bool>& flags) {
  const std::unique_lock<std::shared_mutex> alone(settings_mutex_);
  pylstm::check(flags.size() == ranges_.size(), "flags must have one entry for each of the ", ranges_.size(),
                " variables, got ", flags.size());
  for (std::size_t i = 0; i < flags.size(); ++i) ranges_[i].trainable = flags[i];
}

template <class T>
void Engine<T>::compile(const LossConfig& loss, const OptimizerConfig& optimizer) {
  const std::unique_lock<std::shared_mutex> alone(settings_mutex_);
  if (training_) throw std::runtime_error(kBeingTrained);
  loss_ = loss;
  optimizer_ = optimizer;
  iterations_ = 0;
  slots_.clear();
  for (std::size_t i = 0; i < slot_names(optimizer).size(); ++i) {
    slots_.emplace_back();
    slots_.back().reserve_zeroed(flat_count_);
  }
  compiled_ = true;
}

template <class T>
std::vector<std::pair<std::string, OwnedArray>> Engine<T>::get_slots() const {
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  std::vector<std::pair<std::string, OwnedArray>> arrays;
  const std::vector<std::string> names = slot_names(optimizer_);
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    for (const VariableInfo& v : variables_) {
      arrays.emplace_back(v.path + "/" + names[s], own_array(v.shape, slots_[s].data() + v.offset));
    }
  }
  return arrays;
}

template <class T>
void Engine<T>::set_slots(const std::vector<ArrayView>& arrays) {
  const std::unique_lock<std::shared_mutex> alone(settings_mutex_);
  if (training_) throw std::runtime_error(kBeingTrained);
  const std::vector<std::string> names = slot_names(optimizer_);
  pylstm::check(arrays.size() == slots_.size() * variables_.size(), "slots must be a list of ",
                slots_.size() * variables_.size(), " arrays, got ", arrays.size());
  const FloatEnvironment guard;
  std::vector<Buffer<T>> fresh(slots_.size());
  std::size_t next = 0;
  for (std::size_t s = 0; s < fresh.size(); ++s) {
    fresh[s].reserve_zeroed(flat_count_);
    for (const VariableInfo& v : variables_) {
      read_array(arrays[next++], v.shape, v.path + "/" + names[s], fresh[s].data() + v.offset);
    }
  }
  slots_ = std::move(fresh);
}

template <class T>
void Engine<T>::set_metrics(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    pylstm::check(name == "sparse_categorical_accuracy" || name == "categorical_accuracy" || name == "binary_accuracy",
                  "metrics: unknown name '", name, "'");
  }
  {
    const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
    if (metrics_ == names) return;
  }
  const std::unique_lock<std::shared_mutex> alone(settings_mutex_);
  metrics_ = names;
}

template <class T>
void Engine<T>::start(Mode mode) {
  if (mode != Mode::kFit) return;
  bool idle = false;
  if (!training_.compare_exchange_strong(idle, true)) throw std::runtime_error(kBeingTrained);
  trainer_ = std::this_thread::get_id();
}

template <class T>
void Engine<T>::finish(Mode mode) {
  if (mode != Mode::kFit) return;
  struct Release {  // also when memory for the snapshot is short
    Engine* engine;
    ~Release() {
      engine->trainer_ = std::thread::id();
      engine->training_ = false;
    }
  } release{this};
  publish();
}

template <class T>
void Engine<T>::pack(const Kernels& kernels, bool backward, bool own, WeightsList<T>& weights) const {
  const FloatEnvironment guard;
  weights.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!weights[i]) weights[i] = layers_[i]->make_weights();
    if (!weights[i]) continue;
    std::vector<const T*> parameters;
    for (const VariableInfo& v : variables_) {
      if (v.layer == static_cast<Dim>(i)) parameters.push_back(parameters_.data() + v.offset);
    }
    layers_[i]->pack(*weights[i], table_of<T>(kernels), parameters, backward, own);
  }
}

template <class T>
void Engine<T>::publish() {
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  const Kernels& kernels = active_kernels();
  if (published_ && snapshot_ && snapshot_->kernels == &kernels) return;
  auto fresh = std::make_shared<Snapshot<T>>();
  fresh->kernels = &kernels;
  {
    const std::lock_guard<std::mutex> parameters_lock(parameters_mutex_);
    pack(kernels, false, true, fresh->weights);
    published_ = true;
  }
  snapshot_ = std::move(fresh);
}

template <class T>
std::shared_ptr<const Snapshot<T>> Engine<T>::snapshot() {
  {
    const std::lock_guard<std::mutex> lock(snapshot_mutex_);
    const bool reader = trainer_.load() != std::this_thread::get_id();
    if (snapshot_ && snapshot_->kernels == &active_kernels() && (published_ || reader)) return snapshot_;
  }
  publish();
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  return snapshot_;
}

template <class T>
const WeightsList<T>& Engine<T>::training_weights() {
  const Kernels& kernels = active_kernels();
  if (weights_stale_ || training_kernels_ != &kernels) {
    pack(kernels, true, false, training_weights_);
    training_kernels_ = &kernels;
    weights_stale_ = false;
  }
  return training_weights_;
}

template <class T>
std::unique_ptr<CallWork<T>> Engine<T>::acquire_work() {
  {
    const std::lock_guard<std::mutex> lock(pool_mutex_);
    if (!pool_.empty()) {
      std::unique_ptr<CallWork<T>> work = std::move(pool_.back());
      pool_.pop_back();
      return work;
    }
  }
  auto work = std::make_unique<CallWork<T>>();
  for (const auto& layer : layers_) work->layers.push_back(layer->make_work());
  return work;
}

template <class T>
CallWork<T>& Engine<T>::open_training() {
  if (!train_work_) train_work_ = acquire_work();
  // Zeros once: padding between variables and frozen variables are never written.
  if (train_work_->gradients.count() < flat_count_) train_work_->gradients.reserve_zeroed(flat_count_);
  return *train_work_;
}

template <class T>
void Engine<T>::release_work(std::unique_ptr<CallWork<T>> work) {
  const std::lock_guard<std::mutex> lock(pool_mutex_);
  pool_.push_back(std::move(work));
}

template <class T>
State<T> Engine<T>::empty_state() const {
  State<T> state;
  for (const auto& layer : layers_) {
    for (const Dim units : layer->state_units()) {
      state.emplace_back();
      state.back().units = units;
    }
  }
  return state;
}

template <class T>
bool Engine<T>::any_stateful() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->stateful(); });
}

template <class T>
void Engine<T>::reset_state(bool fit, bool predict) {
  const std::lock_guard<std::mutex> lock(state_mutex_);
  if (fit) fit_state_ = empty_state();
  if (predict) predict_state_ = empty_state();
}

template <class T>
std::vector<OwnedArray> Engine<T>::get_state(Mode mode) const {
  const std::lock_guard<std::mutex> lock(state_mutex_);
  std::vector<OwnedArray> arrays;
  for (const StateBlock<T>& block : mode == Mode::kFit ? fit_state_ : predict_state_) {
    arrays.push_back(own_array({block.batch, block.units}, block.h.data()));
    arrays.push_back(own_array({block.batch, block.units}, block.c.data()));
  }
  return arrays;
}

template <class T>
void Engine<T>::set_state(Mode mode, const std::vector<ArrayView>& arrays) {
  const FloatEnvironment guard;
  State<T> fresh = empty_state();
  pylstm::check(arrays.size() == 2 * fresh.size(), "state must be a list of ", 2 * fresh.size(), " arrays, got ",
                arrays.size());
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    StateBlock<T>& block = fresh[i];
    block.batch = arrays[2 * i].shape.empty() ? 0 : arrays[2 * i].shape[0];
    const std::vector<Dim> shape = {block.batch, block.units};
    read_array(arrays[2 * i], shape, "state h", block.h.reserve(block.batch * block.units));
    read_array(arrays[2 * i + 1], shape, "state c", block.c.reserve(block.batch * block.units));
  }
  const std::lock_guard<std::mutex> lock(state_mutex_);
  (mode == Mode::kFit ? fit_state_ : predict_state_) = std::move(fresh);
}

template <class T>
TargetShape Engine<T>::target_shape() const {
  const bool labels = loss_.kind == Loss::kSparseCategoricalCrossentropy;
  return {compiled_ && !loss_.external, labels, output_.sequence, output_.features};
}

template <class T>
void Engine<T>::check(const Data& data, Mode mode) const {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  pylstm::check(mode == Mode::kPredict || compiled_, "the model has no loss: call compile first");
  check_data(data, input_, vocabulary_, target_shape(), mode, sizeof(T) == 4);
}

template <class T>
std::size_t Engine<T>::memory() const {
  const std::lock_guard<std::mutex> lock(pool_mutex_);
  std::size_t sum = train_work_ ? train_work_->bytes() : 0;
  for (const auto& work : pool_) sum += work->bytes();
  return sum;
}

template <class T>
std::string Engine<T>::isa() const {
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  return snapshot_ ? snapshot_->kernels->name : active_kernels().name;
}

template struct CallWork<float>;
template struct CallWork<double>;
template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
