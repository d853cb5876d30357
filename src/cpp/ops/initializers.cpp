#include "ops/initializers.hpp"

#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.hpp"
#include "base/float_env.hpp"
#include "base/philox.hpp"

namespace pylstm {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// Standard normal number `index` (Box and Muller).
double normal(const Philox& random, std::uint64_t index) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform(2 * index)));
  return radius * std::cos(kTwoPi * random.uniform(2 * index + 1));
}

// Rows made orthonormal one after another (Gram and Schmidt, projected twice: once loses digits
// when rows are nearly dependent). For a Gaussian matrix this is the Q of QR with positive R, which
// is uniform over orthogonal matrices.
void orthonormalize(std::vector<double>& rows, Dim count, Dim width) {
  const auto row = [&](Dim r) { return rows.data() + r * width; };
  const auto dot = [&](Dim a, Dim b) { return std::inner_product(row(a), row(a) + width, row(b), 0.0); };
  for (Dim r = 0; r < count; ++r) {
    for (int pass = 0; pass < 2; ++pass) {
      for (Dim before = 0; before < r; ++before) {
        const double share = dot(r, before);
        for (Dim i = 0; i < width; ++i) row(r)[i] -= share * row(before)[i];
      }
    }
    const double norm = std::sqrt(dot(r, r));
    for (Dim i = 0; i < width; ++i) row(r)[i] /= norm;
  }
}

std::vector<double> orthogonal(const std::vector<Dim>& shape, double gain, const Philox& random) {
  check(shape.size() == 2, "orthogonal needs a shape of 2 dimensions, got ", shape_text(shape));
  const Dim few = std::min(shape[0], shape[1]), many = std::max(shape[0], shape[1]);
  std::vector<double> rows(static_cast<std::size_t>(checked_product({few, many}, sizeof(double))));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = normal(random, i);
  orthonormalize(rows, few, many);
  std::vector<double> values(rows.size());
  for (Dim r = 0; r < few; ++r) {
    for (Dim c = 0; c < many; ++c) {
      const Dim to = shape[0] <= shape[1] ? r * many + c : c * few + r;
      values[static_cast<std::size_t>(to)] = gain * rows[static_cast<std::size_t>(r * many + c)];
    }
  }
  return values;
}

}  // namespace

std::vector<double> initial_values(const std::string& kind, const std::vector<Dim>& shape, double a, double b,
                                   std::uint64_t seed, std::uint32_t stream) {
  const FloatEnvironment guard;
  const Philox random(seed, Purpose::kInitialize, stream, 0);
  if (kind == "orthogonal") return orthogonal(shape, a, random);
  std::vector<double> values(static_cast<std::size_t>(checked_product(shape, sizeof(double))));
  if (kind == "uniform") {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = a + (b - a) * random.uniform(i);
  } else if (kind == "normal") {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = a + b * normal(random, i);
  } else if (kind == "truncated_normal") {
    std::uint64_t next = 0;
    for (double& value : values) {
      double z = normal(random, next++);
      while (std::fabs(z) > 2) z = normal(random, next++);
      value = a + b * z;
    }
  } else {
    throw std::invalid_argument(
        text("kind must be 'uniform', 'normal', 'truncated_normal' or 'orthogonal', got '", kind, "'"));
  }
  return values;
}

std::vector<std::int64_t> permutation(Dim n, std::uint64_t seed, std::uint32_t stream) {
  check(n >= 0, "n must not be negative, got ", n);
  const FloatEnvironment guard;
  const Philox random(seed, Purpose::kShuffle, stream, 0);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (Dim i = n - 1; i > 0; --i) {
    const auto j = static_cast<Dim>(random.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(i + 1));
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
  }
  return order;
}

}  // namespace pylstm
