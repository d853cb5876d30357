// How far a step's gates, c and h may be from exact ones, and what becomes of gates of extreme arguments.
#include <array>
#include <cstdio>
#include <iterator>

#include "laws.hpp"

namespace pylstm::test {
namespace {

// What the table promises (src/cpp/kernels/table.hpp).
constexpr const char* kNames[] = {"gate i", "gate f", "gate c", "gate o", "h", "c"};
constexpr double kUlps[] = {2.5, 2.5, 2.5, 2.5, 6, 6};

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

// What is exactly no normal number may be 0, and what is near to that.
template <class T>
constexpr Wide<T> kSmallest = (1 + 8 * Wide<T>(kEps<T>)) * std::numeric_limits<T>::min();

template <class T>
class Accuracy {
 public:
  void look(const Cells<T>& cells, Dim unit) {
    const auto at = static_cast<std::size_t>(unit);
    const Wide<T> i = sigmoid<T>(cells.z_of(0, unit)), f = sigmoid<T>(cells.z_of(1, unit)),
                  g = std::tanh(static_cast<Wide<T>>(cells.z_of(2, unit))), o = sigmoid<T>(cells.z_of(3, unit));
    compare(0, cells.gate_of(0, unit), i);
    compare(1, cells.gate_of(1, unit), f);
    compare(2, cells.gate_of(2, unit), g);
    compare(3, cells.gate_of(3, unit), o);
    compare(4, cells.h[at], o * std::tanh(static_cast<Wide<T>>(cells.c[at])));
    // Relative to the larger term, as the two may cancel; it must be far above what a gate that counts as 0 takes away.
    const Wide<T> kept = f * cells.c_prev[at], added = i * g;
    const Wide<T> larger = std::fabs(kept) > std::fabs(added) ? kept : added;
    if (std::fabs(larger) > kSmallest<T> / kEps<T>) compare(5, larger + (cells.c[at] - (kept + added)), larger);
    for (Dim gate = 0; gate < 4; ++gate) {
      const T value = cells.gate_of(gate, unit);
      PYLSTM_EXPECT(value <= 1 && value >= (gate == 2 ? -1 : 0), kNames[gate], " is ", value);
    }
  }
  void report() const {
    for (std::size_t i = 0; i < worst_.size(); ++i) std::printf("  %s %.2f ulp", kNames[i], worst_[i]);
    std::printf("\n");
  }

 private:
  void compare(Dim what, Wide<T> got, Wide<T> want) {
    if (std::fabs(want) < kSmallest<T>) return;
    const double distance = ulps<T>(got, want);
    double& worst = worst_[static_cast<std::size_t>(what)];
    if (distance > worst) worst = distance;
    PYLSTM_EXPECT(distance <= kUlps[what], kNames[what], " is ", got, ", exactly ", want, ": ", distance, " ulp");
  }
  std::array<double, 6> worst_{};
};

// Gates are the table's functions, to the bit.
template <class T>
void are_functions(const KernelTable<T>& k, const Cells<T>& cells) {
  std::vector<T> want(static_cast<std::size_t>(cells.units));
  for (Dim gate = 0; gate < 4; ++gate) {
    const auto first = cells.z.begin() + gate * cells.units;
    (gate == 2 ? k.tanh : k.sigmoid)(cells.units, &*first, want.data());
    for (Dim unit = 0; unit < cells.units; ++unit) {
      const T got = cells.gate_of(gate, unit), value = want[static_cast<std::size_t>(unit)];
      PYLSTM_EXPECT(same_bits(got, value) || (std::isnan(got) && std::isnan(value)), kNames[gate], " of ",
                    cells.z_of(gate, unit), " is ", got, ", its function ", value);
    }
  }
}

// Every gate at the ends of its functions' ranges and beside them, with every other gate there too.
template <class T>
void extremes(const KernelTable<T>& k) {
  using Limits = std::numeric_limits<T>;
  const bool single = sizeof(T) == 4;
  const T arguments[] = {-Limits::infinity(),
                         -Limits::max(),
                         single ? T(-88.4) : T(-709.5),  // beyond where sigmoid is 0
                         single ? T(-88.2) : T(-709.3),
                         single ? T(-87.4) : T(-708.4),  // where it is no normal number
                         T(-9.1),
                         -Limits::min(),
                         T(-0.0),
                         0,
                         T(0.17),  // where tanh's exponent changes
                         single ? T(87.4) : T(708.4),
                         Limits::infinity(),
                         Limits::quiet_NaN()};
  constexpr Dim kCount = std::size(arguments), kCases = kCount * kCount * kCount * kCount;
  Cells<T> cells(kCases);
  for (Dim unit = 0; unit < kCases; ++unit) {
    Dim digits = unit;
    for (Dim gate = 0; gate < 4; ++gate, digits /= kCount)
      cells.z[static_cast<std::size_t>(gate * kCases + unit)] = arguments[digits % kCount];
    cells.c_prev[static_cast<std::size_t>(unit)] = T(unit % 5 - 2);
  }
  cells.run(k);
  are_functions(k, cells);
  const auto close = [](T got, Wide<T> want) {
    return std::isnan(want) ? std::isnan(got) : std::fabs(got - want) <= 8 * kEps<T>;
  };
  for (Dim unit = 0; unit < kCases; ++unit) {
    const auto at = static_cast<std::size_t>(unit);
    const auto z = [&](Dim gate) { return cells.z_of(gate, unit); };
    const auto got = [&](Dim gate) { return cells.gate_of(gate, unit); };
    const Wide<T> i = sigmoid<T>(z(0)), f = sigmoid<T>(z(1)), g = std::tanh(static_cast<Wide<T>>(z(2))),
                  o = sigmoid<T>(z(3)), c = f * cells.c_prev[at] + i * g, h = o * std::tanh(c);
    const bool gates = close(got(0), i) && close(got(1), f) && close(got(2), g) && close(got(3), o);
    PYLSTM_EXPECT(gates && close(cells.c[at], c) && close(cells.h[at], h), "z of ", z(0), ", ", z(1), ", ", z(2), ", ",
                  z(3), " gives gates ", got(0), ", ", got(1), ", ", got(2), ", ", got(3), ", c ", cells.c[at], ", h ",
                  cells.h[at], "; exactly ", i, ", ", f, ", ", g, ", ", o, ", ", c, ", ", h);
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
  const T limits[] = {3, sizeof(T) == 4 ? T(87.4) : T(708.4), T(0.3)};
  for (long turn = 0; turn < options.points / (8 * k.width); ++turn) {
    const T limit = limits[turn % 3];
    for (T& x : cells.z) x = random.uniform<T>(-limit, limit);
    for (T& x : cells.c_prev) x = random.uniform<T>(-2, 2);
    cells.run(k);
    are_functions(k, cells);
    for (Dim unit = 0; unit < cells.units; ++unit) accuracy.look(cells, unit);
  }
  accuracy.report();
}

template void cell_laws<float>(const KernelTable<float>&, const Options&);
template void cell_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
