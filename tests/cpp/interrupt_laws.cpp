// Work that is asked to stop leaves its outputs: every operation that may take long looks before a part of it.
#include <algorithm>
#include <chrono>
#include <thread>

#include "base/index.hpp"
#include "laws.hpp"
#include "ops/dense_softmax.hpp"
#include "ops/lstm.hpp"
#include "ops/softmax_loss.hpp"

namespace pylstm::test {
namespace {

// One that asks to stop.
struct Stopped {
  Interrupt interrupt{[] { return true; }};
  Stopped() {
    while (!interrupt.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // it polls rarely
  }
};

template <class T>
std::vector<T> ones(Dim count) {
  return std::vector<T>(at(count), T(1));
}

template <class T>
bool all_ones(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T value) { return value == T(1); });
}

template <class T>
void dense_case(const KernelTable<T>& k, Interrupt* interrupt) {
  const Dim rows = 7, inputs = 5, units = 9;
  const std::vector<T> x(at(rows * inputs), T(0.5)), kernel(at(inputs * units), T(0.25)), bias(at(units), T(0.5));
  DenseWeights<T> w;
  w.pack(k, kernel.data(), bias.data(), inputs, units, true);
  std::vector<T> y = ones<T>(rows * units), dx = ones<T>(rows * inputs), d_kernel = ones<T>(inputs * units),
                 d_bias = ones<T>(units);
  dense_forward(k, w, x.data(), rows, y.data(), interrupt);
  DenseScratch<T> scratch;
  RowProductScratch<T> sums;
  dense_backward(k, w, x.data(), y.data(), rows, false, d_kernel.data(), d_bias.data(), dx.data(), scratch, sums,
                 interrupt);
  CrossEntropyScratch<T> softmax;
  std::vector<const T*> from;
  std::vector<T*> to;
  for (Dim r = 0; r < rows; ++r) {
    from.push_back(x.data() + r * inputs);
    to.push_back(y.data() + r * units);
  }
  dense_softmax(k, w, from.data(), rows, to.data(), false, interrupt, softmax);
  const std::vector<std::int32_t> labels(at(rows), 3);
  Targets<T> targets;
  targets.labels = labels.data();
  std::vector<double> loss(at(rows), 1.0);
  const DenseGradients<T> gradients = {d_kernel.data(), d_bias.data(), dx.data()};
  dense_softmax_cross_entropy<T>(k, w, x.data(), rows, targets, 0.0, 1.0, &gradients, {loss.data(), nullptr}, interrupt,
                                 softmax, sums);
  const bool left = all_ones(y) && all_ones(dx) && all_ones(d_kernel) && all_ones(d_bias) && all_ones(loss);
  PYLSTM_EXPECT(left == (interrupt != nullptr), "dense layer: outputs ", left ? "left" : "written");
}

template <class T>
void lstm_case(const KernelTable<T>& k, Interrupt* interrupt) {
  const Dim batch = 3, steps = 4, inputs = 5, units = 6, total = batch * steps, row = 4 * units;
  const std::vector<T> x(at(total * inputs), T(0.5)), kernel(at(inputs * row), T(0.25)), recurrent(at(units * row)),
      bias(at(row), T(0.5));
  LstmWeights<T> w;
  w.pack(k, {kernel.data(), recurrent.data(), bias.data()}, inputs, units, 1, true);
  Schedule schedule;
  make_schedule(steps, batch, nullptr, false, schedule);
  std::vector<T> h = ones<T>((batch + total) * units), c = h, gates = ones<T>(total * row);
  LstmRun<T> run = {};
  run.kernels = &k;
  run.weights = &w;
  run.schedule = &schedule;
  run.x_row = inputs;
  for (Dim step = 0; step < steps; ++step) run.x.push_back(x.data() + step * batch * inputs);
  run.h = h.data();
  run.c = c.data();
  run.gates = gates.data();
  run.interrupt = interrupt;
  LstmScratch<T> scratch;
  lstm_forward(run, scratch);
  PYLSTM_EXPECT((all_ones(h) && all_ones(gates)) == (interrupt != nullptr), "lstm_forward does not look");
  std::vector<T> dh = ones<T>(total * units), dc = ones<T>(batch * units), dx = ones<T>(total * inputs),
                 d_kernel = ones<T>(inputs * row), d_recurrent = ones<T>(units * row), d_bias = ones<T>(row);
  const LstmGradients<T> gradients = {dh.data(),       dc.data(),          nullptr,      dx.data(),
                                      d_kernel.data(), d_recurrent.data(), d_bias.data()};
  RowProductScratch<T> sums;
  lstm_backward(run, gradients, scratch, sums);
  const bool left = all_ones(dx) && all_ones(d_kernel) && all_ones(d_recurrent) && all_ones(d_bias);
  PYLSTM_EXPECT(left == (interrupt != nullptr), "lstm_backward: outputs ", left ? "left" : "written");
}

}  // namespace

template <class T>
void interrupt_laws(const KernelTable<T>& k, const Options&) {
  Stopped stopped;
  for (Interrupt* interrupt : {static_cast<Interrupt*>(nullptr), &stopped.interrupt}) {
    dense_case(k, interrupt);
    lstm_case(k, interrupt);
  }
}

template void interrupt_laws<float>(const KernelTable<float>&, const Options&);
template void interrupt_laws<double>(const KernelTable<double>&, const Options&);

}  // namespace pylstm::test
