// A tile of four rows or more by one panel of B, summed in registers. Its loop has little beside loads and
// multiply-adds: another operation takes a place of theirs, at two multiply-adds a cycle about every second time that
// it runs.
#pragma once

// Steps of the inner sum between two branches of the loop. Tiles that ask for a quarter of a line a step ask for a
// whole one at every fourth step.
constexpr int kSteps = 4;
static_assert(kSteps % 4 == 0, "");
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
  // Element i steps ahead.
  template <int kRow>
  PYLSTM_INLINE T at(Dim i) const {
    const T* row = kRow < 3 ? low_ : high_;
    return *(reinterpret_cast<const T*>(reinterpret_cast<const char*>(row) + kRow % 3 * row_) + i);
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
  template <int kRow>
  PYLSTM_INLINE T at(Dim i) const {
    return a_[i * kTileRows + kRow];
  }
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
    each<MR>([&](auto r) PYLSTM_INLINED {
      each<NV>([&](auto v) PYLSTM_INLINED { acc[r.value][v.value] = load(from + v.value * W); });
      from = opaque(from + c_row);
    });
  } else {
    const T* from = init == Start::kBias ? bias : kZeros<T>;
    each<NV>([&](auto v) PYLSTM_INLINED {
      const V<T> first = load(from + v.value * W);
      each<MR>([&](auto r) PYLSTM_INLINED { acc[r.value][v.value] = first; });
    });
  }
  StepsOfA<T, Layout> rows(a, layout);
  // With two lines a step the second line is asked for in the middle of the step: asked for side by side, two
  // gained a Xeon no more than one. Lines of a row of c are asked for side by side.
  const auto ask = [&](Dim line) PYLSTM_INLINED { __builtin_prefetch(ahead.b + line * kLine<T>, 0, 2); };
  const auto step = [&](Dim i, auto asks) PYLSTM_INLINED {
    rows.step();
    if (asks.value && i * kQuarterLines % 4 == 0) ask(i * kQuarterLines / 4);
    V<T> row[NV];
    each<NV>([&](auto v) PYLSTM_INLINED { row[v.value] = load(b + (i * NV + v.value) * W); });
    each<MR>([&](auto r) PYLSTM_INLINED {
      if (asks.value && kQuarterLines == 8 && r.value == MR / 2) ask(i * 2 + 1);
      const V<T> x = splat<T>(rows.template at<r.value>(i));
      each<NV>([&](auto v)
                   PYLSTM_INLINED { acc[r.value][v.value] = fma_in_place(x, row[v.value], acc[r.value][v.value]); });
    });
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
      each<kSteps>([&](auto i) PYLSTM_INLINED { step(i.value, Constant<(kQuarterLines > 0)>()); });
      if (kQuarterLines > 0) ahead.b = opaque(ahead.b + kQuarterLines * kSteps / 4 * kLine<T>);
      move(kSteps);
    }
#pragma GCC unroll 1
    for (Dim n = count % kSteps; n > 0; --n) {
      step(0, Constant<false>());
      move(1);
    }
    rows.move(runs.jump);
  } while (inner > 0);
  const bool add = init == Start::kAdd;
  T* out = opaque(c);
  each<MR>([&](auto r) PYLSTM_INLINED {
    each<NV>([&](auto v) PYLSTM_INLINED {
      T* at = out + v.value * W;
      V<T>& sum = acc[r.value][v.value];
      if (add) sum = load(at) + sum;
      store(at, sum);
    });
    out = opaque(out + c_row);
  });
  if (largest == nullptr) return;
  each<MR>([&](auto r) PYLSTM_INLINED {
    T* lanes = largest + r.value * W;
    V<T> best = load(lanes);
    each<NV>([&](auto v) PYLSTM_INLINED { best = larger_of(acc[r.value][v.value], best); });
    store(lanes, best);
  });
}
