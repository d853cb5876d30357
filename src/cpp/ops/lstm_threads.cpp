#include "ops/lstm_threads.hpp"

#include <algorithm>

#include "base/index.hpp"

namespace pylstm {
namespace {

// Times are of a Zen 5 with AVX-512, from benchmarks/results, for float: a core has 264 GFLOP/s and reads 127 GB/s
// out of the third-level cache, so a weight in 32 ps.

// What a meeting costs each thread, with all else that is not split: a step of batch 1 with 128 units takes 2.16 us
// on one thread and 1.32 on two, 0.24 more than half, in which a core could do 63000 operations.
constexpr Dim kFlopsOfMeeting = 65536;
// Reading a weight takes as long as its 2 operations for each of 4 rows: threads with no more rows of their own, each
// reading all weights, would wait for them ...
constexpr Dim kFewRows = 4;
// ... unless the weights stay in a core's second-level cache, 1 MiB on a Zen 4 and 5 (bytes).
constexpr Dim kLargeWeights = 1024 * 1024;
// With more rows forward need not wait, but gains by reading less than weights that leave that cache, if no thread gets
// more than a share and this part of it: on two cores of a Zen 4, 142 ms by rows and 118 by units with 20 rows of 1500
// units; 66 and 63 with 32 of 512; 16.1 and 16.2 with 32 of 256; 11.4 and 12.2 with 32 of 300, where one thread has 10
// of 19 blocks. Beside one busy process 32 of 512 take 109 ms by rows and 129 by units. Backward gains nothing: its
// threads would hand over four gates at every step instead of h.
constexpr Dim kUneven = 32;

}  // namespace

template <class T>
int threads_for_units(const LstmRun<T>& run, Pass pass, int threads, Dim multiple) {
  const LstmWeights<T>& w = *run.weights;
  const Dim batch = run.schedule->batch, parts = (w.units + multiple - 1) / multiple;
  const Dim bytes = 4 * w.units * w.units * static_cast<Dim>(sizeof(T));
  const bool even = (round_up(parts, Dim{threads}) - parts) * kUneven <= parts;
  const bool few = batch < threads || (batch <= kFewRows * threads && bytes >= kLargeWeights);
  const bool far = pass == Pass::kForward && bytes > kLargeWeights && even;
  const bool plain = w.groups == 1 && run.schedule->dense;
  const bool small = 8 * batch * w.units * w.units < kFlopsOfMeeting * threads;
  return plain && !small && (few || far) ? static_cast<int>(std::min<Dim>(threads, parts)) : 1;
}

template int threads_for_units<float>(const LstmRun<float>&, Pass, int, Dim);
template int threads_for_units<double>(const LstmRun<double>&, Pass, int, Dim);

}  // namespace pylstm
