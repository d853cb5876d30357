// Work spaces and the carried state.
#include "base/float_env.hpp"
#include "network/engine.hpp"

namespace pylstm {

template <class T>
std::size_t CallWork<T>::bytes() const {
  std::size_t sum = batch.bytes() + dy[0].bytes() + dy[1].bytes() + weights.bytes() + gradients.bytes() +
                    cross_entropy.bytes() + scratch.bytes();
  sum += row_loss.capacity() * sizeof(double) + argmax.capacity() * sizeof(std::int32_t);
  sum += x_rows.capacity() * sizeof(const T*) + y_rows.capacity() * sizeof(T*);
  for (const auto& layer : layers) sum += layer->bytes();
  return sum;
}

template <class T>
Engine<T>::Loan::Loan(Engine& engine, Mode mode) : engine_(engine), training_(mode == Mode::kFit) {
  {
    const std::lock_guard<std::mutex> lock(engine.pool_mutex_);
    if (training_) work_ = std::move(engine.train_work_);
    if (!work_ && !engine.pool_.empty()) {
      work_ = std::move(engine.pool_.back());
      engine.pool_.pop_back();
    }
    if (!work_) engine.pool_.reserve(++engine.works_);  // to give back must not fail
  }
  if (!work_) {
    work_ = std::make_unique<CallWork<T>>();
    for (const auto& layer : engine.layers_) work_->layers.push_back(layer->make_work());
  }
  // Zeros once: padding between variables and frozen variables are never written.
  if (training_ && work_->gradients.count() < engine.flat_count_) work_->gradients.reserve_zeroed(engine.flat_count_);
}

template <class T>
Engine<T>::Loan::~Loan() {
  if (!training_) work_->context = {};  // it points at what the call owned
  const std::lock_guard<std::mutex> lock(engine_.pool_mutex_);
  if (training_) {
    engine_.train_work_ = std::move(work_);
  } else {
    engine_.pool_.push_back(std::move(work_));
  }
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

// The blocks from which a batch of a stateful model or the first of its windows starts; others are empty.
template <class T>
State<T> Engine<T>::carried_state(Mode mode, bool windows) const {
  if (!windows && !any_stateful()) return {};
  State<T> state = empty_state();
  const std::lock_guard<std::mutex> lock(state_mutex_);
  const State<T>& kept = mode == Mode::kFit ? fit_state_ : predict_state_;
  std::size_t block = 0;
  for (const auto& layer : layers_) {
    for (Dim i = 0; i < layer->state_blocks(); ++i, ++block) {
      if (layer->stateful()) state[block] = kept[block];
    }
  }
  return state;
}

template <class T>
void Engine<T>::keep_state(Mode mode, State<T> state) {
  const std::lock_guard<std::mutex> lock(state_mutex_);
  (mode == Mode::kFit ? fit_state_ : predict_state_) = std::move(state);
}

// Runs go on from `state` and leave theirs in work.state: what is carried changes only when the work has succeeded.
template <class T>
void Engine<T>::open_state(CallWork<T>& work, State<T> state, Dim batch, bool windows) const {
  if (state.empty()) return;
  for (const StateBlock<T>& block : state) {
    pylstm::check(block.batch == 0 || block.batch == batch, "a stateful model keeps one state for each row: expected ",
                  block.batch, " rows as in the batch before, got ", batch, "; call reset_state() first");
  }
  work.state = std::move(state);
  work.context.state = &work.state;
  work.context.only_stateful = !windows;
}

template <class T>
void Engine<T>::reset_state(bool fit, bool predict) {
  if (fit) keep_state(Mode::kFit, empty_state());
  if (predict) keep_state(Mode::kPredict, empty_state());
}

template <class T>
std::vector<OwnedArray> Engine<T>::get_state(Mode mode) const {
  const std::lock_guard<std::mutex> lock(state_mutex_);
  return own_states(mode == Mode::kFit ? fit_state_ : predict_state_);
}

template <class T>
void Engine<T>::set_state(Mode mode, const std::vector<ArrayView>& arrays) {
  const FloatEnvironment guard;
  State<T> state = empty_state();
  read_states(arrays, -1, "states", 0, state);
  keep_state(mode, std::move(state));
}

template <class T>
std::vector<OwnedArray> own_states(const State<T>& state) {
  std::vector<OwnedArray> arrays;
  for (const StateBlock<T>& block : state) {
    arrays.push_back(own_array({block.batch, block.units}, block.h.data()));
    arrays.push_back(own_array({block.batch, block.units}, block.c.data()));
  }
  return arrays;
}

template <class T>
void read_states(const std::vector<ArrayView>& arrays, Dim batch, const char* name, std::size_t first,
                 State<T>& state) {
  check(arrays.size() == 2 * state.size(), name, " must be a list of ", first + 2 * state.size(), " arrays, got ",
        first + arrays.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    StateBlock<T>& block = state[i];
    const ArrayView &h = arrays[2 * i], &c = arrays[2 * i + 1];
    block.batch = batch >= 0 ? batch : h.shape.empty() ? Dim{0} : h.shape[0];
    const Dim count = checked_product({block.batch, block.units}, sizeof(T));
    read_array(h, {block.batch, block.units}, text(name, "[", first + 2 * i, "]"), block.h.reserve(count));
    read_array(c, {block.batch, block.units}, text(name, "[", first + 2 * i + 1, "]"), block.c.reserve(count));
  }
}

#define PYLSTM_INSTANTIATE(T)                                      \
  template struct CallWork<T>;                                     \
  template class Engine<T>;                                        \
  template std::vector<OwnedArray> own_states<T>(const State<T>&); \
  template void read_states<T>(const std::vector<ArrayView>&, Dim, const char*, std::size_t, State<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
