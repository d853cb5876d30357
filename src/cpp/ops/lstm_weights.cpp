// The packed parameters of an LSTM and the columns of its pre-activations.
#include <algorithm>

#include "base/index.hpp"
#include "ops/lstm.hpp"

namespace pylstm {

template <class T>
void LstmWeights<T>::set_sizes(const KernelTable<T>& kernels, Dim inputs_, Dim units_, int groups_) {
  inputs = inputs_;
  units = units_;
  groups = groups_;
  z_gate = groups == 1 ? 0 : round_up(units, kernels.width);
  z_columns = groups == 1 ? kernels.gate_columns(units) : 4 * z_gate;
}

template <class T>
void LstmWeights<T>::pack(const KernelTable<T>& kernels, const LstmParameters<T>& p, Dim inputs_, Dim units_,
                          int groups_, bool backward) {
  set_sizes(kernels, inputs_, units_, groups_);
  const auto count = static_cast<std::size_t>(groups);
  kernel.resize(count);
  recurrent.resize(count);
  kernel_t.resize(backward ? count : 0);
  recurrent_t.resize(backward ? count : 0);
  const Dim row = 4 * units, columns = row / groups, tasks = (backward ? 4 : 2) * groups;
  // The panels are independent; so many elements are a grain of work.
  constexpr Dim kPackedInGrain = 65536;
  const Dim grains = (backward ? 2 : 1) * row * (inputs + units) / kPackedInGrain;
  parallel_pieces(std::min(static_cast<int>(tasks), threads_for_grains(grains)), tasks, 1, 1, [&](Range mine) {
    for (Dim task = mine.begin; task < mine.end; ++task) {
      const auto g = static_cast<std::size_t>(task % groups);
      const T* k = p.kernel + static_cast<Dim>(g) * columns;
      const T* r = p.recurrent + static_cast<Dim>(g) * columns;
      switch (task / groups) {
        case 0:
          groups == 1 ? kernel[g].pack_gates(kernels, k, inputs, units)
                      : kernel[g].pack(kernels, k, row, 1, inputs, units);
          break;
        case 1:
          groups == 1 ? recurrent[g].pack_gates(kernels, r, units, units)
                      : recurrent[g].pack(kernels, r, row, 1, units, units);
          break;
        case 2:
          kernel_t[g].pack(kernels, k, 1, row, columns, inputs);
          break;
        default:
          recurrent_t[g].pack(kernels, r, 1, row, columns, units);
          break;
      }
    }
  });
  T* b = bias.reserve_zeroed(z_columns);
  if (p.bias == nullptr) return;
  // A row of panels is a row of z.
  if (groups == 1) return kernels.pack_gates(p.bias, 4 * units, 1, units, b, false);
  for (Dim gate = 0; gate < 4; ++gate) std::copy_n(p.bias + gate * units, units, b + gate * z_gate);
}

template <class T>
std::size_t LstmWeights<T>::bytes() const {
  std::size_t sum = bias.bytes();
  for (const auto* group : {&kernel, &recurrent, &kernel_t, &recurrent_t}) {
    for (const Panels<T>& panels : *group) sum += panels.bytes();
  }
  return sum;
}

template <class T>
std::size_t LstmWeights<T>::planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, int groups,
                                          bool backward) {
  LstmWeights<T> sizes;
  sizes.set_sizes(kernels, inputs, units, groups);
  const Dim columns = groups == 1 ? sizes.z_columns : units, rows = 4 * units / groups;
  Dim panels = kernels.packed_b(inputs, columns) + kernels.packed_b(units, columns);
  if (backward) panels += kernels.packed_b(rows, inputs) + kernels.packed_b(rows, units);
  return static_cast<std::size_t>(groups * panels + sizes.z_columns) * sizeof(T);
}

template class LstmWeights<float>;
template class LstmWeights<double>;

}  // namespace pylstm
