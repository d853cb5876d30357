#include "network/lstm_direction.hpp"

#include <algorithm>
#include <cstring>

#include "base/index.hpp"
#include "ops/dropout.hpp"
#include "ops/lstm_threads.hpp"

namespace pylstm {
namespace {

template <class T>
void copy_row(const T* from, T* to, Dim count) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

// f(position, step, row, i) for every step i of every row's output: `step` is the packed step whose
// value the output holds there (-1: none yet), `real` whether step i is itself real.
template <class F>
void each_output(const Schedule& s, Dim steps, bool reversed, bool in_order, F f) {
  for (Dim r = 0; r < s.batch; ++r) {
    Dim next = 0;
    for (Dim i = 0; i < steps; ++i) {
      const Dim t = reversed ? steps - 1 - i : i;
      const bool real = next < s.length[at(r)] && s.time[at(s.packed(next, r))] == t;
      if (real) ++next;
      f(r, next - 1, in_order ? t : i, real);
    }
  }
}

// State rows between batch order and sorted order.
template <class T>
void to_sorted(const Schedule& s, Dim units, const T* from, T* to) {
  for (Dim r = 0; r < s.batch; ++r) copy_row(from + s.order[at(r)] * units, to + r * units, units);
}
template <class T>
void from_sorted(const Schedule& s, Dim units, const T* from, T* to) {
  for (Dim r = 0; r < s.batch; ++r) copy_row(from + r * units, to + s.order[at(r)] * units, units);
}

// Row of h or c (with `batch` initial rows first) that holds the last state of sorted row r.
Dim last_row(const Schedule& s, Dim r) {
  const Dim length = s.length[at(r)];
  return length == 0 ? r : s.batch + s.packed(length - 1, r);
}

bool reads_together(const LstmConfig& config, PackedFor purpose) {
  return config.groups() == 1 || purpose != PackedFor::kTraining;
}

// Its sizes alone.
Schedule planned_schedule(const PlannedCall& call) {
  Schedule s;
  s.batch = call.batch;
  s.steps = call.steps;
  s.total = call.rows();
  s.dense = !call.masked;
  return s;
}

}  // namespace

template <class T>
void DirectionWeights<T>::pack(const KernelTable<T>& kernels, const LstmConfig& config,
                               const std::vector<const T*>& parameters, PackedFor purpose) {
  const LstmParameters<T> p = {parameters[0], parameters[1], config.use_bias ? parameters[2] : nullptr};
  const bool backward = runs_backward(purpose);
  if (reads_together(config, purpose)) together.pack(kernels, p, config.inputs, config.units, 1, backward);
  if (config.groups() > 1) apart.pack(kernels, p, config.inputs, config.units, config.groups(), backward);
}

template <class T>
std::size_t DirectionWeights<T>::planned_bytes(const KernelTable<T>& kernels, const LstmConfig& config,
                                               PackedFor purpose) {
  const bool backward = runs_backward(purpose);
  std::size_t sum = 0;
  if (reads_together(config, purpose)) {
    sum += LstmWeights<T>::planned_bytes(kernels, config.inputs, config.units, 1, backward);
  }
  if (config.groups() > 1) {
    sum += LstmWeights<T>::planned_bytes(kernels, config.inputs, config.units, config.groups(), backward);
  }
  return sum;
}

template <class T>
bool LstmDirection<T>::may_keep_two_steps(bool keep, bool results) const {
  return !keep && (results || !config_.return_sequences);
}

template <class T>
DirectionSizes LstmDirection<T>::forward_sizes(const Schedule& s, bool keep, bool training) const {
  DirectionSizes sizes;
  sizes.x = s.dense ? 0 : s.total * config_.inputs;
  sizes.h = (s.batch + s.total) * config_.units;
  sizes.c = keep ? sizes.h : s.batch * config_.units;
  sizes.gates = keep ? 4 * s.total * config_.units : 0;
  const Dim masks = training ? config_.groups() * s.batch : 0;
  sizes.input_masks = config_.dropout > 0 ? masks * config_.inputs : 0;
  sizes.recurrent_masks = config_.recurrent_dropout > 0 ? masks * config_.units : 0;
  return sizes;
}

template <class T>
Dim LstmDirection<T>::dh_size(const Schedule& s, bool in_place) const {
  return in_place && config_.return_sequences ? 0 : s.total * config_.units;
}

template <class T>
Dim LstmDirection<T>::dx_size(const Schedule& s, Dim steps) const {
  const bool direct = s.dense && !config_.go_backwards;
  return (steps * s.batch + (direct ? 0 : s.total)) * config_.inputs;
}

template <class T>
LstmWeights<T> LstmDirection<T>::planned_weights(const KernelTable<T>& kernels, const PlannedCall& call) const {
  LstmWeights<T> w;
  w.set_sizes(kernels, config_.inputs, config_.units, call.training ? config_.groups() : 1);
  return w;
}

template <class T>
PlannedRun LstmDirection<T>::planned_run(const Schedule& schedule, const PlannedCall& call) const {
  PlannedRun run;
  run.schedule = &schedule;
  run.distinct = call.distinct;
  run.has_bias = config_.use_bias;
  run.input_dropout = call.training && config_.dropout > 0;
  run.recurrent_dropout = call.training && config_.recurrent_dropout > 0;
  run.training = call.training;
  return run;
}

template <class T>
LayerScratchSizes LstmDirection<T>::planned_scratch(const KernelTable<T>& kernels, const PlannedCall& call,
                                                    bool in_place) const {
  const Schedule s = planned_schedule(call);
  const LstmWeights<T> weights = planned_weights(kernels, call);
  const PlannedRun run = planned_run(s, call);
  LayerScratchSizes sizes;
  sizes.lstm = pylstm::planned_scratch(kernels, weights, run);
  if (!call.training) return sizes;
  sizes.sums = lstm_sums(kernels, weights, run);
  sizes.dh = dh_size(s, in_place);
  sizes.dc = 2 * s.batch * config_.units;
  return sizes;
}

template <class T>
Dim LstmDirection<T>::planned_dx(const PlannedCall& call) const {
  return call.want_dx ? dx_size(planned_schedule(call), call.steps) : 0;
}

template <class T>
std::size_t LstmDirection<T>::planned_bytes(const KernelTable<T>& kernels, const PlannedCall& call) const {
  const Schedule s = planned_schedule(call);
  const LstmWeights<T> weights = planned_weights(kernels, call);
  LstmRun<T> run = {};
  run.kernels = &kernels;
  run.weights = &weights;
  run.schedule = &s;
  DirectionSizes z = forward_sizes(s, call.training, call.training);
  if (may_keep_two_steps(call.training, call.results && !call.masked)) z.h = most_rows_of_h(run) * config_.units;
  const Dim values = z.x + z.h + z.c + z.gates + z.input_masks + z.recurrent_masks;
  const Dim indices = 2 * s.steps + 2 * s.batch + s.total;  // of the schedule
  return at(values) * sizeof(T) + at(indices) * sizeof(Dim) + at(s.steps) * sizeof(const T*) +
         (call.distinct > 0 ? at(s.total) * sizeof(std::int32_t) : 0);
}

template <class T>
std::size_t DirectionWork<T>::bytes() const {
  return schedule.bytes() + run.x.capacity() * sizeof(const T*) + x.bytes() +
         repeats.capacity() * sizeof(std::int32_t) + h.bytes() + c.bytes() + gates.bytes() + input_masks.bytes() +
         recurrent_masks.bytes();
}

// Masks are drawn for batch rows and stored by sorted position; four of each with recurrent dropout.
template <class T>
void LstmDirection<T>::draw_masks(const CallContext<T>& context, DirectionWork<T>& work, Dim batch) const {
  work.run.dropout = {};
  if (!context.training) return;
  const Schedule& s = work.schedule;
  const auto draw = [&](Purpose purpose, double rate, Dim columns, Buffer<T>& buffer) {
    const Philox random(config_.seed.value_or(context.seed), purpose, stream_, context.step);
    T* masks = buffer.reserve(config_.groups() * batch * columns);
    for (Dim g = 0; g < config_.groups(); ++g) {
      for (Dim r = 0; r < batch; ++r) {
        dropout_mask(random, rate, (g * batch + s.order[at(r)]) * columns, columns, masks + (g * batch + r) * columns);
      }
    }
    return masks;
  };
  if (config_.dropout > 0) {
    work.run.dropout.inputs = draw(Purpose::kInputDropout, config_.dropout, config_.inputs, work.input_masks);
  }
  if (config_.recurrent_dropout > 0) {
    work.run.dropout.recurrent =
        draw(Purpose::kRecurrentDropout, config_.recurrent_dropout, config_.units, work.recurrent_masks);
  }
}

// Inputs of the packed rows, where they stand if possible.
template <class T>
void LstmDirection<T>::gather_inputs(DirectionWork<T>& work, const Rows<T>& in) const {
  const Schedule& s = work.schedule;
  LstmRun<T>& run = work.run;
  run.repeats = in.repeats;
  if (in.repeats.values != nullptr) {
    work.repeats.resize(at(s.total));
    each_packed_row(s, [&](Dim m, Dim, Dim r) {
      work.repeats[at(m)] = in.repeats.index[s.time[at(m)] * s.batch + s.order[at(r)]];
    });
    run.repeats.index = work.repeats.data();
    return;
  }
  run.x_row = s.dense && in.batch_stride > 0 ? in.batch_stride : config_.inputs;
  run.x.resize(at(s.steps));
  T* gathered = s.dense ? nullptr : work.x.reserve(s.total * config_.inputs);
  for (Dim step = 0; step < s.steps; ++step) {
    if (s.dense) {
      run.x[at(step)] = in.at(config_.go_backwards ? s.steps - 1 - step : step, 0);
      continue;
    }
    for (Dim r = 0; r < s.rows[at(step)]; ++r) {
      const Dim m = s.packed(step, r);
      copy_row(in.at(s.time[at(m)], s.order[at(r)]), gathered + m * config_.inputs, config_.inputs);
    }
    run.x[at(step)] = gathered + s.packed(step, 0) * config_.inputs;
  }
}

template <class T>
bool LstmDirection<T>::forward(const CallContext<T>& context, const DirectionWeights<T>& weights,
                               DirectionWork<T>& work, const Rows<T>& in, StateBlock<T>* block,
                               T* const* results) const {
  Schedule& s = work.schedule;
  const Dim batch = in.batch, units = config_.units;
  make_schedule(in.steps, batch, in.mask, config_.go_backwards, s);
  LstmRun<T>& run = work.run;
  run.kernels = context.kernels;
  run.schedule = &s;
  run.interrupt = context.interrupt;
  draw_masks(context, work, batch);
  run.weights = context.training && config_.groups() > 1 ? &weights.apart : &weights.together;
  gather_inputs(work, in);
  if (!s.dense) results = nullptr;
  run.two_steps = may_keep_two_steps(context.keep, results != nullptr) && gains_by_two_steps(run);
  run.y = run.two_steps && config_.return_sequences ? results : nullptr;
  const DirectionSizes sizes = forward_sizes(s, context.keep, context.training);
  run.h = work.h.reserve(run.two_steps ? 2 * batch * units : sizes.h);
  run.c = work.c.reserve(sizes.c);
  run.gates = context.keep ? work.gates.reserve(sizes.gates) : nullptr;
  run.from_zero = block == nullptr || block->batch == 0;
  if (run.from_zero) {
    std::fill(run.h, run.h + batch * units, T(0));
    std::fill(run.c, run.c + batch * units, T(0));
  } else {
    to_sorted(s, units, block->h.data(), run.h);
    to_sorted(s, units, block->c.data(), run.c);
  }
  lstm_forward(run, context.scratch->lstm);
  if (block == nullptr) return run.y != nullptr;
  block->batch = batch;
  block->units = units;
  block->h.reserve(batch * units);
  block->c.reserve(batch * units);
  for (Dim r = 0; r < batch; ++r) {
    const Dim to = s.order[at(r)] * units;
    copy_row(run.h_after(s.length[at(r)] - 1) + r * units, block->h.data() + to, units);
    copy_row(run.c + (context.keep ? last_row(s, r) : r) * units, block->c.data() + to, units);
  }
  return run.y != nullptr;
}

template <class T>
bool LstmDirection<T>::output_in_place(const DirectionWork<T>& work) const {
  return work.schedule.dense && work.schedule.steps > 0;
}

template <class T>
T* LstmDirection<T>::output_rows(DirectionWork<T>& work) const {
  return work.run.h_after(config_.return_sequences ? 0 : work.schedule.steps - 1);
}

template <class T>
void LstmDirection<T>::write_output(const DirectionWork<T>& work, const Rows<T>& in, bool in_order, T* y,
                                    Dim y_row) const {
  const Schedule& s = work.schedule;
  const Dim units = config_.units;
  const auto value = [&](Dim r, Dim step, T* out) {
    if (step < 0) {
      std::fill(out, out + units, T(0));
    } else {
      copy_row(work.run.h_after(step) + r * units, out, units);
    }
  };
  if (!config_.return_sequences) {
    for (Dim r = 0; r < s.batch; ++r) value(r, s.length[at(r)] - 1, y + s.order[at(r)] * y_row);
    return;
  }
  each_output(s, in.steps, config_.go_backwards, in_order, [&](Dim r, Dim step, Dim i, bool real) {
    const bool zero = !real && config_.zero_output_for_mask;
    value(r, zero ? -1 : step, y + (i * s.batch + s.order[at(r)]) * y_row);
  });
}

template <class T>
T* LstmDirection<T>::backward(const CallContext<T>& context, DirectionWork<T>& work, const Rows<T>& in, bool in_place,
                              bool in_order, T* dy, Dim dy_row, const std::vector<T*>& gradients,
                              StateBlock<T>* state_gradient, Buffer<T>* dx) const {
  work.run.interrupt = context.interrupt;  // the forward call's may be gone
  const Schedule& s = work.schedule;
  const Dim units = config_.units, batch = s.batch;
  const KernelTable<T>& kernels = *context.kernels;
  T* dh = dy;
  if (!in_place || !config_.return_sequences) {
    dh = context.scratch->dh.reserve_zeroed(dh_size(s, in_place));
    const auto receive = [&](Dim r, Dim step, const T* from) {
      if (step >= 0) kernels.add(units, from, dh + s.packed(step, r) * units);
    };
    if (config_.return_sequences) {
      // A held output repeats the last real one, whose gradient it joins.
      each_output(s, in.steps, config_.go_backwards, in_order, [&](Dim r, Dim step, Dim i, bool real) {
        if (real || !config_.zero_output_for_mask) receive(r, step, dy + (i * batch + s.order[at(r)]) * dy_row);
      });
    } else {
      for (Dim r = 0; r < batch; ++r) receive(r, s.length[at(r)] - 1, dy + s.order[at(r)] * dy_row);
    }
  }
  T* dc = context.scratch->dc.reserve_zeroed(2 * batch * units);
  T* dh_initial = nullptr;
  if (state_gradient != nullptr) {
    dh_initial = dc + batch * units;
    to_sorted(s, units, state_gradient->c.data(), dc);
    for (Dim r = 0; r < batch; ++r) {
      const Dim length = s.length[at(r)];
      const T* from = state_gradient->h.data() + s.order[at(r)] * units;
      if (length > 0) kernels.add(units, from, dh + s.packed(length - 1, r) * units);
    }
  }
  const bool repeat = in.repeats.values != nullptr, direct = repeat || (s.dense && !config_.go_backwards);
  const Dim rows = repeat ? in.repeats.count : in.steps * batch;
  T* d_in = dx == nullptr ? nullptr : dx->reserve(repeat ? rows * config_.inputs : dx_size(s, in.steps));
  T* packed_dx = d_in == nullptr || direct ? d_in : d_in + rows * config_.inputs;
  lstm_backward(work.run,
                {dh, dc, dh_initial, packed_dx, gradients.empty() ? nullptr : gradients[0],
                 gradients.empty() ? nullptr : gradients[1], gradients.size() < 3 ? nullptr : gradients[2]},
                context.scratch->lstm, context.scratch->sums);
  if (state_gradient != nullptr) {
    for (Dim r = 0; r < batch; ++r) {  // a row without a real step hands its state through
      const T* from = state_gradient->h.data() + s.order[at(r)] * units;
      if (s.length[at(r)] == 0) kernels.add(units, from, dh_initial + r * units);
    }
    from_sorted(s, units, dh_initial, state_gradient->h.data());
    from_sorted(s, units, dc, state_gradient->c.data());
  }
  if (packed_dx != d_in) {
    std::fill(d_in, packed_dx, T(0));
    each_packed_row(s, [&](Dim m, Dim, Dim r) {
      copy_row(packed_dx + m * config_.inputs, d_in + (s.time[at(m)] * batch + s.order[at(r)]) * config_.inputs,
               config_.inputs);
    });
  }
  return d_in;
}

template struct DirectionWeights<float>;
template struct DirectionWeights<double>;
template struct DirectionWork<float>;
template struct DirectionWork<double>;
template class LstmDirection<float>;
template class LstmDirection<double>;

}  // namespace pylstm
