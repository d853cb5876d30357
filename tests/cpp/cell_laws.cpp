// How far a step's gates, c and h may be from exact ones, and what becomes of gates of extreme arguments.
#include <array>
#include <cstdio>
#include <iterator>

#include "laws.hpp"

namespace pylstm::test {
namespace {

// What the table promises (src/cpp/kernels/table.hpp).
constexpr const char* kNames[] = {"gate i", "gate f", "gate c", "gate o", "h", "c"};
constexpr double kUlps[] = {4, 2.5, 6, 4, 6, 6};

template <class T>
struct Cells {
  Dim units;
  std::vector<T> z, c_prev, c, h, gates;

  explicit Cells(Dim n) : units(n) {
    for (std::vector<T>* x : {&c_prev, &c, &h}) x->resize(static_cast<std::size_t>(n));
    for (std::vector<T>* x : {&z, &gates}) x->resize(static_cast<std::size_t>(4 * n));
  }
  // z and gates are by gate, then by unit.
  void run(const KernelTable<T>& k) {
    k.lstm_step({1, units, nullptr, 0, nullptr, z.data(), 4 * units, units, c_prev.data(), c.data(), h.data(), units,
                 gates.data()});
  }
  T z_of(Dim gate, Dim unit) const { return z[static_cast<std::size_t>(gate * units + unit)]; }
  T gate_of(Dim gate, Dim unit) const { return gates[static_cast<std::size_t>(gate * units + unit)]; }
};

template <class T>
class Accuracy {
 public:
  void look(const Cells<T>& cells, Dim unit) {
    const auto at = static_cast<std::size_t>(unit);
    for (const Dim gate : {0, 1, 3}) compare(gate, cells.gate_of(gate, unit), sigmoid<T>(cells.z_of(gate, unit)));
    const bool i_is_0 = cells.gate_of(0, unit) == 0;
    if (!i_is_0) compare(2, cells.gate_of(2, unit), std::tanh(static_cast<Wide<T>>(cells.z_of(2, unit))));
    const Wide<T> kept = sigmoid<T>(cells.z_of(1, unit)) * cells.c_prev[at];
    const Wide<T> added = sigmoid<T>(cells.z_of(0, unit)) * std::tanh(static_cast<Wide<T>>(cells.z_of(2, unit)));
    // Of the larger of the two that are added, which may cancel; a gate that counts as 0 is lost beside none.
    const Wide<T> larger = std::fabs(kept) > std::fabs(added) ? kept : added;
    if (std::fabs(larger) > kSmallest / kEps<T>) compare(5, larger + (cells.c[at] - (kept + added)), larger);
    compare(4, cells.h[at], sigmoid<T>(cells.z_of(3, unit)) * std::tanh(static_cast<Wide<T>>(cells.c[at])));
  }
  void report() const {
    for (std::size_t i = 0; i < worst_.size(); ++i) std::printf("  %s %.2f ulp", kNames[i], worst_[i]);
    std::printf("\n");
  }

 private:
  void compare(Dim what, Wide<T> got, Wide<T> want) {
    if (std::fabs(want) < kSmallest) return;
    const double distance = ulps<T>(got, want);
    double& worst = worst_[static_cast<std::size_t>(what)];
    if (distance > worst) worst = distance;
    PYLSTM_EXPECT(distance <= kUlps[what], kNames[what], " is ", got, ", exactly ", want, ": ", distance, " ulp");
  }
  static constexpr Wide<T> kSmallest = 4 * Wide<T>(std::numeric_limits<T>::min());
  std::array<double, 6> worst_{};
};

// Every gate at the ends of its range and beside them, with every other gate there too; NaN goes where it is read.
template <class T>
void extremes(const KernelTable<T>& k) {
  using Limits = std::numeric_limits<T>;
  const T arguments[] = {-Limits::infinity(), -Limits::max(),     T(-90), -Limits::min(), 0, T(90), Limits::max(),
                         Limits::infinity(),  Limits::quiet_NaN()};
  constexpr Dim kCount = std::size(arguments), kCases = kCount * kCount * kCount * kCount;
  Cells<T> cells(kCases);
  for (Dim unit = 0; unit < kCases; ++unit) {
    Dim digits = unit;
    for (Dim gate = 0; gate < 4; ++gate, digits /= kCount)
      cells.z[static_cast<std::size_t>(gate * kCases + unit)] = arguments[digits % kCount];
    cells.c_prev[static_cast<std::size_t>(unit)] = T(unit % 5 - 2);
  }
  cells.run(k);
  for (Dim unit = 0; unit < kCases; ++unit) {
    const auto at = static_cast<std::size_t>(unit);
    const Wide<T> c = sigmoid<T>(cells.z_of(1, unit)) * cells.c_prev[at] +
                      sigmoid<T>(cells.z_of(0, unit)) * std::tanh(static_cast<Wide<T>>(cells.z_of(2, unit)));
    const Wide<T> h = sigmoid<T>(cells.z_of(3, unit)) * std::tanh(c);
    const auto as_exact = [](T got, Wide<T> want) {
      return std::isnan(want) ? std::isnan(got) : std::fabs(got - want) <= 8 * kEps<T>;
    };
    PYLSTM_EXPECT(as_exact(cells.c[at], c) && as_exact(cells.h[at], h), "i, f, c, o of ", cells.z_of(0, unit), ", ",
                  cells.z_of(1, unit), ", ", cells.z_of(2, unit), ", ", cells.z_of(3, unit), " give c ", cells.c[at],
                  " and h ", cells.h[at], ", exactly ", c, " and ", h);
  }
}

}  // namespace

template <class T>
void cell_laws(const KernelTable<T>& k, const Options& options) {
  extremes(k);
  if (!kWider<T>) return;
  Random random(5);
  Cells<T> cells(16 * k.width);
  Accuracy<T> accuracy;
  const T far = sizeof(T) == 4 ? T(86) : T(707);
  for (long turn = 0; turn < options.points / (8 * k.width); ++turn) {
    const T limit = turn % 2 == 0 ? T(3) : far;
    for (T& x : cells.z) x = random.uniform<T>(-limit, limit);
    for (T& x : cells.c_prev) x = random.uniform<T>(-2, 2);
    cells.run(k);
    for (Dim unit = 0; unit < cells.units; ++unit) accuracy.look(cells, unit);
  }
  accuracy.report();
}

template void cell_laws<float>(const KernelTable<float>&, const Options&);
template void cell_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
