// Panels of B: parts, and ways to store them.
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

// Past the caches or not, panels hold the same.
template <class T>
void pack_past_caches(const KernelTable<T>& k, Memory<T>& memory, Random& random) {
  const Dim units = 2 * k.width + 1, columns = 4 * units, inner = 3 * k.width + 2;
  for (const bool transposed : {false, true}) {
    const Problem<T> p = make_problem(memory, 0, columns, inner, false, transposed, random);
    for (const bool gates : {false, true}) {
      if (gates && transposed) continue;
      const Dim size = k.packed_b(inner, gates ? 4 * round_up(units, k.width) : columns);
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
  pack_past_caches(k, memory, random);
}

template void pack_laws<float>(const KernelTable<float>&, const Options&);
template void pack_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
