// What the machine can do at most: the yardstick of the benchmarks, compiled with the kernels' own flags.
#pragma once

// As many independent chains as a full tile has accumulators.
template <class T>
Dim fma_burst(Dim rounds, T* sink) {
  constexpr int kChains = kPanelVectors * kTileRows;
  V<T> acc[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) acc[i] = splat<T>(sink[0] + T(i));
  const V<T> a = splat<T>(sink[1]), b = splat<T>(sink[2]);
  for (Dim round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) acc[i] = fma(acc[i], a, b);
  }
  V<T> sum = {};
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) sum = sum + acc[i];
  sink[0] = sum_lanes<T>(sum) > 0 ? sink[0] : sink[1];
  return rounds * kChains * Vec<T>::width * 2;
}

template <class T>
T read_all(Dim n, const T* x) {
  constexpr Dim W = Vec<T>::width;
  V<T> sums[8] = {};
  for (Dim i = 0; i + 8 * W <= n; i += 8 * W) {
#pragma GCC unroll 8
    for (int l = 0; l < 8; ++l) sums[l] = sums[l] + load(x + i + l * W);
  }
  T sum = 0;
  for (int l = 0; l < 8; ++l) sum += sum_lanes<T>(sums[l]);
  return sum;
}
