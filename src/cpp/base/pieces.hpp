// Work of a region handed out piece by piece: a thread whose core is slower, or is taken away, holds up nobody for
// long.
#pragma once

#include <limits>
#include <mutex>
#include <vector>

#include "base/paces.hpp"
#include "base/types.hpp"

namespace pylstm {

// [0, n) in shares, one for each thread. A thread takes its own share from the front, half of what is left at a time,
// so that others find something to take for long; then of the largest share that is left, from the back. Bounds are
// multiples of `multiple`. A piece has about `smallest` at least, unless a share has less, and `largest` at most; a
// single thread takes as much as it may.
class Pieces {
 public:
  Pieces(Dim n, int threads, Dim smallest, Dim multiple = 1, Dim largest = std::numeric_limits<Dim>::max());

  // Empty when nothing is left. Of thread `index` of as many as above, or fewer; it has finished its piece before.
  Range next(int index);

  // The shares anew, by each of `size` threads some. All must have met since the last piece was taken, and meet before
  // the next one is.
  void renew(int index, int size);

 private:
  struct Thread {
    Range left;  // of its share
    Dim taken = 0;
    Paces::Clock::time_point start;
  };
  Dim size_of_piece(Range left) const;
  Range take(Range& own);

  const Dim n_, smallest_, multiple_, largest_;
  Paces paces_;
  std::mutex mutex_;
  std::vector<Thread> threads_;
};

}  // namespace pylstm
