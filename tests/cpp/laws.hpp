// The laws of the kernel table, one function for each group, for T float and double. Every law is
// checked for the active instruction set against a plain reference of higher precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "guarded.hpp"
#include "kernels/dispatch.hpp"

namespace pylstm::test {

struct Options {
  bool quick = false;     // fewer sizes and points: under an emulator
  bool brief = false;     // quick, in a build without threads: large cases for the sake of threads are left out
  long points = 1000000;  // sampled arguments of each sign of every activation
};

// A type whose rounding is far below that of T: long double has 64 bits on x86, 113 on AArch64.
template <class T>
using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

template <class T>
constexpr double kEps = static_cast<double>(std::numeric_limits<T>::epsilon());  // spacing at 1

// 0, 1, and what lies around one, two and three vectors.
template <class T>
std::vector<Dim> lengths(const KernelTable<T>& k) {
  const Dim w = k.width;
  return {0, 1, w - 1, w, w + 1, 2 * w - 1, 2 * w, 2 * w + 1, 3 * w + 2};
}

// Column of a gate of a unit in gates order, see LstmStepArgs.
inline Dim gate_column(Dim width, Dim units, Dim unit, Dim gate) {
  const Dim first = unit / width * width, count = std::min(width, units - first);
  const Dim gate_width = 4 * count <= width ? width / 4 : 2 * count <= width ? width / 2 : width;
  return 4 * first + gate * gate_width + unit - first;
}

template <class T>
Wide<T> sigmoid(Wide<T> x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const Wide<T> e = std::exp(x);  // no overflow, no cancellation
  return e / (1 + e);
}

// Distance in units of the last place of T at `want`.
template <class T>
double ulps(Wide<T> got, Wide<T> want) {
  int exponent = 0;
  std::frexp(want, &exponent);
  const Wide<T> unit = std::ldexp(Wide<T>(1), exponent - std::numeric_limits<T>::digits);
  return std::fabs(static_cast<double>((got - want) / unit));
}
// Whether the reference tells anything about T's last places.
template <class T>
constexpr bool kWider = std::numeric_limits<Wide<T>>::digits > std::numeric_limits<T>::digits;

template <class T>
void pack_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void product_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void row_product_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void lstm_laws(const KernelTable<T>& k, const Options& options);
// Accuracy of one step of cells.
template <class T>
void cell_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void sequence_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void lstm_backward_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void lstm_share_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void interrupt_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void softmax_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void dense_softmax_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void elementwise_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void embedding_laws(const KernelTable<T>& k, const Options& options);
template <class T>
void optimizer_laws(const KernelTable<T>& k, const Options& options);
// Arrays: any length, place and aliasing gives each element the same bits; special values.
template <class T>
void activation_laws(const KernelTable<T>& k, const Options& options);
// Accuracy, for all instruction sets at once: the reference is what takes the time.
template <class T>
void accuracy_laws(const std::vector<std::string>& isas, const Options& options);

}  // namespace pylstm::test
