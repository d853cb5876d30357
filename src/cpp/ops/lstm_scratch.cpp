// What an LSTM's forward and backward need beside their results, and how much that will be.
#include <algorithm>

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

template <class T>
std::size_t planned_scratch(const KernelTable<T>& kernels, const LstmWeights<T>& w, const PlannedRun& planned) {
  const Schedule& schedule = *planned.schedule;
  const bool dropout = planned.input_dropout || planned.recurrent_dropout;
  LstmRun<T> run = {};
  run.kernels = &kernels;
  run.weights = &w;
  run.schedule = &schedule;
  const LstmThreads threads = lstm_threads(run, planned.training ? Pass::kForward : Pass::kInference, kernels.width);
  const Dim parts = threads.sharing > 1 ? 1 : std::max<Dim>(std::min<Dim>(threads.most, schedule.batch), 1);
  // Of a masked batch a thread may get any number of rows.
  const Dim height = schedule.dense ? (schedule.batch + parts - 1) / parts : schedule.batch;
  Dim sum = (parts * most_chunk_rows(run, height) + planned.distinct) * w.z_columns;
  if (dropout) {
    sum += std::max(threads.sharing, 1) * schedule.batch * std::max(w.inputs, w.units);
  }
  // Backward may split the rows over another number of threads than forward.
  if (planned.training && planned.recurrent_dropout) sum += schedule.batch * w.units;
  if (!planned.training) return static_cast<std::size_t>(sum) * sizeof(T);
  if (dropout) sum += schedule.total * (w.inputs + w.units);
  return static_cast<std::size_t>(sum) * sizeof(T) + static_cast<std::size_t>(3 * schedule.total) * sizeof(const T*);
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

#define PYLSTM_INSTANTIATE(T)                                                                               \
  template struct LstmScratch<T>;                                                                           \
  template std::size_t planned_scratch<T>(const KernelTable<T>&, const LstmWeights<T>&, const PlannedRun&); \
  template RowProductSizes lstm_sums<T>(const KernelTable<T>&, const LstmWeights<T>&, const PlannedRun&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
