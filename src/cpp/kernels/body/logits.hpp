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

template <class T>
void logits_exp(const LogitsBlock<T>& p, const T* shift, T* lanes) {
  constexpr Dim W = Vec<T>::width;
  const Dim whole = p.columns / W, rest = p.columns - whole * W;
  for (Dim r = 0; r < p.rows; ++r) {
    T* row = p.z + r * p.z_row;
    const T* next = next_row(p, r);
    const V<T> s = splat<T>(shift[r]);
    V<T> sum = load(lanes + r * W);
    in_groups<kVectorsTogether>(0, whole, [&](Dim vector, auto n) PYLSTM_INLINED {
      using X = Many<V<T>, n.value>;
      T* z = row + vector * W;
      const X e = exp_of_negative<T>(X::each([&](int j) PYLSTM_INLINED {
        ask_for_logits(next, (vector + j) * W);
        return load(z + j * W) - s;
      }));
      each<n.value>([&](auto j) PYLSTM_INLINED {
        store(z + j.value * W, e.v[j.value]);
        sum = sum + e.v[j.value];
      });
    });
    if (rest > 0) {
      ask_for_logits(next, whole * W);
      V<T> e = exp_of_negative<T>(load_n(row + whole * W, rest) - s);
      store_n(row + whole * W, e, rest);
      for (Dim l = rest; l < W; ++l) e[l] = 0;
      sum = sum + e;
    }
    store(lanes + r * W, sum);
  }
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

template <class T>
void logits_write(const LogitsBlock<T>& p, const T* factor, T* const* y, Dim first, bool past_caches) {
  constexpr Dim W = Vec<T>::width;
  for (Dim r = 0; r < p.rows; ++r) {
    const T *row = p.z + r * p.z_row, *next = next_row(p, r);
    T* out = y[r] + first;
    const auto write = [=](Dim i, Dim m) {
      ask_for_logits(next, i);
      put(out + i, get(row + i, m) * factor[r], m);
    };
    if (!past_caches) {
      each_vector<T>(p.columns, write);
      continue;
    }
    const Dim misplaced = static_cast<Dim>(reinterpret_cast<uintptr_t>(out) / sizeof(T)) % W;
    const Dim head = smaller(misplaced == 0 ? 0 : W - misplaced, p.columns);
    if (head > 0) write(0, head);
    each_vector<T>(p.columns - head, [=](Dim i, Dim m) {
      if (m < W) return write(head + i, m);
      ask_for_logits(next, i);
      store_past(out + head + i, load(row + head + i) * factor[r]);
    });
  }
  if (past_caches) finish_stores();
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
