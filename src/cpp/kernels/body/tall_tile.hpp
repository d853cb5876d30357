// A tile of four rows or more by one panel of B, summed in registers. Its loop has little beside loads and
// multiply-adds: another operation takes a place of theirs, at two multiply-adds a cycle about every second time that
// it runs.
#pragma once

// Steps of the inner sum between two branches of the loop. Tiles that ask for a quarter of a line a step ask for a
// whole one at every fourth step.
constexpr int kSteps = 4;
static_assert(kSteps == 4, "as many as the loop is unrolled by");
static_assert(kTileRows <= 6, "rows have two addresses of three each");

// Where a tile finds the elements of A of one step after another.
template <class T, class Layout>
class StepsOfA;

// Of rows the first three from one address, the others from another: more addresses would all have to move on.
template <class T>
class StepsOfA<T, RowsOfA> {
 public:
  PYLSTM_INLINE StepsOfA(const T* a, RowsOfA layout)
      : low_(a), high_(opaque(a + 3 * layout.row)), row_(layout.row * Dim(sizeof(T))) {}
  // Of row r, the element i steps ahead: constants once the loops are unrolled.
  PYLSTM_INLINE T at(int r, Dim i) const {
    const T* row = r < 3 ? low_ : high_;
    return *(reinterpret_cast<const T*>(reinterpret_cast<const char*>(row) + r % 3 * row_) + i);
  }
  // Before a step reads: the compiler would else hold the address of each row at each step in a register.
  PYLSTM_INLINE void step() { __asm__("" : "+r"(row_)); }
  PYLSTM_INLINE void move(Dim steps) {
    low_ = opaque(low_ + steps);
    high_ = opaque(high_ + steps);
  }

 private:
  const T *low_, *high_;
  Dim row_;  // bytes
};

template <class T>
class StepsOfA<T, TilesOfA> {
 public:
  PYLSTM_INLINE StepsOfA(const T* a, TilesOfA) : a_(a) {}
  PYLSTM_INLINE T at(int r, Dim i) const { return a_[i * kTileRows + r]; }
  PYLSTM_INLINE void step() {}
  PYLSTM_INLINE void move(Dim steps) { a_ = opaque(a_ + steps * kTileRows); }

 private:
  const T* a_;
};

// What a tile asks for meanwhile: kQuarterLines quarters of a line of b at each of kSteps steps; and before each run a
// row of c, unless null. Rows of c all at once would take the places of lines that the tile itself waits for.
template <class T>
struct Ahead {
  const T* b;
  const T* c;  // the last element of each line: where rows do not begin at one, the panel before has had the first
};

// Where sums of kZero and kAdd start. Loaded as a bias is: to make zeros in another branch cost a Zen 5 1.7 % of a
// training step over 10,000 classes.
template <class T>
alignas(64) constexpr T kZeros[kPanel<T>] = {};

// MR rows, four to kTileRows, x NV vectors; `largest` takes the outputs too, unless null.
template <class T, int MR, int NV, int kQuarterLines, class Layout>
PYLSTM_INLINE void tall_tile(const T* a, Layout layout, const T* b, T* c, Dim c_row, Dim inner, Start init,
                             const T* bias, Runs runs, Ahead<T> ahead, T* largest) {
  constexpr Dim W = Vec<T>::width;
  V<T> acc[MR][NV];
  // One vector for all rows is copied between registers: as many loads, beside the stores of the tile before, hold up a
  // Zen 5.
  if (init == Start::kKeep) {
    const T* from = c;
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] = load(from + v * W);
      from = opaque(from + c_row);
    }
  } else {
    const T* from = init == Start::kBias ? bias : kZeros<T>;
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const V<T> first = load(from + v * W);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) acc[r][v] = first;
    }
  }
  StepsOfA<T, Layout> rows(a, layout);
  // With two lines a step the second line is asked for in the middle of the step: asked for side by side, two
  // gained a Xeon no more than one. Lines of a row of c are asked for side by side.
  const auto ask = [&](Dim line) PYLSTM_INLINED { __builtin_prefetch(ahead.b + line * kLine<T>, 0, 2); };
  const auto step = [&](Dim i, bool asks) PYLSTM_INLINED {
    rows.step();
    if (asks && i * kQuarterLines % 4 == 0) ask(i * kQuarterLines / 4);
    V<T> row[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) row[v] = load(b + (i * NV + v) * W);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      if (asks && kQuarterLines == 8 && r == MR / 2) ask(i * 2 + 1);
      const V<T> x = splat<T>(rows.at(r, i));
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[r][v] = fma_in_place(x, row[v], acc[r][v]);
    }
  };
  const auto move = [&](Dim steps) PYLSTM_INLINED {
    b = opaque(b + steps * NV * W);
    rows.move(steps);
  };
  do {
    if (ahead.c != nullptr) {
#pragma GCC unroll 4
      for (Dim i = NV * W < kLine<T> ? NV * W : kLine<T>; i <= NV * W; i += kLine<T>)
        __builtin_prefetch(ahead.c + i - 1, 0, 4 - Layout::kOutputsLevel);
      ahead.c += c_row;
    }
    const Dim count = inner < runs.length ? inner : runs.length;
    inner -= count;
#pragma GCC unroll 1
    for (Dim n = count / kSteps; n > 0; --n) {
#pragma GCC unroll 4
      for (int i = 0; i < kSteps; ++i) step(i, kQuarterLines > 0);
      if (kQuarterLines > 0) ahead.b = opaque(ahead.b + kQuarterLines * kSteps / 4 * kLine<T>);
      move(kSteps);
    }
#pragma GCC unroll 1
    for (Dim n = count % kSteps; n > 0; --n) {
      step(0, false);
      move(1);
    }
    rows.move(runs.jump);
  } while (inner > 0);
  const bool add = init == Start::kAdd;
  T* out = opaque(c);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      T* at = out + v * W;
      V<T>& sum = acc[r][v];
      if (add) sum = load(at) + sum;
      store(at, sum);
    }
    out = opaque(out + c_row);
  }
  if (largest == nullptr) return;
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
    T* lanes = largest + r * W;
    V<T> best = load(lanes);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) best = larger_of(acc[r][v], best);
    store(lanes, best);
  }
}
