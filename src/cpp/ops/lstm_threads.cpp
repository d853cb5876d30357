#include "ops/lstm_threads.hpp"

#include <algorithm>

#include "base/index.hpp"
#include "ops/lstm_chunks.hpp"
#include "ops/product.hpp"

namespace pylstm {
namespace {

// Times are of a Zen 5 with AVX-512, for float (benchmarks/results/zen5-2026-11-29-2.json): a core has 276 GFLOP/s and
// reads 128 GB/s out of the third-level cache, so a weight in 31 ps.

// What a meeting costs each thread, with all else that is not split: a step of batch 1 with 128 units takes 1.93 us
// on one thread and 1.18 on two, 0.21 more than half, in which a core could do 58000 operations.
constexpr double kFlopsOfMeeting = 65536;
// Reading a weight takes as long as its 2 operations for each of 4 rows: threads with no more rows of their own, each
// reading all weights, would wait for them ...
constexpr Dim kFewRows = 4;
// ... unless the weights stay in a core's second-level cache, 1 MiB on a Zen 4 and 5 (bytes).
constexpr Dim kLargeWeights = 1024 * 1024;
// With more rows forward need not wait, but by units it reads less of weights that leave that cache. It gains if no
// thread does more than a share and this part of it; one with a block more than others may lend it. Milliseconds on two
// cores of a Zen 4:
//   rows  units  by rows  by units
//     20   1500      142       118
//     32    512       66        63, beside one busy process 109 and 129
//     32    256     16.1      16.2, as little on a Zen 5
//     32    300     11.4      12.2, where one thread had 10 of 19 blocks and lent none
// Backward gains nothing: its threads would hand over four gates at every step instead of h.
constexpr Dim kUneven = 32;

// Work that is worth a thread in training, as a multiple of that in inference: what one thread has written forward,
// another reads backward. A second core of a Xeon with 2 MiB of second level made training with 8 rows of 10 steps and
// 64 units 0.93 times as fast, with 32 rows 1.3 times (benchmarks/small_work.py).
constexpr double kTrainingGrain = 3.5;
// Operations of a thread in a step that are worth a cache line which another one writes too: there, a second thread
// made 4 rows of 17 units, forward, 0.83 times as fast, 16 rows 1.3 times.
constexpr double kFlopsOfLine = 16000;

// Operations of gradients that are worth sending to others what one thread has written: a second core of a Xeon with
// 2 MiB of second level made training with a row of 150 steps 0.82 times as fast with 64 units, 0.90 with 100
// (benchmarks/small_work.py).
constexpr double kFlopsSent = 4e7;

template <class T>
int threads_for_rows(const LstmRun<T>& run, int wanted) {
  const LstmWeights<T>& w = *run.weights;
  const auto worth_it = [&](Dim rows) {
    const Dim row = w.units * static_cast<Dim>(sizeof(T));
    const bool divides_line = rows * row % 64 != 0 || run.schedule->batch * row % 64 != 0;
    return !divides_line || product_flops(rows, w.inputs + w.units, 4 * w.units) >= kFlopsOfLine;
  };
  Dim threads = std::max<Dim>(1, std::min<Dim>(wanted, run.schedule->batch));
  while (threads > 1 && !worth_it(run.schedule->batch / threads)) --threads;
  return static_cast<int>(threads);
}

// Whether threads with a block of units more than others can each lend one. Of few rows, a step at a time would read
// the weights too often. A chunk must have two steps: see ForwardRows::project_borrowed().
template <class T>
bool can_lend(const LstmRun<T>& run, int threads, Dim blocks) {
  const Dim more = blocks % threads, batch = run.schedule->batch;
  return more > 0 && 2 * more <= threads && blocks > threads && batch >= kFewRows && run.repeats.count == 0 &&
         chunk_steps(run, batch) > 1;
}

// The work of the thread that has the most, where a block takes as much for each unit as for each input.
template <class T>
Dim largest_share(const LstmWeights<T>& w, int threads, Dim blocks, bool lends) {
  const Dim least = blocks / threads, most = (blocks + threads - 1) / threads;
  if (!lends) return most * (w.units + w.inputs);
  return std::max(most * w.units + least * w.inputs, least * w.units + most * w.inputs);
}

struct UnitThreads {
  int count;
  bool lends;
};

template <class T>
UnitThreads threads_for_units(const LstmRun<T>& run, Pass pass, int threads, Dim multiple) {
  const LstmWeights<T>& w = *run.weights;
  const Dim batch = run.schedule->batch, parts = (w.units + multiple - 1) / multiple;
  const Dim bytes = 4 * w.units * w.units * static_cast<Dim>(sizeof(T)), all = parts * (w.units + w.inputs);
  const bool plain = w.groups == 1 && run.schedule->dense;
  const bool lends = pass != Pass::kBackward && plain && can_lend(run, threads, parts);
  const bool even = (largest_share(w, threads, parts, lends) * threads - all) * kUneven <= all;
  const bool few = batch < threads || (batch <= kFewRows * threads && bytes >= kLargeWeights);
  const bool far = pass != Pass::kBackward && bytes > kLargeWeights && even;
  const bool small = product_flops(batch, w.units, 4 * w.units) < kFlopsOfMeeting * threads;
  if (!plain || small || !(few || far)) return {1, false};
  return {static_cast<int>(std::min<Dim>(threads, parts)), lends};
}

}  // namespace

Dim most_few_rows() { return kFewRows * num_threads(); }

Dim poll_steps(Dim rows, Dim units) {
  constexpr double kPolledFlops = 2e8, kMost = 64;  // some milliseconds, also where weights come from memory
  return static_cast<Dim>(std::clamp(kPolledFlops / std::max(1.0, product_flops(rows, units, 4 * units)), 1.0, kMost));
}

UnitShare unit_share(Dim blocks, int index, int size, bool lends) {
  UnitShare share = {split(blocks, index, size)};
  if (!lends) return share;
  const auto is_larger = [&](int i) {
    const Range part = split(blocks, i, size);
    return part.end - part.begin > blocks / size;
  };
  // The thread that has as many before it of its kind, larger or not; or -1.
  const auto thread_at = [&](bool larger, int place) {
    for (int i = 0; i < size; ++i) {
      if (is_larger(i) == larger && place-- == 0) return i;
    }
    return -1;
  };
  int place = 0;
  for (int i = 0; i < index; ++i) place += is_larger(i) == is_larger(index);
  const int other = thread_at(!is_larger(index), place);
  if (other < 0) return share;
  if (is_larger(index)) {
    share.lent = share.blocks.begin;
  } else {
    share.borrowed = split(blocks, other, size).begin;
  }
  return share;
}

template <class T>
LstmThreads lstm_threads(const LstmRun<T>& run, Pass pass, Dim multiple) {
  const LstmWeights<T>& w = *run.weights;
  const double flops = product_flops(run.schedule->total, w.inputs + w.units, 4 * w.units);
  const int wanted = useful_threads(pass == Pass::kInference ? flops : flops / kTrainingGrain);
  const UnitThreads units = threads_for_units(run, pass, wanted, multiple);
  const int running = units.count > 1 ? units.count : threads_for_rows(run, wanted);
  return {units.count, running, wanted, running == 1 && flops < kFlopsSent ? 1 : num_threads(), units.lends};
}

template <class T>
bool gains_by_two_steps(const LstmRun<T>& run) {
  return run.schedule->batch > most_few_rows() || lstm_threads(run, Pass::kInference, run.kernels->width).sharing == 1;
}

// More rows than few always gain, and hold more the more they are.
template <class T>
Dim most_rows_of_h(const LstmRun<T>& run) {
  Schedule s;
  s.batch = run.schedule->batch;
  s.steps = run.schedule->steps;
  LstmRun<T> fewer = run;
  fewer.schedule = &s;
  Dim most = 0;
  for (; s.batch > 0; s.batch = std::min(s.batch - 1, most_few_rows())) {
    s.total = s.batch * run.schedule->steps;
    most = std::max(most, s.batch + (gains_by_two_steps(fewer) ? s.batch : s.total));
  }
  return most;
}

#define PYLSTM_INSTANTIATE(T)                                         \
  template LstmThreads lstm_threads<T>(const LstmRun<T>&, Pass, Dim); \
  template bool gains_by_two_steps<T>(const LstmRun<T>&);             \
  template Dim most_rows_of_h<T>(const LstmRun<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
