// Construction, settings and facts.
#include "network/engine.hpp"

#include <algorithm>

#include "base/float_env.hpp"
#include "network/build.hpp"

namespace pylstm {
std::unique_ptr<Network> Network::create(const std::string& config_json, const std::vector<Dim>& input_shape,
                                         const std::string& dtype) {
  const FloatEnvironment guard;
  const JsonValue document = parse_json(config_json);
  const JsonView layers = JsonView(document, "config").at("layers");
  const SampleShape input = input_of(layers, input_shape);
  if (dtype == "float32") return std::make_unique<Engine<float>>(build_layers<float>(layers, input), input);
  if (dtype == "float64") return std::make_unique<Engine<double>>(build_layers<double>(layers, input), input);
  throw std::invalid_argument(text("dtype must be 'float32' or 'float64', got '", dtype, "'"));
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
      ranges_.push_back({flat_count_, count, true, nullptr, spec.shape.back()});
      // Without a gap: gradients that follow one another share tiles, see ops/row_tiles.hpp.
      flat_count_ = checked_product({flat_count_ + count + kAlign - 1}, sizeof(T)) / kAlign * kAlign;
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
void Engine<T>::set_trainable(const std::vector<bool>& flags) {
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);  // before waiting, and again after it
  pylstm::check(flags.size() == ranges_.size(), "flags must have one entry for each of the ", ranges_.size(),
                " variables, got ", flags.size());
  {
    const Reading reading(*settings_mutex_);
    const auto same = [](const VariableRange& range, bool flag) { return range.trainable == flag; };
    if (std::equal(ranges_.begin(), ranges_.end(), flags.begin(), same)) return;
  }
  const Change alone(*this);
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);
  for (std::size_t i = 0; i < flags.size(); ++i) ranges_[i].trainable = flags[i];
}

template <class T>
void Engine<T>::compile(const LossConfig& loss, const OptimizerConfig& optimizer) {
  if (training_) throw std::runtime_error(kBeingTrained);  // before waiting, and again after it
  const Change alone(*this);
  if (training_) throw std::runtime_error(kBeingTrained);
  std::vector<Buffer<T>> fresh(slot_names(optimizer).size());
  for (Buffer<T>& slot : fresh) slot.reserve_zeroed(flat_count_);
  for (std::size_t v = 0; v < ranges_.size(); ++v) {
    const auto left = std::find(optimizer.undecayed.begin(), optimizer.undecayed.end(), variables_[v].path);
    ranges_[v].decays = left == optimizer.undecayed.end();
  }
  loss_ = loss;
  optimizer_ = optimizer;
  learning_rate_ = optimizer.learning_rate;
  iterations_ = 0;
  slots_ = std::move(fresh);
  compiled_ = true;
}

template <class T>
std::vector<std::pair<std::string, OwnedArray>> Engine<T>::get_slots() const {
  const Reading reading(*settings_mutex_);
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
  if (training_) throw std::runtime_error(kBeingTrained);
  const Change alone(*this);
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
    const auto known = {"sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy", "mean_squared_error",
                        "mean_absolute_error"};
    pylstm::check(std::find(known.begin(), known.end(), name) != known.end(), "metrics: unknown name '", name, "'");
  }
  {
    const Reading reading(*settings_mutex_);
    if (metrics_ == names) return;
  }
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);
  const Change alone(*this);
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);
  metrics_ = names;
}

template <class T>
bool Engine<T>::any_stateful() const {
  return std::any_of(layers_.begin(), layers_.end(), [](const auto& layer) { return layer->stateful(); });
}

template <class T>
bool Engine<T>::crossentropy() const {
  return loss_.kind == Loss::kCategoricalCrossentropy || loss_.kind == Loss::kSparseCategoricalCrossentropy;
}

template <class T>
const DenseLayer<T>* Engine<T>::fused_dense() const {
  if (!crossentropy() || loss_.external) return nullptr;
  return last_dense(loss_.from_logits ? DenseActivation::kLinear : DenseActivation::kSoftmax);
}

template <class T>
const DenseLayer<T>* Engine<T>::last_dense(DenseActivation activation) const {
  const auto* dense = dynamic_cast<const DenseLayer<T>*>(layers_.back().get());
  return dense != nullptr && dense->activation() == activation ? dense : nullptr;
}

template <class T>
TargetShape Engine<T>::target_shape() const {
  const bool labels = loss_.kind == Loss::kSparseCategoricalCrossentropy;
  const std::optional<double> padding = output_.sequence ? layers_.front()->padding() : std::nullopt;
  return {compiled_ && !loss_.external, labels, output_.sequence, output_.features, padding};
}

template <class T>
void Engine<T>::check(const Data& data, Mode mode, Interrupt* interrupt) const {
  const FloatEnvironment guard;
  TargetShape target;
  {
    const Reading reading(*settings_mutex_);
    pylstm::check(mode == Mode::kPredict || compiled_, "the model has no loss: call compile first");
    target = target_shape();
  }
  check_data<T>(data, input_, vocabulary_, target, mode, interrupt);
}

template <class T>
std::string Engine<T>::isa() const {
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  return snapshot_ ? snapshot_->kernels->name : active_kernels().name;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
