// Network for Python: arguments in, the GIL released, results out.
#include "base/float_env.hpp"
#include "bindings/py_data.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

using Order = py::array_t<std::int64_t, py::array::c_style>;

// Asks Python for pending signals from inside a call that has released the GIL.
class SignalPoll {
 public:
  SignalPoll() : interrupt_([this] { return look(); }) {}
  Interrupt* get() { return &interrupt_; }
  void restore() {  // with the GIL
    if (!raised_) return;
    PyErr_Restore(type_, value_, trace_);
    throw py::error_already_set();
  }

 private:
  bool look() {
    const py::gil_scoped_acquire locked;
    const FloatEnvironment callers(state_);  // a signal handler is the caller's code
    raised_ = PyErr_CheckSignals() != 0;
    if (raised_) PyErr_Fetch(&type_, &value_, &trace_);
    return raised_;
  }

  unsigned long long state_ = float_state();
  bool raised_ = false;
  PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
  Interrupt interrupt_;
};

// Runs f(interrupt) without the GIL, then raises what a signal handler raised.
template <class F>
auto unlocked(F f) {
  SignalPoll poll;
  auto result = [&] {
    const py::gil_scoped_release release;
    return f(poll.get());
  }();
  poll.restore();
  return result;
}

RunRequest request_of(const Order& order, Dim batch_size, Dim first, Dim last, double budget_ms, Dim tbptt) {
  return {order.data(), order.size(), batch_size, first, last, budget_ms, tbptt};
}

py::list variables(const Network& self) {
  py::list list;
  for (const VariableInfo& v : self.variables()) list.append(py::make_tuple(v.path, tuple_of(v.shape), v.layer));
  return list;
}

py::list shapes(const Network& self) {
  py::list list;
  for (const std::vector<Dim>& shape : self.layer_output_shapes()) list.append(tuple_of(shape));
  return list;
}

py::list slots(const Network& self) {
  py::list list;
  for (auto& [name, array] : self.get_slots()) {
    list.append(py::make_tuple(name, to_numpy(std::move(array), self.is_double())));
  }
  return list;
}

std::vector<py::array> arrays_or_none(const py::object& arrays) {
  return arrays.is_none() ? std::vector<py::array>{} : arrays.cast<std::vector<py::array>>();
}

Dim predict(Network& self, const PyData& data, Dim batch_size, Dim first, Dim last, double budget_ms, py::array out) {
  std::vector<Dim> shape = self.output_shape();
  if (shape.size() == 2) shape[0] = data.data.steps();
  shape.insert(shape.begin(), data.data.samples());
  const bool dense = (out.flags() & py::array::c_style) != 0 && out.writeable();
  const bool type = out.dtype().kind() == 'f' && out.itemsize() == (self.is_double() ? 8 : 4);
  const ArrayView view = view_of(out, "out");
  if (!dense || !type || view.shape != shape) {
    throw std::invalid_argument("out must be a writable C-contiguous array of the model's dtype and shape " +
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

py::list call(Network& self, const py::array& x, const py::object& states, const py::object& mask, bool training) {
  PyData data;
  data.data.x = view_of(x, "x");
  if (!mask.is_none()) data.data.mask = view_of(mask.cast<py::array>(), "mask");
  const std::vector<py::array> arrays = arrays_or_none(states);
  const std::vector<ArrayView> views = views_of(arrays, "states");
  return to_numpy(unlocked([&](Interrupt*) { return self.call(data.data, views, training); }), self.is_double());
}

py::tuple call_gradients(Network& self, const py::array& x, const py::object& states, const py::object& mask,
                         const std::vector<py::array>& dy, bool training) {
  PyData data;
  data.data.x = view_of(x, "x");
  if (!mask.is_none()) data.data.mask = view_of(mask.cast<py::array>(), "mask");
  const std::vector<py::array> arrays = arrays_or_none(states);
  const std::vector<ArrayView> state_views = views_of(arrays, "states"), dy_views = views_of(dy, "dy");
  Network::CallGradients g = self.call_gradients(data.data, state_views, dy_views, training);
  const bool is_double = self.is_double();
  const py::object dx = g.x.shape.empty() ? py::object(py::none()) : to_numpy(std::move(g.x), is_double);
  return py::make_tuple(to_numpy(std::move(g.variables), is_double), dx, to_numpy(std::move(g.states), is_double));
}

py::array generate(Network& self, const py::array& prompt, Dim count, double temperature, Dim top_k, double top_p,
                   std::uint64_t seed) {
  const ArrayView view = view_of(prompt, "prompt");
  if (view.rank() < 1 || view.rank() > 2 || is_floating(view.type)) {
    throw std::invalid_argument("prompt must hold token ids of shape (steps,) or (rows, steps)");
  }
  const Dim rows = view.rank() == 1 ? 1 : view.shape[0], length = view.shape.back();
  std::vector<std::int64_t> wide(static_cast<std::size_t>(rows * length));
  for (Dim r = 0; r < rows; ++r) {
    const unsigned char* from = view.data + (view.rank() == 1 ? 0 : r * view.strides[0]);
    read_elements(view, from, view.strides.back(), length, wide.data() + r * length);
  }
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : wide) ids.push_back(id < 0 || id > INT32_MAX ? -1 : static_cast<std::int32_t>(id));
  const SampleOptions options = {temperature, top_k, top_p, seed};
  const std::vector<std::int32_t> tokens =
      unlocked([&](Interrupt* interrupt) { return self.generate(ids, rows, count, options, interrupt); });
  py::array_t<std::int64_t> result =
      view.rank() == 1 ? py::array_t<std::int64_t>(count) : py::array_t<std::int64_t>({rows, count});
  std::copy(tokens.begin(), tokens.end(), result.mutable_data());
  return result;
}

}  // namespace

void register_network(py::module_& m) {
  // These wait for running calls, which may want the GIL to look for signals.
  using Release = py::call_guard<py::gil_scoped_release>;
  py::class_<Network>(m, "Network")
      .def(py::init([](const std::string& config, const py::tuple& input_shape, const std::string& dtype) {
             return Network::create(config, dims_of(input_shape), dtype);
           }),
           py::arg("config"), py::arg("input_shape"), py::arg("dtype"))
      .def("variables", &variables)
      .def("output_shape", [](const Network& self) { return tuple_of(self.output_shape()); })
      .def("layer_output_shapes", &shapes)
      .def("get_weights", [](const Network& self) { return to_numpy(self.get_weights(), self.is_double()); })
      .def(
          "set_weights",
          [](Network& self, const std::vector<py::array>& w) { self.set_weights(views_of(w, "weights")); },
          py::arg("weights"))
      .def("set_trainable", &Network::set_trainable, py::arg("flags"), Release())
      .def(
          "compile",
          [](Network& self, const std::string& loss, const std::string& optimizer) {
            const LossConfig l = parse_loss(loss);
            const OptimizerConfig o = parse_optimizer(optimizer);
            const py::gil_scoped_release release;
            self.compile(l, o);
          },
          py::arg("loss"), py::arg("optimizer"))
      .def("set_learning_rate", &Network::set_learning_rate, py::arg("lr"))
      .def_property("iterations", &Network::iterations, &Network::set_iterations)
      .def("get_slots", &slots)
      .def(
          "set_slots",
          [](Network& self, const std::vector<py::array>& s) {
            const std::vector<ArrayView> views = views_of(s, "slots");
            const py::gil_scoped_release release;
            self.set_slots(views);
          },
          py::arg("slots"))
      .def("set_metrics", &Network::set_metrics, py::arg("names"), Release())
      .def("set_seed", &Network::set_seed, py::arg("seed"))
      .def(
          "check",
          [](const Network& self, const PyData& data, const std::string& mode) {
            const Mode m = mode_of(mode);
            const py::gil_scoped_release release;
            self.check(data.data, m);
          },
          py::arg("data"), py::arg("mode"))
      .def(
          "start", [](Network& self, const PyData&, const std::string& mode) { self.start(mode_of(mode)); },
          py::arg("data"), py::arg("mode"))
      .def(
          "finish", [](Network& self, const std::string& mode) { self.finish(mode_of(mode)); }, py::arg("mode"))
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
            auto [loss, arrays] = self.gradients(data.data);
            return py::make_tuple(loss, to_numpy(std::move(arrays), self.is_double()));
          },
          py::arg("data"))
      .def("call", &call, py::arg("x"), py::arg("states") = py::none(), py::arg("mask") = py::none(),
           py::arg("training") = false)
      .def("call_gradients", &call_gradients, py::arg("x"), py::arg("states"), py::arg("mask"), py::arg("dy"),
           py::arg("training") = false)
      .def(
          "reset_state",
          [](Network& self, const std::string& mode) {
            self.reset_state(mode.empty() || mode_of(mode) == Mode::kFit, mode.empty() || mode_of(mode) != Mode::kFit);
          },
          py::arg("mode") = "")
      .def(
          "get_state",
          [](const Network& self, const std::string& mode) {
            return to_numpy(self.get_state(mode_of(mode)), self.is_double());
          },
          py::arg("mode"))
      .def(
          "set_state",
          [](Network& self, const std::string& mode, const std::vector<py::array>& state) {
            self.set_state(mode_of(mode), views_of(state, "state"));
          },
          py::arg("mode"), py::arg("states"))
      .def("generate", &generate, py::arg("prompt"), py::arg("max_new_tokens"), py::arg("temperature"),
           py::arg("top_k"), py::arg("top_p"), py::arg("seed"))
      .def("memory", &Network::memory)
      .def_property_readonly("isa", &Network::isa);
}

}  // namespace pylstm
