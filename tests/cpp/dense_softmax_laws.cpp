// The dense softmax layer at prediction.
#include <algorithm>

#include "base/parallel.hpp"
#include "laws.hpp"
#include "ops/dense_softmax.hpp"
#include "piece_laws.hpp"
#include "softmax_reference.hpp"

namespace pylstm::test {
namespace {

// Softmax of x kernel, row r into y + r * row.
template <class T>
void softmax_of(const KernelTable<T>& k, const std::vector<T>& x, const T* kernel, Dim rows, Dim n, T* y, Dim row) {
  const Dim inputs = rows == 0 ? 0 : static_cast<Dim>(x.size()) / rows;
  DenseWeights<T> w;
  w.pack(k, kernel, nullptr, inputs, n, false);
  std::vector<const T*> in;
  std::vector<T*> out;
  for (Dim r = 0; r < rows; ++r) {
    in.push_back(x.data() + r * inputs);
    out.push_back(y + r * row);
  }
  CrossEntropyScratch<T> scratch;
  dense_softmax(k, w, in.data(), rows, out.data(), true, nullptr, scratch);
  PYLSTM_EXPECT(scratch.bytes() <= dense_softmax_bytes(k, inputs, n, rows), "softmax of ", rows, " rows holds ",
                scratch.bytes(), " bytes, planned ", dense_softmax_bytes(k, inputs, n, rows));
}

template <class T>
void softmax_case(const KernelTable<T>& k, Dim rows, Dim n, T scale, Random& random) {
  const Dim row = n + 3, size = rows == 0 || n == 0 ? 0 : (rows - 1) * row + n;
  Guarded<T> y_memory(size);
  std::vector<T> z, identity(static_cast<std::size_t>(rows * rows), T(0));  // one times a logit is that logit
  for (Dim i = 0; i < rows * n; ++i) z.push_back(random.uniform<T>(-scale, scale));
  for (Dim r = 0; r < rows; ++r) identity[static_cast<std::size_t>(r * rows + r)] = T(1);
  T* y = y_memory.take(size);
  softmax_of(k, identity, z.data(), rows, n, y, row);
  PYLSTM_EXPECT(y_memory.intact(), "softmax wrote in front of y");
  for (Dim r = 0; r < rows; ++r) {
    Wide<T> log_sum;
    const std::vector<Wide<T>> want = probabilities<T>(z.data() + r * n, n, &log_sum);
    const double limit = relative<T>(n, spread_of(z.data() + r * n, n));
    for (Dim i = 0; i < n; ++i) {
      const Wide<T> p = want[static_cast<std::size_t>(i)];
      const double error = std::fabs(static_cast<double>(y[r * row + i] - p));
      PYLSTM_EXPECT(error <= limit * static_cast<double>(p) + std::numeric_limits<T>::min(), "softmax of ", n,
                    " columns: ", y[r * row + i], ", want ", p);
    }
    for (Dim i = n; i < row && r + 1 < rows; ++i)
      PYLSTM_EXPECT(is_sentinel(y[r * row + i]), "softmax wrote between rows");
    std::vector<T> alone(static_cast<std::size_t>(n));
    softmax_of(k, {T(1)}, z.data() + r * n, 1, n, alone.data(), n);
    PYLSTM_EXPECT(std::memcmp(alone.data(), y + r * row, static_cast<std::size_t>(n) * sizeof(T)) == 0,
                  "softmax of a row alone has other bits, ", n, " columns");
  }
}

// Rows that threads share, in several pieces of logits or in one: the same bits on any number of threads, and of a row
// alone.
template <class T>
void pieces_case(const KernelTable<T>& k, Dim rows, Dim inputs, Dim n, Random& random) {
  std::vector<T> x, kernel;
  for (Dim i = 0; i < rows * inputs; ++i) x.push_back(random.uniform<T>(-1, 1));
  for (Dim i = 0; i < inputs * n; ++i) kernel.push_back(random.uniform<T>(-1, 1));
  const auto size = static_cast<std::size_t>(n);
  std::vector<T> first, y(static_cast<std::size_t>(rows) * size), alone(size);
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    set_paces(threads, threads == 3);
    softmax_of(k, x, kernel.data(), rows, n, y.data(), n);
    if (threads == 1) first = y;
    PYLSTM_EXPECT(std::memcmp(y.data(), first.data(), y.size() * sizeof(T)) == 0, "softmax of ", rows,
                  " rows has other bits on ", threads, " threads");
    std::fill(y.begin(), y.end(), T(0));
    parallel_region(1, [&](int, int) { softmax_of(k, x, kernel.data(), rows, n, y.data(), n); });
    PYLSTM_EXPECT(std::memcmp(y.data(), first.data(), y.size() * sizeof(T)) == 0, "softmax of ", rows,
                  " rows has other bits where it gets one thread of ", threads);
  }
  set_num_threads(before);
  for (Dim r = 0; r < rows; r += 13) {
    softmax_of(k, {x.begin() + r * inputs, x.begin() + (r + 1) * inputs}, kernel.data(), 1, n, alone.data(), n);
    PYLSTM_EXPECT(std::memcmp(alone.data(), y.data() + r * n, size * sizeof(T)) == 0, "row ", r, " of ", rows,
                  " has other bits alone");
  }
}

// Rows at every place relative to a line, of logits whose panels stand side by side or apart.
template <class T>
void write_case(const KernelTable<T>& k, Dim n, Dim place, bool apart, bool past_caches, Random& random) {
  constexpr Dim kRows = 3;
  const Dim panel = k.panel_vectors * k.width, z_row = apart ? panel + 1 : n + 2, z_panel = apart ? kRows * z_row : 0;
  const Dim y_row = n + place + 1, first = place, size = kRows * y_row;
  std::vector<T> z, factor;
  for (Dim i = 0; i < kRows * (n / panel + 1) * (n + panel + 2); ++i) z.push_back(random.uniform<T>(0, 1));
  for (Dim r = 0; r < kRows; ++r) factor.push_back(random.uniform<T>(0, 1));
  Guarded<T> memory(size);
  T* y = memory.take(size);
  T* const rows[kRows] = {y, y + y_row, y + 2 * y_row};
  k.logits_write({kRows, n, z.data(), z_row, nullptr, 0, nullptr, z_panel}, factor.data(), rows, first, past_caches);
  PYLSTM_EXPECT(memory.intact(), "logits_write wrote in front of y");
  for (Dim i = 0; i < size; ++i) {
    const Dim r = i / y_row, column = i % y_row - first;
    if (column < 0 || column >= n) {
      PYLSTM_EXPECT(is_sentinel(y[i]), "logits_write of ", n, " columns wrote beside them, at ", column);
    } else {
      const Dim from = r * z_row + (apart ? column / panel * z_panel + column % panel : column);
      const T want = z[static_cast<std::size_t>(from)] * factor[static_cast<std::size_t>(r)];
      PYLSTM_EXPECT(same_bits(y[i], want), "logits_write of ", n, " columns: ", y[i], ", want ", want);
    }
  }
}

// Exponentials of a panel, which have a loop of their own, have the bits of those of its vectors one by one.
template <class T>
void exp_case(const KernelTable<T>& k, Random& random) {
  constexpr Dim kRows = 3;
  const Dim panel = k.panel_vectors * k.width;
  std::vector<T> z, shift(kRows, T(1)), lanes(static_cast<std::size_t>(kRows * k.width), T(0.5));
  for (Dim i = 0; i < kRows * panel; ++i) z.push_back(random.uniform<T>(-90, 1));
  std::vector<T> parts = z, parts_lanes = lanes;
  k.logits_exp({kRows, panel, z.data(), panel, nullptr, 0}, shift.data(), lanes.data());
  for (Dim first = 0; first < panel; first += k.width) {
    k.logits_exp({kRows, k.width, parts.data() + first, panel, nullptr, 0}, shift.data(), parts_lanes.data());
  }
  PYLSTM_EXPECT(std::memcmp(z.data(), parts.data(), z.size() * sizeof(T)) == 0, "exponentials of a panel");
  PYLSTM_EXPECT(std::memcmp(lanes.data(), parts_lanes.data(), lanes.size() * sizeof(T)) == 0, "sums of a panel");
}

template <class T>
void softmax_special(const KernelTable<T>& k, Dim n) {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const auto size = static_cast<std::size_t>(n);
  std::vector<T> rows(3 * size);
  softmax_of(k, {T(1), nan, T(1)}, std::vector<T>(size, T(0.5)).data(), 3, n, rows.data(), n);
  for (Dim i = 0; i < 3 * n; ++i) {
    const T value = rows[static_cast<std::size_t>(i)];
    PYLSTM_EXPECT((value != value) == (i / n == 1), "NaN in row 1 of ", n, " columns: softmax gives ", value, " at ",
                  i);
  }
  for (Dim place = 0; place < n; ++place) {
    std::vector<T> poisoned(size, T(0.5)), y(size);
    poisoned[static_cast<std::size_t>(place)] = nan;
    softmax_of(k, {T(1)}, poisoned.data(), 1, n, y.data(), n);
    for (const T value : y) PYLSTM_EXPECT(value != value, "NaN at ", place, " of ", n, ": softmax gives ", value);
    // One finite value among -inf, and one far above all others, take everything.
    std::vector<T> alone(size, -inf), peak(size, T(-1e30));
    alone[static_cast<std::size_t>(place)] = T(3);
    peak[static_cast<std::size_t>(place)] = T(1e30);
    for (const std::vector<T>* z : {&alone, &peak}) {
      softmax_of(k, {T(1)}, z->data(), 1, n, y.data(), n);
      for (Dim i = 0; i < n; ++i)
        PYLSTM_EXPECT(y[static_cast<std::size_t>(i)] == T(i == place), "softmax of a peak among ", n);
    }
  }
}

}  // namespace

template <class T>
void dense_softmax_laws(const KernelTable<T>& k, const Options&) {
  Random random(11);
  std::vector<Dim> columns = lengths(k);
  for (const Dim n : {Dim{100}, Dim{1003}}) columns.push_back(n);
  for (const Dim n : columns) {
    for (Dim place = 0; place < 64 / static_cast<Dim>(sizeof(T)); ++place) {
      for (const bool past_caches : {false, true}) {
        for (const bool apart : {false, true}) write_case(k, n, place, apart, past_caches, random);
      }
    }
    if (n == 0) continue;
    for (const Dim rows : {0, 1, 3}) {
      softmax_case<T>(k, rows, n, T(2), random);
      softmax_case<T>(k, rows, n, T(40), random);
    }
    if (n < 100) softmax_special(k, n);
  }
  exp_case(k, random);
  pieces_case(k, 301, 3, 9003, random);
  pieces_case(k, 32, 64, 2003, random);
}

template void dense_softmax_laws<float>(const KernelTable<float>&, const Options&);
template void dense_softmax_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
