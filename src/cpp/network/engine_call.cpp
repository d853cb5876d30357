// Single calls: layers on arrays, steps for losses computed outside, gradients for laws.
#include <algorithm>
#include <numeric>

#include "base/float_env.hpp"
#include "base/index.hpp"
#include "network/batches.hpp"
#include "network/engine.hpp"
#include "ops/batch_major.hpp"

namespace pylstm {
namespace {

// Between the engine's (steps, batch, features) and the caller's (batch, steps, features).
template <class T>
OwnedArray batch_major(const Rows<T>& rows) {
  std::vector<Dim> shape = {rows.batch};
  if (rows.sequence) shape.push_back(rows.steps);
  shape.push_back(rows.features);
  OwnedArray array = own_array<T>(shape, nullptr);
  to_batch_major(rows.data, rows.sequence ? rows.steps : 1, rows.batch, rows.features, nullptr,
                 reinterpret_cast<T*>(array.bytes.data()));
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

}  // namespace

template <class T>
OwnedArray Engine<T>::forward(const Data& data, const RunRequest& request, bool training, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  pylstm::check(request.last - 1 == request.first, "forward takes one batch, got [", request.first, ", ", request.last,
                ")");
  OwnedArray result;
  const auto run = [&](CallWork<T>& work, const WeightsList<T>& weights, const std::int64_t*, Dim) {
    run_layers(work, weights);
    if (stop_requested(interrupt)) return false;
    result = batch_major(work.rows.back());
    return true;
  };
  if (!training) {
    read_batches(data, TargetShape{}, request, interrupt, run);
    return result;
  }
  pylstm::check(trains_here(), "forward: call start for a fit first");
  check_shapes(data, input_, TargetShape{}, Mode::kPredict);
  awaits_backward_ = false;
  const Loan loan(*this, Mode::kFit);
  CallWork<T>& work = *loan;
  const WeightsList<T>& weights = training_weights();
  each_batch(data, request, interrupt, [&](const std::int64_t* rows, Dim count) {
    open_context(work, *training_kernels_, interrupt);
    // A copy, never in place: backward reads it again, and the caller's array may have changed or gone until then.
    if (!gather_batch(data, input_, vocabulary_, TargetShape{}, rows, count, 0, steps_of(data), false, interrupt,
                      work.batch)) {
      return false;
    }
    work.context.training = work.context.keep = true;
    open_state(work, carried_state(Mode::kFit, false), count, false);
    return awaits_backward_ = run(work, weights, rows, count);
  });
  return result;
}

template <class T>
bool Engine<T>::backward(const ArrayView& dy, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  const FloatEnvironment guard;
  pylstm::check(trains_here(), "backward: call start for a fit first");
  pylstm::check(awaits_backward_, "backward: call forward with training=True first");
  // Gradients of the old weights would move the new ones; and what is packed may refer to the old ones, which are gone.
  pylstm::check(training_version_ == version_,
                "backward: weights must not be set between forward and backward, as by a loss or a metric: the "
                "gradients are of the old ones; set them between steps");
  const Loan loan(*this, Mode::kFit);
  CallWork<T>& work = *loan;
  const Rows<T>& out = work.rows.back();
  work.context.interrupt = interrupt;
  T* d = work.dy[0].reserve(out.rows() * out.features);
  read_time_major(dy, out, "the loss gradient", d);
  awaits_backward_ = false;
  backward_layers(work, training_weights_, layers_.size(), d, nullptr);
  if (stop_requested(interrupt) || !update(work)) return false;
  if (work.context.state != nullptr) keep_state(Mode::kFit, work.state);
  return true;
}

template <class T>
bool Engine<T>::gather_all(const Data& data, const TargetShape& target, CallWork<T>& work) const {
  std::vector<std::int64_t> rows(at(data.samples()));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return gather(data, target, rows.data(), data.samples(), 0, steps_of(data), work);
}

template <class T>
std::pair<double, std::vector<OwnedArray>> Engine<T>::gradients(const Data& data, Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  check_loss();
  check_shapes(data, input_, target_shape(), Mode::kFit);
  const FloatEnvironment guard;
  start();
  const EndTraining end{this};
  const Loan loan(*this, Mode::kFit);
  CallWork<T>& work = *loan;
  work.gradients.reserve_zeroed(flat_count_);
  const WeightsList<T>& weights = training_weights();
  open_context(work, *training_kernels_, interrupt);
  if (!gather_all(data, target_shape(), work)) return {};
  work.context.training = work.context.keep = true;
  StepResult result;
  loss_of_batch(work, weights, true, result);
  return {result.weight > 0 ? result.loss / result.weight : 0.0, variables_of(work.gradients)};
}

// The layers on all of `data`, in an open context, from `states` or zeros; what they end with is in work.state. False
// if the batch was not even gathered.
template <class T>
bool Engine<T>::run_call(CallWork<T>& work, const WeightsList<T>& weights, const Data& data,
                         const std::vector<ArrayView>& states) const {
  if (!gather_all(data, TargetShape{}, work)) return false;
  work.state = empty_state();
  if (!states.empty()) read_states(states, data.samples(), "states", 0, work.state);
  work.context.state = &work.state;
  work.context.only_stateful = false;
  run_layers(work, weights);
  return true;
}

template <class T>
std::vector<OwnedArray> Engine<T>::call(const Data& data, const std::vector<ArrayView>& states, bool training,
                                        Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  const FloatEnvironment guard;
  check_data<T>(data, input_, vocabulary_, TargetShape{}, Mode::kPredict, interrupt);
  const std::shared_ptr<const Snapshot<T>> snap = snapshot();
  const Loan work(*this);
  open_context(*work, *snap->kernels, interrupt);
  work->context.training = training;
  if (!run_call(*work, snap->weights, data, states)) return {};
  std::vector<OwnedArray> arrays = own_states(work->state);
  arrays.insert(arrays.begin(), batch_major(work->rows.back()));
  return arrays;
}

template <class T>
Network::CallGradients Engine<T>::call_gradients(const Data& data, const std::vector<ArrayView>& states,
                                                 const std::vector<ArrayView>& dy, bool training,
                                                 Interrupt* interrupt) {
  const Reading reading(*settings_mutex_);
  const FloatEnvironment guard;
  check_data<T>(data, input_, vocabulary_, TargetShape{}, Mode::kPredict, interrupt);
  const Loan work(*this);
  WeightsList<T> weights;
  const Kernels& kernels = active_kernels();
  {
    const std::lock_guard<std::mutex> lock(parameters_mutex_);
    pack(kernels, PackedFor::kGradients, weights);
  }
  open_context(*work, kernels, interrupt);
  work->context.training = training;
  work->context.keep = true;
  if (!run_call(*work, weights, data, states)) return {};
  const Rows<T>& out = work->rows.back();
  State<T> state_gradient = empty_state();
  pylstm::check(dy.size() == 1 || dy.size() == 1 + 2 * state_gradient.size(), "dy must be a list of 1 or ",
                1 + 2 * state_gradient.size(), " arrays, got ", dy.size());
  T* d = work->dy[0].reserve(out.rows() * out.features);
  read_time_major(dy[0], out, "dy[0]", d);
  for (StateBlock<T>& block : state_gradient) {
    block.batch = data.samples();
    block.h.reserve_zeroed(block.batch * block.units);
    block.c.reserve_zeroed(block.batch * block.units);
  }
  if (dy.size() > 1) read_states({dy.begin() + 1, dy.end()}, data.samples(), "dy", 1, state_gradient);
  work->context.state_gradient = &state_gradient;
  work->gradients.reserve_zeroed(flat_count_);
  T* dx = nullptr;
  backward_layers(*work, weights, layers_.size(), d, &dx);
  CallGradients result;
  result.variables = variables_of(work->gradients);
  if (dx != nullptr) {
    Rows<T> x = work->rows[0];
    x.data = dx;
    result.x = batch_major(x);
  }
  result.states = own_states(state_gradient);
  return result;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace pylstm
