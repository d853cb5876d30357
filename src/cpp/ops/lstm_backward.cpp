// Backward over time: per step the recurrent product and the cells, each thread its own rows or its own units; then
// dW, dU and db as products over all rows at once, and dx. Of inputs that repeat, dL/dz is summed first: dW, db and dx
// then cost as much as the distinct ones.
#include <algorithm>

#include "base/index.hpp"
#include "ops/lstm_threads.hpp"
#include "ops/sharing.hpp"

namespace pylstm {
namespace {

// The rows [first, last) of sorted positions, panels [first, last) of their units, on one thread.
template <class T>
class BackwardRows {
 public:
  BackwardRows(const LstmRun<T>& run, const LstmGradients<T>& gradients, Range rows, Range panels, Buffer<T>& scratch,
               Sharer sharer)
      : run_(run),
        g_(gradients),
        k_(*run.kernels),
        w_(*run.weights),
        s_(*run.schedule),
        rows_(rows),
        panels_(panels),
        poll_steps_(poll_steps(rows.end - rows.begin, run.weights->units)),
        sharer_(sharer) {
    if (run.dropout.recurrent != nullptr) masked_ = scratch.reserve((rows.end - rows.begin) * w_.units);
  }

  void operator()() {
    for (Dim step = s_.steps - 1; step >= 0; --step) {
      if (step % poll_steps_ == 0 && sharer_.stopped(run_.interrupt)) return;
      const Dim count = active(step), now = s_.packed(step, rows_.begin);
      if (count == 0) continue;
      T* dh = g_.dh + now * w_.units;
      if (step + 1 < s_.steps) recurrent_gradient(step + 1, dh);
      const Dim before = step == 0 ? rows_.begin : s_.batch + s_.packed(step - 1, rows_.begin);
      LstmCellsBackwardArgs<T> cells;
      cells.rows = count;
      cells.units = w_.units;
      cells.dh = dh;
      cells.dc = g_.dc + rows_.begin * w_.units;
      cells.c_prev = run_.c + before * w_.units;
      cells.c = run_.c + (s_.batch + now) * w_.units;
      cells.gates = run_.gates + now * 4 * w_.units;
      cells.first_block = panels_.begin * k_.panel_vectors;
      cells.last_block = panels_.end * k_.panel_vectors;
      k_.lstm_cells_backward(cells);
      sharer_.meet();
    }
    if (g_.dh_initial != nullptr) {
      T* dh = g_.dh_initial + rows_.begin * w_.units;
      const Dim panel = k_.panel_vectors * k_.width, first = panels_.begin * panel;
      const Dim columns = std::min(panels_.end * panel, w_.units) - first;
      for (Dim r = 0; r < rows_.end - rows_.begin; ++r) std::fill_n(dh + r * w_.units + first, columns, T(0));
      if (s_.steps > 0) recurrent_gradient(0, dh);
    }
  }

 private:
  Dim active(Dim step) const { return std::max<Dim>(0, std::min(s_.rows[at(step)], rows_.end) - rows_.begin); }

  // dh += dL/dz of `step` times U^T.
  void recurrent_gradient(Dim step, T* dh) {
    const Dim count = active(step), row = 4 * w_.units;
    if (count == 0) return;
    const T* dz = run_.gates + s_.packed(step, rows_.begin) * row;
    const T* masks = run_.dropout.recurrent;
    for (int g = 0; g < w_.groups; ++g) {
      const T* a = dz + g * (row / w_.groups);
      if (masks == nullptr) {
        GemmArgs<T> args = whole_product(a, row, w_.recurrent_t[at(g)], dh, w_.units, count, Init::kKeep);
        args.first_panel = panels_.begin;
        args.last_panel = panels_.end;
        args.backwards = step % 2 == 1;  // what the last step used last is still in the cache
        run_product(k_, args);
        continue;
      }
      product(k_, whole_product(a, row, w_.recurrent_t[at(g)], masked_, w_.units, count));
      const T* mask = masks + (g * s_.batch + rows_.begin) * w_.units;
      k_.multiply_add(count * w_.units, masked_, mask, dh);
    }
  }

  const LstmRun<T>& run_;
  const LstmGradients<T>& g_;
  const KernelTable<T>& k_;
  const LstmWeights<T>& w_;
  const Schedule& s_;
  Range rows_;
  Range panels_;
  Dim poll_steps_;
  Sharer sharer_;
  T* masked_ = nullptr;
};

// out = dz W^T for `rows` rows of one group's dL/dz, row stride 4 * units.
template <class T>
void times_kernel_t(const LstmRun<T>& run, const T* dz, Dim rows, int group, T* out, Init init, int most_threads) {
  const LstmWeights<T>& w = *run.weights;
  const auto args = whole_product(dz, 4 * w.units, w.kernel_t[at(group)], out, w.inputs, rows, init);
  product_in_parallel(*run.kernels, args, run.interrupt, most_threads);
}

// rows[m] *= mask of the row's sequence, into `out`; redirects rows.
template <class T>
void drop_rows(const LstmRun<T>& run, const T* mask, Dim columns, T* out, std::vector<const T*>& rows) {
  each_packed_row(*run.schedule, [&](Dim m, Dim, Dim r) {
    run.kernels->multiply(columns, rows[at(m)], mask + r * columns, out + m * columns);
    rows[at(m)] = out + m * columns;
  });
}

template <class T>
void collect_rows(const LstmRun<T>& run, LstmScratch<T>& scratch) {
  static const T one = 1;
  const Schedule& s = *run.schedule;
  const bool repeat = run.repeats.values != nullptr;
  const Dim inputs = repeat ? run.repeats.count : s.total;
  scratch.x_rows.reserve(at(inputs));  // to resize them alone might take twice as much
  scratch.h_rows.reserve(at(s.total));
  scratch.x_rows.resize(at(inputs));
  scratch.h_rows.resize(at(s.total));
  scratch.one_rows.assign(at(inputs), &one);
  for (Dim i = 0; repeat && i < inputs; ++i) scratch.x_rows[at(i)] = run.repeats.values + i * run.weights->inputs;
  each_packed_row(s, [&](Dim m, Dim step, Dim r) {
    if (!repeat) scratch.x_rows[at(m)] = run.x[at(step)] + r * run.x_row;
    scratch.h_rows[at(m)] = run.h + (step == 0 ? r : s.batch + s.packed(step - 1, r)) * run.weights->units;
  });
}

// Sums of dL/dz over the rows of each distinct input, rows ascending; threads take columns.
template <class T>
const T* sum_repeats(const LstmRun<T>& run, LstmScratch<T>& scratch, int most_threads) {
  constexpr Dim kColumns = 512;  // the sums of some hundred inputs stay in the second-level cache
  const Dim row = 4 * run.weights->units, count = run.repeats.count;
  T* sums = scratch.distinct.reserve_zeroed(count * row);
  constexpr Dim kColumnsOfPiece = 128;  // at least: each piece walks all rows
  constexpr Dim kAdditions = 65536;     // a grain of work
  const Dim total = run.schedule->total, line = 64 / static_cast<Dim>(sizeof(T));
  const Dim grain = std::max<Dim>(1, kAdditions / std::max<Dim>(1, total));
  const int threads = most_threads == 1 ? 1 : threads_for_grains(row / grain);
  parallel_pieces(threads, row, std::max(kColumnsOfPiece, grain), line, [&](Range range) {
    for (Dim column = range.begin; column < range.end; column += kColumns) {
      const Dim columns = std::min(kColumns, range.end - column);
      for (Dim m = 0; m < total; ++m) {
        run.kernels->add(columns, run.gates + m * row + column, sums + run.repeats.index[m] * row + column);
      }
    }
  });
  return sums;
}

template <class T>
void repeated_gradients(const LstmRun<T>& run, const LstmGradients<T>& g, LstmScratch<T>& scratch,
                        RowProductScratch<T>& sums, const RowProductOptions& options) {
  const LstmWeights<T>& w = *run.weights;
  const Dim row = 4 * w.units, count = run.repeats.count;
  const T* dz = sum_repeats(run, scratch, options.most_threads);
  if (g.kernel != nullptr) {
    collect_rows(run, scratch);
    product_over_rows(*run.kernels, {{scratch.h_rows.data(), w.units, g.recurrent, row}}, {run.gates, row, 0}, row,
                      run.schedule->total, sums, options);
    std::vector<RowFactor<T>> factors = {{scratch.x_rows.data(), w.inputs, g.kernel, row}};
    if (g.bias != nullptr) factors.push_back({scratch.one_rows.data(), 1, g.bias, row});
    product_over_rows(*run.kernels, factors, {dz, row, 0}, row, count, sums, options);
  }
  if (g.dx != nullptr) times_kernel_t(run, dz, count, 0, g.dx, Init::kZero, options.most_threads);
}

template <class T>
void parameter_gradients(const LstmRun<T>& run, const LstmGradients<T>& g, LstmScratch<T>& scratch,
                         RowProductScratch<T>& sums, const RowProductOptions& options) {
  const LstmWeights<T>& w = *run.weights;
  const Dim row = 4 * w.units, columns = row / w.groups, total = run.schedule->total;
  for (int group = 0; group < w.groups; ++group) {
    collect_rows(run, scratch);
    const bool drop_x = run.dropout.inputs != nullptr, drop_h = run.dropout.recurrent != nullptr;
    T* dropped = drop_x || drop_h ? scratch.dropped.reserve(total * (w.inputs + w.units)) : nullptr;
    const Dim batch = run.schedule->batch;
    if (drop_x) drop_rows(run, run.dropout.inputs + group * batch * w.inputs, w.inputs, dropped, scratch.x_rows);
    if (drop_h) {
      drop_rows(run, run.dropout.recurrent + group * batch * w.units, w.units, dropped + total * w.inputs,
                scratch.h_rows);
    }
    const Dim at_column = group * columns;
    std::vector<RowFactor<T>> factors = {{scratch.x_rows.data(), w.inputs, g.kernel + at_column, row},
                                         {scratch.h_rows.data(), w.units, g.recurrent + at_column, row}};
    if (g.bias != nullptr) factors.push_back({scratch.one_rows.data(), 1, g.bias + at_column, row});
    product_over_rows(*run.kernels, factors, {run.gates + at_column, row, 0}, columns, total, sums, options);
  }
}

template <class T>
void input_gradient(const LstmRun<T>& run, T* dx, LstmScratch<T>& scratch, int most_threads) {
  const LstmWeights<T>& w = *run.weights;
  const Dim row = 4 * w.units, columns = row / w.groups, total = run.schedule->total;
  const bool drop = run.dropout.inputs != nullptr;
  T* part = drop ? scratch.dropped.reserve(total * w.inputs) : dx;
  for (int group = 0; group < w.groups; ++group) {
    const Init init = group == 0 || drop ? Init::kZero : Init::kKeep;
    times_kernel_t(run, run.gates + group * columns, total, group, part, init, most_threads);
    if (!drop) continue;
    const T* masks = run.dropout.inputs + group * run.schedule->batch * w.inputs;
    each_packed_row(*run.schedule, [&](Dim m, Dim, Dim r) {
      const T* mask = masks + r * w.inputs;
      if (group == 0) {
        run.kernels->multiply(w.inputs, part + m * w.inputs, mask, dx + m * w.inputs);
      } else {
        run.kernels->multiply_add(w.inputs, part + m * w.inputs, mask, dx + m * w.inputs);
      }
    });
  }
}

}  // namespace

template <class T>
void lstm_backward(const LstmRun<T>& run, const LstmGradients<T>& gradients, LstmScratch<T>& scratch,
                   RowProductScratch<T>& sums) {
  const LstmWeights<T>& w = *run.weights;
  const Dim panel = run.kernels->panel_vectors * run.kernels->width, batch = run.schedule->batch;
  const Range all_panels = {0, (w.units + panel - 1) / panel};
  const LstmThreads plan = lstm_threads(run, Pass::kBackward, panel);
  const int sharing = plan.sharing, threads = plan.over_time;
  const auto size = static_cast<std::size_t>(std::max(threads, 1));
  if (scratch.masked.size() < size) scratch.masked.resize(size);
  if (sharing > 1) {
    sharing_region(sharing, [&](int index, int count, Sharer sharer) {
      const Range panels = split(all_panels.end, index, count);
      BackwardRows<T>(run, gradients, {0, batch}, panels, scratch.masked[at(index)], sharer)();
    });
  } else {
    Paces paces(threads);
    parallel_region(threads, [&](int index, int count) {
      const std::vector<Dim> bounds = balanced_rows(*run.schedule, count, paces);
      const Range rows = {bounds[at(index)], bounds[at(index) + 1]};
      if (rows.begin == rows.end) return;
      paces.time(index, work_of(*run.schedule, rows), [&] {
        BackwardRows<T>(run, gradients, rows, all_panels, scratch.masked[at(index)], Sharer())();
        return !stop_requested(run.interrupt);
      });
    });
  }
  if (stop_requested(run.interrupt)) return;
  RowProductOptions options;
  options.interrupt = run.interrupt;
  options.most_threads = plan.gradients;
  if (run.repeats.values != nullptr) return repeated_gradients(run, gradients, scratch, sums, options);
  if (gradients.kernel != nullptr) parameter_gradients(run, gradients, scratch, sums, options);
  if (gradients.dx == nullptr || stop_requested(run.interrupt)) return;
  input_gradient(run, gradients.dx, scratch, options.most_threads);
}

#define PYLSTM_INSTANTIATE(T) \
  template void lstm_backward<T>(const LstmRun<T>&, const LstmGradients<T>&, LstmScratch<T>&, RowProductScratch<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
