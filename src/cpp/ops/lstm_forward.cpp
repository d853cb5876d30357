// Forward over time: the input projection of a chunk of steps as one large product, then step by
// step the recurrent product with the cells. Each thread runs its own rows through all of time;
// or, of few rows or large weights, all threads run all rows, each its own units, and meet after every step.
// There a thread with a block of units more than another has the inputs of one projected by that one.
#include <algorithm>

#include "base/check.hpp"
#include "base/index.hpp"
#include "ops/lstm_chunks.hpp"
#include "ops/lstm_threads.hpp"
#include "ops/sharing.hpp"

namespace pylstm {
namespace {

// What a thread with so many rows needs for those that dropout masked; null without dropout.
template <class T>
T* reserve_masked(const LstmRun<T>& run, Dim rows, Buffer<T>& masked) {
  if (run.dropout.inputs == nullptr && run.dropout.recurrent == nullptr) return nullptr;
  return masked.reserve(rows * std::max(run.weights->inputs, run.weights->units));
}

// The rows [first, last) of sorted positions, and a share of their units, on one thread.
template <class T>
class ForwardRows {
 public:
  // z: chunk_steps * height * z_columns elements. distinct: projected repeats, if there are any.
  ForwardRows(const LstmRun<T>& run, Range rows, UnitShare share, T* z, const T* distinct, Buffer<T>& masked,
              Sharer sharer)
      : run_(run),
        k_(*run.kernels),
        w_(*run.weights),
        s_(*run.schedule),
        rows_(rows),
        share_(share),
        chunk_(chunk_steps(run, rows.end - rows.begin)),
        poll_steps_(poll_steps(rows.end - rows.begin, run.weights->units)),
        z_(z),
        distinct_(distinct),
        sharer_(sharer) {
    masked_ = reserve_masked(run, rows.end - rows.begin, masked);
  }

  void operator()() {
    for (Dim first = 0; first < s_.steps; first += chunk_) {
      if (sharer_.stopped(run_.interrupt)) return;
      const Dim last = std::min(first + chunk_, s_.steps);
      project(first, last);
      for (Dim step = first; step < last; ++step) {
        if (step > first && step % poll_steps_ == 0 && sharer_.stopped(run_.interrupt)) return;
        if (share_.borrowed >= 0 && step + 1 < s_.steps) project_borrowed(step + 1, step + 1 < last ? first : last);
        advance(step, z_of(step - first));
        sharer_.meet();
      }
    }
  }

 private:
  Dim z_step() const { return (rows_.end - rows_.begin) * w_.z_columns; }
  T* z_of(Dim i) const { return z_ + i * z_step(); }
  Dim active(Dim step) const { return std::max<Dim>(0, std::min(s_.rows[at(step)], rows_.end) - rows_.begin); }

  // rows of `source` times the mask of `group`, or the rows themselves.
  const T* dropped(const T* source, Dim row, Dim count, Dim columns, const T* masks, int group) {
    if (masks == nullptr) return source;
    const T* mask = masks + (group * s_.batch + rows_.begin) * columns;
    for (Dim r = 0; r < count; ++r) {
      k_.multiply(columns, source + r * row, mask + r * columns, masked_ + r * columns);
    }
    return masked_;
  }

  // z = b + x W for the steps of a chunk: each panel of W serves all of them before the next one is read.
  void project(Dim first, Dim last) {
    if (distinct_ != nullptr) {
      for (Dim step = first; step < last; ++step) copy_projected(step, z_of(step - first));
      return;
    }
    Range blocks = share_.blocks;
    if (share_.lent >= 0) {
      blocks.begin = share_.lent + 1;
      if (first == 0) project_blocks({share_.lent, blocks.begin}, 0, 1, z_);
    }
    project_blocks(blocks, first, last, z_);
  }

  // For its owner, which reads z of this block in the next step. That may be the first of the next chunk, whose place
  // is that of this chunk's first step: all have left it, as a chunk has two steps at least.
  void project_borrowed(Dim step, Dim first) {
    project_blocks({share_.borrowed, share_.borrowed + 1}, step, step + 1, z_of(step - first));
  }

  // z: of the first step.
  void project_blocks(Range blocks, Dim first, Dim last, T* z) {
    const Panels<T>& w = w_.kernel[0];
    const Range panels = panels_of(blocks);
    if (run_.dropout.inputs != nullptr) {
      for (Dim step = first; step < last; ++step) project_dropped(step, panels, z + (step - first) * z_step());
      return;
    }
    for (int g = 0; g < w_.groups; ++g) {
      for (Dim p = panels.begin; p < panels.end; p += k_.panels_together) {
        for (Dim step = first; step < last && active(step) > 0;) {
          const Dim end = alike_until(step, last);
          GemmArgs<T> args = operands_of(step, end - step, z + (step - first) * z_step());
          args.b = w_.kernel[at(g)].data();
          args.c += g * w_.z_gate;
          args.bias = w_.bias.data() + g * w_.z_gate;
          args.columns = w.columns();
          args.inner = w.inner();
          args.init = Init::kBias;
          args.first_panel = p;
          args.last_panel = std::min(p + k_.panels_together, panels.end);
          run_product(k_, args);
          step = end;
        }
      }
    }
  }

  // Distance of the inputs of a step and the next one.
  Dim spacing(Dim step) const { return run_.x[at(step + 1)] - run_.x[at(step)]; }

  // Steps [step, alike_until) have as many rows each and are equally spaced.
  Dim alike_until(Dim step, Dim last) const {
    Dim end = step + 1;
    while (end < last && active(end) == active(step) && spacing(end - 1) == spacing(step)) ++end;
    return end;
  }

  // A, C and their rows, of the product that projects such steps.
  GemmArgs<T> operands_of(Dim step, Dim steps, T* z) const {
    const Dim count = active(step), height = rows_.end - rows_.begin, distance = steps > 1 ? spacing(step) : 0;
    GemmArgs<T> args = {};
    args.a = run_.x[at(step)] + rows_.begin * run_.x_row;
    args.c = z;
    if (count < 2 * k_.tile_rows && count < steps) {
      // Of few rows a sequence at a time: a step at a time would leave tiles low.
      args.a_row = distance;
      args.c_row = height * w_.z_columns;
      args.rows = steps;
      args.row_blocks = count;
      args.a_block = run_.x_row;
      args.c_block = w_.z_columns;
      return args;
    }
    args.a_row = run_.x_row;
    args.c_row = w_.z_columns;
    const bool contiguous = count == height && distance == count * run_.x_row;
    args.rows = contiguous ? steps * count : count;
    args.row_blocks = contiguous ? 1 : steps;
    args.a_block = distance;
    args.c_block = height * w_.z_columns;
    return args;
  }

  void copy_projected(Dim step, T* z) {
    const Dim block = 4 * k_.width, begin = share_.blocks.begin * block;
    const Dim end = std::min(share_.blocks.end * block, w_.z_columns);
    const std::int32_t* index = run_.repeats.index + s_.packed(step, rows_.begin);
    for (Dim r = 0; r < active(step); ++r) {
      const T* from = distinct_ + index[r] * w_.z_columns;
      std::copy(from + begin, from + end, z + r * w_.z_columns + begin);
    }
  }

  void project_dropped(Dim step, Range panels, T* z) {
    const Dim count = active(step);
    const T* x = run_.x[at(step)] + rows_.begin * run_.x_row;
    for (int g = 0; g < w_.groups; ++g) {
      const T* a = dropped(x, run_.x_row, count, w_.inputs, run_.dropout.inputs, g);
      const Dim column = g * w_.z_gate;
      const Panels<T>& w = w_.kernel[at(g)];
      GemmArgs<T> args =
          whole_product(a, w_.inputs, w, z + column, w_.z_columns, count, Init::kBias, w_.bias.data() + column);
      args.first_panel = panels.begin;
      args.last_panel = panels.end;
      run_product(k_, args);
    }
  }

  // z += h U, unless h is 0; then the cells.
  void advance(Dim step, T* z) {
    const Dim count = active(step);
    if (count == 0) return;
    const bool training = run_.gates != nullptr;
    const Dim before = step == 0 ? rows_.begin : s_.batch + s_.packed(step - 1, rows_.begin);
    const Dim now = s_.packed(step, rows_.begin);
    const T* h_prev = run_.h_after(step - 1) + rows_.begin * w_.units;
    const bool together = w_.groups == 1, zero = step == 0 && run_.from_zero;
    if (!together && !zero) {
      for (int g = 0; g < w_.groups; ++g) {
        const T* a = dropped(h_prev, w_.units, count, w_.units, run_.dropout.recurrent, g);
        T* out = z + g * w_.z_gate;
        product(k_, whole_product(a, w_.units, w_.recurrent[at(g)], out, w_.z_columns, count, Init::kKeep));
      }
    }
    LstmStepArgs<T> args;
    args.rows = count;
    args.units = w_.units;
    args.h_prev = h_prev;
    args.h_prev_row = w_.units;
    args.recurrent = together && !zero ? w_.recurrent[0].data() : nullptr;
    args.z = z;
    args.z_row = w_.z_columns;
    args.z_gate = w_.z_gate;
    args.c = run_.c + (training ? s_.batch + now : rows_.begin) * w_.units;
    args.c_prev = training ? run_.c + before * w_.units : args.c;
    args.h = run_.h_after(step) + rows_.begin * w_.units;
    args.h_row = w_.units;
    args.gates = training ? run_.gates + now * 4 * w_.units : nullptr;
    args.first_block = share_.blocks.begin;
    args.last_block = share_.blocks.end;
    args.backwards = step % 2 == 1;  // in turn: the weights used last are still in the cache
    args.cut = cut_of_features(k_, count);
    if (run_.y != nullptr) {
      args.y = run_.y + rows_.begin;
      args.y_first = step * w_.units;
    }
    k_.lstm_step(args);
  }

  // Of W: blocks of units are blocks of panels where the gates are together.
  Range panels_of(Range blocks) const {
    const Dim panel = k_.panel_vectors * k_.width, panels = (w_.kernel[0].columns() + panel - 1) / panel;
    if (w_.groups > 1) return {0, panels};
    const Dim of_block = 4 / k_.panel_vectors;
    return {blocks.begin * of_block, std::min(blocks.end * of_block, panels)};
  }

  const LstmRun<T>& run_;
  const KernelTable<T>& k_;
  const LstmWeights<T>& w_;
  const Schedule& s_;
  Range rows_;
  UnitShare share_;
  Dim chunk_, poll_steps_;
  T* z_;
  const T* distinct_;
  Sharer sharer_;
  T* masked_ = nullptr;
};

// z of every distinct input, or null.
template <class T>
const T* project_repeats(const LstmRun<T>& run, LstmScratch<T>& scratch) {
  const Repeats<T>& x = run.repeats;
  if (x.values == nullptr) return nullptr;
  const LstmWeights<T>& w = *run.weights;
  check(w.groups == 1 && run.dropout.inputs == nullptr, "repeats need one group and no dropout of inputs");
  T* z = scratch.distinct.reserve(x.count * w.z_columns);
  const T* bias = w.bias.data();
  const auto args = whole_product(x.values, w.inputs, w.kernel[0], z, w.z_columns, x.count, Init::kBias, bias);
  product_in_parallel(*run.kernels, args, run.interrupt);
  return z;
}

}  // namespace

template <class T>
void lstm_forward(const LstmRun<T>& run, LstmScratch<T>& scratch) {
  const LstmWeights<T>& w = *run.weights;
  const Dim batch = run.schedule->batch;
  check(run.gates == nullptr || (!run.two_steps && run.y == nullptr), "gates need h of all steps, and have no y");
  check(run.y == nullptr || run.schedule->dense, "y needs a dense schedule");
  check(run.dropout.recurrent == nullptr || w.groups == 4, "recurrent dropout needs 4 groups, got ", w.groups);
  const Dim all_blocks = round_up(w.units, run.kernels->width) / run.kernels->width;
  const Pass pass = run.gates == nullptr ? Pass::kInference : Pass::kForward;
  const LstmThreads plan = lstm_threads(run, pass, run.kernels->width);
  const int sharing = plan.sharing, threads = plan.over_time;
  const auto size = static_cast<std::size_t>(std::max(threads, 1));
  if (scratch.z.size() < size) scratch.z.resize(size);
  if (scratch.masked.size() < size) scratch.masked.resize(size);
  const T* distinct = project_repeats(run, scratch);
  check(!plan.lends || (distinct == nullptr && chunk_steps(run, batch) > 1), "blocks are lent a step ahead");
  const auto reserve_z = [&](Buffer<T>& z, Dim height) {
    return z.reserve(most_chunk_rows(run, height) * w.z_columns);
  };
  if (sharing > 1) {
    T* z = reserve_z(scratch.z[0], batch);
    for (std::size_t i = 0; i < size; ++i) reserve_masked(run, batch, scratch.masked[i]);
    sharing_region(sharing, [&](int index, int count, Sharer sharer) {
      const UnitShare share = unit_share(all_blocks, index, count, plan.lends);
      ForwardRows<T>(run, {0, batch}, share, z, distinct, scratch.masked[at(index)], sharer)();
    });
    return;
  }
  Paces paces(threads);
  parallel_region(threads, [&](int index, int count) {
    const std::vector<Dim> bounds = balanced_rows(*run.schedule, count, paces);
    const Range rows = {bounds[at(index)], bounds[at(index) + 1]};
    // Room for its largest share, so that what is held does not depend on paces.
    const Dim height = most_rows_of(*run.schedule, count);
    T* z = reserve_z(scratch.z[at(index)], height);
    reserve_masked(run, height, scratch.masked[at(index)]);
    if (rows.begin == rows.end) return;
    paces.time(index, work_of(*run.schedule, rows), [&] {
      ForwardRows<T>(run, rows, {{0, all_blocks}}, z, distinct, scratch.masked[at(index)], Sharer())();
      return !stop_requested(run.interrupt);
    });
  });
}

#define PYLSTM_INSTANTIATE(T) template void lstm_forward<T>(const LstmRun<T>&, LstmScratch<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
