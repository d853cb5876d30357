// What all products share: how sums start and which parts they have, and where a panel stands.
#pragma once

PYLSTM_INLINE Start start_of(Init init) {
  return init == Init::kZero ? Start::kZero : init == Init::kBias ? Start::kBias : Start::kKeep;
}

PYLSTM_INLINE Dim round_up(Dim n, Dim multiple) { return (n + multiple - 1) / multiple * multiple; }
PYLSTM_INLINE Dim smaller(Dim a, Dim b) { return a < b ? a : b; }

// Parts ("chains") of an inner sum. A product with few columns has too few accumulators to hide
// the latency of fma for one row; its sum is cut into parts that a row can run side by side.
// Fixed by sizes, so that one row and a tile add in the same order. Five vectors have sums enough, and in a batch each
// part is a pass over C.
template <class T>
PYLSTM_INLINE Dim chains_of(Dim inner, Dim columns) {
  const Dim vectors = (columns + Vec<T>::width - 1) / Vec<T>::width;
  const Dim wanted = vectors > 4 ? 1 : vectors == 4 ? 2 : 4;
  return inner >= 8 * wanted ? wanted : 1;
}

// Where chain i of so many begins; one alone divides nothing.
PYLSTM_INLINE Dim chain_begin(Dim inner, Dim i, Dim chains) {
  return i == 0 ? 0 : i == chains ? inner : inner * i / chains;
}

// Of so many columns, the first of them that of a panel, those of the panel's last vector.
template <class T>
PYLSTM_INLINE Dim columns_of_last_vector(Dim columns) {
  return columns >= kPanel<T> ? Vec<T>::width : columns - (columns - 1) / Vec<T>::width * Vec<T>::width;
}

// Distance of row k of a panel from B.
template <class T>
PYLSTM_INLINE Dim place_of(const GemmArgs<T>& p, Dim panel, Dim k) {
  const Dim columns = p.columns - panel * kPanel<T>;
  return panel * kPanel<T> * p.inner + k * (columns < kPanel<T> ? round_up(columns, Vec<T>::width) : kPanel<T>);
}

// f(Constant<vectors>), of a panel.
template <class F>
PYLSTM_INLINE void with_vectors(Dim vectors, F f) {
  switch (vectors) {
    case 1:
      return f(Constant<1>());
    case 2:
      return f(Constant<2>());
#if PYLSTM_PANEL_VECTORS > 2
    case 3:
      return f(Constant<3>());
    default:
      return f(Constant<4>());
#else
    default:
      return;
#endif
  }
}
