// The LSTM over whole sequences. Time-major and batch-major inputs end at memory that nobody may touch: steps with
// fewer rows than the batch read none beyond theirs.
#include <algorithm>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/lstm_threads.hpp"
#include "piece_laws.hpp"

namespace pylstm::test {
namespace {

// How inputs stand in the caller's memory.
enum class Order { kTimeMajor, kBatchMajor, kFalling };  // falling: time-major, the last step first

template <class T>
struct Sequences {
  std::vector<Dim> lengths;  // non-increasing
  Dim inputs, units;
  std::vector<T> x;                              // [rows, steps, inputs]
  std::vector<T> kernel, recurrent, bias, h, c;  // Keras' layouts; h and c [rows, units] initial
  bool from_zero = false;                        // what runs are told of h
  int groups = 1;

  Dim rows() const { return static_cast<Dim>(lengths.size()); }
  Dim steps() const { return lengths[0]; }
  const T* input(Dim row, Dim step) const { return x.data() + (row * steps() + step) * inputs; }
};

// What a run keeps: the last c alone, or all of c and gates too, or not even h of all steps, which of a dense schedule
// go to rows of y.
enum class Kept { kOutputs, kAll, kLast };

// [total, units] h, or [rows, units] if only the last are left, then what c holds, then gates if they are kept.
template <class T>
using Result = std::vector<T>;

template <class T>
Sequences<T> make_sequences(std::vector<Dim> lengths, Dim inputs, Dim units, Random& random) {
  Sequences<T> s;
  s.lengths = std::move(lengths);
  s.inputs = inputs;
  s.units = units;
  const auto draw = [&](Dim count, T scale) {
    std::vector<T> values;
    for (Dim i = 0; i < count; ++i) values.push_back(random.uniform<T>(-scale, scale));
    return values;
  };
  s.x = draw(s.rows() * s.steps() * inputs, 1);
  s.kernel = draw(inputs * 4 * units, T(0.5));
  s.recurrent = draw(units * 4 * units, T(0.3));
  s.bias = draw(4 * units, 1);
  s.h = draw(s.rows() * units, 1);
  s.c = draw(s.rows() * units, 2);
  return s;
}

Schedule schedule_of(const std::vector<Dim>& lengths) {
  const Dim steps = lengths[0], batch = static_cast<Dim>(lengths.size());
  std::vector<std::uint8_t> mask(at(steps * batch));
  for (Dim i = 0; i < steps * batch; ++i) mask[at(i)] = i / batch < lengths[at(i % batch)];
  Schedule schedule;
  make_schedule(steps, batch, mask.data(), false, schedule);
  return schedule;
}

// Rows [first, last) as a batch of their own.
template <class T>
Result<T> run_rows(const KernelTable<T>& k, const Sequences<T>& s, Dim first, Dim last, Order order, Kept kept) {
  const bool training = kept == Kept::kAll, two_steps = kept == Kept::kLast;
  const Schedule schedule = schedule_of({s.lengths.begin() + first, s.lengths.begin() + last});
  const Dim count = last - first, steps = schedule.steps, units = s.units;
  const Dim row = order == Order::kBatchMajor ? steps * s.inputs : s.inputs;
  const Dim spacing = order == Order::kBatchMajor ? s.inputs : (order == Order::kFalling ? -1 : 1) * count * s.inputs;
  // Nothing may be read behind the rows of the step that stands last, nor behind the steps of the row that does.
  const Dim end = order == Order::kTimeMajor    ? (steps - 1) * spacing + schedule.rows[at(steps - 1)] * row
                  : order == Order::kBatchMajor ? (count - 1) * row + s.lengths[at(last - 1)] * s.inputs
                                                : steps * count * s.inputs;
  Guarded<T> memory(steps * count * s.inputs);
  T* begin = memory.take(end) + (order == Order::kFalling ? (1 - steps) * spacing : 0);
  LstmWeights<T> weights;
  weights.pack(k, {s.kernel.data(), s.recurrent.data(), s.bias.data()}, s.inputs, units, s.groups, false);
  LstmRun<T> run = {};
  run.kernels = &k;
  run.weights = &weights;
  run.schedule = &schedule;
  run.x_row = row;
  for (Dim step = 0; step < steps; ++step) {
    run.x.push_back(begin + step * spacing);
    for (Dim r = 0; r < schedule.rows[at(step)]; ++r) {
      std::copy_n(s.input(first + r, step), s.inputs, begin + step * spacing + r * row);
    }
  }
  const Dim packed = count + (two_steps ? count : schedule.total), cells = (training ? packed : count) * units;
  Guarded<T> h_memory(packed * units), c_memory(cells), gates_memory(4 * schedule.total * units);
  Guarded<T> y_memory(schedule.total * units);
  run.h = h_memory.take(packed * units);
  run.c = c_memory.take(cells);
  run.gates = training ? gates_memory.take(4 * schedule.total * units) : nullptr;
  std::copy_n(s.h.data() + first * units, count * units, run.h);
  std::copy_n(s.c.data() + first * units, count * units, run.c);
  std::vector<T*> y;
  T* y_rows = y_memory.take(schedule.total * units);
  const bool writes = two_steps && schedule.dense;
  for (Dim r = 0; writes && r < count; ++r) y.push_back(y_rows + (count - 1 - r) * steps * units);
  run.from_zero = s.from_zero;
  run.two_steps = two_steps;
  run.y = writes ? y.data() : nullptr;
  LstmScratch<T> scratch;
  lstm_forward(run, scratch);
  PYLSTM_EXPECT(y_memory.intact(), "lstm_forward wrote in front of y");
  PYLSTM_EXPECT(h_memory.intact() && c_memory.intact() && (!training || gates_memory.intact()),
                "lstm_forward wrote in front of an output");
  PlannedRun plan;
  plan.schedule = &schedule;
  plan.has_bias = true;
  plan.training = training;
  const std::size_t planned = planned_scratch(k, weights, plan).template bytes<T>();
  PYLSTM_EXPECT(scratch.bytes() <= planned, "lstm_forward reserved ", scratch.bytes(), ", planned ", planned);
  Result<T> result(run.h + count * units, run.h + packed * units);
  if (two_steps) {
    result.clear();
    for (Dim step = 0; writes && step < steps; ++step) {
      for (const T* row : y) result.insert(result.end(), row + step * units, row + (step + 1) * units);
    }
    for (Dim r = 0; r < count; ++r) {
      const T* h = run.h_after(schedule.length[at(r)] - 1) + r * units;
      if (!writes) result.insert(result.end(), h, h + units);
      PYLSTM_EXPECT(!writes || std::equal(h, h + units, y[at(r)] + (steps - 1) * units), "the last h of row ", r,
                    " is not its last output");
    }
  }
  result.insert(result.end(), run.c, run.c + cells);
  if (training) result.insert(result.end(), run.gates, run.gates + 4 * schedule.total * units);
  return result;
}

// h and c of a training run of one row against the equations: each step from the state that the one before has left. A
// sigmoid takes a quarter of its argument's error, a tanh all.
template <class T>
void compare(const Sequences<T>& s, Dim row, const Result<T>& alone) {
  const double eps = kEps<T>;
  const Dim units = s.units, steps = s.lengths[at(row)];
  const T *h = alone.data(), *c = h + (steps + 1) * units;  // of step 0; the initial c stands before it
  for (Dim step = 0; step < steps; ++step) {
    const T* h_prev = step == 0 ? s.h.data() + row * units : h + (step - 1) * units;
    for (Dim u = 0; u < units; ++u) {
      Wide<T> z[4];
      double dz[4];
      for (Dim g = 0; g < 4; ++g) {
        const Dim column = g * units + u;
        Wide<T> magnitude = std::fabs(s.bias[at(column)]);
        z[g] = s.bias[at(column)];
        const auto add = [&](Wide<T> term) {
          z[g] += term;
          magnitude += std::fabs(term);
        };
        for (Dim i = 0; i < s.inputs; ++i) {
          add(static_cast<Wide<T>>(s.input(row, step)[i]) * s.kernel[at(i * 4 * units + column)]);
        }
        for (Dim i = 0; i < units; ++i) add(static_cast<Wide<T>>(h_prev[i]) * s.recurrent[at(i * 4 * units + column)]);
        dz[g] = 0.5 * eps * static_cast<double>(s.inputs + units + 6) * static_cast<double>(magnitude);
      }
      const Wide<T> i = sigmoid<T>(z[0]), f = sigmoid<T>(z[1]), g = std::tanh(z[2]), o = sigmoid<T>(z[3]);
      const Wide<T> c_prev = c[(step - 1) * units + u], c_want = f * c_prev + i * g, h_want = o * std::tanh(c_want);
      const double c_size = std::fabs(static_cast<double>(c_prev));
      const double dc =
          (dz[1] / 4 + 2.5 * eps) * c_size + dz[0] / 4 + 2.5 * eps + dz[2] + 2.5 * eps + 2 * eps * (1 + c_size);
      const double dh = dz[3] / 4 + 2.5 * eps + dc + 5 * eps;
      const T c_got = c[step * units + u], h_got = h[step * units + u];
      PYLSTM_EXPECT(std::fabs(static_cast<double>(c_got - c_want)) <= dc, "c of row ", row, " at step ", step,
                    ", unit ", u, " is ", c_got, ", want ", c_want, " within ", dc);
      PYLSTM_EXPECT(std::fabs(static_cast<double>(h_got - h_want)) <= dh, "h of row ", row, " at step ", step,
                    ", unit ", u, " is ", h_got, ", want ", h_want, " within ", dh);
    }
  }
}

template <class T>
bool same(const Result<T>& a, const Result<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Leaving out the product with zeros changes no bit, and of one step no recurrent weight matters.
template <class T>
void starts_from_zero(const KernelTable<T>& k, Sequences<T> s) {
  std::fill(s.h.begin(), s.h.end(), T(0));
  Sequences<T> one = s;
  one.lengths.assign(s.lengths.size(), 1);
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    for (const Kept kept : {Kept::kAll, Kept::kLast}) {
      const auto run = [&](Sequences<T>& sequences, bool from_zero) {
        sequences.from_zero = from_zero;
        sequences.groups = kept == Kept::kAll ? 4 : 1;
        return run_rows(k, sequences, 0, sequences.rows(), Order::kTimeMajor, kept);
      };
      PYLSTM_EXPECT(same(run(s, true), run(s, false)), "a start from zero has other bits on ", threads, " threads");
      const Result<T> want = run(one, false);
      std::fill(one.recurrent.begin(), one.recurrent.end(), std::numeric_limits<T>::quiet_NaN());
      PYLSTM_EXPECT(same(run(one, true), want), "a start from zero reads recurrent weights on ", threads, " threads");
      one.recurrent = s.recurrent;
    }
  }
}

template <class T>
void sequences_case(const KernelTable<T>& k, const std::vector<Dim>& lengths, Dim inputs, Dim units, Random& random) {
  const Sequences<T> s = make_sequences<T>(lengths, inputs, units, random);
  const std::string before = report().context;
  std::ostringstream context;
  context << before << "sequences of " << lengths[0] << " to " << lengths.back() << " steps, " << s.rows() << " rows, "
          << inputs << " inputs, " << units << " units: ";
  report().context = context.str();
  set_num_threads(1);
  const Schedule schedule = schedule_of(lengths);
  const Result<T> trained = run_rows(k, s, 0, s.rows(), Order::kTimeMajor, Kept::kAll);
  const Result<T> inferred = run_rows(k, s, 0, s.rows(), Order::kTimeMajor, Kept::kOutputs);
  PYLSTM_EXPECT(std::memcmp(trained.data(), inferred.data(), at(schedule.total * units) * sizeof(T)) == 0,
                "keeping gates changes bits of h");
  Result<T> last = inferred;
  if (!schedule.dense) {
    last.assign(inferred.begin() + schedule.total * units, inferred.end());  // c
    for (Dim r = s.rows(); r-- > 0;) {
      const T* h = inferred.data() + schedule.packed(lengths[at(r)] - 1, r) * units;
      last.insert(last.begin(), h, h + units);
    }
  }
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    set_paces(threads, threads == 3);
    for (const Order order : {Order::kTimeMajor, Order::kBatchMajor, Order::kFalling}) {
      PYLSTM_EXPECT(same(run_rows(k, s, 0, s.rows(), order, Kept::kAll), trained) &&
                        same(run_rows(k, s, 0, s.rows(), order, Kept::kOutputs), inferred) &&
                        same(run_rows(k, s, 0, s.rows(), order, Kept::kLast), last),
                    "order ", static_cast<int>(order), " on ", threads, " threads changes bits");
    }
  }
  set_num_threads(1);
  for (Dim r = 0; r < s.rows(); ++r) {
    const Result<T> alone = run_rows(k, s, r, r + 1, Order::kTimeMajor, Kept::kAll);
    compare(s, r, alone);
    for (Dim step = 0; step < lengths[at(r)]; ++step) {
      PYLSTM_EXPECT(std::memcmp(trained.data() + schedule.packed(step, r) * units, alone.data() + step * units,
                                at(units) * sizeof(T)) == 0,
                    "row ", r, " alone has other bits at step ", step);
    }
  }
  starts_from_zero(k, s);
  set_num_threads(1);
  report().context = before;
}

// Ranges of rows cover the batch, and are larger for faster threads where rows are enough.
void rows_follow_paces() {
  for (const int size : {1, 2, 3, 5}) {
    for (const std::vector<Dim>& lengths :
         {std::vector<Dim>(33, 7), std::vector<Dim>(6, 7), std::vector<Dim>{9, 8, 8, 1}, std::vector<Dim>(1, 3)}) {
      const Schedule schedule = schedule_of(lengths);
      set_paces(size, true);
      const std::vector<Dim> bounds = balanced_rows(schedule, size, Paces(size));
      PYLSTM_EXPECT(bounds.size() == at(size) + 1 && bounds[0] == 0 && bounds.back() == schedule.batch, "bounds of ",
                    schedule.batch, " rows for ", size);
      for (int i = 0; i < size; ++i) {
        const Dim rows = bounds[at(i + 1)] - bounds[at(i)];
        PYLSTM_EXPECT(rows >= 0 && rows <= most_rows_of(schedule, size), "a range of ", rows, " rows of ",
                      schedule.batch, " for ", size);
        if (schedule.dense && schedule.batch == 6 && size == 2)
          PYLSTM_EXPECT(rows == 3, "few rows are not split equally");
      }
      if (schedule.batch == 33 && size > 1)
        PYLSTM_EXPECT(bounds[1] < 33 / size, "a slow thread of ", size, " gets ", bounds[1], " of 33 rows");
    }
  }
  set_paces(5, false);
}

}  // namespace

template <class T>
void sequence_laws(const KernelTable<T>& k, const Options& options) {
  rows_follow_paces();
  Random random(5);
  std::vector<Dim> batches = {1, 2, 3, 7, 12, 25};
  if (options.quick) batches = {1, 3, 13};
  for (const Dim batch : batches) {
    for (const Dim units : {k.width - 1, k.width + k.width / 2, 2 * k.width + 1}) {
      const Dim inputs = units + 2;
      sequences_case(k, std::vector<Dim>(at(batch), 5), inputs, units, random);
      if (batch == 1) continue;
      std::vector<Dim> falling, pairs;  // steps of as many rows each, and runs of steps that have as many
      for (Dim r = 0; r < batch; ++r) {
        falling.push_back(batch - r);
        pairs.push_back(r < batch / 2 ? 9 : 4);
      }
      sequences_case(k, falling, inputs, units, random);
      sequences_case(k, pairs, inputs, units, random);
    }
  }
  // Of four threads three run, as rows of four would share a cache line: each has more rows, and run_rows what it
  // plans.
  set_num_threads(4);
  for (const Dim batch : {9, 10, 11}) {
    const Sequences<T> s = make_sequences<T>(std::vector<Dim>(at(batch), 63), 70, 10, random);
    run_rows(k, s, 0, batch, Order::kTimeMajor, Kept::kOutputs);
  }
  // Work for three threads, each with rows of its own; for two rows, whose units threads share; and of 258 units, an
  // odd number of blocks of any width, of which one of two threads lends one: of few rows, with a last chunk of three
  // steps and of one, and of so many that a chunk has two.
  struct Case {
    std::vector<Dim> lengths;
    Dim units;
    int threads;
    bool shared, lends;
  };
  std::vector<Case> cases = {{{5, 5, 5, 5, 5, 4, 4, 4, 4}, 193, 3, false, false}, {{9, 9}, 193, 3, true, false}};
  if (!options.brief) {
    cases.push_back({{23, 23, 23, 23, 23}, 258, 2, true, true});
    cases.push_back({{21, 21, 21, 21, 21}, 258, 2, true, true});
    cases.push_back({std::vector<Dim>(49, 3), 258, 2, true, true});
  }
  for (const Case& c : cases) {
    LstmWeights<T> weights;
    weights.inputs = weights.units = c.units;
    weights.z_columns = 4 * c.units;
    const Schedule schedule = schedule_of(c.lengths);
    LstmRun<T> run = {};
    run.weights = &weights;
    run.schedule = &schedule;
    set_num_threads(c.threads);
    for (const Pass pass : {Pass::kInference, Pass::kForward}) {
      const LstmThreads threads = lstm_threads(run, pass, k.width);
      PYLSTM_EXPECT(threads.over_time == c.threads && (threads.sharing > 1) == c.shared && threads.lends == c.lends,
                    "not the threads that this is for: ", threads.over_time, threads.sharing > 1 ? ", shared" : "",
                    threads.lends ? ", lent" : "");
    }
    sequences_case(k, c.lengths, c.units, c.units, random);
  }
}

template void sequence_laws<float>(const KernelTable<float>&, const Options&);
template void sequence_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
