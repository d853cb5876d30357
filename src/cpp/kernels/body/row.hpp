// The product of one row. Its weights pass once, so that it is as fast as their stream is steady: between two panels
// nothing is built in memory, as a load of what was stored in other pieces just before waits until all before it, sums
// and cells too, has retired.
#pragma once

// Panels at most that one row takes side by side, to keep the fma units busy, and vectors at most of a narrower last
// panel beside them: it has sums to spare, and each loop costs it a branch that is guessed wrong.
constexpr Dim kPanelsTogether = 4;
constexpr Dim kMostRest = kPanelVectors / 2;

// NP panels of NV vectors, from `panel` on, and NT vectors of the one after them, for one block of rows.
template <class T, int NP, int NV, int NT>
PYLSTM_NOINLINE void row_panels(const GemmArgs<T>& p, Dim panel, Dim block) {
  const Dim c_panel = p.c_panel == 0 ? kPanel<T> : p.c_panel;
  const Dim valid = columns_of_last_vector<T>(p.columns - (panel + NP - 1 + (NT > 0)) * kPanel<T>);
  const T* a = p.a + block * p.a_block;
  T* c = p.c + block * p.c_block + panel * c_panel;
  const T* bias = p.bias == nullptr ? nullptr : p.bias + panel * kPanel<T>;
  const Dim length = (p.last_inner < 0 ? p.inner : p.last_inner) - p.first_inner;
  const Dim chains = p.last_inner < 0 ? chains_of<T>(length, p.columns) : 1;
#pragma GCC unroll 1
  for (Dim chain = 0; chain < chains; ++chain) {
    const Dim begin = chain_begin(length, chain, chains), count = chain_begin(length, chain + 1, chains) - begin;
    const Dim k = p.first_inner + begin;
    const T* b = p.b + place_of(p, panel, k);
    const T* rest = NT > 0 ? p.b + place_of(p, panel + NP, k) : nullptr;
    const Start start = chain == 0 ? start_of(p.init) : Start::kAdd;
    const Runs runs = p.a_panel > 0 ? Runs{kPanel<T>, p.a_panel - kPanel<T>} : Runs{count, 0};
    const auto run = [&](auto whole) {
      tile<T, 1, NP, NV, NT, decltype(whole)::value>(a + begin, RowsOfA{0}, b, kPanel<T> * p.inner, rest, c, 0, c_panel,
                                                     count, start, bias, valid, runs);
    };
    valid == Vec<T>::width ? run(Constant<true>{}) : run(Constant<false>{});
  }
}

template <class T, int NP>
PYLSTM_INLINE void row_panels_with_rest(const GemmArgs<T>& p, Dim panel, Dim rest, Dim block) {
  if (rest == 0) return row_panels<T, NP, kPanelVectors, 0>(p, panel, block);
  if (rest == 1) return row_panels<T, NP, kPanelVectors, 1>(p, panel, block);
  row_panels<T, NP, kPanelVectors, kMostRest>(p, panel, block);
}

// Panels [first, last), as many side by side as there are.
template <class T>
PYLSTM_INLINE void run_row(const GemmArgs<T>& p, Dim first, Dim last, Dim block) {
  const Dim columns = p.columns - (last - 1) * kPanel<T>, vectors = (columns + Vec<T>::width - 1) / Vec<T>::width;
  const bool narrow = vectors < kPanelVectors;
  const Dim whole = narrow ? last - 1 : last, rest = narrow && vectors <= kMostRest ? vectors : 0;
  Dim panel = first;
  for (; whole - panel >= 4; panel += 4) row_panels<T, 4, kPanelVectors, 0>(p, panel, block);
  if (whole - panel >= 2) {
    const Dim beside = whole - panel == 2 ? rest : 0;
    row_panels_with_rest<T, 2>(p, panel, beside, block);
    panel += 2 + (beside > 0);
  }
  if (panel < whole) {
    row_panels_with_rest<T, 1>(p, panel, rest, block);
    panel += 1 + (rest > 0);
  }
  if (panel < last) with_vectors(vectors, [&](auto of_panel) { row_panels<T, 1, of_panel.value, 0>(p, panel, block); });
}

// Whether a row reads its panels one after another: a single stream is best from a second-level cache, if the four sums
// of a panel are whole cache lines. Near weights come twice as fast as four sums take them; from still farther away
// more streams are better. Measured beside 48 KiB of first level and 2 MiB of second.
constexpr Dim kNearBytes = 49152, kFarBytes = 1 << 20;
template <class T>
PYLSTM_INLINE bool row_streams(const GemmArgs<T>& p) {
  const bool whole_sum = p.last_inner < 0 && chains_of<T>(p.inner, p.columns) == 1;
  const Dim bytes = p.inner * p.columns * Dim(sizeof(T));
  return Vec<T>::width == kLine<T> && whole_sum && bytes > kNearBytes && bytes <= kFarBytes;
}

// Panels [first, last) one after another, rising or falling, each followed by after(panel), of one block of rows.
template <class T, class F>
PYLSTM_INLINE void stream_row(const GemmArgs<T>& p, Dim first, Dim last, Dim block, F after) {
  const Dim whole = smaller(last, p.columns / kPanel<T>), sign = p.backwards ? -1 : 1;
  const auto run_narrow = [&] {
    run_row<T>(p, whole, last, block);
    after(whole);
  };
  if (p.backwards && whole < last) run_narrow();
  Dim panel = p.backwards ? whole - 1 : first;
  const Dim b_panel = kPanel<T> * p.inner, c_panel = p.c_panel == 0 ? kPanel<T> : p.c_panel;
  const T* a = p.a + block * p.a_block;
  const T* b = p.b + panel * b_panel;
  T* c = p.c + block * p.c_block + panel * c_panel;
  const auto run = [&](auto panels) {
    constexpr int NP = decltype(panels)::value;
    // Side by side they rise.
    const Dim lower = p.backwards ? 1 - NP : 0;
    const T* bias = p.bias == nullptr ? nullptr : p.bias + (panel + lower) * kPanel<T>;
    tile<T, 1, NP, kPanelVectors, 0, true>(a, RowsOfA{0}, b + lower * b_panel, b_panel, nullptr, c + lower * c_panel, 0,
                                           c_panel, p.inner, start_of(p.init), bias, 0, {p.inner, 0});
    for (int i = 0; i < NP; ++i) after(panel + i * sign);
    panel += NP * sign;
    b += NP * sign * b_panel;
    c += NP * sign * c_panel;
  };
  // Those two of which the first was read last: while that comes from near, the other one comes from farther away.
  if (whole - first >= 2 && 2 * b_panel * Dim(sizeof(T)) <= kNearBytes) run(Constant<2>());
  while (panel >= first && panel < whole) run(Constant<1>());
  if (!p.backwards && whole < last) run_narrow();
}

template <class T>
PYLSTM_INLINE void take_largest_of_row(const GemmArgs<T>& p, Dim panels) {
  if (p.largest == nullptr) return;
  const Dim c_panel = p.c_panel == 0 ? kPanel<T> : p.c_panel;
  for (Dim panel = p.first_panel; panel < panels; ++panel) {
    const Dim columns = smaller(kPanel<T>, p.columns - panel * kPanel<T>);
    take_largest<T>(1, columns, p.c + panel * c_panel, 0, p.largest);
  }
}

template <class T>
PYLSTM_INLINE void gemm_row(const GemmArgs<T>& p, Dim panels) {
  if (row_streams(p)) {
    for (Dim block = 0; block < p.row_blocks; ++block) stream_row<T>(p, p.first_panel, panels, block, [](Dim) {});
    return;
  }
  const Dim groups = (panels - p.first_panel + kPanelsTogether - 1) / kPanelsTogether;
  for (Dim i = 0; i < groups; ++i) {
    const Dim panel = p.first_panel + (p.backwards ? groups - 1 - i : i) * kPanelsTogether;
    for (Dim block = 0; block < p.row_blocks; ++block) {
      run_row<T>(p, panel, smaller(panel + kPanelsTogether, panels), block);
    }
  }
}
