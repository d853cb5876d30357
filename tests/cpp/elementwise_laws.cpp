// Arithmetic on arrays, sums of squares, and the test for finite values.
#include <algorithm>

#include "laws.hpp"

namespace pylstm::test {
namespace {

template <class T>
struct Arrays {
  explicit Arrays(Dim n, Random& random) : x_memory(n), m_memory(n), y_memory(n) {
    x = x_memory.take(n);
    m = m_memory.take(n);
    y = y_memory.take(n);
    for (Dim i = 0; i < n; ++i) {
      x[i] = random.uniform<T>(-2, 2);
      m[i] = random.uniform<T>(-2, 2);
      y[i] = random.uniform<T>(-2, 2);
    }
    before.assign(y, y + n);
  }
  // y[i] is within `roundings` halves of an eps of the sum of magnitudes from want(i, y before).
  template <class F>
  void check(const char* what, Dim n, int roundings, F want) {
    PYLSTM_EXPECT(y_memory.intact() && x_memory.intact(), what, " wrote in front of its output");
    for (Dim i = 0; i < n; ++i) {
      const Wide<T> expected = want(i, static_cast<Wide<T>>(before[static_cast<std::size_t>(i)]));
      const double error = std::fabs(static_cast<double>(y[i] - expected));
      PYLSTM_EXPECT(error <= 0.5 * kEps<T> * roundings * 6, what, " of ", n, " at ", i, ": ", y[i], ", want ",
                    expected);
    }
  }

  Guarded<T> x_memory, m_memory, y_memory;
  T *x, *m, *y;
  std::vector<T> before;
};

template <class T>
void arithmetic(const KernelTable<T>& k, Dim n, Random& random) {
  const auto wide = [](T value) { return static_cast<Wide<T>>(value); };
  {
    Arrays<T> a(n, random);
    k.add(n, a.x, a.y);
    a.check("add", n, 1, [&](Dim i, Wide<T> y) { return y + a.x[i]; });
  }
  {
    Arrays<T> a(n, random);
    k.scale(n, T(1.7), a.y);
    a.check("scale", n, 1, [&](Dim, Wide<T> y) { return y * T(1.7); });
  }
  {
    Arrays<T> a(n, random);
    k.multiply(n, a.x, a.m, a.y);
    a.check("multiply", n, 1, [&](Dim i, Wide<T>) { return wide(a.x[i]) * a.m[i]; });
    const std::vector<T> apart(a.y, a.y + n);
    k.multiply(n, a.x, a.m, a.x);
    PYLSTM_EXPECT(std::equal(apart.begin(), apart.end(), a.x), "multiply of ", n, " in place differs");
  }
  {
    Arrays<T> a(n, random);
    k.multiply_add(n, a.x, a.m, a.y);
    a.check("multiply_add", n, 2, [&](Dim i, Wide<T> y) { return y + wide(a.x[i]) * a.m[i]; });
  }
}

template <class T>
void sums(const KernelTable<T>& k, Dim n, Random& random) {
  Guarded<T> memory(n);
  T* x = memory.take(n);
  long double want = 0;
  for (Dim i = 0; i < n; ++i) {
    x[i] = random.uniform<T>(-2, 2);
    want += static_cast<long double>(x[i]) * x[i];
  }
  const double got = k.sum_of_squares(n, x);
  PYLSTM_EXPECT(
      std::fabs(static_cast<double>(got - want)) <= kEps<double> * static_cast<double>(n) * static_cast<double>(want),
      "sum_of_squares of ", n, ": ", got, ", want ", want);
  std::vector<T> moved(x, x + n);
  moved.insert(moved.begin(), T(9));
  PYLSTM_EXPECT(same_bits(got, k.sum_of_squares(n, moved.data() + 1)), "sum_of_squares depends on the address");
  // A float's square does not overflow in double.
  std::vector<T> large(static_cast<std::size_t>(n), T(sizeof(T) == 4 ? 1e30 : 1e150));
  PYLSTM_EXPECT(std::isfinite(k.sum_of_squares(n, large.data())), "sum_of_squares of ", n, " large values overflows");
}

template <class T>
void squared_errors(const KernelTable<T>& k, Dim n, Random& random) {
  Guarded<T> y_memory(n), dy_memory(n);
  T* y = y_memory.take(n);
  std::vector<T> target;
  Wide<T> want = 0;
  for (Dim i = 0; i < n; ++i) {
    y[i] = random.uniform<T>(-2, 2);
    target.push_back(random.uniform<T>(-2, 2));
    const Wide<T> d = static_cast<Wide<T>>(y[i]) - target.back();
    want += d * d;
  }
  const std::vector<T> given(y, y + n);
  const double alone = k.squared_error(n, y, target.data(), T(3), nullptr);
  PYLSTM_EXPECT(std::fabs(static_cast<double>(alone - want)) <= 4 * kEps<double> * (1 + static_cast<double>(n * want)),
                "squared_error of ", n, ": ", alone, ", want ", want);
  PYLSTM_EXPECT(std::equal(given.begin(), given.end(), y), "squared_error without dy changed y");
  for (const bool in_place : {false, true}) {
    T* dy = in_place ? y : dy_memory.take(n);
    PYLSTM_EXPECT(same_bits(k.squared_error(n, y, target.data(), T(3), dy), alone), "squared_error depends on dy");
    PYLSTM_EXPECT((in_place ? y_memory : dy_memory).intact(), "squared_error wrote in front of dy");
    for (Dim i = 0; i < n; ++i) {
      const T slope = (given[static_cast<std::size_t>(i)] - target[static_cast<std::size_t>(i)]) * T(3);
      PYLSTM_EXPECT(same_bits(dy[i], slope), "squared_error's slope of ", n, " at ", i, ": ", dy[i], ", want ", slope);
    }
  }
}

template <class T>
void finiteness(const KernelTable<T>& k, Dim n) {
  Guarded<T> memory(n);
  T* x = memory.take(n);
  const T largest = std::numeric_limits<T>::max();
  for (Dim i = 0; i < n; ++i) x[i] = i % 2 == 0 ? largest : -largest;
  PYLSTM_EXPECT(k.all_finite(n, x), "all_finite denies ", n, " finite values");
  for (Dim i = 0; i < n; ++i) {
    const T kept = x[i];
    for (const T bad : {std::numeric_limits<T>::infinity(), -std::numeric_limits<T>::infinity(),
                        std::numeric_limits<T>::quiet_NaN()}) {
      x[i] = bad;
      PYLSTM_EXPECT(!k.all_finite(n, x), "all_finite misses ", bad, " at ", i, " of ", n);
    }
    x[i] = kept;
  }
}

}  // namespace

template <class T>
void elementwise_laws(const KernelTable<T>& k, const Options&) {
  Random random(4);
  PYLSTM_EXPECT(k.width >= 1 && k.panel_vectors >= 1 && k.tile_rows >= 1, "sizes of the table");
  std::vector<Dim> sizes = lengths(k);
  sizes.push_back(1000);
  for (const Dim n : sizes) {
    arithmetic(k, n, random);
    sums(k, n, random);
    squared_errors(k, n, random);
    if (n < 1000) finiteness(k, n);
  }
}

template void elementwise_laws<float>(const KernelTable<float>&, const Options&);
template void elementwise_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
