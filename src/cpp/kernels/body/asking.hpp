// Which tiles of a block ask for the next one, and for how much of it at a time.
#pragma once

// How tall tiles ask for the next block: of those that ask, the first `once` for so many quarters of a line at a step,
// the others for twice as many.
struct Asking {
  int quarter_lines;
  Dim once;
  Dim first_asker;  // place of the first row's tile among those that ask; negative: it does not

  constexpr Dim asked_before(Dim place) const { return (place <= once ? place : 2 * place - once) * quarter_lines; }
};

template <class T>
constexpr Dim kQuarterLinesOfPanel = 4 * kPanel<T> / kLine<T>;
template <class T>
constexpr bool kIsOneLine = kPanel<T> == kLine<T>;

// Of so many tall tiles, together all of the block: in the order of memory, so that hardware looks ahead too, and few
// lines at a time, as a core waits for few at a time.
//
// Panels of one line, which are AVX2's and NEON's (not measured): the last four tiles ask, fewer as evenly as they can.
// A Zen 3 waited where two of more tiles, or the second of two, asked for all of it: forward of 20 rows of 1500 units,
// whose weights come from memory, takes 1.10 times as long so, of 32 rows of 512 units 1.03 (benchmarks.builds). Of
// seven rows the first tile, of three, asks for nothing: where the second asked for its part too, 7 rows of 1500 x 6000
// ran at 28 % of the peak instead of 34 (benchmarks/products.cpp).
//
// Others: a tile asks for a line at two steps or, as far as it must, for more. The first one, which itself waits for
// its block to come from the second level, asks for nothing if the others need not ask for more than a line; a lone one
// leaves half to the hardware.
template <class T>
constexpr Asking asking_of(Dim tiles) {
  constexpr Dim all = kQuarterLinesOfPanel<T>;
  if (kIsOneLine<T>) {
    switch (tiles) {
      case 1:
        return {4, 1, 0};
      case 2:
        return {2, 2, 0};
      case 3:
        return {1, 2, 0};
      default:
        return {1, 4, 4 - tiles};
    }
  }
  const Dim spared = (tiles - 1) * 4 >= all ? 1 : 0, asking = tiles - spared;
  return {asking * 2 >= all ? 2 : asking * 4 >= all ? 4 : 8, asking, -spared};
}

template <class T>
constexpr bool all_is_asked_for() {
  for (Dim tiles = 2; tiles <= 64; ++tiles) {
    const Asking asking = asking_of<T>(tiles);
    if (asking.asked_before(tiles + asking.first_asker) < kQuarterLinesOfPanel<T>) return false;
  }
  return true;
}
static_assert(all_is_asked_for<float>() && all_is_asked_for<double>(), "a part of the next block is never asked for");

// f(Constant<quarter_lines>), of an Asking.
template <class T, class F>
PYLSTM_INLINE void with_quarter_lines(Dim quarter_lines, F f) {
  if constexpr (kIsOneLine<T>) {
    if (quarter_lines == 1) return f(Constant<1>());
  }
  if (quarter_lines == 2) return f(Constant<2>());
  if constexpr (kQuarterLinesOfPanel<T> >= 4) {
    if (quarter_lines == 4) return f(Constant<4>());
  }
  if constexpr (kQuarterLinesOfPanel<T> >= 8) f(Constant<8>());
}
