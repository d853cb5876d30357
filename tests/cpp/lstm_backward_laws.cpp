// The LSTM backward over whole sequences: every gradient against the equations, and the same bits however it is run.
#include <algorithm>

#include "base/parallel.hpp"
#include "lstm_problem.hpp"
#include "lstm_reference.hpp"
#include "ops/lstm.hpp"
#include "ops/lstm_threads.hpp"
#include "piece_laws.hpp"

namespace pylstm::test {
namespace {

// Which gradients are asked for.
struct Wanted {
  bool dx = true, initial = true, parameters = true;
};

// Memory of one run, each part up to a page that nobody may touch.
template <class T>
class Part {
 public:
  explicit Part(Dim count) : count_(count), memory_(count), data_(memory_.take(count)) {}
  Part(Dim count, const std::vector<T>& first) : Part(count) { std::copy(first.begin(), first.end(), data_); }
  T* data() { return data_; }
  std::vector<T> result(const char* what, bool written = true) const {
    PYLSTM_EXPECT(memory_.intact(), "lstm_backward wrote in front of ", what);
    std::vector<T> values(data_, data_ + count_);
    PYLSTM_EXPECT(written || std::all_of(values.begin(), values.end(), is_sentinel<T>), what, " is written unasked");
    return written ? values : std::vector<T>();
  }

 private:
  Dim count_;
  Guarded<T> memory_;
  T* data_;
};

template <class T>
LstmOutputs<T> run_backward(const KernelTable<T>& k, const LstmProblem<T>& p, Wanted wanted = {}) {
  const Schedule s = p.schedule();
  const Dim row = 4 * p.units, cells = (s.batch + s.total) * p.units, dx_rows = p.index.empty() ? s.total : p.count();
  LstmWeights<T> weights;
  const T* no_bias = nullptr;
  weights.pack(k, {p.kernel.data(), p.recurrent.data(), p.bias.empty() ? no_bias : p.bias.data()}, p.inputs, p.units,
               p.groups, true);
  Part<T> x(s.total * p.inputs), distinct(p.count() * p.inputs, p.distinct), h(cells, p.h), c(cells, p.c),
      gates(s.total * row), dh(s.total * p.units, p.dh), dc(s.batch * p.units, p.dc), dh_initial(s.batch * p.units),
      dx(dx_rows * p.inputs), kernel(p.inputs * row), recurrent(p.units * row), bias(row);
  LstmRun<T> run = {};
  run.kernels = &k;
  run.weights = &weights;
  run.schedule = &s;
  // A dense batch stands as its caller has it, batch-major; others are gathered.
  run.x_row = s.dense ? s.steps * p.inputs : p.inputs;
  for (Dim step = 0; step < s.steps; ++step)
    run.x.push_back(x.data() + (s.dense ? step : s.packed(step, 0)) * p.inputs);
  each_packed_row(s, [&](Dim m, Dim step, Dim r) {
    std::copy_n(p.x.data() + m * p.inputs, p.inputs, const_cast<T*>(run.x[at(step)]) + r * run.x_row);
  });
  if (!p.index.empty()) {
    run.repeats = {distinct.data(), p.count(), p.index.data()};
    run.x.clear();
  }
  run.dropout.inputs = p.input_masks.empty() ? nullptr : p.input_masks.data();
  run.dropout.recurrent = p.recurrent_masks.empty() ? nullptr : p.recurrent_masks.data();
  run.h = h.data();
  run.c = c.data();
  run.gates = gates.data();
  run.from_zero = p.from_zero;
  LstmScratch<T> scratch;
  RowProductScratch<T> sums;
  lstm_forward(run, scratch);
  const bool has_bias = !p.bias.empty(), initial = wanted.initial && !p.from_zero;
  lstm_backward(run,
                {dh.data(), dc.data(), initial ? dh_initial.data() : nullptr, wanted.dx ? dx.data() : nullptr,
                 wanted.parameters ? kernel.data() : nullptr, wanted.parameters ? recurrent.data() : nullptr,
                 wanted.parameters && has_bias ? bias.data() : nullptr},
                scratch, sums);
  PlannedRun plan;
  plan.schedule = &s;
  plan.distinct = p.count();
  plan.has_bias = has_bias;
  plan.input_dropout = !p.input_masks.empty();
  plan.recurrent_dropout = !p.recurrent_masks.empty();
  plan.training = true;
  const std::size_t planned = planned_scratch(k, weights, plan).template bytes<T>();
  const RowProductSizes sizes = lstm_sums(k, weights, plan);
  PYLSTM_EXPECT(scratch.bytes() <= planned, "an LSTM reserved ", scratch.bytes(), ", planned ", planned);
  PYLSTM_EXPECT(sums.a.count() <= sizes.a && sums.d.count() <= sizes.d, "lstm_backward reserved ", sums.a.count(), ", ",
                sums.d.count(), " for sums, planned ", sizes.a, ", ", sizes.d);
  dh.result("dL/dh");
  return {gates.result("dL/dz"),
          dx.result("dx", wanted.dx),
          kernel.result("dW", wanted.parameters),
          recurrent.result("dU", wanted.parameters),
          bias.result("db", wanted.parameters && has_bias),
          dh_initial.result("dh0", initial),
          dc.result("dc0")};
}

template <class T>
void compare(const char* what, const std::vector<T>& got, const std::vector<Bounded<T>>& want, Dim columns) {
  PYLSTM_EXPECT(got.size() == want.size(), what, " has ", got.size(), " elements, want ", want.size());
  for (std::size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    PYLSTM_EXPECT(within(got[i], want[i]), what, " at row ", i / at(columns), ", column ", i % at(columns), " is ",
                  got[i], ", want ", want[i].value, " within ", want[i].error);
  }
}

template <class T>
void compare(const LstmOutputs<T>& got, const LstmProblem<T>& p) {
  LstmOutputs<Bounded<T>> want = LstmReference<T>(p)();
  if (p.from_zero) want.dh.clear();
  compare("dL/dz", got.dz, want.dz, 4 * p.units);
  compare("dx", got.dx, want.dx, p.inputs);
  compare("dW", got.kernel, want.kernel, 4 * p.units);
  compare("dU", got.recurrent, want.recurrent, 4 * p.units);
  compare("db", got.bias, want.bias, 4 * p.units);
  compare("dh0", got.dh, want.dh, p.units);
  compare("dc0", got.dc, want.dc, p.units);
}

// The same bits of `count` elements; an output that was not asked for is empty.
template <class T>
bool same(const std::vector<T>& a, Dim from, const std::vector<T>& b, Dim first, Dim count) {
  return count == 0 || a.empty() || b.empty() || std::memcmp(&a[at(from)], &b[at(first)], at(count) * sizeof(T)) == 0;
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return same(a, 0, b, 0, static_cast<Dim>(std::min(a.size(), b.size())));
}
template <class T>
bool same(const LstmOutputs<T>& a, const LstmOutputs<T>& b) {
  return same(a.dz, b.dz) && same(a.dx, b.dx) && same(a.kernel, b.kernel) && same(a.recurrent, b.recurrent) &&
         same(a.bias, b.bias) && same(a.dh, b.dh) && same(a.dc, b.dc);
}

template <class T>
void backward_case(const KernelTable<T>& k, const LstmProblem<T>& p) {
  const std::string before = report().context;
  std::ostringstream context;
  context << before << "LSTM backward, rows of";
  for (const Dim length : p.lengths) context << ' ' << length;
  context << " of " << p.times << " steps, " << p.inputs << " inputs, " << p.units << " units, " << p.groups
          << " groups, " << (p.input_masks.empty() ? "" : "input dropout, ")
          << (p.recurrent_masks.empty() ? "" : "recurrent dropout, ") << p.count() << " repeats"
          << (p.from_zero ? ", from zero: " : ": ");
  report().context = context.str();
  const LstmOutputs<T> all = run_backward(k, p);
  compare(all, p);
  for (const Wanted wanted : {Wanted{false, true, true}, Wanted{true, false, true}, Wanted{true, true, false}})
    PYLSTM_EXPECT(same(run_backward(k, p, wanted), all), "what is not asked for changes bits");
  const Schedule s = p.schedule();
  for (Dim r = 0; r < s.batch && p.index.empty(); ++r) {
    const LstmOutputs<T> alone = run_backward(k, sequence_of(p, r));
    bool equal = same(alone.dh, 0, all.dh, r * p.units, p.units) && same(alone.dc, 0, all.dc, r * p.units, p.units);
    for (Dim step = 0; step < p.lengths[at(r)]; ++step) {
      const Dim m = s.packed(step, r);
      equal = equal && same(alone.dz, step * 4 * p.units, all.dz, m * 4 * p.units, 4 * p.units) &&
              same(alone.dx, step * p.inputs, all.dx, m * p.inputs, p.inputs);
    }
    PYLSTM_EXPECT(equal, "row ", r, " alone has other bits");
  }
  report().context = before;
}

// Enough work for two threads: each with rows of its own, or of one row each with units of its own. The bits stay.
template <class T>
void threads_have_the_same_bits(const KernelTable<T>& k, Random& random, bool quick) {
  struct Case {
    std::vector<Dim> lengths;
    Variant variant;
    bool shared;
  };
  for (const Case& c :
       {Case{{5, 5, 4, 4, 3, 3, 2}, {4, Dropout::kBoth}, false}, Case{{25}, {1, Dropout::kInputs}, true}}) {
    const LstmProblem<T> p = make_problem<T>(c.lengths, c.lengths[0], 9, 193, c.variant, false, true, random);
    set_num_threads(1);
    const LstmOutputs<T> alone = run_backward(k, p);
    if (!quick) compare(alone, p);
    set_num_threads(2);
    LstmWeights<T> weights;
    weights.set_sizes(k, p.inputs, p.units, p.groups);
    const Schedule s = p.schedule();
    LstmRun<T> run = {};
    run.weights = &weights;
    run.schedule = &s;
    const LstmThreads plan = lstm_threads(run, Pass::kBackward, k.panel_vectors * k.width);
    PYLSTM_EXPECT(plan.over_time == 2 && (plan.sharing == 2) == c.shared,
                  "not the threads that this is for: ", plan.over_time, plan.sharing > 1 ? ", shared" : "");
    for (const bool differ : {false, true}) {
      set_paces(2, differ);
      PYLSTM_EXPECT(same(run_backward(k, p), alone), "LSTM backward of ", s.batch, " rows on two threads",
                    differ ? ", one slower," : "", " has other bits");
    }
    set_num_threads(1);
  }
}

}  // namespace

template <class T>
void lstm_backward_laws(const KernelTable<T>& k, const Options& options) {
  Random random(11);
  set_num_threads(1);
  const Dim w = k.width, panel = k.panel_vectors * w;
  const std::vector<Dim> tile(at(k.tile_rows + 1), 2);
  struct Rows {
    std::vector<Dim> lengths;
    Dim times;
  };
  const std::vector<Rows> batches = {{{3, 3}, 3}, {{3, 2, 2, 1, 0}, 3}, {{1}, 1}, {{2, 2, 2}, 4}, {{0, 0, 0}, 2},
                                     {{3}, 3},    {{0, 0}, 0},          {tile, 2}};
  std::size_t number = 0;
  for (const Dim units : {Dim{1}, w - 1, w, w + 1, panel + 1}) {
    for (const Rows& rows : batches) {
      // All variants meet all rows; under an emulator one of them, another for the next rows.
      for (std::size_t i = 0; i < (options.quick ? 1 : kVariantCount); ++i, ++number) {
        const Dim inputs[] = {w + 1, 1, 2 * w, w - 1, w};
        backward_case(k, make_problem<T>(rows.lengths, rows.times, inputs[number % 5], units,
                                         kVariants[number % kVariantCount], number % 4 == 3, number % 7 != 6, random));
      }
      if (rows.lengths.size() < 4) continue;
      LstmProblem<T> p = make_problem<T>(rows.lengths, rows.times, w + 1, units, kVariants[0], false, true, random);
      repeat_inputs(p, 4);
      backward_case(k, p);
    }
  }
  if (!options.brief) threads_have_the_same_bits(k, random, options.quick);
}

template void lstm_backward_laws<float>(const KernelTable<float>&, const Options&);
template void lstm_backward_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
