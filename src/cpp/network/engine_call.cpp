// Single calls: layers on arrays, gradients for laws and external losses, and generation.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/float_env.hpp"
#include "base/index.hpp"
#include "base/philox.hpp"
#include "network/batches.hpp"
#include "network/engine.hpp"

namespace pylstm {
namespace {

// Between the engine's (steps, batch, features) and the caller's (batch, steps, features).
template <class T>
OwnedArray batch_major(const Rows<T>& rows) {
  std::vector<Dim> shape = {rows.batch};
  if (rows.sequence) shape.push_back(rows.steps);
  shape.push_back(rows.features);
  OwnedArray array = own_array<T>(shape, nullptr);
  T* out = reinterpret_cast<T*>(array.bytes.data());
  const Dim steps = rows.sequence ? rows.steps : 1;
  for (Dim b = 0; b < rows.batch; ++b) {
    for (Dim t = 0; t < steps; ++t) {
      std::copy_n(rows.data + (t * rows.batch + b) * rows.features, rows.features,
                  out + (b * steps + t) * rows.features);
    }
  }
  return array;
}

template <class T>
void read_time_major(const ArrayView& array, const Rows<T>& like, const char* name, T* out) {
  std::vector<Dim> shape = {like.batch};
  if (like.sequence) shape.push_back(like.steps);
  shape.push_back(like.features);
  std::vector<T> values(at(like.rows() * like.features));
  read_array(array, shape, name, values.data());
  const Dim steps = like.sequence ? like.steps : 1;
  for (Dim b = 0; b < like.batch; ++b) {
    for (Dim t = 0; t < steps; ++t) {
      std::copy_n(values.data() + (b * steps + t) * like.features, like.features,
                  out + (t * like.batch + b) * like.features);
    }
  }
}

std::vector<std::int64_t> all_rows(Dim count) {
  std::vector<std::int64_t> rows(at(count));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

template <class T>
void read_states(const std::vector<ArrayView>& arrays, Dim batch, State<T>& state) {
  if (arrays.empty()) return;
  check(arrays.size() == 2 * state.size(), "states must be a list of ", 2 * state.size(), " arrays, got ",
        arrays.size());
  for (std::size_t i = 0; i < state.size(); ++i) {
    StateBlock<T>& block = state[i];
    block.batch = batch;
    read_array(arrays[2 * i], {batch, block.units}, text("states[", 2 * i, "]"), block.h.reserve(batch * block.units));
    read_array(arrays[2 * i + 1], {batch, block.units}, text("states[", 2 * i + 1, "]"),
               block.c.reserve(batch * block.units));
  }
}

// A token from probabilities p by inverse transform; ties and order are those of the ids.
Dim sample(const std::vector<double>& p, const SampleOptions& options, double uniform) {
  const auto best = static_cast<Dim>(std::max_element(p.begin(), p.end()) - p.begin());
  if (options.temperature == 0) return best;
  std::vector<Dim> ids(p.size());
  std::iota(ids.begin(), ids.end(), Dim{0});
  std::stable_sort(ids.begin(), ids.end(), [&](Dim a, Dim b) { return p[at(a)] > p[at(b)]; });
  if (options.top_k > 0) ids.resize(std::min(ids.size(), at(options.top_k)));
  std::vector<double> weight(ids.size());
  double total = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    weight[i] = std::pow(p[at(ids[i])] / p[at(best)], 1 / options.temperature);
    total += weight[i];
  }
  if (options.top_p < 1) {  // the fewest tokens whose share reaches top_p
    double share = 0;
    std::size_t kept = 0;
    while (kept < weight.size() && share < options.top_p * total) share += weight[kept++];
    weight.resize(std::max<std::size_t>(kept, 1));
    total = std::accumulate(weight.begin(), weight.end(), 0.0);
  }
  double place = uniform * total;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    place -= weight[i];
    if (place < 0) return ids[i];
  }
  return ids[weight.size() - 1];
}

}  // namespace

template <class T>
OwnedArray Engine<T>::forward(const Data& data, const RunRequest& request, bool training, Interrupt* interrupt) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const Dim steps = input_.sequence ? data.steps() : 1;
  OwnedArray result;
  const auto run_on = [&](CallWork<T>& work, const WeightsList<T>& weights, const Kernels& kernels, State<T>& state) {
    each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
      gather(data, TargetShape{}, rows, count, 0, steps, work);
      work.context = {};
      work.context.kernels = &table_of<T>(kernels);
      work.context.training = work.context.keep = training;
      work.context.step = static_cast<std::uint32_t>(iterations_);
      work.context.interrupt = interrupt;
      State<T> carried;
      if (any_stateful()) {
        const std::lock_guard<std::mutex> lock(state_mutex_);
        carried = state;
      }
      open_state(work, carried, count, false);
      run_layers(work, weights, layers_.size());
      if (stop_requested(interrupt)) return false;
      // Training commits its state in backward, when the step has succeeded.
      if (work.context.state != nullptr && !training) {
        const std::lock_guard<std::mutex> lock(state_mutex_);
        state = work.state;
      }
      result = batch_major(work.rows.back());
      return true;
    });
  };
  if (training) {
    pylstm::check(training_ && trainer_.load() == std::this_thread::get_id(), "forward: call start for a fit first");
    CallWork<T>& work = open_training();
    const WeightsList<T>& weights = training_weights();
    run_on(work, weights, *training_kernels_, fit_state_);
    return result;
  }
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  std::unique_ptr<CallWork<T>> work = acquire_work();
  run_on(*work, snap->weights, *snap->kernels, predict_state_);
  release_work(std::move(work));
  return result;
}

template <class T>
bool Engine<T>::backward(const ArrayView& dy, Interrupt* interrupt) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const FloatEnvironment guard;
  pylstm::check(train_work_ && !train_work_->rows.empty() && train_work_->context.keep,
                "backward: call forward with training=True first");
  CallWork<T>& work = *train_work_;
  const Rows<T>& out = work.rows.back();
  work.context.interrupt = interrupt;
  T* d = work.dy.reserve(out.rows() * out.features);
  read_time_major(dy, out, "the loss gradient", d);
  backward_layers(work, training_weights_, layers_.size(), d, nullptr);
  work.context.keep = false;
  if (stop_requested(interrupt) || !update(work)) return false;
  if (work.context.state != nullptr) {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    fit_state_ = work.state;
  }
  return true;
}

template <class T>
std::pair<double, std::vector<OwnedArray>> Engine<T>::gradients(const Data& data) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const FloatEnvironment guard;
  start(Mode::kFit);
  struct Finish {
    Engine* engine;
    ~Finish() {
      engine->trainer_ = std::thread::id();
      engine->training_ = false;
    }
  } finish{this};
  CallWork<T>& work = open_training();
  work.gradients.reserve_zeroed(flat_count_);
  const WeightsList<T>& weights = training_weights();
  const std::vector<std::int64_t> rows = all_rows(data.samples());
  gather(data, target_shape(), rows.data(), data.samples(), 0, input_.sequence ? data.steps() : 1, work);
  work.context = {};
  work.context.kernels = &table_of<T>(*training_kernels_);
  work.context.training = work.context.keep = true;
  work.context.step = static_cast<std::uint32_t>(iterations_);
  StepResult result;
  loss_of_batch(work, weights, true, result);
  std::vector<OwnedArray> arrays;
  for (const VariableInfo& v : variables_) arrays.push_back(own_array(v.shape, work.gradients.data() + v.offset));
  return {result.weight > 0 ? result.loss / result.weight : 0.0, std::move(arrays)};
}

template <class T>
std::vector<OwnedArray> Engine<T>::call(const Data& data, const std::vector<ArrayView>& states, bool training) {
  const std::shared_lock<std::shared_mutex> reading(settings_mutex_);
  const FloatEnvironment guard;
  check_data(data, input_, vocabulary_, TargetShape{}, Mode::kPredict, sizeof(T) == 4);
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  std::unique_ptr<CallWork<T>> work = acquire_work();
  const std::vector<std::int64_t> rows = all_rows(data.samples());
  gather(data, TargetShape{}, rows.data(), data.samples(), 0, input_.sequence ? data.steps() : 1, *work);
  work->state = empty_state();
  read_states(states, data.samples(), work->state);
  work->context = {};
  work->context.kernels = &table_of<T>(*snap->kernels);
  work->context.training = training;
  work->context.step = static_cast<std::uint32_t>(iterations_);
  work->context.state = &work->state;
  work->context.only_stateful = false;
  run_layers(*work, snap->weights, layers_.size());
  std::vector<OwnedArray> arrays;
  arrays.push_back(batch_major(work->rows.back()));
  for (const StateBlock<T>& block : work->state) {
    arrays.push_back(own_array({block.batch, block.units}, block.h.data()));
    arrays.push_back(own_array({block.batch, block.units}, block.c.data()));
  }
  release_work(std::move(work));
  return arrays;
}

template <class T>
Network::CallGradients Engine<T>::call_gradients(const Data& data, const std::vector<ArrayView>& states,
                                                 const std::vector<ArrayView>& dy, bool training) {
  const FloatEnvironment guard;
  check_data(data, input_, vocabulary_, TargetShape{}, Mode::kPredict, sizeof(T) == 4);
  const std::unique_ptr<CallWork<T>> work = acquire_work();
  const Dim batch = data.samples();
  WeightsList<T> weights;
  const Kernels& kernels = active_kernels();
  {
    const std::lock_guard<std::mutex> lock(parameters_mutex_);
    pack(kernels, true, true, weights);
  }
  const std::vector<std::int64_t> rows = all_rows(batch);
  gather(data, TargetShape{}, rows.data(), batch, 0, input_.sequence ? data.steps() : 1, *work);
  work->state = empty_state();
  read_states(states, batch, work->state);
  State<T> state_gradient = empty_state();
  work->context = {};
  work->context.kernels = &table_of<T>(kernels);
  work->context.training = training;
  work->context.keep = true;
  work->context.step = static_cast<std::uint32_t>(iterations_);
  work->context.state = &work->state;
  work->context.only_stateful = false;
  run_layers(*work, weights, layers_.size());
  const Rows<T>& out = work->rows.back();
  pylstm::check(dy.size() == 1 || dy.size() == 1 + 2 * state_gradient.size(), "dy must be a list of 1 or ",
                1 + 2 * state_gradient.size(), " arrays, got ", dy.size());
  T* d = work->dy.reserve(out.rows() * out.features);
  read_time_major(dy[0], out, "dy[0]", d);
  for (StateBlock<T>& block : state_gradient) {
    block.batch = batch;
    block.h.reserve_zeroed(batch * block.units);
    block.c.reserve_zeroed(batch * block.units);
  }
  if (dy.size() > 1) read_states({dy.begin() + 1, dy.end()}, batch, state_gradient);
  work->context.state_gradient = &state_gradient;
  work->gradients.reserve_zeroed(flat_count_);
  T* dx = nullptr;
  backward_layers(*work, weights, layers_.size(), d, &dx);
  CallGradients result;
  for (const VariableInfo& v : variables_)
    result.variables.push_back(own_array(v.shape, work->gradients.data() + v.offset));
  if (dx != nullptr) {
    Rows<T> x = work->rows[0];
    x.data = dx;
    result.x = batch_major(x);
  }
  for (const StateBlock<T>& block : state_gradient) {
    result.states.push_back(own_array({batch, block.units}, block.h.data()));
    result.states.push_back(own_array({batch, block.units}, block.c.data()));
  }
  return result;
}

template <class T>
std::vector<std::int32_t> Engine<T>::generate(const std::vector<std::int32_t>& prompt, Dim rows, Dim count,
                                              const SampleOptions& options, Interrupt* interrupt) {
  const FloatEnvironment guard;
  pylstm::check(input_.tokens, "generate needs a model whose first layer is an Embedding");
  const auto* last = dynamic_cast<const DenseLayer<T>*>(layers_.back().get());
  pylstm::check(last != nullptr && last->activation() == DenseActivation::kSoftmax && output_.sequence,
                "generate needs a model that ends in Dense(..., activation='softmax') over every step");
  pylstm::check(output_.features <= vocabulary_, "generate feeds outputs back as inputs: the model gives ",
                output_.features, " classes but its Embedding has only ", vocabulary_, " entries");
  for (const auto& layer : layers_) {
    pylstm::check(!layer->reversed(), "generate is not possible with ", layer->name(), ", which reads time backwards");
  }
  pylstm::check(rows > 0 && !prompt.empty(), "prompt must hold at least one token id");
  const Dim length = static_cast<Dim>(prompt.size()) / rows;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] < 0 || prompt[i] >= vocabulary_) {
      throw std::out_of_range(text("prompt: a token id must be from 0 to ", vocabulary_ - 1, ", got ", prompt[i],
                                   " at row ", static_cast<Dim>(i) / length, ", step ", static_cast<Dim>(i) % length));
    }
  }
  pylstm::check(count >= 0, "max_new_tokens must not be negative, got ", count);
  pylstm::check(options.temperature >= 0, "temperature must not be negative, got ", options.temperature);
  pylstm::check(options.top_k >= 0, "top_k must not be negative, got ", options.top_k);
  pylstm::check(options.top_p > 0 && options.top_p <= 1, "top_p must be above 0 and at most 1, got ", options.top_p);

  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  std::unique_ptr<CallWork<T>> work = acquire_work();
  work->state = empty_state();
  work->context = {};
  work->context.kernels = &table_of<T>(*snap->kernels);
  work->context.interrupt = interrupt;
  work->context.state = &work->state;
  work->context.only_stateful = false;
  std::vector<std::int32_t> input(prompt.size()), output(at(rows * count));
  for (Dim r = 0; r < rows; ++r) {
    for (Dim t = 0; t < length; ++t) input[at(t * rows + r)] = prompt[at(r * length + t)];
  }
  std::vector<double> p(at(output_.features));
  for (Dim position = 0; position < count && !stop_requested(interrupt); ++position) {
    Rows<T>& x = work->batch.x;
    x = {};
    x.ids = input.data();
    x.batch = rows;
    x.steps = static_cast<Dim>(input.size()) / rows;
    x.sequence = true;
    run_layers(*work, snap->weights, layers_.size());
    const Rows<T>& y = work->rows.back();
    input.resize(at(rows));
    for (Dim r = 0; r < rows; ++r) {
      const T* row = y.data + (y.rows() - rows + r) * y.features;
      std::copy(row, row + y.features, p.begin());
      const Philox random(options.seed, Purpose::kSample, static_cast<std::uint32_t>(r), 0);
      const auto token =
          static_cast<std::int32_t>(sample(p, options, random.uniform(static_cast<std::uint64_t>(position))));
      output[at(r * count + position)] = input[at(r)] = token;
    }
  }
  release_work(std::move(work));
  return output;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
