#include "network/data.hpp"

#include <cmath>

#include "base/check.hpp"

namespace pylstm {
namespace {

Dim stride_of(const ArrayView& array, std::size_t dimension) {
  return dimension < array.strides.size() ? array.strides[dimension] : 0;
}

// y without a trailing dimension of 1: (N, 1) labels are (N,) labels.
Dim target_rank(const ArrayView& y, const TargetShape& target) {
  const Dim leading = target.sequence ? 2 : 1;
  return y.rank() == leading + 1 && (target.labels || target.columns == 1) && y.shape.back() == 1 ? leading : y.rank();
}

std::string place(const std::vector<Dim>& index) {
  static const char* const names[] = {"row ", ", step ", ", feature "};
  std::string where;
  for (std::size_t i = 0; i < index.size(); ++i) {
    where +=
        (index.size() == 2 && i == 1 ? std::string(", column ") : std::string(names[i])) + std::to_string(index[i]);
  }
  return where;
}

// f(row, step, values) for every innermost run of the array, its elements as Out; runs for which skip(address) holds
// are passed over.
template <class Out, class Skip, class F>
void each_run(const ArrayView& array, Skip skip, F f) {
  const Dim rank = array.rank();
  const Dim inner = rank >= 2 ? array.shape.back() : 1;
  const Dim middle = rank == 3 ? array.shape[1] : 1;
  std::vector<Out> values(static_cast<std::size_t>(inner));
  for (Dim n = 0; n < array.shape[0]; ++n) {
    for (Dim t = 0; t < middle; ++t) {
      const unsigned char* from = array.data + n * array.strides[0] + (rank == 3 ? t * array.strides[1] : 0);
      if (skip(from)) continue;
      read_elements(array, from, rank >= 2 ? array.strides.back() : 0, inner, values.data());
      f(n, t, values);
    }
  }
}

std::vector<Dim> index_of(const ArrayView& array, Dim n, Dim t, std::size_t i) {
  if (array.rank() == 1) return {n};
  if (array.rank() == 2) return {n, static_cast<Dim>(i)};
  return {n, t, static_cast<Dim>(i)};
}

// True if the run of T at `from` is dense, in this machine's order, and finite as Working throughout: x * 0 is 0 for
// finite x alone.
template <class T, class Working>
bool dense_and_finite(const ArrayView& array, const unsigned char* from, Dim stride, Dim count) {
  if (array.swapped || stride != static_cast<Dim>(sizeof(T)) ||
      reinterpret_cast<std::uintptr_t>(from) % sizeof(T) != 0) {
    return false;
  }
  const T* values = reinterpret_cast<const T*>(from);
  Working poison[8] = {};
  Dim i = 0;
  for (; i + 8 <= count; i += 8) {
    for (Dim l = 0; l < 8; ++l) poison[l] += static_cast<Working>(values[i + l]) * Working(0);
  }
  for (; i < count; ++i) poison[0] += static_cast<Working>(values[i]) * Working(0);
  bool finite = true;
  for (const Working lane : poison) finite = finite && lane == Working(0);
  return finite;
}

// single: the working type is float, and a double beyond its range becomes infinite there.
void check_finite(const ArrayView& array, const char* name, bool single) {
  if (!is_floating(array.type)) return;
  const Dim rank = array.rank(), inner = rank >= 2 ? array.shape.back() : 1;
  const Dim stride = rank >= 2 ? array.strides.back() : static_cast<Dim>(element_size(array.type));
  const auto clean = [&](const unsigned char* from, Dim n) {
    return (array.type == ElementType::kF32 && dense_and_finite<float, float>(array, from, stride, n)) ||
           (array.type == ElementType::kF64 && single && dense_and_finite<double, float>(array, from, stride, n)) ||
           (array.type == ElementType::kF64 && !single && dense_and_finite<double, double>(array, from, stride, n));
  };
  Dim count = 1;
  bool dense = true;
  for (std::size_t d = array.shape.size(); d-- > 0;) {
    dense = dense && array.strides[d] == count * static_cast<Dim>(element_size(array.type));
    count *= array.shape[d];
  }
  if (dense && clean(array.data, count)) return;
  const auto clean_run = [&](const unsigned char* from) { return clean(from, inner); };
  each_run<double>(array, clean_run, [&](Dim n, Dim t, const std::vector<double>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (single ? std::isfinite(static_cast<float>(values[i])) : std::isfinite(values[i])) continue;
      throw std::invalid_argument(text(name, " must be finite", std::isfinite(values[i]) ? " as float32" : "", ", got ",
                                       values[i], " at ", place(index_of(array, n, t, i))));
    }
  });
}

// Ids and labels: whole numbers in [0, limit).
void check_whole(const ArrayView& array, const char* name, const char* what, Dim limit, bool steps) {
  const auto where = [&](Dim n, Dim t, std::size_t i) {
    const std::vector<Dim> index = index_of(array, n, t, i);
    if (steps && index.size() >= 2) return text("row ", index[0], ", step ", index[1]);
    return text("row ", index[0]);
  };
  const auto never = [](const unsigned char*) { return false; };
  if (is_floating(array.type)) {
    each_run<double>(array, never, [&](Dim n, Dim t, const std::vector<double>& values) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        if (values[i] == std::floor(values[i])) continue;
        throw std::invalid_argument(
            text(name, " must hold whole numbers (", what, "), got ", values[i], " at ", where(n, t, i)));
      }
    });
  }
  each_run<std::int64_t>(array, never, [&](Dim n, Dim t, const std::vector<std::int64_t>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0 && values[i] < limit) continue;
      throw std::out_of_range(
          text(name, ": ", what, " must be from 0 to ", limit - 1, ", got ", values[i], " at ", where(n, t, i)));
    }
  });
}

void check_input(const Data& data, const SampleShape& input) {
  const ArrayView& x = data.x;
  const Dim rank = input.tokens ? 2 : input.sequence ? 3 : 2;
  const bool right = x.rank() == rank && (input.tokens || x.shape.back() == input.features) &&
                     (!input.sequence || (x.shape[1] > 0 && (input.steps < 0 || x.shape[1] == input.steps)));
  if (!right) {
    std::vector<Dim> expected = input.dims();
    expected.insert(expected.begin(), -1);
    const char* what = input.tokens     ? " (rows, steps) of token ids"
                       : input.sequence ? " (rows, steps, features), at least one step"
                                        : " (rows, features)";
    throw std::invalid_argument(text("x must have shape ", shape_text(expected), what, ", got ", shape_text(x.shape)));
  }
  if (data.mask.empty()) return;
  check(input.sequence, "mask needs samples with steps");
  if (data.mask.rank() == 2 && data.mask.shape[0] == x.shape[0] && data.mask.shape[1] == x.shape[1]) return;
  throw std::invalid_argument(
      text("mask must have shape ", shape_text({x.shape[0], x.shape[1]}), ", got ", shape_text(data.mask.shape)));
}

void check_targets(const Data& data, const TargetShape& target) {
  const ArrayView& y = data.y;
  const Dim samples = data.samples(), steps = data.steps(), leading = target.sequence ? 2 : 1;
  check(!y.empty(), "y is missing: the loss needs targets");
  check(y.shape.empty() || y.shape[0] == samples, "y must have as many rows as x: expected ", samples, ", got ",
        y.shape.empty() ? Dim{0} : y.shape[0]);
  std::vector<Dim> expected = {samples};
  if (target.sequence) expected.push_back(steps);
  const bool flat = target.labels || target.columns == 1;
  if (!flat) expected.push_back(target.columns);
  const bool right = target_rank(y, target) == leading + (flat ? 0 : 1) && (!target.sequence || y.shape[1] == steps) &&
                     (flat || y.shape.back() == target.columns);
  check(right, "y must have shape ", shape_text(expected),
        target.labels ? " (class labels for sparse_categorical_crossentropy)" : "", ", got ", shape_text(y.shape));
}

void check_weights(const Data& data, const TargetShape& target) {
  const ArrayView& w = data.sample_weight;
  if (w.empty()) return;
  const bool rows = w.rank() == 1 && w.shape[0] == data.samples();
  const bool steps = w.rank() == 2 && target.sequence && w.shape[0] == data.samples() && w.shape[1] == data.steps();
  check(rows || steps, "sample_weight must have shape ", shape_text({data.samples()}),
        target.sequence ? " or " + shape_text({data.samples(), data.steps()}) : std::string(), ", got ",
        shape_text(w.shape));
}

// One array of the batch: rows x steps x columns elements, time-major.
template <class Out>
void gather(const ArrayView& array, const std::int64_t* rows, Dim count, Dim first, Dim last, bool sequence,
            Dim columns, Out* out) {
  const Dim step_stride = sequence ? stride_of(array, 1) : 0;
  const Dim column_stride = stride_of(array, sequence ? 2 : 1);
  const Dim steps = last - first;
  if (columns == 1 && steps > 1) {  // ids and labels: a run of steps is contiguous in the source
    std::vector<Out> run(static_cast<std::size_t>(steps));
    for (Dim b = 0; b < count; ++b) {
      read_elements(array, array.data + rows[b] * array.strides[0] + first * step_stride, step_stride, steps,
                    run.data());
      for (Dim t = 0; t < steps; ++t) out[t * count + b] = run[static_cast<std::size_t>(t)];
    }
    return;
  }
  for (Dim b = 0; b < count; ++b) {
    for (Dim t = first; t < last; ++t) {
      read_elements(array, array.data + rows[b] * array.strides[0] + t * step_stride, column_stride, columns,
                    out + ((t - first) * count + b) * columns);
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

}  // namespace

void check_data(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target, Mode mode,
                bool single) {
  check_input(data, input);
  if (input.tokens) {
    check_whole(data.x, "x", "a token id", vocabulary, true);
  } else if (mode != Mode::kPredict) {
    check_finite(data.x, "x", single);
  }
  if (mode == Mode::kPredict || !target.present) return;
  check_targets(data, target);
  check_weights(data, target);
  if (target.labels) {
    check_whole(data.y, "y", "a class label", target.columns, target.sequence);
  } else {
    check_finite(data.y, "y", single);
  }
  if (!data.sample_weight.empty()) check_finite(data.sample_weight, "sample_weight", single);
}

namespace {

// Arrays may have changed since they were checked; what indexes memory is looked at again.
void check_indices(const Buffer<std::int32_t>& values, Dim count, Dim limit, const char* name) {
  bool inside = true;
  for (Dim i = 0; i < count; ++i) inside = inside && values[i] >= 0 && values[i] < limit;
  if (!inside)
    throw std::out_of_range(text(name, " changed while it was in use: it must hold numbers from 0 to ", limit - 1));
}

}  // namespace

template <class T>
void gather_batch(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target,
                  const std::int64_t* rows, Dim count, Dim first, Dim last, bool in_place, Batch<T>& batch) {
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
    gather(data.x, rows, count, first, input.sequence ? last : first + 1, input.sequence, x.features, x.data);
  }
  if (!data.mask.empty()) {
    std::uint8_t* mask = batch.mask.reserve(x.rows());
    gather(data.mask, rows, count, first, last, true, 1, mask);
    x.mask = mask;
  }
  if (!target.present || data.y.empty()) return;
  const Dim end = target.sequence ? last : first + 1, begin = first;
  const Dim target_rows = target.sequence ? x.rows() : count;
  if (target.labels) {
    gather(data.y, rows, count, begin, end, target.sequence, 1, batch.labels.reserve(target_rows));
    check_indices(batch.labels, target_rows, target.columns, "y");
  } else {
    gather(data.y, rows, count, begin, end, target.sequence, target.columns,
           batch.targets.reserve(target_rows * target.columns));
  }
  batch.has_weights = !data.sample_weight.empty();
  if (!batch.has_weights) return;
  T* weights = batch.weights.reserve(target_rows);
  gather(data.sample_weight, rows, count, begin, end, target.sequence, 1, weights);
}

template void gather_batch<float>(const Data&, const SampleShape&, Dim, const TargetShape&, const std::int64_t*, Dim,
                                  Dim, Dim, bool, Batch<float>&);
template void gather_batch<double>(const Data&, const SampleShape&, Dim, const TargetShape&, const std::int64_t*, Dim,
                                   Dim, Dim, bool, Batch<double>&);

}  // namespace pylstm
