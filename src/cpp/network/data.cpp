#include "network/data.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "base/parallel.hpp"
#include "network/padding.hpp"

namespace pylstm {
namespace {

constexpr Dim kGatheredByThread = 16384;       // elements: some microseconds
constexpr Dim kGatheredAtOnce = Dim{1} << 22;  // between two looks at an interrupt: tens of milliseconds

Dim stride_of(const ArrayView& array, std::size_t dimension) {
  return dimension < array.strides.size() ? array.strides[dimension] : 0;
}

// One array of the batch: rows x steps x columns elements, time-major. Incomplete when `interrupt` asks to stop; what
// must be whole to be looked at, such as labels, has none.
template <class Out>
void gather(const ArrayView& array, const std::int64_t* rows, Dim count, Dim first, Dim last, bool sequence,
            Dim columns, Out* out, Interrupt* interrupt = nullptr) {
  const Dim step_stride = sequence ? stride_of(array, 1) : 0;
  const Dim column_stride = stride_of(array, sequence ? 2 : 1);
  const Dim rows_at_once = std::min(count, std::max<Dim>(1, kGatheredAtOnce / columns));
  const Dim steps_at_once = std::max<Dim>(1, kGatheredAtOnce / std::max<Dim>(1, rows_at_once * columns));
  std::vector<Out> run(static_cast<std::size_t>(columns == 1 ? std::min(steps_at_once, last - first) : 0));
  // Rows [row, end), steps [step, step + steps).
  const auto gather_block = [&](Dim row, Dim end, Dim step, Dim steps) {
    const auto from = [&](Dim b, Dim t) { return array.data + rows[b] * array.strides[0] + t * step_stride; };
    Out* const to = out + (step - first) * count * columns;
    if (columns == 1 && steps > 1) {  // as of ids and labels: a run of steps is contiguous in the source
      for (Dim b = row; b < end; ++b) {
        read_elements(array, from(b, step), step_stride, steps, run.data());
        for (Dim t = 0; t < steps; ++t) to[t * count + b] = run[static_cast<std::size_t>(t)];
      }
      return;
    }
    parallel_for(end - row, (kGatheredByThread + steps * columns - 1) / (steps * columns), [&](Range some) {
      for (Dim b = row + some.begin; b < row + some.end; ++b) {
        for (Dim t = 0; t < steps; ++t) {
          read_elements(array, from(b, step + t), column_stride, columns, to + (t * count + b) * columns);
        }
      }
    });
  };
  for (Dim row = 0; row < count; row += rows_at_once) {
    for (Dim step = first; step < last; step += steps_at_once) {
      if (stop_requested(interrupt)) return;
      gather_block(row, std::min(row + rows_at_once, count), step, std::min(steps_at_once, last - step));
    }
  }
}

// Consecutive samples of type T, features side by side, that a kernel can read as they are.
template <class T>
bool stays_in_place(const ArrayView& x, const std::int64_t* rows, Dim count) {
  constexpr auto size = static_cast<Dim>(sizeof(T));
  bool usable = x.type == (size == 8 ? ElementType::kF64 : ElementType::kF32) && !x.swapped && count > 0 &&
                x.strides.back() == size && reinterpret_cast<std::uintptr_t>(x.data) % sizeof(T) == 0;
  for (const Dim stride : x.strides) usable = usable && stride % size == 0;
  for (Dim i = 1; i < count && usable; ++i) usable = rows[i] == rows[0] + i;
  return usable && x.strides[0] > 0;
}

// Arrays may have changed since they were checked; what indexes memory is looked at again.
void check_indices(const Buffer<std::int32_t>& values, Dim count, Dim limit, const char* name) {
  bool inside = true;
  for (Dim i = 0; i < count; ++i) inside = inside && values[i] >= 0 && values[i] < limit;
  if (!inside)
    throw std::out_of_range(text(name, " changed while it was in use: it must hold numbers from 0 to ", limit - 1));
}

}  // namespace

template <class T>
bool gather_batch(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target,
                  const std::int64_t* rows, Dim count, Dim first, Dim last, bool in_place, Interrupt* interrupt,
                  Batch<T>& batch) {
  Rows<T>& x = batch.x;
  x = {};
  x.batch = count;
  x.sequence = input.sequence;
  x.steps = input.sequence ? last - first : 1;
  x.features = input.features;
  if (input.tokens) {
    std::int32_t* ids = batch.ids.reserve(x.rows());
    gather(data.x, rows, count, first, last, true, 1, ids);
    x.ids = ids;
    check_indices(batch.ids, x.rows(), vocabulary, "x");
  } else if (in_place && stays_in_place<T>(data.x, rows, count)) {
    const auto size = static_cast<Dim>(sizeof(T));
    x.batch_stride = data.x.strides[0] / size;
    x.step_stride = input.sequence ? data.x.strides[1] / size : 0;
    x.data = reinterpret_cast<T*>(const_cast<unsigned char*>(data.x.data)) + rows[0] * x.batch_stride +
             first * x.step_stride;
  } else {
    x.data = batch.values.reserve(x.rows() * x.features);
    gather(data.x, rows, count, first, input.sequence ? last : first + 1, input.sequence, x.features, x.data,
           interrupt);
  }
  if (!data.mask.empty()) {
    std::uint8_t* mask = batch.mask.reserve(x.rows());
    gather(data.mask, rows, count, first, last, true, 1, mask);
    x.mask = mask;
  }
  if (stop_requested(interrupt)) return false;
  if (!target.present || data.y.empty()) return true;
  const Dim end = target.sequence ? last : first + 1, begin = first;
  const Dim target_rows = target.sequence ? x.rows() : count;
  if (target.labels) {
    gather(data.y, rows, count, begin, end, target.sequence, 1, batch.labels.reserve(target_rows));
    if (target.padding) clear_padding(x, T(*target.padding), {0, x.rows()}, 1, batch.labels.data());
    check_indices(batch.labels, target_rows, target.columns, "y");
  } else {
    gather(data.y, rows, count, begin, end, target.sequence, target.columns,
           batch.targets.reserve(target_rows * target.columns), interrupt);
    if (target.padding) clear_padding(x, T(*target.padding), {0, x.rows()}, target.columns, batch.targets.data());
  }
  batch.has_weights = !data.sample_weight.empty();
  if (!batch.has_weights) return !stop_requested(interrupt);
  T* weights = batch.weights.reserve(target_rows);
  gather(data.sample_weight, rows, count, begin, end, target.sequence, 1, weights);
  return !stop_requested(interrupt);
}

template bool gather_batch<float>(const Data&, const SampleShape&, Dim, const TargetShape&, const std::int64_t*, Dim,
                                  Dim, Dim, bool, Interrupt*, Batch<float>&);
template bool gather_batch<double>(const Data&, const SampleShape&, Dim, const TargetShape&, const std::int64_t*, Dim,
                                   Dim, Dim, bool, Interrupt*, Batch<double>&);

}  // namespace pylstm
