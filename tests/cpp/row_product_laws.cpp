// Sums over rows: any number of rows, outputs and columns, at the edges of what is packed and run together.
#include <algorithm>
#include <chrono>
#include <thread>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/row_product.hpp"
#include "piece_laws.hpp"

namespace pylstm::test {
namespace {

template <class T>
struct Sums {
  std::vector<T> x, ones;                             // x [rows, inputs]
  std::vector<T> d;                                   // [rows, columns]
  std::vector<const T*> x_rows, rest_rows, one_rows;  // all of x, its last two thirds
};

// Where the outputs of factors stand: one after another, so that they share tiles, or with a row between them.
enum class Place { kTogether, kApart };

template <class T>
Sums<T> make_sums(Dim rows, Dim inputs, Dim columns, Random& random) {
  Sums<T> s;
  s.ones.assign(1, 1);
  for (Dim i = 0; i < rows * inputs; ++i) s.x.push_back(random.uniform<T>(-1, 1));
  for (Dim i = 0; i < rows * columns; ++i) s.d.push_back(random.uniform<T>(-1, 1));
  for (Dim m = 0; m < rows; ++m) s.x_rows.push_back(s.x.data() + m * inputs);
  for (const T* row : s.x_rows) s.rest_rows.push_back(row + inputs / 3);
  s.one_rows.assign(at(rows), s.ones.data());
  return s;
}

// The outputs of factors: x in two, then the ones.
std::vector<Dim> factors_of(Dim inputs) { return {inputs / 3, inputs - inputs / 3, 1}; }

// What a run leaves in [inputs + 1, columns + 3]: sums for x, in two factors, then for the ones; the gaps keep their
// sentinels.
template <class T>
std::vector<T> run_sums(const KernelTable<T>& k, const Sums<T>& s, Dim inputs, Dim columns, bool accumulate,
                        bool in_panels, RowProductOptions options = {}, Place place = Place::kTogether) {
  const Dim rows = static_cast<Dim>(s.x_rows.size()), row = columns + 3;
  options.accumulate = accumulate;
  const Dim first = inputs / 3, gap = place == Place::kApart ? 1 : 0;
  std::vector<T> out(at((inputs + 1 + 2 * gap) * row), sentinel(T()));
  const auto output = [&](Dim i) { return out.data() + (i + (i < first ? 0 : i < inputs ? gap : 2 * gap)) * row; };
  for (Dim i = 0; accumulate && i <= inputs; ++i) std::fill_n(output(i), columns, T(i % 5));
  std::vector<T> panels(at(k.packed_b(rows, columns)));
  if (in_panels) k.pack_b(s.d.data(), columns, 1, rows, columns, panels.data(), false);
  const RowOperand<T> d = in_panels ? RowOperand<T>{panels.data(), 0, rows} : RowOperand<T>{s.d.data(), columns, 0};
  RowProductScratch<T> scratch;
  product_over_rows<T>(k,
                       {{s.x_rows.data(), first, output(0), row},
                        {s.rest_rows.data(), inputs - first, output(first), row},
                        {s.one_rows.data(), 1, output(inputs), row}},
                       d, columns, rows, scratch, options);
  const RowProductPlan plan = plan_product_over_rows(k, factors_of(inputs), columns, rows, in_panels);
  const auto planned = static_cast<std::size_t>(plan.scratch.a + plan.scratch.d) * sizeof(T);
  PYLSTM_EXPECT(scratch.bytes() <= planned, "a sum over ", rows, " rows reserved ", scratch.bytes(), ", planned ",
                planned);
  for (const Dim between : {inputs, first}) {
    if (gap == 0) break;
    const auto at_gap = out.begin() + (between + (between == first ? 0 : gap)) * row;
    PYLSTM_EXPECT(std::all_of(at_gap, at_gap + row, is_sentinel<T>), "a sum over rows wrote between its outputs");
    out.erase(at_gap, at_gap + row);
  }
  return out;
}

template <class T>
void sums_case(const KernelTable<T>& k, Dim rows, Dim inputs, Dim columns, Random& random) {
  const Sums<T> s = make_sums<T>(rows, inputs, columns, random);
  const Dim row = columns + 3;
  for (const bool accumulate : {false, true}) {
    set_num_threads(1);
    const std::vector<T> alone = run_sums(k, s, inputs, columns, accumulate, false);
    for (Dim i = 0; i <= inputs; ++i) {
      if (i > 8 && i < inputs - 14 && i % 37 != 0) continue;
      for (Dim n = 0; n < row; ++n) {
        const T got = alone[at(i * row + n)];
        if (n >= columns) {
          PYLSTM_EXPECT(is_sentinel(got), "a sum over rows wrote beyond its columns, at (", i, ", ", n, ")");
          continue;
        }
        Wide<T> want = accumulate ? T(i % 5) : T(0), magnitude = want;
        for (Dim m = 0; m < rows; ++m) {
          const Wide<T> term = (i == inputs ? T(1) : s.x[at(m * inputs + i)]) * Wide<T>(s.d[at(m * columns + n)]);
          want += term;
          magnitude += term < 0 ? -term : term;
        }
        // A rounding of each sum and, without fused multiply-add, of each product.
        const double limit = 0.5 * kEps<T> * static_cast<double>(rows + 2) * static_cast<double>(magnitude);
        PYLSTM_EXPECT(std::fabs(static_cast<double>(got - want)) <= limit, "a sum over ", rows, " rows of ", inputs,
                      " inputs and ", columns, " columns at (", i, ", ", n, "): ", got, ", want ", want);
      }
    }
    for (const int threads : {1, 2, 3, 5}) {
      set_num_threads(threads);
      set_paces(threads, threads == 3);
      for (const bool in_panels : {false, true}) {
        RowProductOptions options;
        if (threads == 3) options.most_threads = 2;
        const Place place = in_panels == (threads > 2) ? Place::kTogether : Place::kApart;
        const std::vector<T> other = run_sums(k, s, inputs, columns, accumulate, in_panels, options, place);
        PYLSTM_EXPECT(std::memcmp(other.data(), alone.data(), alone.size() * sizeof(T)) == 0, "a sum over ", rows,
                      " rows of ", inputs, " inputs and ", columns, " columns has other bits with ", threads,
                      " threads", in_panels ? " and D in panels" : "", place == Place::kApart ? ", outputs apart" : "");
      }
    }
  }
}

}  // namespace

// What threads of such a sum share, which are several on every instruction set.
template <class T>
void threads_share(const KernelTable<T>& k, Dim inputs, Dim columns, Dim rows, bool tiles) {
  set_num_threads(2);
  const RowProductPlan plan = plan_product_over_rows(k, factors_of(inputs), columns, rows, false);
  PYLSTM_EXPECT(plan.threads == 2 && plan.by_tiles == tiles, "not the sum that this is for: ", plan.threads, " threads",
                plan.by_tiles ? " by tiles" : " by panels");
}

// A sum that is asked to stop leaves its outputs, and no thread waits for another.
template <class T>
void interrupted(const KernelTable<T>& k, Random& random) {
  const Dim panel = k.panel_vectors * k.width;
  Interrupt interrupt([] { return true; });
  while (!interrupt.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  RowProductOptions options;
  options.interrupt = &interrupt;
  for (const Dim columns : {5 * panel, 6 * panel}) {
    const Sums<T> s = make_sums<T>(257, 200, columns, random);
    for (const T value : run_sums(k, s, 200, columns, false, false, options))
      if (!PYLSTM_EXPECT(is_sentinel(value), "a sum that was asked to stop wrote ", value)) break;
  }
}

template <class T>
void row_product_laws(const KernelTable<T>& k, const Options& options) {
  const int threads = num_threads();
  Random random(7);
  const Dim panel = k.panel_vectors * k.width;
  sums_case(k, 1, 1, 1, random);
  sums_case(k, 3, k.tile_rows + 1, panel - 1, random);
  sums_case(k, 0, 3, panel + 1, random);
  sums_case(k, 129, 200, 5 * panel, random);
  sums_case(k, 257, 200, 6 * panel, random);
  threads_share<T>(k, 200, 6 * panel, 257, false);
  threads_share<T>(k, 200, 5 * panel, 257, true);
  interrupted(k, random);
  if (!options.quick) {
    sums_case(k, 257, 13, 9 * panel + 1, random);    // two blocks of rows; groups of panels and a rest
    sums_case(k, 515, 523, 10 * panel + 3, random);  // more outputs than run together
  }
  set_num_threads(threads);
}

template void row_product_laws<float>(const KernelTable<float>&, const Options&);
template void row_product_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
