#include "base/paces.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "base/index.hpp"

namespace pylstm {
namespace {

constexpr double kEqual = 0.06;      // shares within so much of an equal one are equal
constexpr double kShortest = 5e-5;   // seconds of a thread that tell anything
constexpr double kNew = 0.3;         // weight of a new pace against those before
constexpr double kMostAtOnce = 1.5;  // the farthest that a new pace may be from the mean: a core may be gone for once

std::mutex mutex;
std::array<double, 64> remembered;  // less 1, so that it begins at 0

}  // namespace

Paces::Paces(int threads) : size_(threads <= kMost ? std::max(1, threads) : 1) {
  static_assert(kMost == remembered.size(), "");
  if (size_ == 1) return;
  std::fill_n(done_.begin(), size_, Done());
  const std::lock_guard<std::mutex> lock(mutex);
  for (int i = 0; i < size_; ++i) paces_[at(i)] = 1 + remembered[at(i)];
}

double Paces::end_of_share(int index, int size) const {
  const double equal = 1.0 / size, sum = size <= size_ ? std::accumulate(&paces_[0], &paces_[0] + size, 0.0) : 0;
  const auto differs = [&](double pace) { return std::abs(pace / sum - equal) > kEqual * equal; };
  if (size == 1 || size > size_ || index + 1 == size || std::none_of(&paces_[0], &paces_[0] + size, differs)) {
    return equal * (index + 1);
  }
  return std::accumulate(&paces_[0], &paces_[0] + index + 1, 0.0) / sum;
}

Range Paces::share(Dim n, int index, int size, Dim multiple) const {
  const auto units = static_cast<double>((n + multiple - 1) / multiple);
  const auto bound = [&](int end) {
    return end == 0 ? 0 : std::min(n, static_cast<Dim>(units * end_of_share(end - 1, size) + 1e-6) * multiple);
  };
  return {bound(index), bound(index + 1)};
}

void Paces::did(int index, double amount, double seconds) {
  if (index >= size_ || size_ == 1) return;
  done_[at(index)].amount += amount;
  done_[at(index)].seconds += seconds;
}

Paces::~Paces() {
  if (size_ == 1) return;
  std::array<double, kMost> rates;
  for (int i = 0; i < size_; ++i) {
    const Done& done = done_[at(i)];
    if (done.seconds < kShortest || done.amount <= 0) return;
    rates[at(i)] = done.amount / done.seconds;
  }
  const double mean = std::accumulate(&rates[0], &rates[0] + size_, 0.0) / size_;
  const std::lock_guard<std::mutex> lock(mutex);
  for (int i = 0; i < size_; ++i) {
    const double pace = std::min(kMostAtOnce, std::max(1 / kMostAtOnce, rates[at(i)] / mean));
    remembered[at(i)] += kNew * (pace - 1 - remembered[at(i)]);
  }
}

}  // namespace pylstm
