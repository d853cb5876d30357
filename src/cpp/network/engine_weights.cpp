// Parameters, packed weights and who trains.
#include "base/float_env.hpp"
#include "network/engine.hpp"

namespace pylstm {

template <class T>
std::vector<OwnedArray> Engine<T>::get_weights() const {
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  return variables_of(parameters_);
}

template <class T>
void Engine<T>::set_weights(const std::vector<ArrayView>& weights) {
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);  // before the reading, and again after it
  // A step that has begun would move the new weights by gradients of the old ones.
  if (trains_here()) Reading::check_outside(*settings_mutex_);
  pylstm::check(weights.size() == variables_.size(), "weights must be a list of ", variables_.size(), " arrays, got ",
                weights.size());
  const FloatEnvironment guard;
  Buffer<T> fresh;
  fresh.reserve_zeroed(flat_count_);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    read_array(weights[i], variables_[i].shape, variables_[i].path, fresh.data() + variables_[i].offset);
  }
  const std::lock_guard<std::mutex> alone(trainer_mutex_);
  if (trains_elsewhere()) throw std::runtime_error(kBeingTrained);
  {
    const std::lock_guard<std::mutex> lock(parameters_mutex_);
    parameters_ = std::move(fresh);
    readers_version_ = ++version_;
  }
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  try {
    publish(active_kernels());
  } catch (const std::bad_alloc&) {  // the weights are set; the next reader packs them
  }
}

template <class T>
std::vector<OwnedArray> Engine<T>::variables_of(const Buffer<T>& flat) const {
  std::vector<OwnedArray> arrays;
  for (const VariableInfo& v : variables_) arrays.push_back(own_array(v.shape, flat.data() + v.offset));
  return arrays;
}

template <class T>
void Engine<T>::start() {
  const std::lock_guard<std::mutex> alone(trainer_mutex_);
  if (training_) throw std::runtime_error(kBeingTrained);
  trainer_ = std::this_thread::get_id();
  fit_kernels_ = &active_kernels();
  training_ = true;
  awaits_backward_ = false;
}

template <class T>
void Engine<T>::finish() noexcept {
  const EndTraining end{this};
  const std::lock_guard<std::mutex> lock(parameters_mutex_);
  readers_version_ = version_.load();
}

template <class T>
void Engine<T>::pack(const Kernels& kernels, PackedFor purpose, WeightsList<T>& weights) const {
  const FloatEnvironment guard;
  weights.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!weights[i]) weights[i] = layers_[i]->make_weights();
    if (!weights[i]) continue;
    std::vector<const T*> parameters;
    for (const VariableInfo& v : variables_) {
      if (v.layer == static_cast<Dim>(i)) parameters.push_back(parameters_.data() + v.offset);
    }
    layers_[i]->pack(*weights[i], table_of<T>(kernels), parameters, purpose);
  }
}

template <class T>
void Engine<T>::publish(const Kernels& kernels) {
  // What no reader holds is packed anew where it stands: the system clears new memory, which takes as long as packing.
  std::shared_ptr<Snapshot<T>> fresh;
  if (snapshot_.use_count() == 1 && snapshot_->kernels == &kernels) {
    std::atomic_thread_fence(std::memory_order_acquire);  // after the last read of the reader that let go of it
    fresh = std::move(snapshot_);
  } else {
    fresh = std::make_shared<Snapshot<T>>();
  }
  fresh->kernels = &kernels;
  {
    const std::lock_guard<std::mutex> parameters_lock(parameters_mutex_);
    pack(kernels, PackedFor::kReading, fresh->weights);
    fresh->version = version_;
  }
  snapshot_ = std::move(fresh);
}

template <class T>
std::shared_ptr<const Snapshot<T>> Engine<T>::snapshot() {
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  const Kernels& kernels = active_kernels();
  // Beside a training readers keep what they have: packing after each of its steps would hold it up.
  const long long least = trains_elsewhere() ? readers_version_ : version_;
  if (!snapshot_ || snapshot_->kernels != &kernels || snapshot_->version < least) publish(kernels);
  return snapshot_;
}

template <class T>
const WeightsList<T>& Engine<T>::training_weights() {
  if (training_version_ != version_ || training_kernels_ != fit_kernels_) {
    training_version_ = 0;  // half packed, should this fail
    pack(*fit_kernels_, PackedFor::kTraining, training_weights_);
    training_kernels_ = fit_kernels_;
    training_version_ = version_;
  }
  return training_weights_;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
