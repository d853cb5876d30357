#include "ops/orthogonal.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "ops/product.hpp"

namespace pylstm {
namespace {

// Eight sums side by side, for vectors and to hide latency; one order for each n.
double dot(const double* a, const double* b, Dim n) {
  constexpr Dim kLanes = 8;
  double sums[kLanes] = {};
  Dim i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (Dim lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

void add_scaled(double scale, const double* x, Dim n, double* y) {
  for (Dim i = 0; i < n; ++i) y[i] += scale * x[i];
}

}  // namespace

// Householder's QR of a Gaussian matrix sees in column k a Gaussian vector x of the width - k coordinates that are
// left, independent of all before: so the reflections are drawn instead of computed (Stewart, "The efficient generation
// of random orthogonal matrices with an application to condition estimators", SIAM Journal on Numerical Analysis 17,
// 1980). Column r of Q with R > 0 is H_0 ... H_(r-1) applied to x_r / |x_r|; it becomes row r. H_k = 1 - v v' with
// |v|^2 = 2.
void orthonormal_rows(NormalNumbers& random, Dim count, Dim width, double* out) {
  std::vector<double> reflectors(at(count * width), 0.0);
  std::fill(out, out + count * width, 0.0);
  for (Dim r = 0; r < count; ++r) {
    const Dim n = width - r;
    double* v = reflectors.data() + r * width + r;
    double* row = out + r * width + r;
    for (Dim i = 0; i < n; ++i) v[i] = random.next();
    const double square = dot(v, v, n), norm = std::sqrt(square);
    for (Dim i = 0; i < n; ++i) row[i] = v[i] / norm;
    // v = x + sign(x_0) |x| e_0, of which |v|^2 = 2 (|x|^2 + |x_0| |x|): nothing cancels.
    const double scale = 1 / std::sqrt(square + std::fabs(v[0]) * norm);
    v[0] += v[0] < 0 ? -norm : norm;
    for (Dim i = 0; i < n; ++i) v[i] *= scale;
  }
  const double flops = 2.0 * static_cast<double>(count) * static_cast<double>(count) * static_cast<double>(width);
  parallel_region(useful_threads(flops), [&](int index, int size) {
    for (Dim r = index; r < count; r += size) {  // in turns: later rows meet more reflections
      for (Dim k = r - 1; k >= 0; --k) {
        const double* v = reflectors.data() + k * width + k;
        double* row = out + r * width + k;
        add_scaled(-dot(v, row, width - k), v, width - k, row);
      }
    }
  });
}

}  // namespace pylstm
