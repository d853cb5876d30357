// Cross-entropy of softmax, and the backward of both.
#include <algorithm>

#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/softmax_loss.hpp"
#include "piece_laws.hpp"
#include "softmax_reference.hpp"

namespace pylstm::test {
namespace {

template <class T>
void backward_case(const KernelTable<T>& k, Dim rows, Dim n, bool in_place, Random& random) {
  const Dim size = rows * n;
  Guarded<T> y_memory(size), dy_memory(size), dx_memory(size);
  T *y = y_memory.take(size), *dy = dy_memory.take(size);
  for (Dim i = 0; i < size; ++i) {
    y[i] = random.uniform<T>(0, 1);
    dy[i] = random.uniform<T>(-1, 1);
  }
  const std::vector<T> given(dy, dy + size);
  T* dx = in_place ? dy : dx_memory.take(size);
  k.softmax_backward(rows, n, y, dy, dx);
  PYLSTM_EXPECT((in_place ? dy_memory : dx_memory).intact(), "softmax_backward wrote in front of dx");
  for (Dim r = 0; r < rows; ++r) {
    Wide<T> dot = 0, magnitude = 0;
    for (Dim i = r * n; i < (r + 1) * n; ++i) {
      const Wide<T> term = static_cast<Wide<T>>(y[i]) * given[static_cast<std::size_t>(i)];
      dot += term;
      magnitude += term < 0 ? -term : term;
    }
    for (Dim i = r * n; i < (r + 1) * n; ++i) {
      const Wide<T> d = given[static_cast<std::size_t>(i)], want = y[i] * (d - dot);
      const double limit =
          kEps<T> * static_cast<double>(y[i]) * (3 + 0.5 * static_cast<double>(n + 2) * static_cast<double>(magnitude));
      PYLSTM_EXPECT(std::fabs(static_cast<double>(dx[i] - want)) <= limit, "softmax_backward of ", n,
                    " columns: ", dx[i], ", want ", want);
    }
  }
}

// One row through the operation; the loss, and the first largest column.
template <class T>
double cross_entropy(const KernelTable<T>& k, Dim n, T* z, const T* given, Dim label, T smoothing, T scale,
                     bool gradient, Dim* best) {
  const auto column = static_cast<std::int32_t>(label);
  Targets<T> targets;
  targets.dense = given;
  if (given == nullptr) targets.labels = &column;
  double loss = 0;
  std::int32_t argmax = -1;
  SoftmaxScratch<T> scratch;
  softmax_cross_entropy(k, z, 1, n, targets, static_cast<double>(smoothing), static_cast<double>(scale), gradient,
                        {&loss, &argmax}, scratch);
  *best = argmax;
  return loss;
}

// Fused with its dense layer the operation works in panels and chunks: the same loss and dx, to the bit, as logits of
// dense_forward and the operation on whole rows; and any cut of the rows gives the same bits.
template <class T>
void fused_case(const KernelTable<T>& k, Dim rows, Dim inputs, Dim units, bool dense_targets, T smoothing,
                Random& random) {
  const auto draw = [&](Dim count) {
    std::vector<T> values;
    for (Dim i = 0; i < count; ++i) values.push_back(random.uniform<T>(-1, 1));
    return values;
  };
  const std::vector<T> kernel = draw(inputs * units), bias = draw(units), x = draw(rows * inputs);
  std::vector<T> given = draw(rows * units);
  std::vector<std::int32_t> labels;
  for (Dim r = 0; r < rows; ++r) labels.push_back(static_cast<std::int32_t>((7 * r + 3) % units));
  Targets<T> targets;
  if (dense_targets) {
    targets.dense = given.data();
  } else {
    targets.labels = labels.data();
  }
  DenseWeights<T> w;
  w.pack(k, kernel.data(), bias.data(), inputs, units, true);
  const auto size = [](Dim n) { return static_cast<std::size_t>(n); };

  struct Answer {
    std::vector<T> dx, d_kernel, d_bias;
    std::vector<double> loss;
    std::vector<std::int32_t> argmax;
  };
  const auto empty = [&] {
    return Answer{std::vector<T>(size(rows * inputs)), std::vector<T>(size(inputs * units)),
                  std::vector<T>(size(units)), std::vector<double>(size(rows)), std::vector<std::int32_t>(size(rows))};
  };
  Answer fused = empty(), plain = empty();
  CrossEntropyScratch<T> scratch;
  RowProductScratch<T> sums;
  const DenseGradients<T> gradients = {fused.d_kernel.data(), fused.d_bias.data(), fused.dx.data()};
  dense_softmax_cross_entropy<T>(k, w, x.data(), rows, targets, static_cast<double>(smoothing), 0.25, &gradients,
                                 {fused.loss.data(), fused.argmax.data()}, nullptr, scratch, sums);

  std::vector<T> z(size(rows * units));
  dense_forward(k, w, x.data(), rows, z.data());
  softmax_cross_entropy<T>(k, z.data(), rows, units, targets, static_cast<double>(smoothing), 0.25, true,
                           {plain.loss.data(), plain.argmax.data()}, scratch.rows);
  DenseScratch<T> dense_scratch;
  dense_backward(k, w, x.data(), z.data(), rows, false, plain.d_kernel.data(), plain.d_bias.data(), plain.dx.data(),
                 dense_scratch, sums);
  PYLSTM_EXPECT(fused.loss == plain.loss, "fused loss of ", rows, " x ", units, " differs from the plain one");
  PYLSTM_EXPECT(fused.argmax == plain.argmax, "fused argmax of ", rows, " x ", units, " differs");
  // Of labels, x may be scaled instead of dz: per term three roundings more, and one of the scale at the label.
  const bool exact = dense_targets || smoothing != 0;
  const auto compare = [&](const std::vector<T>& got, const std::vector<T>& want, Dim input, const char* what) {
    for (Dim n = 0; n < units; ++n) {
      double magnitude = 0;
      for (Dim r = 0; r < rows; ++r) {
        const double at_label = !dense_targets && labels[size(r)] == n ? 0.25 : 0;
        magnitude += (std::fabs(static_cast<double>(z[size(r * units + n)])) + at_label) *
                     (input < 0 ? 1.0 : std::fabs(static_cast<double>(x[size(r * inputs + input)])));
      }
      const Dim i = std::max<Dim>(input, 0) * units + n;
      const double error = std::fabs(static_cast<double>(got[size(i)] - want[size(i)]));
      PYLSTM_EXPECT(error <= (exact ? 0 : kEps<T> * static_cast<double>(rows + 4) * magnitude), "fused ", what,
                    " gradient of ", rows, " x ", units, " differs by ", error, " at ", n);
    }
  };
  for (Dim input = 0; input < inputs; ++input) compare(fused.d_kernel, plain.d_kernel, input, "kernel");
  compare(fused.d_bias, plain.d_bias, -1, "bias");
  // dx adds in another order where a sum has several chains.
  for (Dim i = 0; i < rows * inputs; ++i) {
    double magnitude = 0;
    for (Dim n = 0; n < units; ++n) {
      magnitude += std::fabs(static_cast<double>(z[size(i / inputs * units + n)]) *
                             static_cast<double>(kernel[size(i % inputs * units + n)]));
    }
    PYLSTM_EXPECT(std::fabs(static_cast<double>(fused.dx[size(i)] - plain.dx[size(i)])) <=
                      2 * kEps<T> * static_cast<double>(units) * magnitude,
                  "fused dx of ", rows, " x ", units, " differs at ", i);
  }

  // The last row alone.
  Answer alone = empty();
  const Dim last = rows - 1;
  const Targets<T> one = {dense_targets ? nullptr : labels.data() + last,
                          dense_targets ? given.data() + last * units : nullptr, nullptr};
  const DenseGradients<T> of_one = {nullptr, nullptr, alone.dx.data()};
  dense_softmax_cross_entropy<T>(k, w, x.data() + last * inputs, 1, one, static_cast<double>(smoothing), 0.25, &of_one,
                                 {alone.loss.data(), alone.argmax.data()}, nullptr, scratch, sums);
  PYLSTM_EXPECT(alone.loss[0] == fused.loss[size(last)], "loss of a row alone among ", rows, " x ", units);
  for (Dim i = 0; i < inputs; ++i) {
    PYLSTM_EXPECT(same_bits(alone.dx[size(i)], fused.dx[size(last * inputs + i)]), "dx of a row alone among ", rows,
                  " x ", units, " at ", i);
  }
}

template <class T>
struct EntropyCase {
  Dim columns;
  Dim label;  // -1: dense targets
  T smoothing, scale, spread;
};

template <class T>
void entropy_case(const KernelTable<T>& k, const EntropyCase<T>& e, Random& random) {
  const Dim n = e.columns;
  Guarded<T> z_memory(n), target_memory(n);
  std::vector<T> logits;
  for (Dim i = 0; i < n; ++i) logits.push_back(random.uniform<T>(-e.spread, e.spread));
  if (n > 3) logits[static_cast<std::size_t>(n - 1)] = logits[1] = *std::max_element(logits.begin(), logits.end());
  T* given = e.label < 0 ? target_memory.take(n) : nullptr;
  for (Dim i = 0; given != nullptr && i < n; ++i) given[i] = random.uniform<T>(0, 1);

  Wide<T> log_sum, mass = 0, weighted = 0;
  const std::vector<Wide<T>> p = probabilities<T>(logits.data(), n, &log_sum);
  const Wide<T> shift = *std::max_element(logits.begin(), logits.end());
  std::vector<Wide<T>> target;
  double slack = 0;  // sum of |target * (z - shift)|, each with a few roundings
  for (Dim i = 0; i < n; ++i) {
    const Wide<T> one = given != nullptr ? static_cast<Wide<T>>(given[i]) : static_cast<Wide<T>>(i == e.label);
    target.push_back((1 - static_cast<Wide<T>>(e.smoothing)) * one + static_cast<Wide<T>>(e.smoothing) / n);
    mass += target.back();
    weighted += target.back() * logits[static_cast<std::size_t>(i)];
    slack += static_cast<double>(target.back() * (shift - logits[static_cast<std::size_t>(i)]));
  }
  const Wide<T> want_loss = log_sum * mass - weighted;
  const double m = static_cast<double>(mass), error_of_p = relative<T>(n, spread_of(logits.data(), n));
  const double loss_limit =
      m * error_of_p + 4 * kEps<T> * (slack + m * static_cast<double>(log_sum - shift)) + 8 * kEps<double> * m;

  for (const bool gradient : {false, true}) {
    T* z = z_memory.take(n);
    std::copy(logits.begin(), logits.end(), z);
    Dim best = -1;
    const double loss = cross_entropy(k, n, z, given, e.label, e.smoothing, e.scale, gradient, &best);
    PYLSTM_EXPECT(z_memory.intact(), "softmax_cross_entropy wrote in front of z");
    PYLSTM_EXPECT(std::fabs(static_cast<double>(loss - want_loss)) <= loss_limit, "cross-entropy of ", n,
                  " columns, label ", e.label, ", smoothing ", e.smoothing, ": ", loss, ", want ", want_loss,
                  " within ", loss_limit);
    PYLSTM_EXPECT(best == std::max_element(logits.begin(), logits.end()) - logits.begin(), "argmax of ", n,
                  " columns is ", best);
    for (Dim i = 0; gradient && i < n; ++i) {
      const Wide<T> q = p[static_cast<std::size_t>(i)], t = target[static_cast<std::size_t>(i)];
      const Wide<T> want = e.scale * (q * mass - t);
      const double limit =
          std::fabs(static_cast<double>(e.scale)) *
              (static_cast<double>(q * mass) * (error_of_p + 4 * kEps<T>)+4 * kEps<T> * static_cast<double>(t)) +
          std::numeric_limits<T>::min();
      PYLSTM_EXPECT(std::fabs(static_cast<double>(z[i] - want)) <= limit, "gradient of cross-entropy of ", n,
                    " columns, label ", e.label, ", smoothing ", e.smoothing, " at ", i, ": ", z[i], ", want ", want,
                    " within ", limit);
    }
  }
}

template <class T>
void entropy_special(const KernelTable<T>& k, Dim n) {
  for (Dim place = 0; place < n; ++place) {
    std::vector<T> z(static_cast<std::size_t>(n), T(1));
    z[static_cast<std::size_t>(place)] = std::numeric_limits<T>::quiet_NaN();
    Dim best = -1;
    const double loss = cross_entropy<T>(k, n, z.data(), nullptr, 0, T(0), T(1), true, &best);
    PYLSTM_EXPECT(loss != loss, "NaN at ", place, " of ", n, " gives a loss of ", loss);
    PYLSTM_EXPECT(best >= 0 && best < n, "NaN at ", place, " of ", n, " gives argmax ", best);
    for (const T value : z) PYLSTM_EXPECT(value != value, "NaN at ", place, " of ", n, " gives a gradient of ", value);
    // Certain and right: no loss; certain and wrong: the distance.
    std::vector<T> peak(static_cast<std::size_t>(n), T(-200));
    peak[static_cast<std::size_t>(place)] = T(0);
    const double sure = cross_entropy<T>(k, n, peak.data(), nullptr, 0, T(0), T(1), false, &best);
    PYLSTM_EXPECT(sure == (place == 0 ? 0.0 : 200.0), "a peak at ", place, " of ", n, " gives a loss of ", sure);
  }
}

}  // namespace

template <class T>
void softmax_laws(const KernelTable<T>& k, const Options&) {
  Random random(3);
  std::vector<Dim> columns = lengths(k);
  for (const Dim n : {Dim{100}, Dim{1003}}) columns.push_back(n);
  for (const Dim n : columns) {
    for (const Dim rows : {0, 1, 3}) {
      for (const bool in_place : {false, true}) backward_case(k, rows, n, in_place, random);
    }
    if (n == 0) continue;
    for (const T smoothing : {T(0), T(0.1)}) {
      for (const T spread : {T(1), T(30)}) {
        for (const Dim label : {Dim{-1}, Dim{0}, n / 2, n - 1})
          entropy_case<T>(k, {n, label, smoothing, T(0.25), spread}, random);
      }
    }
    for (const Dim rows : {1, 3, 13}) {
      fused_case<T>(k, rows, 5, n, rows == 3, rows == 3 ? T(0) : T(0.1), random);
      fused_case<T>(k, rows, k.panel_vectors * k.width + 1, n, rows == 3, T(0), random);
    }
    if (n < 100) entropy_special(k, n);
  }
  // Several blocks of a sum over rows; several chunks of logits; both on several threads.
  const int threads = num_threads();
  for (const int n : {1, 3}) {
    set_num_threads(n);
    set_paces(n, true);
    fused_case<T>(k, 600, 65, 2 * k.panel_vectors * k.width + 3, false, T(0), random);
    fused_case<T>(k, 240, 5, 9003, false, T(0), random);
  }
  set_num_threads(threads);
}

template void softmax_laws<float>(const KernelTable<float>&, const Options&);
template void softmax_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
