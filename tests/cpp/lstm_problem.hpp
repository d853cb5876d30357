// LSTM problems with random numbers: what a run of lstm_backward takes, all of it by sorted position or by packed row.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/index.hpp"
#include "laws.hpp"
#include "ops/schedule.hpp"

namespace pylstm::test {

template <class T>
struct LstmProblem {
  std::vector<Dim> lengths;  // real steps of the rows, non-increasing
  Dim times = 0;             // of the batch, at least lengths[0]: at the others all rows are masked
  Dim inputs = 0, units = 0;
  int groups = 1;
  std::vector<T> x;                             // [total, inputs]
  std::vector<T> kernel, recurrent, bias;       // Keras' layouts; without a bias empty
  std::vector<T> h, c;                          // [batch, units] initial
  std::vector<T> dh, dc;                        // [total, units], [batch, units] from above
  std::vector<T> input_masks, recurrent_masks;  // [groups, batch, inputs] and [groups, batch, units], or empty
  std::vector<std::int32_t> index;              // [total] of repeats: row m of x is such a row of `distinct`; or empty
  std::vector<T> distinct;                      // [count, inputs]
  bool from_zero = false;                       // h and c are 0, and their gradients not wanted

  Dim batch() const { return static_cast<Dim>(lengths.size()); }
  Dim count() const { return inputs == 0 ? 0 : static_cast<Dim>(distinct.size()) / inputs; }
  Schedule schedule() const {
    std::vector<std::uint8_t> mask(at(times * batch()));
    for (Dim i = 0; i < times * batch(); ++i) mask[at(i)] = i / batch() < lengths[at(i % batch())];
    Schedule s;
    make_schedule(times, batch(), mask.data(), false, s);
    return s;
  }
};

enum class Dropout { kNone, kInputs, kRecurrent, kBoth };

// Of a run: groups of weights, and what it has beside inputs.
struct Variant {
  int groups;
  Dropout dropout;
};
constexpr Variant kVariants[] = {{1, Dropout::kNone},   {4, Dropout::kBoth},      {1, Dropout::kInputs},
                                 {4, Dropout::kInputs}, {4, Dropout::kRecurrent}, {4, Dropout::kNone}};
constexpr std::size_t kVariantCount = sizeof(kVariants) / sizeof(kVariants[0]);

// The recurrent weights of a gate sum to about 1: what one step is off, the next does not multiply.
template <class T>
LstmProblem<T> make_problem(std::vector<Dim> lengths, Dim times, Dim inputs, Dim units, Variant variant, bool from_zero,
                            bool has_bias, Random& random) {
  LstmProblem<T> p;
  p.lengths = std::move(lengths);
  p.times = times;
  p.inputs = inputs;
  p.units = units;
  p.groups = variant.groups;
  p.from_zero = from_zero;
  const auto draw = [&](Dim count, double scale) {
    std::vector<T> values;
    for (Dim i = 0; i < count; ++i) values.push_back(random.uniform<T>(static_cast<T>(-scale), static_cast<T>(scale)));
    return values;
  };
  const auto masks = [&](bool drops, Dim columns) {
    std::vector<T> values;
    for (Dim i = 0; drops && i < p.groups * p.batch() * columns; ++i)
      values.push_back(random.uniform(0.0, 1.0) < 0.3 ? T(0) : static_cast<T>(1 / 0.7));
    return values;
  };
  const Dim batch = p.batch(), total = p.schedule().total;
  p.x = draw(total * inputs, 1);
  p.kernel = draw(inputs * 4 * units, std::min(0.8, 4.0 / static_cast<double>(inputs)));
  p.recurrent = draw(units * 4 * units, std::min(0.8, 2.0 / static_cast<double>(units)));
  p.bias = draw(has_bias ? 4 * units : 0, 0.5);
  p.h = draw(batch * units, from_zero ? 0 : 1);
  p.c = draw(batch * units, from_zero ? 0 : 2);
  p.dh = draw(total * units, 1);
  p.dc = draw(batch * units, from_zero ? 0 : 1);
  p.input_masks = masks(variant.dropout == Dropout::kInputs || variant.dropout == Dropout::kBoth, inputs);
  p.recurrent_masks = masks(variant.dropout == Dropout::kRecurrent || variant.dropout == Dropout::kBoth, units);
  return p;
}

// Inputs of `count` distinct rows, all but the last of which occur.
template <class T>
void repeat_inputs(LstmProblem<T>& p, Dim count) {
  const Dim total = static_cast<Dim>(p.x.size()) / p.inputs;
  p.distinct.assign(p.x.begin(), p.x.begin() + count * p.inputs);
  for (Dim m = 0; m < total; ++m) {
    p.index.push_back(static_cast<std::int32_t>(2 * m % (count - 1)));
    std::copy_n(p.distinct.data() + p.index.back() * p.inputs, p.inputs, p.x.data() + m * p.inputs);
  }
}

// One sequence of the problem as a batch of its own.
template <class T>
LstmProblem<T> sequence_of(const LstmProblem<T>& p, Dim row) {
  const Schedule s = p.schedule();
  LstmProblem<T> alone = p;
  alone.lengths = {p.lengths[at(row)]};
  alone.x.clear();
  alone.dh.clear();
  const auto append = [](std::vector<T>& to, const std::vector<T>& from, Dim which, Dim columns) {
    to.insert(to.end(), from.begin() + which * columns, from.begin() + (which + 1) * columns);
  };
  for (Dim step = 0; step < p.lengths[at(row)]; ++step) {
    append(alone.x, p.x, s.packed(step, row), p.inputs);
    append(alone.dh, p.dh, s.packed(step, row), p.units);
  }
  for (std::vector<T> LstmProblem<T>::*state : {&LstmProblem<T>::h, &LstmProblem<T>::c, &LstmProblem<T>::dc}) {
    (alone.*state).clear();
    append(alone.*state, p.*state, row, p.units);
  }
  alone.input_masks.clear();
  alone.recurrent_masks.clear();
  for (Dim g = 0; g < p.groups; ++g) {
    if (!p.input_masks.empty()) append(alone.input_masks, p.input_masks, g * p.batch() + row, p.inputs);
    if (!p.recurrent_masks.empty()) append(alone.recurrent_masks, p.recurrent_masks, g * p.batch() + row, p.units);
  }
  return alone;
}

}  // namespace pylstm::test
