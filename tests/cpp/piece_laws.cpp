// How work is shared: whatever threads do, each element is taken once.
#include "piece_laws.hpp"

#include <vector>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "base/pieces.hpp"
#include "check.hpp"

namespace pylstm::test {
namespace {

struct Case {
  Dim n;
  int threads;
  Dim smallest, multiple, largest;
};

// All pieces, taken by threads in turns that `order` gives, cover [0, n) once.
template <class Order>
void covered(const Case& c, Pieces& pieces, Order order) {
  std::vector<int> taken(at(c.n), 0);
  for (int empty = 0, turn = 0; empty < 50; ++turn) {
    const Range piece = pieces.next(order(turn));
    empty += piece.begin == piece.end;
    PYLSTM_EXPECT(piece.begin % c.multiple == 0 || piece.begin == piece.end, "a piece begins at ", piece.begin);
    PYLSTM_EXPECT(piece.end % c.multiple == 0 || piece.end == c.n, "a piece of ", c.n, " ends at ", piece.end);
    PYLSTM_EXPECT(piece.end - piece.begin <= c.largest, "a piece of ", piece.end - piece.begin);
    for (Dim i = piece.begin; i < piece.end; ++i) ++taken[at(i)];
  }
  for (const int times : taken) {
    if (!PYLSTM_EXPECT(times == 1, "an element of ", c.n, " was taken ", times, " times by ", c.threads)) break;
  }
}

void pieces_cover() {
  constexpr Dim kAny = 1 << 20;
  for (const Dim n : {0, 1, 5, 6, 7, 47, 48, 100, 209, 1000}) {
    for (const int threads : {1, 2, 3, 7}) {
      for (const Case& c : {Case{n, threads, 1, 1, kAny}, Case{n, threads, 24, 6, kAny}, Case{n, threads, 24, 6, 48},
                            Case{n, threads, 5, 4, kAny}}) {
        for (const bool differ : {true, false}) {
          set_paces(threads, differ);
          Pieces pieces(c.n, c.threads, c.smallest, c.multiple, c.largest);
          covered(c, pieces, [&](int turn) { return turn % threads; });
          pieces.renew(0, 1);
          covered(c, pieces, [&](int turn) { return turn * turn % 5 % threads; });
          for (int i = 0; i < threads; ++i) pieces.renew(i, threads);
          covered(c, pieces, [](int) { return 0; });  // as if no other thread came
        }
      }
    }
  }
}

void shares_follow_paces() {
  set_paces(3, false);
  const auto share_of_last = [](int size) {
    const Paces paces(3);
    const Range share = paces.share(6000, size - 1, size);
    return static_cast<double>(share.end - share.begin) / 6000;
  };
  PYLSTM_EXPECT(share_of_last(3) == 1.0 / 3, "threads that are alike get ", share_of_last(3), " of a whole");
  set_paces(3, true);  // 1, 2, 3 are bounded
  const double most = share_of_last(3), of_two = share_of_last(2);
  PYLSTM_EXPECT(most > 0.38 && most < Paces::kMostShare / 3, "the fastest of three gets ", most);
  PYLSTM_EXPECT(of_two > 0.53 && of_two < Paces::kMostShare / 2, "the faster of two gets ", of_two);
  const auto tells_nothing = [](int threads, double seconds) {
    for (int region = 0; region < 40; ++region) {
      Paces paces(3);
      for (int i = 0; i < threads; ++i) paces.did(i, 1, seconds);
    }
  };
  tells_nothing(2, 1);  // one is missing
  tells_nothing(3, 1e-6);
  PYLSTM_EXPECT(share_of_last(3) == most, "a region that tells nothing changed paces");
  for (int i = 0; i < 3; ++i) {
    const Range share = Paces(3).share(11, i, 3), equal = split(11, i, 3);
    PYLSTM_EXPECT(share.begin == equal.begin && share.end == equal.end, "few units are not split equally");
  }
  // Two of them alone, and alike: they come together, and keep their distance from the third.
  set_paces(2, false);
  const double third = share_of_last(3);
  PYLSTM_EXPECT(share_of_last(2) == 0.5 && third > 0.36, "of the third one pace is lost: ", third);
  set_paces(3, false);
  PYLSTM_EXPECT(share_of_last(3) == 1.0 / 3, "paces are not forgotten");
  const Paces many(1000);
  PYLSTM_EXPECT(many.share(1000, 999, 1000).begin == 999, "shares of many threads are not equal");
}

// Half of what is left at a time, and no more than wished.
void sizes_of_pieces() {
  Pieces halves(1000, 2, 10);
  for (const Dim size : {250, 125, 63}) {
    const Range piece = halves.next(0);
    PYLSTM_EXPECT(piece.end - piece.begin == size, "a piece of ", piece.end - piece.begin, ", want ", size);
  }
  Pieces small(100, 2, 50, 1, 7);  // the least wished is more than the most
  Range piece = small.next(1);
  PYLSTM_EXPECT(piece.begin == 50 && piece.end == 57, "a piece of 7 at most is [", piece.begin, ", ", piece.end, ")");
  Pieces whole(1000, 1, 10);
  piece = whole.next(0);
  PYLSTM_EXPECT(piece.begin == 0 && piece.end == 1000, "a single thread takes [", piece.begin, ", ", piece.end, ")");
}

}  // namespace

void piece_laws() {
  pieces_cover();
  shares_follow_paces();
  sizes_of_pieces();
}

}  // namespace pylstm::test
