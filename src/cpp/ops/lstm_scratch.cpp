// What an LSTM's forward and backward need beside their results, and how much that will be.
#include <algorithm>
#include <numeric>

#include "base/index.hpp"
#include "ops/lstm.hpp"
#include "ops/lstm_chunks.hpp"
#include "ops/lstm_threads.hpp"

namespace pylstm {

template <class T>
std::size_t LstmScratch<T>::bytes() const {
  std::size_t sum = dropped.bytes() + distinct.bytes();
  for (const auto* pointers : {&x_rows, &h_rows, &one_rows}) sum += pointers->capacity() * sizeof(const T*);
  for (const Buffer<T>& buffer : z) sum += buffer.bytes();
  for (const Buffer<T>& buffer : masked) sum += buffer.bytes();
  return sum;
}

namespace {

void cover_each(std::vector<Dim>& sizes, const std::vector<Dim>& others) {
  sizes.resize(std::max(sizes.size(), others.size()));
  for (std::size_t i = 0; i < others.size(); ++i) sizes[i] = std::max(sizes[i], others[i]);
}

// z and masked of a run.
template <class T>
LstmScratchSizes z_and_masked(const LstmRun<T>& run, const PlannedRun& planned) {
  const Schedule& schedule = *run.schedule;
  const LstmWeights<T>& w = *run.weights;
  const Pass pass = planned.training ? Pass::kForward : Pass::kInference;
  const LstmThreads threads = lstm_threads(run, pass, run.kernels->width);
  const bool share = threads.sharing > 1;
  const Dim parts = share ? 1 : std::max<Dim>(std::min<Dim>(threads.most, schedule.batch), 1);
  const bool dropout = planned.input_dropout || planned.recurrent_dropout;
  LstmScratchSizes sizes;
  // Of fewer threads, which may be all that a batch is worth, each has more rows.
  for (int i = 0; i < static_cast<int>(parts); ++i) {
    const Dim height = most_rows_of(schedule, i + 1);
    sizes.z.push_back(most_chunk_rows(run, height) * w.z_columns);
    if (dropout) sizes.masked.push_back(height * std::max(w.inputs, w.units));
  }
  if (dropout && share) sizes.masked.assign(at(threads.sharing), schedule.batch * std::max(w.inputs, w.units));
  return sizes;
}

}  // namespace

void LstmScratchSizes::cover(const LstmScratchSizes& other) {
  cover_each(z, other.z);
  cover_each(masked, other.masked);
  dropped = std::max(dropped, other.dropped);
  distinct = std::max(distinct, other.distinct);
  row_pointers = std::max(row_pointers, other.row_pointers);
}

template <class T>
std::size_t LstmScratchSizes::bytes() const {
  Dim elements = dropped + distinct;
  for (const std::vector<Dim>* sizes : {&z, &masked})
    elements = std::accumulate(sizes->begin(), sizes->end(), elements);
  return at(elements) * sizeof(T) + at(row_pointers) * sizeof(const T*);
}

template <class T>
LstmScratchSizes planned_scratch(const KernelTable<T>& kernels, const LstmWeights<T>& w, const PlannedRun& planned) {
  Schedule schedule;
  schedule.steps = planned.schedule->steps;
  schedule.dense = planned.schedule->dense;
  LstmRun<T> run = {};
  run.kernels = &kernels;
  run.weights = &w;
  run.schedule = &schedule;
  LstmScratchSizes sizes;
  // A last batch of fewer rows may share units where this one splits rows: few, or so many that a chunk has two steps
  // and blocks are lent. Those of inputs that repeat are not.
  for (const Dim most : {planned.schedule->batch, kLstmChunkRows - 1, most_few_rows()}) {
    schedule.batch = std::min(planned.schedule->batch, most);
    schedule.total = most < planned.schedule->batch ? schedule.batch * schedule.steps : planned.schedule->total;
    for (const Dim repeats : {Dim{0}, planned.distinct}) {
      run.repeats.count = repeats;
      sizes.cover(z_and_masked(run, planned));
    }
  }
  sizes.distinct = planned.distinct * w.z_columns;
  if (!planned.training) return sizes;
  const Dim rows = planned.schedule->total;
  if (planned.input_dropout || planned.recurrent_dropout) sizes.dropped = rows * (w.inputs + w.units);
  sizes.row_pointers = 3 * rows;
  return sizes;
}

template <class T>
RowProductSizes lstm_sums(const KernelTable<T>& kernels, const LstmWeights<T>& w, const PlannedRun& planned) {
  // Together, or, of inputs that repeat, those of h and of x apart.
  std::vector<std::vector<Dim>> sums = {{w.inputs, w.units}};
  if (planned.distinct > 0) sums.insert(sums.end(), {{w.units}, {w.inputs}});
  if (planned.has_bias) {
    sums.front().push_back(1);
    if (planned.distinct > 0) sums.back().push_back(1);
  }
  RowProductSizes sizes;
  for (const std::vector<Dim>& factors : sums) {
    const Dim columns = 4 * w.units / w.groups;
    sizes.cover(plan_product_over_rows(kernels, factors, columns, planned.schedule->total, false).scratch);
  }
  return sizes;
}

#define PYLSTM_INSTANTIATE(T)                                                                                    \
  template struct LstmScratch<T>;                                                                                \
  template std::size_t LstmScratchSizes::bytes<T>() const;                                                       \
  template LstmScratchSizes planned_scratch<T>(const KernelTable<T>&, const LstmWeights<T>&, const PlannedRun&); \
  template RowProductSizes lstm_sums<T>(const KernelTable<T>&, const LstmWeights<T>&, const PlannedRun&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
