// An LSTM's gradients, straight from its equations: what lstm_backward is checked against.
#pragma once

#include <vector>

#include "bounded.hpp"
#include "lstm_problem.hpp"

namespace pylstm::test {

// What lstm_backward gives: V is T, or what the reference says of it.
template <class V>
struct LstmOutputs {
  std::vector<V> dz;                       // [total, 4 * units]
  std::vector<V> dx;                       // [total, inputs], of repeats [count, inputs]
  std::vector<V> kernel, recurrent, bias;  // Keras' layouts
  std::vector<V> dh, dc;                   // [batch, units] of the initial states
};

template <class T>
class LstmReference {
 public:
  using B = Bounded<T>;
  explicit LstmReference(const LstmProblem<T>& problem)
      : p_(problem), s_(problem.schedule()), row_(4 * problem.units), cells_(at(s_.total * problem.units)) {}

  LstmOutputs<B> operator()() {
    forward();
    backward();
    parameters();
    inputs();
    return std::move(out_);
  }

 private:
  struct Cell {
    B gate[4], c, h;  // i, f, g, o
  };

  // Mask of an element of a row for a gate's group; 1 without dropout.
  T mask(const std::vector<T>& masks, Dim gate, Dim r, Dim columns, Dim column) const {
    if (masks.empty()) return T(1);
    return masks[at(((p_.groups == 1 ? 0 : gate) * p_.batch() + r) * columns + column)];
  }
  // x and the h before of a packed row as a gate sees them.
  B x(Dim m, Dim r, Dim gate, Dim i) const {
    const B value = p_.x[at(m * p_.inputs + i)];
    return p_.input_masks.empty() ? value : value * B(mask(p_.input_masks, gate, r, p_.inputs, i));
  }
  B h(Dim step, Dim r, Dim gate, Dim j) const {
    const B value = step == 0 ? B(p_.h[at(r * p_.units + j)]) : cells_[at(s_.packed(step - 1, r) * p_.units + j)].h;
    return p_.recurrent_masks.empty() ? value : value * B(mask(p_.recurrent_masks, gate, r, p_.units, j));
  }
  B c_before(Dim step, Dim r, Dim u) const {
    return step == 0 ? B(p_.c[at(r * p_.units + u)]) : cells_[at(s_.packed(step - 1, r) * p_.units + u)].c;
  }

  void forward() {
    each_packed_row(s_, [&](Dim m, Dim step, Dim r) {
      for (Dim u = 0; u < p_.units; ++u) {
        Cell& cell = cells_[at(m * p_.units + u)];
        for (Dim g = 0; g < 4; ++g) {
          const Dim column = g * p_.units + u;
          BoundedSum<T> z(p_.bias.empty() ? B() : B(p_.bias[at(column)]));
          for (Dim i = 0; i < p_.inputs; ++i) z.add(x(m, r, g, i), p_.kernel[at(i * row_ + column)]);
          for (Dim j = 0; j < p_.units; ++j) z.add(h(step, r, g, j), p_.recurrent[at(j * row_ + column)]);
          cell.gate[g] = g == 2 ? tanh_of(z()) : sigmoid_of(z());
        }
        cell.c = cell.gate[1] * c_before(step, r, u) + cell.gate[0] * cell.gate[2];
        cell.h = cell.gate[3] * tanh_of(cell.c);
      }
    });
  }

  // The part of dL/dh before a step that comes through its gates, added to what comes from above.
  B through_gates(Dim step, Dim r, Dim j, const B& above) const {
    BoundedSum<T> sum(above);
    const B* dz = &out_.dz[at(s_.packed(step, r) * row_)];
    for (Dim column = 0; column < row_; ++column) {
      const T m = mask(p_.recurrent_masks, column / p_.units, r, p_.units, j);
      sum.add(dz[column], {static_cast<Wide<T>>(p_.recurrent[at(j * row_ + column)]) * m, 0});
    }
    return sum();
  }

  void backward() {
    out_.dz.resize(at(s_.total * row_));
    out_.dc.assign(p_.dc.begin(), p_.dc.end());
    out_.dh.resize(p_.dc.size());
    for (Dim r = 0; r < p_.batch(); ++r) {
      for (Dim step = p_.lengths[at(r)] - 1; step >= 0; --step) {
        const Dim m = s_.packed(step, r);
        for (Dim u = 0; u < p_.units; ++u) {
          const Cell& cell = cells_[at(m * p_.units + u)];
          const B &i = cell.gate[0], &f = cell.gate[1], &g = cell.gate[2], &o = cell.gate[3];
          const B above = p_.dh[at(m * p_.units + u)], tanh_c = tanh_of(cell.c);
          const B dh = step + 1 == p_.lengths[at(r)] ? above : through_gates(step + 1, r, u, above);
          B& dc = out_.dc[at(r * p_.units + u)];
          const B d = dc + dh * o * one_minus(tanh_c * tanh_c);
          B* dz = &out_.dz[at(m * row_ + u)];
          dz[0] = d * g * (i * one_minus(i));
          dz[p_.units] = d * c_before(step, r, u) * (f * one_minus(f));
          dz[2 * p_.units] = d * i * one_minus(g * g);
          dz[3 * p_.units] = dh * tanh_c * (o * one_minus(o));
          dc = d * f;
        }
      }
      for (Dim j = 0; j < p_.units && p_.lengths[at(r)] > 0; ++j)
        out_.dh[at(r * p_.units + j)] = through_gates(0, r, j, B());
    }
  }

  // Of rows that repeat dL/dz is summed first, which is another rounding for each row.
  double roundings_of_repeats() const { return p_.index.empty() ? 0 : static_cast<double>(s_.total); }

  void parameters() {
    std::vector<BoundedSum<T>> kernel(at(p_.inputs * row_)), recurrent(at(p_.units * row_)), bias(at(row_));
    each_packed_row(s_, [&](Dim m, Dim step, Dim r) {
      for (Dim column = 0; column < row_; ++column) {
        const B& dz = out_.dz[at(m * row_ + column)];
        const Dim g = column / p_.units;
        for (Dim i = 0; i < p_.inputs; ++i) kernel[at(i * row_ + column)].add(x(m, r, g, i), dz);
        for (Dim j = 0; j < p_.units; ++j) recurrent[at(j * row_ + column)].add(h(step, r, g, j), dz);
        bias[at(column)].add(T(1), dz);
      }
    });
    const double more = roundings_of_repeats();
    for (const BoundedSum<T>& sum : kernel) out_.kernel.push_back(sum(more));
    for (const BoundedSum<T>& sum : recurrent) out_.recurrent.push_back(sum());
    for (std::size_t i = 0; i < bias.size() && !p_.bias.empty(); ++i) out_.bias.push_back(bias[i](more));
  }

  void inputs() {
    const Dim rows = p_.index.empty() ? s_.total : p_.count();
    std::vector<BoundedSum<T>> dx(at(rows * p_.inputs));
    each_packed_row(s_, [&](Dim m, Dim, Dim r) {
      const Dim to = p_.index.empty() ? m : p_.index[at(m)];
      for (Dim i = 0; i < p_.inputs; ++i) {
        for (Dim column = 0; column < row_; ++column) {
          const T one = mask(p_.input_masks, column / p_.units, r, p_.inputs, i);
          const Wide<T> weight = static_cast<Wide<T>>(p_.kernel[at(i * row_ + column)]) * one;
          dx[at(to * p_.inputs + i)].add(out_.dz[at(m * row_ + column)], {weight, 0});
        }
      }
    });
    for (const BoundedSum<T>& sum : dx) out_.dx.push_back(sum(roundings_of_repeats()));
  }

  const LstmProblem<T>& p_;
  Schedule s_;
  Dim row_;
  std::vector<Cell> cells_;
  LstmOutputs<B> out_;
};

}  // namespace pylstm::test
