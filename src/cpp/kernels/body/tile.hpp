// What tiles share, and the tile of up to three rows by adjacent panels of B, summed in registers.
#pragma once

constexpr int kPanelVectors = PYLSTM_PANEL_VECTORS;
constexpr int kTileRows = PYLSTM_TILE_ROWS;

template <class T>
constexpr Dim kPanel = kPanelVectors* Vec<T>::width;

// Elements of a cache line.
template <class T>
constexpr Dim kLine = 64 / sizeof(T);

// What one part of an inner sum starts from: Init, or (kAdd) 0, to be added to C when it is done.
enum class Start { kZero, kBias, kKeep, kAdd };

// A pointer that the compiler knows nothing of: it would else compute the addresses of all outputs before the inner
// loop and hold them in vector registers.
template <class T>
PYLSTM_INLINE T* opaque(T* p) {
  __asm__("" : "+r"(p));
  return p;
}

// Where a tile finds element (r, k) of A: in its caller's rows, or in pack_a's tiles, of which all strides are
// constants.
struct RowsOfA {
  static constexpr int kOutputsLevel = 2;  // the cache into which tiles ask for their outputs
  Dim row;
  // Distance of the tile that starts at row `count`, behind tiles of `height` rows.
  PYLSTM_INLINE Dim rows(Dim count, int /*height*/) const { return count * row; }
  // Opaque, as the compiler would else hold the address of each row at each step in memory.
  template <class T>
  static PYLSTM_INLINE const T* after(const T* a) {
    return opaque(a + 1);
  }
};
struct TilesOfA {
  static constexpr Dim row = 1;
  // Rows pages apart, all of which a tile reads before it can begin.
  static constexpr int kOutputsLevel = 1;
  Dim tile;  // elements
  PYLSTM_INLINE Dim rows(Dim count, int height) const { return count / height * tile; }
  template <class T>
  static PYLSTM_INLINE const T* after(const T* a) {
    return a + kTileRows;
  }
};

// The inner sum is taken in runs of `length` elements of A that stand side by side; those of the next run stand `jump`
// elements past them.
struct Runs {
  Dim length, jump;
};

// One step of the inner sum of a tile: acc[r][v] += a[r] * b[v], of which the last NT are those of `rest`.
template <class T, int MR, int NP, int NV, int NT, class Layout>
PYLSTM_INLINE void tile_step(V<T> (&acc)[MR][NP * NV + NT], const T* a, Layout layout, const T* b, Dim b_panel,
                             const T* rest) {
  constexpr Dim W = Vec<T>::width;
  const auto load_b = [&](int v) {
    const V<T> row = load(v < NP * NV ? b + (v / NV) * b_panel + (v % NV) * W : rest + (v - NP * NV) * W);
    // Of few rows a compiler makes each fma load it, which must then wait for the same line from far away.
    return MR == 2 || MR == 3 ? held<T>(row) : row;
  };
  // The narrower side is held in registers, the wider one passes through.
  constexpr int N = NP * NV + NT;
  if (MR >= N) {
    V<T> row[N];
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) row[v] = load_b(v);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const V<T> x = splat<T>(a[r * layout.row]);
#pragma GCC unroll 16
      for (int v = 0; v < N; ++v) acc[r][v] = fma(x, row[v], acc[r][v]);
    }
  } else {
    V<T> x[MR];
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) x[r] = splat<T>(a[r * layout.row]);
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) {
      const V<T> row = load_b(v);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) acc[r][v] = fma(x[r], row, acc[r][v]);
    }
  }
}

// MR rows x NP adjacent panels of NV vectors, and after them one of NT at `rest`. `valid` columns of the last vector
// exist in C, all of them if kWhole.
template <class T, int MR, int NP, int NV, int NT, bool kWhole, class Layout>
PYLSTM_INLINE void tile(const T* a, Layout layout, const T* b, Dim b_panel, const T* rest, T* c, Dim c_row, Dim c_panel,
                        Dim inner, Start init, const T* bias, Dim valid, Runs runs) {
  constexpr Dim W = Vec<T>::width;
  constexpr int N = NP * NV + NT;
  V<T> acc[MR][N];
  if (init == Start::kBias || init == Start::kKeep) {
    const T* from = init == Start::kBias ? bias : c;
    const Dim row = init == Start::kBias ? 0 : c_row, panel = init == Start::kBias ? NV * W : c_panel;
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < N; ++v) {
        const T* value = from + (v / NV) * panel + (v % NV) * W;
        acc[r][v] = !kWhole && v == N - 1 ? load_n(value, valid) : load(value);
      }
      from = opaque(from + row);
    }
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < N; ++v) acc[r][v] = V<T>{};
    }
  }
  const T* const end = b + inner * NV * W;
  do {
    const T* const stop = end - b < runs.length * NV * W ? end : b + runs.length * NV * W;
    for (; b < stop; b += NV * W, rest += NT * W) {
      tile_step<T, MR, NP, NV, NT>(acc, a, layout, b, b_panel, rest);
      a = Layout::after(a);
    }
    a += runs.jump;
  } while (b < end);
  const bool add = init == Start::kAdd;
  T* row = opaque(c);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < N; ++v) {
      T* out = row + (v / NV) * c_panel + (v % NV) * W;
      if (!kWhole && v == N - 1) {
        if (add) acc[r][v] = load_n(out, valid) + acc[r][v];
        store_n(out, acc[r][v], valid);
      } else {
        if (add) acc[r][v] = load(out) + acc[r][v];
        store(out, acc[r][v]);
      }
    }
    row = opaque(row + c_row);
  }
}
