#include "ops/initializers.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.hpp"
#include "base/float_env.hpp"
#include "base/index.hpp"
#include "base/philox.hpp"
#include "ops/normal.hpp"
#include "ops/orthogonal.hpp"

namespace pylstm {
namespace {

std::vector<double> orthogonal(const std::vector<Dim>& shape, double gain, NormalNumbers& random) {
  check(shape.size() == 2, "orthogonal needs a shape of 2 dimensions, got ", shape_text(shape));
  const Dim few = std::min(shape[0], shape[1]), many = std::max(shape[0], shape[1]);
  std::vector<double> rows(at(checked_product({few, many}, sizeof(double))));
  orthonormal_rows(random, few, many, rows.data());
  std::vector<double> values(rows.size());
  for (Dim r = 0; r < few; ++r) {
    for (Dim c = 0; c < many; ++c) {
      values[at(shape[0] <= shape[1] ? r * many + c : c * few + r)] = gain * rows[at(r * many + c)];
    }
  }
  return values;
}

}  // namespace

std::vector<double> initial_values(const std::string& kind, const std::vector<Dim>& shape, double a, double b,
                                   std::uint64_t seed, std::uint32_t stream) {
  const FloatEnvironment guard;
  const Philox random(seed, Purpose::kInitialize, stream, 0);
  NormalNumbers normal(random);
  if (kind == "orthogonal") return orthogonal(shape, a, normal);
  std::vector<double> values(at(checked_product(shape, sizeof(double))));
  if (kind == "uniform") {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = a + (b - a) * random.uniform(i);
  } else if (kind == "normal") {
    for (double& value : values) value = a + b * normal.next();
  } else if (kind == "truncated_normal") {
    for (double& value : values) {
      double z = normal.next();
      while (std::fabs(z) > 2) z = normal.next();
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
  std::vector<std::int64_t> order(at(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (Dim i = n - 1; i > 0; --i) {
    const auto j = static_cast<Dim>(random.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(i + 1));
    std::swap(order[at(i)], order[at(j)]);
  }
  return order;
}

}  // namespace pylstm
