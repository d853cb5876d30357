// The two products, and the operand that one packs.
#include <algorithm>

#include "base/caches.hpp"
#include "base/index.hpp"
#include "ops/product.hpp"
#include "product_problem.hpp"

namespace pylstm::test {
namespace {

// A sum of n terms with one rounding each, a rounding of each product (no fused multiply-add), up
// to four chains and the start: half an eps for each rounding.
template <class T>
double tolerance(Dim inner, Wide<T> magnitude) {
  return 0.5 * kEps<T> * static_cast<double>(inner + 6) * static_cast<double>(magnitude);
}

template <class T>
std::string where(const Problem<T>& p, const char* what, Dim r, Dim n) {
  std::ostringstream out;
  out << what << " rows " << p.rows << " columns " << p.columns << " inner " << p.inner << " at (" << r << ", " << n
      << ")";
  return out.str();
}

// Fills C by f(r, n); what lies between rows stays a sentinel.
template <class T, class F>
T* fill_c(Guarded<T>& memory, Dim rows, Dim columns, Dim c_row, F f) {
  T* c = memory.take(extent(rows, c_row, columns, 1));
  for (Dim r = 0; r < rows; ++r) {
    for (Dim n = 0; n < columns; ++n) c[r * c_row + n] = f(r, n);
  }
  return c;
}

// C against start + product; gaps between rows and the front untouched.
template <class T, class F>
bool check_c(const Problem<T>& p, const Guarded<T>& memory, const T* c, Dim c_row, const char* what, F start) {
  bool right = PYLSTM_EXPECT(memory.intact(), what, " wrote in front of C");
  for (Dim r = 0; r < p.rows; ++r) {
    for (Dim n = 0; n < p.columns; ++n) {
      const auto i = static_cast<std::size_t>(r * p.columns + n);
      const Wide<T> first = start(r, n), want = first + p.sum[i];
      const double error = std::fabs(static_cast<double>(c[r * c_row + n] - want));
      const double limit = tolerance<T>(p.inner, p.magnitude[i] + (first < 0 ? -first : first));
      right = PYLSTM_EXPECT(error <= limit, where(p, what, r, n), ": ", c[r * c_row + n], ", want ", want) && right;
    }
    for (Dim n = p.columns; n < c_row && r + 1 < p.rows && p.columns > 0; ++n) {
      right =
          PYLSTM_EXPECT(is_sentinel(c[r * c_row + n]), where(p, what, r, n), ": written beyond the columns") && right;
    }
  }
  return right;
}

// As logits are made: C in panels, some of them at a time, cut. A NaN is no maximum.
template <class T>
void largest_in_panels(const KernelTable<T>& k, const Problem<T>& p, const T* packed, const T* given_bias) {
  const Dim panel = k.panel_vectors * k.width, panels = (p.columns + panel - 1) / panel;
  std::vector<T> bias(given_bias, given_bias + p.columns), c(at(panels * panel * p.rows));
  bias[0] = std::numeric_limits<T>::quiet_NaN();
  std::vector<T> largest(at(p.rows * k.width), -1), want = largest;
  for (const Range part : {Range{0, panels / 2}, Range{panels / 2, panels}}) {
    GemmArgs<T> args = {p.a, p.a_row, packed, c.data(), panel, bias.data(), p.rows, p.columns, p.inner, Init::kBias};
    args.c_panel = panel * p.rows;
    args.first_panel = part.begin;
    args.last_panel = part.end;
    args.cut = 7;
    args.largest = largest.data();
    if (part.begin < part.end) k.gemm(args);
  }
  for (Dim i = 0; i < panels; ++i) {
    const Dim columns = std::min(panel, p.columns - i * panel);
    k.logits_max({p.rows, columns, c.data() + i * panel * p.rows, panel, nullptr, 0}, want.data());
  }
  PYLSTM_EXPECT(std::memcmp(largest.data(), want.data(), want.size() * sizeof(T)) == 0, where(p, "gemm", 0, 0),
                ": the largest of panels are others");
}

template <class T>
void gemm_case(const KernelTable<T>& k, Memory<T>& memory, Dim rows, Dim columns, Dim inner, bool transposed,
               Random& random) {
  const Problem<T> p = make_problem(memory, rows, columns, inner, false, transposed, random);
  T* packed = memory.packed_b.take(k.packed_b(inner, columns));
  k.pack_b(p.b, p.b_row, p.b_column, inner, columns, packed, false);
  PYLSTM_EXPECT(memory.packed_b.intact(), "pack_b wrote in front of its output");
  T* bias = memory.bias.take(columns);
  for (Dim n = 0; n < columns; ++n) bias[n] = random.uniform<T>(-2, 2);
  const Dim c_row = columns + (transposed ? 0 : 3);
  const auto bias_at = [&](Dim, Dim n) { return bias[n]; };
  const auto zero_at = [](Dim, Dim) { return T(0); };
  const auto run = [&](Init init, T* c) {
    k.gemm({p.a, p.a_row, packed, c, c_row, init == Init::kBias ? bias : nullptr, rows, columns, inner, init});
  };
  const auto rows_alone = [&](Init init, const T* c, const char* what) {
    for (Dim r = 0; r < rows; ++r) {
      T* one =
          fill_c(memory.alone, 1, columns, c_row, [&](Dim, Dim n) { return init == Init::kZero ? T(0) : bias[n]; });
      k.gemm({p.a + r * p.a_row, p.a_row, packed, one, c_row, bias, 1, columns, inner, init});
      for (Dim n = 0; n < columns; ++n) {
        PYLSTM_EXPECT(same_bits(one[n], c[r * c_row + n]), where(p, what, r, n), ": a row alone has other bits");
      }
    }
  };

  T* c = fill_c(memory.c, rows, columns, c_row, [](Dim, Dim) { return sentinel(T()); });
  run(Init::kZero, c);
  check_c(p, memory.c, c, c_row, "gemm kZero", zero_at);
  rows_alone(Init::kZero, c, "gemm kZero");

  c = fill_c(memory.c, rows, columns, c_row, [](Dim, Dim) { return sentinel(T()); });
  run(Init::kBias, c);
  check_c(p, memory.c, c, c_row, "gemm kBias", bias_at);
  rows_alone(Init::kBias, c, "gemm kBias");
  // The same product with changed arguments. C of a kKeep begins with the bias.
  const auto same_again = [&](const char* what, Dim count, auto change) {
    T* again = memory.alone.take(extent(rows, c_row, columns, 1));
    GemmArgs<T> args = {p.a, p.a_row, packed, again, c_row, bias, rows, columns, inner, Init::kBias};
    change(args);
    for (Dim r = 0; r < rows && args.init == Init::kKeep; ++r) std::copy_n(bias, columns, again + r * c_row);
    k.gemm(args);
    PYLSTM_EXPECT(memory.alone.intact(), "gemm with ", count, " ", what, " wrote in front of C");
    for (Dim r = 0; r < rows; ++r) {
      for (Dim n = 0; n < columns; ++n) {
        PYLSTM_EXPECT(same_bits(again[r * c_row + n], c[r * c_row + n]), where(p, "gemm", r, n), ": ", what, " ", count,
                      " changed a bit");
      }
      for (Dim n = columns; n < c_row && r + 1 < rows && columns > 0; ++n) {
        PYLSTM_EXPECT(is_sentinel(again[r * c_row + n]), where(p, "gemm", r, n), ": ", what, " ", count,
                      " wrote beyond the columns");
      }
    }
  };
  for (const Dim cut : {1, 7}) {
    same_again("cut", cut, [&](GemmArgs<T>& args) {
      args.cut = cut;
      args.backwards = cut == 7;
    });
  }
  for (const Dim blocks : {2, 3, 5}) {
    if (rows == 0 || rows % blocks > 0) continue;
    same_again("interleaved blocks of rows", blocks, [&](GemmArgs<T>& args) {  // block i has rows i, i + blocks, ...
      args.rows = rows / blocks;
      args.row_blocks = blocks;
      args.a_block = args.a_row;
      args.c_block = args.c_row;
      args.a_row *= blocks;
      args.c_row *= blocks;
      args.cut = blocks == 3 ? 7 : 0;
      args.init = blocks == 5 ? Init::kKeep : Init::kBias;
    });
    same_again("falling blocks of rows", blocks, [&](GemmArgs<T>& args) {  // the last rows are block 0
      args.rows = rows / blocks;
      args.row_blocks = blocks;
      args.a_block = -args.rows * args.a_row;
      args.c_block = -args.rows * args.c_row;
      args.a -= (blocks - 1) * args.a_block;
      args.c -= (blocks - 1) * args.c_block;
      args.backwards = true;
    });
  }
  std::vector<T> largest(at(rows * k.width), -1), want = largest;
  same_again("largest", 0, [&](GemmArgs<T>& args) { args.largest = largest.data(); });
  k.logits_max({rows, columns, c, c_row, nullptr, 0}, want.data());
  PYLSTM_EXPECT(rows == 0 || std::memcmp(largest.data(), want.data(), want.size() * sizeof(T)) == 0,
                where(p, "gemm", 0, 0), ": the largest of its outputs are others");
  if (rows > 0 && columns > 0) largest_in_panels(k, p, packed, bias);
  same_again("no block of rows, where C is", 0, [&](GemmArgs<T>& args) {
    std::copy_n(c, extent(rows, c_row, columns, 1), args.c);
    args.row_blocks = 0;
  });
  const std::vector<T> biased(c, c + extent(rows, c_row, columns, 1));

  c = fill_c(memory.c, rows, columns, c_row, bias_at);
  run(Init::kKeep, c);
  check_c(p, memory.c, c, c_row, "gemm kKeep", bias_at);
  for (Dim r = 0; r < rows; ++r) {
    for (Dim n = 0; n < columns; ++n) {
      const auto i = static_cast<std::size_t>(r * c_row + n);
      PYLSTM_EXPECT(same_bits(c[i], biased[i]), where(p, "gemm", r, n), ": kKeep and kBias differ in bits");
    }
  }
}

// The tiles of A^T are checked as such, then the product.
template <class T>
void gemm_packed_case(const KernelTable<T>& k, Memory<T>& memory, Dim rows, Dim columns, Dim inner, Heights h,
                      Random& random) {
  Problem<T> p = make_problem(memory, rows, columns, inner, true, true, random);
  const Dim first = 2;
  std::vector<const T*> sources;
  for (Dim i = 0; i < inner; ++i) sources.push_back(p.a + i * p.a_inner - first);
  T* packed_a = pack_tiles(k, memory, sources.data(), first, inner, h);
  for (Dim r = 0; r < rows; ++r) {
    for (Dim i = 0; i < inner; ++i) {
      const auto [tile, place] = h.place_of(r);
      const T got = packed_a[(tile * inner + i) * k.tile_rows + place];
      PYLSTM_EXPECT(same_bits(got, p.a[r * p.a_row + i * p.a_inner]), where(p, "pack_a", r, i));
    }
  }
  T* packed_b = memory.packed_b.take(k.packed_b(inner, columns));
  k.pack_b(p.b, p.b_row, p.b_column, inner, columns, packed_b, false);
  const Dim c_row = columns + 3;
  T* c = fill_c(memory.c, rows, columns, c_row, [](Dim, Dim) { return sentinel(T()); });
  k.gemm_packed({packed_a, packed_b, c, c_row, h.height, h.low, h.high, columns, inner, Init::kZero});
  if (!check_c(p, memory.c, c, c_row, "gemm_packed kZero", [](Dim, Dim) { return T(0); })) return;
  const std::vector<T> whole(c, c + extent(rows, c_row, columns, 1));

  for (const Dim cut : {Dim{1}, Dim{64}, inner}) {
    c = fill_c(memory.c, rows, columns, c_row, [](Dim, Dim) { return sentinel(T()); });
    k.gemm_packed({packed_a, packed_b, c, c_row, h.height, h.low, h.high, columns, inner, Init::kZero, nullptr, cut});
    for (Dim i = 0; i < rows * columns; ++i) {
      const Dim r = i / columns, n = i % columns, at = r * c_row + n;
      PYLSTM_EXPECT(same_bits(c[at], whole[static_cast<std::size_t>(at)]), where(p, "gemm_packed", r, n), ": cut at ",
                    cut, " it has other bits");
    }
  }

  c = fill_c(memory.c, rows, columns, c_row, [](Dim r, Dim n) { return T(r) - T(n); });
  k.gemm_packed({packed_a, packed_b, c, c_row, h.height, h.low, h.high, columns, inner, Init::kKeep});
  check_c(p, memory.c, c, c_row, "gemm_packed kKeep", [](Dim r, Dim n) { return T(r) - T(n); });

  // Cut where a caller cuts: the sum into two calls, the columns at a panel.
  const Dim panel = k.panel_vectors * k.width, cut_columns = std::min(columns, panel), cut = inner / 3;
  c = fill_c(memory.c, rows, columns, c_row, [](Dim, Dim) { return sentinel(T()); });
  for (const Range part : {Range{0, cut_columns}, Range{cut_columns, columns}}) {
    for (const Range sum : {Range{0, cut}, Range{cut, inner}}) {
      const Dim n = part.end - part.begin, count = sum.end - sum.begin;
      packed_a = pack_tiles(k, memory, sources.data() + sum.begin, first, count, h);
      packed_b = memory.packed_b.take(k.packed_b(count, n));
      k.pack_b(p.b + sum.begin * p.b_row + part.begin * p.b_column, p.b_row, p.b_column, count, n, packed_b, false);
      k.gemm_packed({packed_a, packed_b, c + part.begin, c_row, h.height, h.low, h.high, n, count,
                     sum.begin == 0 && sum.end == cut ? Init::kZero : Init::kKeep});
    }
  }
  for (Dim r = 0; r < rows; ++r) {
    for (Dim n = 0; n < columns; ++n) {
      const auto i = static_cast<std::size_t>(r * c_row + n);
      PYLSTM_EXPECT(same_bits(c[i], whole[i]), where(p, "gemm_packed", r, n), ": cutting sum and columns changes bits");
    }
  }
}

template <class T>
void gemm_packed_cases(const KernelTable<T>& k, Memory<T>& memory, Dim rows, Dim columns, Dim inner, Random& random) {
  for (const Heights h : heights_of(rows, k.tile_rows)) gemm_packed_case(k, memory, rows, columns, inner, h, random);
}

// The A of a problem in panels, as GemmArgs::a_panel says.
template <class T>
T* in_panels(const Problem<T>& p, Guarded<T>& memory, Dim panel, Dim a_panel) {
  const Dim last = (p.inner - 1) / panel;
  T* a = memory.take(last * a_panel + extent(p.rows, panel, p.inner - last * panel, 1));
  for (Dim r = 0; r < p.rows; ++r) {
    for (Dim k = 0; k < p.inner; ++k) a[k / panel * a_panel + r * panel + k % panel] = p.a[r * p.a_row + k];
  }
  return a;
}

// A sum by ranges of the inner one has the same bits in any cut, and with A in panels.
template <class T>
void gemm_ranges(const KernelTable<T>& k, Memory<T>& memory, Random& random) {
  const Dim panel = k.panel_vectors * k.width, inner = 3 * panel + 5;
  for (const Dim columns : {panel - 1, panel + 1, 3 * panel, 3 * panel + 1, 4 * panel + 1}) {
    for (const Dim rows : {1, 2, 3, 4, 6, 13, 25}) {
      const Problem<T> p = make_problem(memory, rows, columns, inner, false, false, random);
      T* packed = memory.packed_b.take(k.packed_b(inner, columns));
      k.pack_b(p.b, p.b_row, p.b_column, inner, columns, packed, false);
      std::vector<T> found;
      const Dim a_panel = (rows + 2) * panel;
      const T* panels_of_a = in_panels(p, memory.packed_a, panel, a_panel);
      const auto run = [&](Dim step, bool panels) {
        T* c = fill_c(memory.c, rows, columns, columns, [](Dim, Dim) { return sentinel(T()); });
        for (Dim first = 0; first < inner; first += step) {
          const Init init = first == 0 ? Init::kZero : Init::kKeep;
          GemmArgs<T> args = {p.a + first, p.a_row, packed, c, columns, nullptr, rows, columns, inner, init};
          args.first_inner = first;
          args.last_inner = std::min(first + step, inner);
          if (panels) {
            args.a = panels_of_a + first / panel * a_panel;
            args.a_row = panel;
            args.a_panel = a_panel;
          }
          k.gemm(args);
        }
        check_c(p, memory.c, c, columns, "gemm by ranges", [](Dim, Dim) { return T(0); });
        if (found.empty()) found.assign(c, c + rows * columns);
        for (Dim i = 0; i < rows * columns; ++i) {
          PYLSTM_EXPECT(same_bits(c[i], found[static_cast<std::size_t>(i)]),
                        where(p, "gemm by ranges", i / columns, i % columns), ": ranges of ", step,
                        panels ? " in panels" : "", " have other bits");
        }
      };
      for (const Dim step : {inner, panel, 2 * panel, Dim{7}}) run(step, false);
      for (const Dim step : {inner, panel, 2 * panel}) run(step, true);
    }
  }
}

// Rows that ops takes some at a time, as their A leaves the second level, have the bits of one product.
template <class T>
void many_rows(const KernelTable<T>& k, Random& random) {
  const Dim columns = k.width + 1, c_row = columns + 3;
  for (const Dim rows : {97, 200}) {
    const Dim inner = second_level_cache() / 2 / static_cast<Dim>(sizeof(T)) / rows + 1, a_row = inner + 3;
    std::vector<T> a(at(rows * a_row)), b(at(inner * columns)), bias(at(columns));
    for (std::vector<T>* values : {&a, &b, &bias}) {
      for (T& value : *values) value = random.uniform<T>(-1, 1);
    }
    Panels<T> panels;
    panels.pack(k, b.data(), columns, 1, inner, columns);
    for (const Init init : {Init::kBias, Init::kKeep}) {
      std::vector<T> got(at(rows * c_row), T(0.5)), want = got;
      std::vector<T> split = want;
      GemmArgs<T> args = whole_product(a.data(), a_row, panels, got.data(), c_row, rows, init, bias.data());
      product(k, args);
      args.c = split.data();
      product_in_parallel(k, args, nullptr);
      args.c = want.data();
      k.gemm(args);
      PYLSTM_EXPECT(got == want, "a product of ", rows, " rows of ", inner, " has other bits than one of the kernels");
      PYLSTM_EXPECT(split == want, "a product of ", rows, " rows of ", inner, " has other bits in parallel");
    }
  }
}

}  // namespace

template <class T>
void product_laws(const KernelTable<T>& k, const Options& options) {
  Random random(1);
  const Dim w = k.width, panel = k.panel_vectors * w;
  std::vector<Dim> columns = {0,
                              1,
                              w - 1,
                              w,
                              w + 1,
                              panel - 1,
                              panel,
                              panel + 1,
                              panel + w + 1,
                              panel + 2 * w + 1,
                              2 * panel,
                              2 * panel + 3,
                              3 * panel + 1,
                              4 * panel,
                              4 * panel + w + 1};
  std::vector<Dim> inner = {0, 1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 300};
  std::vector<Dim> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  if (options.quick) {
    columns = {1, w + 1, panel - 1, panel, panel + w + 1, 3 * panel + 1, 4 * panel + w + 1};
    inner = {0, 1, 8, 33, 129};
    rows = {0, 1, 2, 3, 4, 5, 6, 7, 13};
  }
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  const Dim longest = 8200;  // longer than two blocks of the inner sum on every instruction set
  Memory<T> memory((4 * panel + 2 * w + 8) * (longest + 16));
  bool transposed = false;
  for (const Dim r : rows) {
    for (const Dim n : columns) {
      for (const Dim i : inner) {
        transposed = !transposed;
        gemm_case(k, memory, r, n, i, transposed, random);
        if (i <= 129) gemm_packed_cases(k, memory, r, n, i, random);
      }
    }
  }
  for (const Dim r : {1, 4, 7}) {
    for (const Dim n : {w + 1, panel, 4 * panel + 1}) gemm_case(k, memory, r, n, longest, false, random);
  }
  // Tiles enough to share out asking for the next block, and, cut in two, to pack four of any height together.
  for (const Dim r : {25, 50, 55, 60}) {
    for (const Dim n : {w + 1, panel, 2 * panel + 3}) {
      for (const Dim i : {0, 1, 2, 3, 5, 6, 7, 12, 129}) {
        gemm_case(k, memory, r, n, i, false, random);
        gemm_packed_cases(k, memory, r, n, i, random);
      }
    }
  }
  const Dim far = 524288 / static_cast<Dim>(sizeof(T)) / 55;  // columns of outputs so large that tiles ask for them
  for (const Dim i : {3, 29}) {
    gemm_case(k, memory, 55, far / panel * panel + panel + 3, i, false, random);
    gemm_packed_cases(k, memory, 55, far / panel * panel + panel + 3, i, random);
  }
  for (const Dim n : {4 * panel, 4 * panel + w + 1}) {  // one row begins with two panels, of which one may be near
    for (const Dim i : {64, 95}) gemm_case(k, memory, 1, n, i, false, random);
  }
  gemm_ranges(k, memory, random);
  many_rows(k, random);
}

template void product_laws<float>(const KernelTable<float>&, const Options&);
template void product_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
