#include "base/paces.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>

#include "base/index.hpp"

namespace pylstm {
namespace {

constexpr double kEqual = 0.06;     // shares within so much of an equal one are equal
constexpr double kShortest = 5e-5;  // seconds of a thread that tell anything
constexpr double kLevelKept = 0.9;  // of a mean's distance from 1
constexpr double kNew = 0.3;        // weight of a new pace against those before

// Guards remembered(). No lock of a fork's: a child has one thread, and remembers nothing.
std::mutex mutex;

// Paces that are at most kMostShare apart make no larger share.
double bounded(double pace) {
  const double farthest = std::sqrt(Paces::kMostShare);
  return std::min(farthest, std::max(1 / farthest, pace));
}

}  // namespace

Paces::OfThreads<double>& Paces::remembered() {
  static OfThreads<double> values = {};
  return values;
}

Paces::Paces(int threads) : size_(threads <= kMost ? std::max(1, threads) : 1) {
  if (size_ == 1) return;
  std::fill_n(done_.begin(), size_, Done());
  const std::lock_guard<std::mutex> lock(mutex);
  for (int i = 0; i < size_; ++i) paces_[at(i)] = 1 + remembered()[at(i)];
}

double Paces::sum_of_paces(int count) const { return std::accumulate(paces_.begin(), paces_.begin() + count, 0.0); }

bool Paces::differ(int size) const {
  if (size == 1 || size > size_) return false;
  const double equal = sum_of_paces(size) / size;
  return std::any_of(paces_.begin(), paces_.begin() + size,
                     [=](double pace) { return std::fabs(pace - equal) > kEqual * equal; });
}

Range Paces::share(Dim n, int index, int size, Dim multiple) const {
  const Dim units = (n + multiple - 1) / multiple;
  const bool equal = units < kFewUnits * size || !differ(size);
  const auto bound = [&](int end) {
    if (end == 0 || end == size) return end == 0 ? 0 : n;
    const auto unit = equal
                          ? units * end / size
                          : static_cast<Dim>(static_cast<double>(units) * sum_of_paces(end) / sum_of_paces(size) + 0.5);
    return std::min(n, unit * multiple);
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
  OfThreads<double> rates;
  for (int i = 0; i < size_; ++i) {
    const Done& done = done_[at(i)];
    if (done.seconds < kShortest || done.amount <= 0) return;
    rates[at(i)] = done.amount / done.seconds;
  }
  // Threads that are a part of those remembered keep the mean that they had among them, but for what bounds have moved.
  const double level = 1 + kLevelKept * (sum_of_paces(size_) / size_ - 1);
  const double one = std::accumulate(rates.begin(), rates.begin() + size_, 0.0) / size_ / level;
  const std::lock_guard<std::mutex> lock(mutex);
  for (int i = 0; i < size_; ++i) {
    double& pace = remembered()[at(i)];
    pace += kNew * (bounded(rates[at(i)] / one) - 1 - pace);
  }
}

}  // namespace pylstm
