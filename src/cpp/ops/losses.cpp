#include "ops/losses.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"

namespace pylstm {
namespace {

constexpr double kProbabilityFloor = 1e-7;  // Keras' epsilon

template <class T>
double weight_of(const Targets<T>& targets, Dim row) {
  return targets.weights == nullptr ? 1.0 : static_cast<double>(targets.weights[row]);
}

template <class T>
void store_row(const LossResult<T>& result, Dim row, double loss) {
  if (result.loss != nullptr) result.loss[row] = loss;
}

struct ElementLoss {
  double loss, slope;
};

ElementLoss element_loss(Loss kind, bool from_logits, double y, double t) {
  if (kind == Loss::kMeanAbsoluteError) return {std::fabs(y - t), y > t ? 1.0 : y < t ? -1.0 : y - t};
  if (from_logits) {
    const double small = std::exp(-std::fabs(y));
    const double probability = y >= 0 ? 1 / (1 + small) : small / (1 + small);
    return {std::max(y, 0.0) - y * t + std::log1p(small), probability - t};
  }
  // NaN must stay NaN, hence no std::min and std::max with the bound first.
  const double p = y < kProbabilityFloor ? kProbabilityFloor : y > 1 - kProbabilityFloor ? 1 - kProbabilityFloor : y;
  return {-(t * std::log(p) + (1 - t) * std::log1p(-p)), p == y || y != y ? (p - t) / (p * (1 - p)) : 0.0};
}

template <class T>
void mean_squared_error(const KernelTable<T>& kernels, const T* y, Range rows, Dim columns, const Targets<T>& targets,
                        double scale, T* dy, const LossResult<T>& result) {
  for (Dim row = rows.begin; row < rows.end; ++row) {
    const Dim at = row * columns;
    const double slope = 2 * scale * weight_of(targets, row) / static_cast<double>(columns);
    const double sum = kernels.squared_error(columns, y + at, targets.dense + at, static_cast<T>(slope),
                                             dy == nullptr ? nullptr : dy + at);
    store_row(result, row, sum / static_cast<double>(columns));
  }
}

}  // namespace

template <class T>
void elementwise_loss(const KernelTable<T>& kernels, Loss kind, bool from_logits, double smoothing, const T* y,
                      Dim rows, Dim columns, const Targets<T>& targets, double scale, T* dy,
                      const LossResult<T>& result) {
  parallel_for(rows, std::max<Dim>(1, 8192 / std::max<Dim>(1, columns)), [&](Range range) {
    if (kind == Loss::kMeanSquaredError) {
      return mean_squared_error(kernels, y, range, columns, targets, scale, dy, result);
    }
    for (Dim row = range.begin; row < range.end; ++row) {
      const double row_scale = scale * weight_of(targets, row) / static_cast<double>(columns);
      double sum = 0;
      for (Dim i = row * columns; i < (row + 1) * columns; ++i) {
        double target = static_cast<double>(targets.dense[i]);
        if (kind == Loss::kBinaryCrossentropy) target = target * (1 - smoothing) + 0.5 * smoothing;
        const ElementLoss element = element_loss(kind, from_logits, static_cast<double>(y[i]), target);
        sum += element.loss;
        if (dy != nullptr) dy[i] = static_cast<T>(row_scale * element.slope);
      }
      store_row(result, row, sum / static_cast<double>(columns));
    }
  });
}

template <class T>
void probability_cross_entropy(const T* p, Dim rows, Dim columns, const Targets<T>& targets, double smoothing,
                               double scale, T* dp, const LossResult<T>& result) {
  const double share = smoothing / static_cast<double>(columns), keep = 1 - smoothing;
  parallel_for(rows, std::max<Dim>(1, 8192 / std::max<Dim>(1, columns)), [&](Range range) {
    for (Dim row = range.begin; row < range.end; ++row) {
      const T* values = p + row * columns;
      double total = 0, loss = 0, mass = 0;
      Dim best = 0;
      for (Dim i = 0; i < columns; ++i) {
        total += static_cast<double>(values[i]);
        if (values[i] > values[best]) best = i;
      }
      // loss = -sum t log(p / total): dp = -t / p + sum(t) / total
      for (Dim i = 0; i < columns; ++i) {
        const double given = targets.labels != nullptr ? static_cast<double>(targets.labels[row] == i)
                                                       : static_cast<double>(targets.dense[row * columns + i]);
        const double t = given * keep + share;
        const double q = static_cast<double>(values[i]) / total;
        const double bounded = q < kProbabilityFloor       ? kProbabilityFloor
                               : q > 1 - kProbabilityFloor ? 1 - kProbabilityFloor
                                                           : q;
        if (t != 0) loss -= t * std::log(bounded);
        const bool inside = bounded == q;
        if (inside) mass += t;
        if (dp != nullptr)
          dp[row * columns + i] = static_cast<T>(inside && t != 0 ? -t / static_cast<double>(values[i]) : 0.0);
      }
      if (dp != nullptr) {
        const double row_scale = scale * weight_of(targets, row);
        for (Dim i = 0; i < columns; ++i) {
          T& d = dp[row * columns + i];
          d = static_cast<T>(row_scale * (static_cast<double>(d) + mass / total));
        }
      }
      store_row(result, row, loss);
      if (result.argmax != nullptr) result.argmax[row] = static_cast<std::int32_t>(best);
    }
  });
}

#define PYLSTM_INSTANTIATE(T)                                                                                         \
  template void elementwise_loss<T>(const KernelTable<T>&, Loss, bool, double, const T*, Dim, Dim, const Targets<T>&, \
                                    double, T*, const LossResult<T>&);                                                \
  template void probability_cross_entropy<T>(const T*, Dim, Dim, const Targets<T>&, double, double, T*,               \
                                             const LossResult<T>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
