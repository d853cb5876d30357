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

  // Where the share of `index` of `size` threads ends, from 0 to 1. Shares are equal unless threads differ by more than
  // chance; how large one may be is not bounded.
  double end_of_share(int index, int size) const;
  // The share of [0, n), bounds at multiples of `multiple`.
  Range share(Dim n, int index, int size, Dim multiple = 1) const;

  // Thread `index` has done so much, in units of the region's own, without a wait. Called by that thread.
  void did(int index, double amount, double seconds);

  // Times body(), which does so much.
  template <class F>
  void time(int index, double amount, F body) {
    const Clock::time_point start = Clock::now();
    body();
    did(index, amount, seconds_since(start));
  }

  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  static constexpr int kMost = 64;  // more threads get equal shares
  struct Done {
    double amount = 0, seconds = 0;
  };

  int size_;
  std::array<double, kMost> paces_;
  std::array<Done, kMost> done_;
};

}  // namespace pylstm
