// Network over the rows of Data: checks, fits, evaluations, predictions, steps in two halves.
#include <memory>
#include <utility>

#include "bindings/gil.hpp"
#include "bindings/py_data.hpp"
#include "bindings/results.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

using Order = py::array_t<std::int64_t, py::array::c_style>;

RunRequest request_of(const Order& order, Dim batch_size, Dim first, Dim last, double budget_ms, Dim tbptt) {
  RunRequest request;
  request.order = order.data();
  request.order_count = order.size();
  request.batch_size = batch_size;
  request.first = first;
  request.last = last;
  request.budget_ms = budget_ms;
  request.tbptt = tbptt;
  return request;
}

Dim predict(Network& self, const PyData& data, Dim batch_size, Dim first, Dim last, double budget_ms, py::array out) {
  std::vector<Dim> shape = self.output_shape();
  if (shape.size() == 2) shape[0] = data.data.steps();
  shape.insert(shape.begin(), data.data.samples());
  const bool aligned = reinterpret_cast<std::uintptr_t>(out.data()) % static_cast<std::size_t>(out.itemsize()) == 0;
  const bool dense = aligned && (out.flags() & py::array::c_style) != 0 && out.writeable();
  const ArrayView view = view_of(out, "out");
  const bool type = view.type == (self.is_double() ? ElementType::kF64 : ElementType::kF32) && !view.swapped;
  if (!dense || !type || view.shape != shape) {
    throw std::invalid_argument("out must be an aligned writable C-contiguous array of the model's dtype and shape " +
                                py::str(py::object(tuple_of(shape))).cast<std::string>());
  }
  RunRequest request;
  request.batch_size = batch_size;
  request.first = first;
  request.last = last;
  request.budget_ms = budget_ms;
  void* memory = out.mutable_data();
  return unlocked([&](Interrupt* interrupt) { return self.predict(data.data, request, memory, interrupt); });
}

py::array forward(Network& self, const PyData& data, const Order& order, Dim batch_size, Dim batch, bool training) {
  const RunRequest request = request_of(order, batch_size, batch, batch + 1, 0, 0);
  return to_numpy(unlocked([&](Interrupt* interrupt) { return self.forward(data.data, request, training, interrupt); }),
                  self.is_double());
}

// A fit from Network.start to its finish, or until nobody holds it: an exception, of a signal handler too, may fall
// between the return of start and the first line that could finish.
class Fitting {
 public:
  Fitting(py::object owner, Network& network) : owner_(std::move(owner)), network_(&network) {
    const Unlocked without;
    network.start();
  }
  ~Fitting() { finish(); }
  Fitting(const Fitting&) = delete;
  Fitting& operator=(const Fitting&) = delete;

  void finish() {
    Network* network = std::exchange(network_, nullptr);
    if (network == nullptr) return;
    const Unlocked without;
    network->finish();
  }

 private:
  py::object owner_;
  Network* network_;  // null: finished
};

}  // namespace

void register_runs(py::module_& m, py::class_<Network>& network) {
  py::class_<Fitting>(m, "Fitting")
      .def("finish", &Fitting::finish)
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](Fitting& self, const py::args&) { self.finish(); });
  network
      .def(
          "check",
          [](const Network& self, const PyData& data, const std::string& mode) {
            const Mode m = mode_of(mode);
            unlocked([&](Interrupt* interrupt) {
              self.check(data.data, m, interrupt);
              return true;
            });
          },
          py::arg("data"), py::arg("mode"))
      .def("start", [](py::object self) { return std::make_unique<Fitting>(self, self.cast<Network&>()); })
      .def_property_readonly("trains", &Network::trains)
      .def_property_readonly("trains_elsewhere", &Network::trains_elsewhere)
      .def(
          "run",
          [](Network& self, PyData& data, const std::string& mode, const Order& order, Dim batch_size, Dim first,
             Dim last, double budget_ms, Dim tbptt) {
            const RunRequest request = request_of(order, batch_size, first, last, budget_ms, tbptt);
            const Mode m = mode_of(mode);
            return unlocked([&](Interrupt* interrupt) {
              return m == Mode::kFit ? self.train_batches(data.data, request, interrupt)
                                     : self.evaluate_batches(data.data, request, interrupt);
            });
          },
          py::arg("data"), py::arg("mode"), py::arg("order"), py::arg("batch_size"), py::arg("first"), py::arg("last"),
          py::arg("budget_ms"), py::arg("tbptt") = 0)
      .def("predict", &predict, py::arg("data"), py::arg("batch_size"), py::arg("first"), py::arg("last"),
           py::arg("budget_ms"), py::arg("out"))
      .def(
          "empty_result",
          [](const Network& self, const std::vector<Dim>& shape) { return empty_result(shape, self.is_double()); },
          py::arg("shape"))
      .def("forward", &forward, py::arg("data"), py::arg("order"), py::arg("batch_size"), py::arg("batch"),
           py::arg("training"))
      .def(
          "backward",
          [](Network& self, const py::array& dy) {
            const ArrayView view = view_of(dy, "the loss gradient");
            return unlocked([&](Interrupt* interrupt) { return self.backward(view, interrupt); });
          },
          py::arg("dy"))
      .def(
          "gradients",
          [](Network& self, const PyData& data) {
            auto [loss, arrays] = unlocked([&](Interrupt* interrupt) { return self.gradients(data.data, interrupt); });
            return py::make_tuple(loss, to_numpy(std::move(arrays), self.is_double()));
          },
          py::arg("data"));
}

}  // namespace pylstm
