// Panels of B: parts, and ways to store them.
#include <algorithm>

#include "base/buffer.hpp"
#include "base/index.hpp"
#include "product_problem.hpp"

namespace pylstm::test {
namespace {

// A range of columns that begins at a panel is packed as it is inside the whole.
template <class T>
void pack_parts(const KernelTable<T>& k, Memory<T>& memory, Random& random) {
  const Dim panel = k.panel_vectors * k.width, columns = 6 * panel + 1, inner = 19;
  const Problem<T> p = make_problem(memory, 0, columns, inner, false, false, random);
  const Dim size = k.packed_b(inner, columns);
  PYLSTM_EXPECT(size >= inner * columns && size < inner * (columns + k.width), "packed_b(", inner, ", ", columns,
                ") is ", size);
  T* whole = memory.packed_b.take(size);
  k.pack_b(p.b, p.b_row, p.b_column, inner, columns, whole, false);
  for (Dim first = 0; first < columns; first += panel) {
    T* part = memory.packed_a.take(k.packed_b(inner, columns - first));
    k.pack_b(p.b + first * p.b_column, p.b_row, p.b_column, inner, columns - first, part, false);
    const auto bytes = static_cast<std::size_t>(k.packed_b(inner, columns - first)) * sizeof(T);
    PYLSTM_EXPECT(std::memcmp(part, whole + first * inner, bytes) == 0, "pack_b from column ", first, " differs");
  }
}

// Gates order as the table tells it, every column that is no unit's 0.
template <class T>
void pack_in_gates_order(const KernelTable<T>& k, Memory<T>& memory, Random& random) {
  const Dim inner = 5, panel = k.panel_vectors * k.width;
  for (Dim units = 0; units <= 2 * k.width + 1; ++units) {
    const Problem<T> p = make_problem(memory, 0, 4 * units, inner, false, false, random);
    const Dim columns = k.gate_columns(units), size = k.packed_b(inner, columns);
    PYLSTM_EXPECT(columns % k.width == 0 && columns >= 4 * units && columns < 4 * units + 2 * k.width, "gate_columns(",
                  units, ") is ", columns);
    T* packed = memory.packed_b.take(size);
    k.pack_gates(p.b, p.b_row, inner, units, packed, false);
    std::vector<T> want(static_cast<std::size_t>(columns * inner), 0);
    for (Dim unit = 0; unit < units; ++unit) {
      for (Dim gate = 0; gate < 4; ++gate) {
        const Dim column = gate_column(k.width, units, unit, gate), begin = column / panel * panel;
        for (Dim i = 0; i < inner; ++i)
          want[at(begin * inner + i * std::min(panel, columns - begin) + column - begin)] =
              p.b[i * p.b_row + gate * units + unit];
      }
    }
    PYLSTM_EXPECT(std::equal(want.begin(), want.end(), packed), "pack_gates of ", units, " units differs");
    PYLSTM_EXPECT(memory.packed_b.intact(), "pack_gates wrote in front of its output");
  }
}

// Past the caches or not, panels hold the same.
template <class T>
void pack_past_caches(const KernelTable<T>& k, Memory<T>& memory, Random& random) {
  const Dim units = 2 * k.width + 1, columns = 4 * units, inner = 3 * k.width + 2;
  for (const bool transposed : {false, true}) {
    const Problem<T> p = make_problem(memory, 0, columns, inner, false, transposed, random);
    for (const bool gates : {false, true}) {
      if (gates && transposed) continue;
      const Dim size = k.packed_b(inner, gates ? k.gate_columns(units) : columns);
      Buffer<T> panels[2];
      for (const bool past : {false, true}) {
        T* packed = panels[past].reserve_zeroed(size);
        gates ? k.pack_gates(p.b, p.b_row, inner, units, packed, past)
              : k.pack_b(p.b, p.b_row, p.b_column, inner, columns, packed, past);
      }
      PYLSTM_EXPECT(std::memcmp(panels[0].data(), panels[1].data(), panels[0].bytes()) == 0,
                    gates ? "gates" : "columns", transposed ? ", transposed," : "", " packed past the caches differ");
    }
  }
}

}  // namespace

template <class T>
void pack_laws(const KernelTable<T>& k, const Options&) {
  Random random(6);
  Memory<T> memory(32 * k.panel_vectors * k.width * (7 * k.panel_vectors * k.width));
  pack_parts(k, memory, random);
  pack_in_gates_order(k, memory, random);
  pack_past_caches(k, memory, random);
}

template void pack_laws<float>(const KernelTable<float>&, const Options&);
template void pack_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
