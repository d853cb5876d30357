// The matrix product, of two rows or more: blocks of rows, panels of B and parts of the inner sum, run in tiles; longer
// sums continue through C, which changes no bit.
#pragma once

// A block of a panel in a sum over features (bytes), unless a caller cuts otherwise: it streams from a second-level
// cache, of which it takes half or less, since each cut costs all tiles a pass over C. A Zen 4, of 32 KiB first level,
// runs 512 units forward 2 to 3 % faster than in blocks of 32 KiB.
constexpr Dim kPanelBytes = 131072;
// In a sum over rows, where tiles of A stream too, it stays in a first-level cache of 48 KiB, unless a caller cuts
// otherwise.
constexpr Dim kPackedPanelBytes = 32768;

template <class T>
constexpr Dim kInnerBlock = kPanelBytes / (kPanel<T> * Dim(sizeof(T)));
template <class T>
constexpr Dim kPackedInnerBlock = kPackedPanelBytes / (kPanel<T> * Dim(sizeof(T)));

// Outputs of more bytes are taken to come from beyond a second-level cache: tiles ask for the rows that follow theirs.
// To ask for nearer ones cost more than it gained, beside 2 MiB of second level.
constexpr Dim kFarOutputs = 524288;
template <class T>
PYLSTM_INLINE bool are_far(Dim rows, Dim columns) {
  return rows * columns * Dim(sizeof(T)) > kFarOutputs;
}

// Where a block writes, and from what its sums start.
template <class T>
struct Outputs {
  T* at;
  Dim row, panel, valid;  // distances, and columns of the last vector that exist
  Start init;
  const T* bias;
  bool far;        // see kFarOutputs
  const T* after;  // those after the last tile's; null: unknown
  T* largest;      // see GemmArgs; null also while sums are not complete
};

template <class T, class Layout>
struct Block {  // one rectangle of a product: some rows, one or more panels, part of the inner sum
  Dim rows, inner;
  const T* a;
  Layout layout;
  Runs runs;
  const T* b;
  Dim b_panel;
  Outputs<T> c;
  const T* next;  // the block of B that comes nearer meanwhile
  Asking asking;
};

// Of a tile that has left its sums in memory.
template <class T>
PYLSTM_NOINLINE void take_largest_of(const Outputs<T>& c, Dim row, Dim rows, Dim panels, Dim vectors) {
  for (Dim i = 0; i < panels; ++i) {
    const Dim columns = i + 1 < panels ? kPanel<T> : (vectors - 1) * Vec<T>::width + c.valid;
    take_largest<T>(rows, columns, c.at + row * c.row + i * c.panel, c.row, c.largest + row * Vec<T>::width);
  }
}

// `count` tiles of MR rows, from `row` on; before them so many quarters of lines were asked for at a step. One function
// runs them all: what is computed anew between two tiles, calls and guesses among it, the multiply-adds of the next one
// wait for.
template <class T, int MR, int NV, int kQuarterLines, class Layout>
PYLSTM_NOINLINE void run_tall_tiles(const Block<T, Layout>& p, Dim row, Dim asked, Dim count) {
  const Dim end = row + count * MR;
  do {
    Ahead<T> ahead = {p.next + asked * (kLine<T> / 4 * p.inner), nullptr};
    Runs runs = p.runs;
    if (p.c.far) {
      ahead.c = row + MR < p.rows ? p.c.at + (row + MR) * p.c.row : p.c.after;
      runs.length = round_up((p.inner + MR - 1) / MR, kSteps);  // no more runs than rows; A is in one, so no jump
    }
    tall_tile<T, MR, NV, kQuarterLines>(p.a + p.layout.rows(row, MR), p.layout, p.b, p.c.at + row * p.c.row, p.c.row,
                                        p.inner, p.c.init, p.c.bias, runs, ahead,
                                        p.c.largest == nullptr ? nullptr : p.c.largest + row * Vec<T>::width);
    row += MR;
    asked += kQuarterLines;
  } while (row < end);
}

// One tile of up to three rows.
template <class T, int MR, int NP, int NV, class Layout>
PYLSTM_NOINLINE void run_low_tile(const Block<T, Layout>& p, Dim row) {
  tile<T, MR, NP, NV, 0, true>(p.a + p.layout.rows(row, MR), p.layout, p.b, p.b_panel, nullptr, p.c.at + row * p.c.row,
                               p.c.row, p.c.panel, p.inner, p.c.init, p.c.bias, p.c.valid, p.runs);
  if (p.c.largest != nullptr) take_largest_of<T>(p.c, row, MR, NP, NV);
}

// `count` tiles of MR rows, one of them if they are low, that ask for nothing.
template <class T, int MR, int NV, class Layout>
PYLSTM_INLINE void run_unasked(const Block<T, Layout>& p, Dim row, Dim count) {
  if constexpr (MR < 4) {
    run_low_tile<T, MR, 1, NV>(p, row);
  } else {
    run_tall_tiles<T, MR, NV, 0>(p, row, 0, count);
  }
}

// `count` tiles of a panel whose last vector ends past C, run(block) each: whole, beside C. Tiles that know where C
// ends would be as many again to compile, for nothing that could be measured with AVX2, the one that was.
template <class T, class Layout>
PYLSTM_NOINLINE void run_beside(const Block<T, Layout>& p, Dim height, Dim vectors, Dim row, Dim count,
                                void (*run)(const Block<T, Layout>&)) {
  constexpr Dim W = Vec<T>::width;
  alignas(64) T sums[kTileRows * kPanel<T>];
  const Dim last = (vectors - 1) * W;
  const bool is_bias = p.c.init == Start::kBias;
  Block<T, Layout> one = p;
  one.rows = height;
  one.c = {sums, kPanel<T>, 0, W, is_bias ? Start::kKeep : p.c.init, nullptr, false, nullptr, nullptr};
  for (const Dim end = row + count * height; row < end; row += height) {
    T* const c = p.c.at + row * p.c.row;
    for (Dim r = 0; r < height && p.c.init != Start::kZero; ++r) {
      const T* from = is_bias ? p.c.bias : c + r * p.c.row;
      for (Dim i = 0; i < last; i += W) store(sums + r * kPanel<T> + i, load(from + i));
      store(sums + r * kPanel<T> + last, load_n(from + last, p.c.valid));
    }
    one.a = p.a + p.layout.rows(row, height);
    run(one);
    for (Dim r = 0; r < height; ++r) {
      const T* from = sums + r * kPanel<T>;
      for (Dim i = 0; i < last; i += W) store(c + r * p.c.row + i, load(from + i));
      store_n(c + r * p.c.row + last, load(from + last), p.c.valid);
    }
    if (p.c.largest != nullptr) take_largest_of<T>(p.c, row, height, 1, vectors);
  }
}

// `count` tiles of MR rows, one of them if they are low: those before the first that asks, those that do, and those for
// which nothing is left. Of a whole panel; beside a narrower one little would be gained.
template <class T, int MR, int NV, class Layout>
PYLSTM_INLINE void run_tiles(const Block<T, Layout>& p, Dim row, Dim t, Dim count) {
  if (p.c.valid < Vec<T>::width) {
    const auto run = [](const Block<T, Layout>& one) { run_unasked<T, MR, NV>(one, 0, 1); };
    return run_beside<T, Layout>(p, MR, NV, row, count, run);
  }
  if constexpr (MR > 3 && NV == kPanelVectors) {
    const auto run = [&](auto quarter_lines, Dim n) {
      if (n <= 0) return;
      run_tall_tiles<T, MR, NV, quarter_lines.value>(p, row, t < 0 ? 0 : p.asking.asked_before(t), n);
      row += n * MR;
      t += n;
      count -= n;
    };
    const auto run_asking = [&](Dim quarter_lines, Dim end) {
      with_quarter_lines<T>(quarter_lines, [&](auto each) {
        const Dim left = kQuarterLinesOfPanel<T> - p.asking.asked_before(t);
        run(each, smaller(count, smaller(end - t, (left + each.value - 1) / each.value)));
      });
    };
    run(Constant<0>(), smaller(count, -t));
    run_asking(p.asking.quarter_lines, p.asking.once);
    if constexpr (kIsOneLine<T>) run_asking(2 * p.asking.quarter_lines, t + count);
  }
  if (count > 0) run_unasked<T, MR, NV>(p, row, count);
}

PYLSTM_INLINE Dim tiles_of(Dim rows) { return (rows + kTileRows - 1) / kTileRows; }

template <class T, int NV, class Layout>
PYLSTM_INLINE void run_tiles_of(const Block<T, Layout>& p, Dim height, Dim row, Dim t, Dim count) {
  switch (height) {
    case 1:  // packed; of rows, one has a path of its own
      return run_tiles<T, 1, NV>(p, row, t, count);
    case 2:
      return run_tiles<T, 2, NV>(p, row, t, count);
    case 3:
      return run_tiles<T, 3, NV>(p, row, t, count);
    case 4:
      return run_tiles<T, 4, NV>(p, row, t, count);
    case 5:
      return run_tiles<T, 5, NV>(p, row, t, count);
    default:
      return run_tiles<T, 6, NV>(p, row, t, count);
  }
}

// Rows in tiles of nearly equal height, the lower ones first: a tail of one row would run at a fraction of the speed.
template <class T, int NV, class Layout>
PYLSTM_INLINE void run_rows(const Block<T, Layout>& p) {
  const Dim tiles = tiles_of(p.rows), low = p.rows / tiles, high_tiles = p.rows - low * tiles;
  const Dim low_tiles = tiles - high_tiles, t = p.asking.first_asker;
  run_tiles_of<T, NV>(p, low, 0, t, low_tiles);
  if (high_tiles > 0) run_tiles_of<T, NV>(p, low + 1, low_tiles * low, t + low_tiles, high_tiles);
}

// Rows that are packed in tiles: `low` of them of `height` rows, the others one row higher.
template <class T, int NV>
PYLSTM_INLINE void run_packed(const Block<T, TilesOfA>& p, Dim height, Dim low, Dim high) {
  const Dim t = p.asking.first_asker;
  if (low > 0) run_tiles_of<T, NV>(p, height, 0, t, low);
  if (high == 0) return;
  Block<T, TilesOfA> rest = p;
  rest.a += low * p.layout.tile;
  rest.c.at += low * height * p.c.row;
  rest.rows -= low * height;
  run_tiles_of<T, NV>(rest, height + 1, 0, t + low, high);
}

// How many panels a tile of so few rows, two or more, takes together: side by side they keep the fma units busy.
PYLSTM_INLINE Dim panels_for(Dim rows) { return rows <= 3 ? 2 : 1; }

template <class T, class Layout>
PYLSTM_INLINE void run_block(const Block<T, Layout>& p, Dim panels, Dim vectors) {
  if (panels == 1) return with_vectors(vectors, [&](auto of_panel) { run_rows<T, of_panel.value>(p); });
  if (p.rows == 2) return run_low_tile<T, 2, 2, kPanelVectors>(p, 0);
  run_low_tile<T, 3, 2, kPanelVectors>(p, 0);
}

// Distance from B of what runs after block [begin, end) of the inner sum of `panel`, the last of panels [first, last):
// - the sum goes on: the next block of the first of these panels;
// - it ends, panels rise: what follows in memory (of a range of the sum, the next range of this panel);
// - it ends, panels fall: the first of as many panels before these; this block itself if there are none.
template <class T>
PYLSTM_INLINE Dim next_block(const GemmArgs<T>& p, Dim panel, Dim first, Dim last, Dim begin, Dim end) {
  if (end < p.inner) return place_of(p, first, end);
  if (!p.backwards) return place_of(p, panel, end);
  const Dim next = first - (last - first);
  return next < 0 ? place_of(p, panel, begin) : place_of(p, next, 0);
}

// Where part i of `parts` of a sum begins: the tile's loop takes kSteps at a time.
PYLSTM_INLINE Dim part_begin(Dim inner, Dim i, Dim parts) {
  return i == parts ? inner : inner * i / parts / kSteps * kSteps;
}

// Of so few tiles none asks for C: the block of B that they all use comes from as far away, and would wait behind.
constexpr Dim kFewTiles = 4;

// Panels [first, last) of the product, one part [begin, end) of the inner sum.
template <class T>
PYLSTM_INLINE void run_panels(const GemmArgs<T>& p, Dim first, Dim last, Dim begin, Dim end, Start init) {
  constexpr Dim W = Vec<T>::width;
  const Dim c_panel = p.c_panel == 0 ? kPanel<T> : p.c_panel;
  for (Dim panel = first; panel < last;) {
    const Dim columns = p.columns - panel * kPanel<T>;
    const Dim vectors = columns >= kPanel<T> ? kPanelVectors : (columns + W - 1) / W;
    const Dim wanted = panels_for(p.rows), taken = panel + wanted > last || columns < wanted * kPanel<T> ? 1 : wanted;
    const Dim valid = columns_of_last_vector<T>(columns - (taken - 1) * kPanel<T>);
    const Dim tiles = tiles_of(p.rows);
    const Asking asking = asking_of<T>(tiles * p.row_blocks);
    const Runs runs = p.a_panel > 0 ? Runs{kPanel<T>, p.a_panel - kPanel<T>} : Runs{end - begin, 0};
    const T* bias = p.bias == nullptr ? nullptr : p.bias + panel * kPanel<T>;
    const bool far = begin == 0 && p.a_panel == 0 && tiles * p.row_blocks > kFewTiles &&
                     are_far<T>(p.rows * p.row_blocks, p.columns);
    const bool more = panel + taken < last;
    const Outputs<T> c = {
        p.c + panel * c_panel, p.c_row, c_panel, valid, init, bias, far, nullptr, end == p.inner ? p.largest : nullptr};
    const T* a = p.a + (begin - p.first_inner);
    const T* b = p.b + place_of(p, panel, begin);
    const Dim next = more ? place_of(p, panel + taken, begin) : next_block<T>(p, panel, first, last, begin, end);
    Block<T, RowsOfA> block = {p.rows, end - begin, a, {p.a_row}, runs, b, kPanel<T> * p.inner, c, p.b + next, asking};
    const Dim after = p.backwards ? panel - 1 : panel + 1;
    const bool last_panel = after < 0 || after * kPanel<T> >= p.columns;
    for (Dim i = 0; i < p.row_blocks; ++i) {
      block.a = a + i * p.a_block;
      block.c.at = c.at + i * p.c_block;
      block.c.after = i + 1 < p.row_blocks ? block.c.at + p.c_block : last_panel ? nullptr : p.c + after * c_panel;
      block.asking.first_asker = asking.first_asker + i * tiles;
      run_block<T>(block, taken, vectors);
    }
    panel += taken;
  }
}

// The whole inner sum over panels [first, last): chain by chain, and inside the first chain in
// blocks. Only the first chain continues C; the others are added whole.
template <class T>
PYLSTM_INLINE void gemm_panels(const GemmArgs<T>& p, Dim first, Dim last) {
  const Dim chains = chains_of<T>(p.inner, p.columns);
  if (p.inner == 0) return run_panels<T>(p, first, last, 0, 0, start_of(p.init));
  for (Dim chain = 0; chain < chains; ++chain) {
    const Dim begin = chain_begin(p.inner, chain, chains), end = chain_begin(p.inner, chain + 1, chains);
    if (chain > 0) {
      run_panels<T>(p, first, last, begin, end, Start::kAdd);
      continue;
    }
    const Dim cut = p.cut > 0 ? p.cut : kInnerBlock<T>, blocks = (end - begin + cut - 1) / cut;
    for (Dim i = 0; i < blocks; ++i) {
      run_panels<T>(p, first, last, begin + part_begin(end - begin, i, blocks),
                    begin + part_begin(end - begin, i + 1, blocks), i == 0 ? start_of(p.init) : Start::kKeep);
    }
  }
}

template <class T>
void gemm(const GemmArgs<T>& p) {
  if (p.rows == 0 || p.row_blocks == 0 || p.columns == 0) return;
  const Dim panels = p.last_panel < 0 ? (p.columns + kPanel<T> - 1) / kPanel<T> : p.last_panel;
  if (p.first_panel >= panels) return;
  if (p.rows == 1) {
    gemm_row<T>(p, panels);
    return take_largest_of_row<T>(p, panels);
  }
  if (p.last_inner >= 0) {
    return run_panels<T>(p, p.first_panel, panels, p.first_inner, p.last_inner, start_of(p.init));
  }
  const Dim step = panels_for(p.rows), groups = (panels - p.first_panel + step - 1) / step;
  for (Dim i = 0; i < groups; ++i) {
    const Dim panel = p.first_panel + (p.backwards ? groups - 1 - i : i) * step;
    gemm_panels<T>(p, panel, smaller(panel + step, panels));
  }
}

// A sum over rows has no chains: its outputs are many, and one row never runs alone. Unless a caller cuts otherwise, it
// is cut where a panel of B leaves the first-level cache.
template <class T>
void gemm_packed(const GemmPackedArgs<T>& p) {
  const Dim tiles = p.low + p.high, rows = tiles * p.height + p.high;
  if (rows == 0) return;
  constexpr Dim W = Vec<T>::width;
  const Dim cut = p.cut > 0 ? p.cut : kPackedInnerBlock<T>, blocks = p.inner <= cut ? 1 : (p.inner + cut - 1) / cut;
  const bool far = are_far<T>(rows, p.c_row);
  for (Dim column = 0; column < p.columns; column += kPanel<T>) {
    const Dim columns = p.columns - column;
    const Dim vectors = columns >= kPanel<T> ? kPanelVectors : (columns + W - 1) / W;
    const Dim valid = columns_of_last_vector<T>(columns);
    const bool follows = column + kPanel<T> < p.columns || p.next != nullptr;
    const Asking asking = asking_of<T>(tiles);
    for (Dim i = 0; i < blocks; ++i) {
      const Dim begin = part_begin(p.inner, i, blocks), end = part_begin(p.inner, i + 1, blocks);
      const T* b = p.b + (column * p.inner + begin * vectors * W);
      const T* next = p.next == nullptr ? b + (end - begin) * vectors * W : p.next + begin * vectors * W;
      const Init start = i == 0 ? p.init : Init::kKeep;
      const T* after = follows ? p.c + column + kPanel<T> : nullptr;
      const Outputs<T> c = {p.c + column, p.c_row, 0, valid, start_of(start), nullptr, far && i == 0, after, nullptr};
      const Block<T, TilesOfA> block = {
          rows, end - begin, p.a + begin * kTileRows, {kTileRows * p.inner}, {end - begin, 0}, b, 0, c, next, asking};
      with_vectors(vectors, [&](auto of_panel) { run_packed<T, of_panel.value>(block, p.height, p.low, p.high); });
    }
  }
}
