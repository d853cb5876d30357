// The checks of the arrays of a call.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/check.hpp"
#include "kernels/dispatch.hpp"
#include "network/data.hpp"

namespace pylstm {
namespace {

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

// A walk over arrays that a request to stop ends between any two of a few million elements.
class Scan {
 public:
  explicit Scan(Interrupt* interrupt) : interrupt_(interrupt) {}

  bool stopped() const { return stopped_; }
  bool goes_on(Dim elements) {  // before this many
    left_ -= elements;
    if (left_ < 0) {
      left_ = kElements;
      stopped_ = stopped_ || stop_requested(interrupt_);
    }
    return !stopped_;
  }

 private:
  static constexpr Dim kElements = Dim{1} << 20;  // milliseconds

  Interrupt* interrupt_;
  Dim left_ = kElements;
  bool stopped_ = false;
};

// f(row, step, values) for every innermost run of the array, its elements as Out; runs for which skip(address) holds
// are passed over.
template <class Out, class Skip, class F>
void each_run(const ArrayView& array, Scan& scan, Skip skip, F f) {
  const Dim rank = array.rank();
  const Dim inner = rank >= 2 ? array.shape.back() : 1;
  const Dim middle = rank == 3 ? array.shape[1] : 1;
  std::vector<Out> values(static_cast<std::size_t>(inner));
  for (Dim n = 0; n < array.shape[0] && !scan.stopped(); ++n) {
    for (Dim t = 0; t < middle && scan.goes_on(inner); ++t) {
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

// Whether the run of `count` elements at `from` is finite as T, a block at a time: as it is, or converted to T first.
template <class T>
bool finite_run(const ArrayView& array, const unsigned char* from, Dim stride, Dim count, Scan& scan) {
  constexpr Dim kBlock = 4096;
  const KernelTable<T>& kernels = table_of<T>(active_kernels());
  const bool as_it_is = array.type == (sizeof(T) == 8 ? ElementType::kF64 : ElementType::kF32) && !array.swapped &&
                        stride == static_cast<Dim>(sizeof(T)) &&
                        reinterpret_cast<std::uintptr_t>(from) % sizeof(T) == 0;
  T block[kBlock];
  for (Dim i = 0; i < count && scan.goes_on(kBlock); i += kBlock) {
    const Dim n = std::min(kBlock, count - i);
    const unsigned char* begin = from + i * stride;
    if (!as_it_is) read_elements(array, begin, stride, n, block);
    if (!kernels.all_finite(n, as_it_is ? reinterpret_cast<const T*>(begin) : block)) return false;
  }
  return true;
}

// Steps of x that are padding, where targets may be anything; asked of those that are wrong alone.
template <class T>
class Padding {
 public:
  Padding() = default;
  Padding(const ArrayView& x, double value) : x_(&x), value_(static_cast<T>(value)) {}

  // For element i of the run (n, t) of `array`.
  bool has(const ArrayView& array, Dim n, Dim t, std::size_t i) const {
    if (x_ == nullptr) return false;
    const Dim step = array.rank() == 2 ? static_cast<Dim>(i) : t;
    const unsigned char* from = x_->data + n * x_->strides[0] + step * x_->strides[1];
    const bool token = x_->rank() == 2;
    const Dim features = token ? 1 : x_->shape[2], stride = token ? 0 : x_->strides[2];
    bool padding = true;
    for (Dim f = 0; f < features && padding; ++f) {
      T value;
      read_elements(*x_, from + f * stride, stride, 1, &value);
      padding = value == value_;
    }
    return padding;
  }

 private:
  const ArrayView* x_ = nullptr;
  T value_ = 0;
};

// A double beyond the range of float is infinite to a network of floats.
template <class T>
void check_finite(const ArrayView& array, const char* name, const Padding<T>& padding, Scan& scan) {
  if (!is_floating(array.type)) return;
  const auto size = static_cast<Dim>(element_size(array.type));
  const Dim inner = array.rank() >= 2 ? array.shape.back() : 1,
            stride = array.rank() >= 2 ? array.strides.back() : size;
  Dim count = 1;
  bool dense = true;
  for (std::size_t d = array.shape.size(); d-- > 0;) {
    dense = dense && array.strides[d] == count * size;
    count *= array.shape[d];
  }
  if (dense && finite_run<T>(array, array.data, size, count, scan)) return;
  const auto finite = [&](const unsigned char* from) { return finite_run<T>(array, from, stride, inner, scan); };
  each_run<double>(array, scan, finite, [&](Dim n, Dim t, const std::vector<double>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(static_cast<T>(values[i])) || padding.has(array, n, t, i)) continue;
      throw std::invalid_argument(text(name, " must be finite", std::isfinite(values[i]) ? " as float32" : "", ", got ",
                                       values[i], " at ", place(index_of(array, n, t, i))));
    }
  });
}

// Ids and labels: whole numbers in [0, limit).
template <class T>
void check_whole(const ArrayView& array, const char* name, const char* what, Dim limit, bool steps,
                 const Padding<T>& padding, Scan& scan) {
  const auto where = [&](Dim n, Dim t, std::size_t i) {
    const std::vector<Dim> index = index_of(array, n, t, i);
    if (steps && index.size() >= 2) return text("row ", index[0], ", step ", index[1]);
    return text("row ", index[0]);
  };
  const auto outside = [&](auto value, Dim n, Dim t, std::size_t i) {
    return text(name, ": ", what, " must be from 0 to ", limit - 1, ", got ", value, " at ", where(n, t, i));
  };
  const auto never = [](const unsigned char*) { return false; };
  if (is_floating(array.type)) {
    each_run<double>(array, scan, never, [&](Dim n, Dim t, const std::vector<double>& values) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const bool whole = values[i] == std::floor(values[i]);
        if (whole && values[i] >= 0 && values[i] < static_cast<double>(limit)) continue;
        if (padding.has(array, n, t, i)) continue;
        if (whole) throw std::out_of_range(outside(values[i], n, t, i));
        throw std::invalid_argument(
            text(name, " must hold whole numbers (", what, "), got ", values[i], " at ", where(n, t, i)));
      }
    });
    return;
  }
  each_run<std::int64_t>(array, scan, never, [&](Dim n, Dim t, const std::vector<std::int64_t>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if ((values[i] >= 0 && values[i] < limit) || padding.has(array, n, t, i)) continue;
      if (array.type != ElementType::kU64) throw std::out_of_range(outside(values[i], n, t, i));
      throw std::out_of_range(outside(static_cast<std::uint64_t>(values[i]), n, t, i));
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
  check(data.mask.type == ElementType::kBool || data.mask.type == ElementType::kU8, "mask must be bool or uint8");
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

}  // namespace

void check_shapes(const Data& data, const SampleShape& input, const TargetShape& target, Mode mode) {
  check_input(data, input);
  if (mode == Mode::kPredict || !target.present) return;
  check_targets(data, target);
  check_weights(data, target);
}

template <class T>
void check_data(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target, Mode mode,
                Interrupt* interrupt) {
  check_shapes(data, input, target, mode);
  Scan scan(interrupt);
  if (input.tokens) {
    check_whole<T>(data.x, "x", "a token id", vocabulary, true, {}, scan);
  } else if (mode != Mode::kPredict) {
    check_finite<T>(data.x, "x", {}, scan);
  }
  if (mode == Mode::kPredict || !target.present) return;
  const Padding<T> padding = target.padding ? Padding<T>(data.x, *target.padding) : Padding<T>();
  if (target.labels) {
    check_whole(data.y, "y", "a class label", target.columns, target.sequence, padding, scan);
  } else {
    check_finite<T>(data.y, "y", padding, scan);
  }
  if (!data.sample_weight.empty()) check_finite<T>(data.sample_weight, "sample_weight", {}, scan);
}

template void check_data<float>(const Data&, const SampleShape&, Dim, const TargetShape&, Mode, Interrupt*);
template void check_data<double>(const Data&, const SampleShape&, Dim, const TargetShape&, Mode, Interrupt*);

}  // namespace pylstm
