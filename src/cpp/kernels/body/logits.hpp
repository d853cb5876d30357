// Softmax cross-entropy on blocks of logits. Running maxima and sums are kept lane by lane, so that blocks may
// be any columns whose first is a multiple of the width, and no bit tells how they were cut.
#pragma once

template <class T>
void logits_max(const LogitsBlock<T>& p, T* lanes) {
  take_largest<T>(p.rows, p.columns, p.z, p.z_row, lanes);
}

template <class T>
void logits_argmax(const LogitsBlock<T>& p, const T* largest, Dim first, int* argmax) {
  for (Dim r = 0; r < p.rows; ++r) {
    if (argmax[r] >= 0) continue;
    const T* row = p.z + r * p.z_row;
    int equal = 0;  // counted without a branch, then searched
    for (Dim i = 0; i < p.columns; ++i) equal += row[i] == largest[r];
    for (Dim i = 0; equal > 0 && i < p.columns; ++i) {
      if (row[i] != largest[r]) continue;
      argmax[r] = int(first + i);
      break;
    }
  }
}

template <class T>
void logits_targets(const LogitsBlock<T>& p, const T* shift, T keep, T share, double* mass, double* weighted) {
  for (Dim r = 0; r < p.rows; ++r) {
    const T* row = p.z + r * p.z_row;
    for (Dim i = 0; i < p.columns; ++i) {
      const double t = double(p.given == nullptr ? share : keep * p.given[r * p.given_row + i] + share);
      if (p.given != nullptr) mass[r] += t;
      weighted[r] += t * double(row[i] - shift[r]);
    }
  }
}

// Asks for what stands in the next block where element i of a row stands in this one: hardware reads ahead to the end
// of a page only, and a block is often one of its own.
template <class T>
PYLSTM_INLINE void ask_for_logits(const T* next_row, Dim i) {
  if (next_row != nullptr && i % kLine<T> == 0) __builtin_prefetch(next_row + i, 0, 2);
}
template <class T>
PYLSTM_INLINE const T* next_row(const LogitsBlock<T>& p, Dim r) {
  return p.next == nullptr ? nullptr : p.next + r * p.z_row;
}

// kN vectors of a row from element `first` on.
template <class T, int kN>
PYLSTM_INLINE void exp_vectors(T* row, const T* next, Dim first, V<T> shift, V<T>& sum) {
  constexpr Dim W = Vec<T>::width;
  using X = Many<V<T>, kN>;
  T* z = row + first;
  const X e = exp_of_negative<T>(X::each([&](int j) PYLSTM_INLINED {
    ask_for_logits(next, first + j * W);
    return load(z + j * W) - shift;
  }));
  each<kN>([&](auto j) PYLSTM_INLINED {
    store(z + j.value * W, e.v[j.value]);
    sum = sum + e.v[j.value];
  });
}

template <class T>
PYLSTM_INLINE void exp_row(T* row, const T* next, Dim columns, V<T> shift, V<T>& sum) {
  constexpr Dim W = Vec<T>::width;
  const Dim whole = columns / W, rest = columns - whole * W;
  in_groups<kVectorsTogether>(
      0, whole, [&](Dim vector, auto n) PYLSTM_INLINED { exp_vectors<T, n.value>(row, next, vector * W, shift, sum); });
  if (rest == 0) return;
  ask_for_logits(next, whole * W);
  V<T> e = exp_of_negative<T>(load_n(row + whole * W, rest) - shift);
  store_n(row + whole * W, e, rest);
  for (Dim l = rest; l < W; ++l) e[l] = 0;
  sum = sum + e;
}

template <class T>
void logits_exp(const LogitsBlock<T>& block, const T* shift, T* lanes) {
  constexpr Dim W = Vec<T>::width;
  const LogitsBlock<T> p = block;  // which no store of a logit can change
  const auto each_row = [&](auto run) PYLSTM_INLINED {
    for (Dim r = 0; r < p.rows; ++r) {
      V<T> sum = load(lanes + r * W);
      run(p.z + r * p.z_row, next_row(p, r), splat<T>(shift[r]), sum);
      store(lanes + r * W, sum);
    }
  };
  if (p.columns != kPanel<T>) {
    return each_row([&](T* row, const T* next, V<T> s, V<T>& sum)
                        PYLSTM_INLINED { exp_row<T>(row, next, p.columns, s, sum); });
  }
  // Nothing but exponentials, whose constants stay in registers from row to row.
  static_assert(kPanelVectors % kVectorsTogether == 0, "");
  each_row([&](T* row, const T* next, V<T> s, V<T>& sum) PYLSTM_INLINED {
    each<kPanelVectors / kVectorsTogether>([&](auto i) PYLSTM_INLINED {
      exp_vectors<T, kVectorsTogether>(row, next, i.value * kVectorsTogether * W, s, sum);
    });
  });
}

template <class T>
void logits_gradient(const LogitsBlock<T>& p, const T* factor, const T* scale, T keep, T share) {
  for (Dim r = 0; r < p.rows; ++r) {
    T* row = p.z + r * p.z_row;
    const T* next = next_row(p, r);
    if (p.given == nullptr) {
      const V<T> f = splat<T>(factor[r]), constant = splat<T>(-scale[r] * share);
      each_vector<T>(p.columns, [=](Dim i, Dim m) {
        ask_for_logits(next, i);
        put(row + i, fma(get(row + i, m), f, constant), m);
      });
      continue;
    }
    const T* given = p.given + r * p.given_row;
    each_vector<T>(p.columns, [=](Dim i, Dim m) {
      ask_for_logits(next, i);
      const V<T> t = get(given + i, m) * keep + share;
      put(row + i, get(row + i, m) * factor[r] - t * scale[r], m);
    });
  }
}

// n elements past the caches, but for the lines at both ends that others have a part of.
template <class T>
PYLSTM_INLINE void write_past(const T* from, Dim n, T* to) {
  constexpr Dim W = Vec<T>::width, L = kLine<T>;
  const Dim misplaced = static_cast<Dim>(reinterpret_cast<uintptr_t>(to) / sizeof(T)) % L;
  const Dim head = smaller(misplaced == 0 ? 0 : L - misplaced, n), lines = head + (n - head) / L * L;
  const auto copy = [&](Dim first, Dim last) PYLSTM_INLINED {
    each_vector<T>(last - first, [=](Dim i, Dim m) { put(to + first + i, get(from + first + i, m), m); });
  };
  copy(0, head);
  for (Dim i = head; i < lines; i += W) store_past(to + i, load(from + i));
  copy(lines, n);
}

// Columns of a row that are written together, out of some panels: one panel's may be no more than a line, at no line's
// begin, and memory would take the parts of a line one by one.
template <class T>
constexpr Dim kWrittenTogether = 2048 / sizeof(T);

template <class T>
void logits_write(const LogitsBlock<T>& p, const T* factor, T* const* y, Dim first, bool past_caches) {
  static_assert(kWrittenTogether<T> % kPanel<T> == 0, "");
  const bool past = past_caches && kStoresPast;
  const Dim z_panel = p.z_panel == 0 ? kPanel<T> : p.z_panel;
  alignas(64) T near[kWrittenTogether<T>];
  for (Dim begin = 0; begin < p.columns; begin += kWrittenTogether<T>) {
    const T* z = p.z + begin / kPanel<T> * z_panel;
    const Dim count = smaller(kWrittenTogether<T>, p.columns - begin);
    for (Dim r = 0; r < p.rows; ++r) {
      const T *row = z + r * p.z_row, *next = r + 1 < p.rows ? row + p.z_row : nullptr;
      T *out = y[r] + first + begin, *to = past ? near : out;
      const V<T> f = splat<T>(factor[r]);
      for (Dim i = 0; i < count; i += kPanel<T>) {
        each_vector<T>(smaller(kPanel<T>, count - i), [&](Dim j, Dim m) PYLSTM_INLINED {
          ask_for_logits(next, j);
          put(to + i + j, get(row + j, m) * f, m);
        });
        row += z_panel;
        if (next != nullptr) next += z_panel;
      }
      if (past) write_past(near, count, out);
    }
  }
  if (past) finish_stores();
}

template <class T>
void largest_lanes(Dim rows, const T* lanes, T* result) {
  constexpr Dim W = Vec<T>::width;
  for (Dim r = 0; r < rows; ++r) {
    result[r] = lanes[r * W];
    for (Dim l = 1; l < W; ++l) result[r] = lanes[r * W + l] > result[r] ? lanes[r * W + l] : result[r];
  }
}

template <class T>
void sum_lanes_of_rows(Dim rows, const T* lanes, T* result) {
  for (Dim r = 0; r < rows; ++r) result[r] = sum_lanes<T>(load(lanes + r * Vec<T>::width));
}
