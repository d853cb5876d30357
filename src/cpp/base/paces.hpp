// How fast the threads of regions have lately been beside one another: cores differ, and others use them.
#pragma once

#include <array>
#include <chrono>

#include "base/types.hpp"

namespace pylstm {

// Of one region: how large its threads' shares should be, and what they have done in which time, for later regions. No
// bit of a result may depend on it.
class Paces {
 public:
  explicit Paces(int threads);
  ~Paces();  // after the region
  Paces(const Paces&) = delete;
  Paces& operator=(const Paces&) = delete;

  // No share is more than so many equal ones, but for its bounds' rounding.
  static constexpr double kMostShare = 1.5;
  static constexpr Dim kFewUnits = 4;

  // The share of [0, n) of `index` of `size` threads, bounds at multiples of `multiple`. Shares are equal unless
  // threads differ by more than chance, and of fewer units than kFewUnits for each, which a thread might get none of.
  Range share(Dim n, int index, int size, Dim multiple = 1) const;

  // Thread `index` has done so much, in units of the region's own, without a wait. Called by that thread.
  void did(int index, double amount, double seconds);

  // Times body(), which does so much if it returns true.
  template <class F>
  void time(int index, double amount, F body) {
    if (size_ == 1) return void(body());
    const Clock::time_point start = Clock::now();
    if (body()) did(index, amount, seconds_since(start));
  }

  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  static constexpr int kMost = 64;  // more threads get equal shares
  struct Done {
    double amount, seconds;
  };
  template <class V>
  using OfThreads = std::array<V, kMost>;
  static OfThreads<double>& remembered();  // less 1

  double sum_of_paces(int count) const;
  bool differ(int size) const;

  int size_;
  OfThreads<double> paces_;  // about 1; up to size_, as done_
  OfThreads<Done> done_;
};

}  // namespace pylstm
