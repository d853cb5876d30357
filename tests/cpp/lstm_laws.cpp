// One step of the LSTM and its cells backward, in both layouts of z.
#include <algorithm>

#include "base/index.hpp"
#include "laws.hpp"

namespace pylstm::test {
namespace {

enum class Layout { kTogether, kApart, kCellsOnly };

template <class T>
struct Step {
  explicit Step(Dim count)
      : h_prev(count),
        kernel(count),
        packed(count),
        z(count),
        c_prev(count),
        c(count),
        h(count),
        gates(count),
        y(count) {}
  Guarded<T> h_prev, kernel, packed, z, c_prev, c, h, gates, y;
};

// Column of a gate of a unit in z.
Dim column(Layout layout, Dim width, Dim units, Dim unit, Dim gate) {
  return layout == Layout::kApart ? gate * round_up(units, width) + unit : gate_column(width, units, unit, gate);
}

template <class T>
struct StepResult {
  std::vector<T> c, h, gates;  // dense rows
};

// Rows [first, first + count) of the problem in fresh memory that holds only them.
template <class T>
struct StepProblem {
  Dim rows, units, width;
  Layout layout;
  std::vector<T> h_prev, recurrent, z, c_prev;  // dense; z by unit and gate [rows, units, 4]

  StepResult<T> run(const KernelTable<T>& k, Step<T>& m, Dim first, Dim count, bool in_place, bool keep,
                    Dim cut = 0) const {
    const bool apart = layout == Layout::kApart;
    const Dim columns = apart ? 4 * round_up(units, width) : k.gate_columns(units);
    const Dim h_row = units + 5, z_row = columns + 3;
    const auto size = [](Dim n, Dim row, Dim columns) { return n == 0 ? 0 : (n - 1) * row + columns; };
    T* h = m.h_prev.take(size(count, h_row, units));
    T* packed = nullptr;
    if (layout == Layout::kTogether) {
      T* kernel = m.kernel.take(size(units, 4 * units + 1, 4 * units));
      for (Dim i = 0; i < units; ++i)
        std::copy_n(&recurrent[static_cast<std::size_t>(i * 4 * units)], 4 * units, kernel + i * (4 * units + 1));
      packed = m.packed.take(k.packed_b(units, columns));
      k.pack_gates(kernel, 4 * units + 1, units, units, packed, false);
      PYLSTM_EXPECT(m.packed.intact(), "pack_gates wrote in front of its output");
    }
    T* z_rows = m.z.take(size(count, z_row, columns));  // columns of no unit are NaN
    T* before = m.c_prev.take(count * units);
    for (Dim r = 0; r < count; ++r) {
      for (Dim u = 0; u < units; ++u) {
        const auto i = static_cast<std::size_t>((first + r) * units + u);
        h[r * h_row + u] = h_prev[i];
        before[r * units + u] = c_prev[i];
        for (Dim g = 0; g < 4; ++g)
          z_rows[r * z_row + column(layout, width, units, u, g)] = z[4 * i + static_cast<std::size_t>(g)];
      }
    }
    T* c_new = in_place ? before : m.c.take(count * units);
    T* h_new = m.h.take(size(count, h_row, units));
    T* gates = keep ? m.gates.take(4 * count * units) : nullptr;
    const Dim y_row = units + 3, y_first = 2;
    const bool writes = !keep || cut > 0;
    T* y = m.y.take(size(count, y_row, y_first + units));
    std::vector<T*> y_rows;  // the last one first
    for (Dim r = 0; r < count; ++r) y_rows.push_back(y + (count - 1 - r) * y_row);
    const Dim end = cut > 0 ? units / width + 3 : -1;  // past the last block is to the last
    k.lstm_step({count, units, h, h_row, packed, z_rows, z_row, apart ? round_up(units, width) : 0, before, c_new,
                 h_new, h_row, gates, 0, end, cut > 0, cut, writes ? y_rows.data() : nullptr, y_first});
    PYLSTM_EXPECT(m.h.intact() && m.y.intact() && m.z.intact() && (in_place ? m.c_prev : m.c).intact() &&
                      (!keep || m.gates.intact()),
                  "lstm_step wrote in front of an output");
    StepResult<T> result;
    result.c.assign(c_new, c_new + count * units);
    for (Dim r = 0; r < count; ++r) {
      result.h.insert(result.h.end(), h_new + r * h_row, h_new + r * h_row + units);
      for (Dim u = units; u < h_row && r + 1 < count; ++u)
        PYLSTM_EXPECT(is_sentinel(h_new[r * h_row + u]), "lstm_step wrote between rows of h");
      for (Dim u = 0; u < (r > 0 ? y_row : y_first + units); ++u) {
        const T got = y_rows[at(r)][u];
        const bool written = writes && u >= y_first && u < y_first + units;
        PYLSTM_EXPECT(written ? std::memcmp(&got, h_new + r * h_row + u - y_first, sizeof(T)) == 0 : is_sentinel(got),
                      "element ", u - y_first, " of a row of y is ", got);
      }
    }
    if (keep) result.gates.assign(gates, gates + 4 * count * units);
    return result;
  }
};

template <class T>
bool close(const char* what, T got, Wide<T> want, double limit) {
  return PYLSTM_EXPECT(std::fabs(static_cast<double>(got - want)) <= limit, what, " is ", got, ", want ", want,
                       " within ", limit);
}

// Errors pass on through the equations: a sigmoid takes a quarter of its argument's, a tanh all.
template <class T>
void compare(const StepProblem<T>& p, const StepResult<T>& result) {
  const double eps = kEps<T>;
  for (Dim r = 0; r < p.rows; ++r) {
    for (Dim u = 0; u < p.units; ++u) {
      const Dim at = r * p.units + u;
      Wide<T> z[4];
      double dz[4];
      for (Dim g = 0; g < 4; ++g) {
        z[g] = p.z[static_cast<std::size_t>(4 * at + g)];
        Wide<T> magnitude = z[g] < 0 ? -z[g] : z[g];
        for (Dim i = 0; p.layout == Layout::kTogether && i < p.units; ++i) {
          const Wide<T> term = static_cast<Wide<T>>(p.h_prev[static_cast<std::size_t>(r * p.units + i)]) *
                               p.recurrent[static_cast<std::size_t>(i * 4 * p.units + g * p.units + u)];
          z[g] += term;
          magnitude += term < 0 ? -term : term;
        }
        dz[g] = 0.5 * eps * static_cast<double>(p.units + 6) * static_cast<double>(magnitude);
      }
      const Wide<T> i = sigmoid<T>(z[0]), f = sigmoid<T>(z[1]), g = std::tanh(z[2]), o = sigmoid<T>(z[3]);
      const double di = dz[0] / 4 + 2.5 * eps, df = dz[1] / 4 + 2.5 * eps, dg = dz[2] + 2.5 * eps,
                   d_o = dz[3] / 4 + 2.5 * eps;
      const Wide<T> c_prev = p.c_prev[static_cast<std::size_t>(at)], c = f * c_prev + i * g, h = o * std::tanh(c);
      const double dc = df * std::fabs(static_cast<double>(c_prev)) + di + dg +
                        2 * eps * (1 + std::fabs(static_cast<double>(c_prev)));
      const auto k = static_cast<std::size_t>(at);
      close("c", result.c[k], c, dc);
      close("h", result.h[k], h, d_o + dc + 5 * eps);
      if (result.gates.empty()) continue;
      const T* gates = result.gates.data() + r * 4 * p.units + u;
      close("gate i", gates[0], i, di);
      close("gate f", gates[p.units], f, df);
      close("gate c", gates[2 * p.units], g, dg);
      close("gate o", gates[3 * p.units], o, d_o);
    }
  }
}

template <class T>
bool same(const std::vector<T>& a, const T* b) {
  return a.empty() || std::memcmp(a.data(), b, a.size() * sizeof(T)) == 0;
}

template <class T>
void step_case(const KernelTable<T>& k, Step<T>& memory, Layout layout, Dim rows, Dim units, Random& random) {
  StepProblem<T> p = {rows, units, k.width, layout, {}, {}, {}, {}};
  const auto draw = [&](Dim count, T scale) {
    std::vector<T> values;
    for (Dim i = 0; i < count; ++i) values.push_back(random.uniform<T>(-scale, scale));
    return values;
  };
  p.h_prev = draw(rows * units, 1);
  p.recurrent = draw(4 * units * units, T(0.5));
  p.z = draw(4 * rows * units, 3);
  p.c_prev = draw(rows * units, 2);
  const std::string before = report().context;
  std::ostringstream context;
  context << before << "lstm_step layout " << static_cast<int>(layout) << " rows " << rows << " units " << units
          << ": ";
  report().context = context.str();
  const StepResult<T> trained = p.run(k, memory, 0, rows, false, true),
                      inferred = p.run(k, memory, 0, rows, true, false);
  compare(p, trained);
  PYLSTM_EXPECT(same(trained.c, inferred.c.data()) && same(trained.h, inferred.h.data()),
                "keeping gates or a c apart from c_prev changes bits");
  const StepResult<T> cut = p.run(k, memory, 0, rows, false, true, 3);
  PYLSTM_EXPECT(same(cut.c, trained.c.data()) && same(cut.h, trained.h.data()) && same(cut.gates, trained.gates.data()),
                "falling order and cuts change bits");
  for (Dim r = 0; r < rows; ++r) {
    const StepResult<T> alone = p.run(k, memory, r, 1, false, true);
    PYLSTM_EXPECT(same(alone.c, trained.c.data() + r * units) && same(alone.h, trained.h.data() + r * units) &&
                      same(alone.gates, trained.gates.data() + r * 4 * units),
                  "row ", r, " alone has other bits");
  }
  report().context = before;
}

template <class T>
void backward_case(const KernelTable<T>& k, Dim rows, Dim units, Random& random) {
  const Dim n = rows * units;
  Guarded<T> dh_memory(n), dc_memory(n), c_prev_memory(n), c_memory(n), gates_memory(4 * n);
  T *dh = dh_memory.take(n), *dc = dc_memory.take(n), *c_prev = c_prev_memory.take(n), *c = c_memory.take(n),
    *gates = gates_memory.take(4 * n);
  for (Dim i = 0; i < n; ++i) {
    dh[i] = random.uniform<T>(-1, 1);
    dc[i] = random.uniform<T>(-1, 1);
    c_prev[i] = random.uniform<T>(-2, 2);
    c[i] = random.uniform<T>(-3, 3);
    T* gate = gates + i / units * 4 * units + i % units;
    for (Dim g = 0; g < 4; ++g) gate[g * units] = random.uniform<T>(g == 2 ? T(-1) : T(0), 1);
  }
  const std::vector<T> gates_in(gates, gates + 4 * n), dc_in(dc, dc + n);
  const Dim blocks = (units + k.width - 1) / k.width;
  for (const Range part : {Range{0, blocks / 2}, Range{blocks / 2, blocks + 3}}) {
    k.lstm_cells_backward({rows, units, dh, dc, c_prev, c, gates, part.begin, part.end});
  }
  const std::vector<T> gates_of_parts(gates, gates + 4 * n), dc_of_parts(dc, dc + n);
  std::copy(gates_in.begin(), gates_in.end(), gates);
  std::copy(dc_in.begin(), dc_in.end(), dc);
  k.lstm_cells_backward({rows, units, dh, dc, c_prev, c, gates});
  PYLSTM_EXPECT(same(gates_of_parts, gates) && same(dc_of_parts, dc), "blocks in parts give other bits");
  PYLSTM_EXPECT(dc_memory.intact() && gates_memory.intact(), "lstm_cells_backward wrote in front of an output");
  for (Dim at = 0; at < n; ++at) {
    const auto gate = [&](Dim g) { return static_cast<std::size_t>(at / units * 4 * units + g * units + at % units); };
    const Wide<T> i = gates_in[gate(0)], f = gates_in[gate(1)], g = gates_in[gate(2)], o = gates_in[gate(3)];
    const Wide<T> tanh_c = std::tanh(static_cast<Wide<T>>(c[at]));
    const Wide<T> d = dc_in[static_cast<std::size_t>(at)] + dh[at] * o * (1 - tanh_c * tanh_c);
    // All values but c_prev are at most 2: a dozen roundings and a tanh of 2.5 ulp.
    const double limit = 24 * kEps<T> * (1 + std::fabs(static_cast<double>(c_prev[at])));
    close("dz of i", gates[gate(0)], d * g * i * (1 - i), limit);
    close("dz of f", gates[gate(1)], d * c_prev[at] * f * (1 - f), limit);
    close("dz of c", gates[gate(2)], d * i * (1 - g * g), limit);
    close("dz of o", gates[gate(3)], dh[at] * tanh_c * o * (1 - o), limit);
    close("dc", dc[at], d * f, limit);
  }
}

}  // namespace

template <class T>
void lstm_laws(const KernelTable<T>& k, const Options& options) {
  Random random(2);
  std::vector<Dim> units = lengths(k);
  units.push_back(k.width / 2);
  units.push_back(k.width + k.width / 2);
  units.push_back(4 * k.width + 1);
  units.push_back(4 * k.width + k.width / 2 + 1);
  units.push_back(5 * k.width);
  std::vector<Dim> rows = {0, 1, 2, 3, 4, 5, 6, 7, 12, 13};
  if (options.quick) rows = {1, 2, 3, 6, 7};
  const Dim most = 5 * k.width;
  Step<T> memory(4 * most * (4 * most + 16) + 13 * (4 * most + 8));
  for (const Dim u : units) {
    for (const Dim r : rows) {
      for (const Layout layout : {Layout::kTogether, Layout::kApart, Layout::kCellsOnly})
        step_case(k, memory, layout, r, u, random);
      backward_case(k, r, u, random);
    }
  }
}

template void lstm_laws<float>(const KernelTable<float>&, const Options&);
template void lstm_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
