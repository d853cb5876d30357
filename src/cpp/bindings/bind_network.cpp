// Network for Python: its variables, settings and state. bind_run.cpp and bind_call.cpp hold what computes.
#include "bindings/gil.hpp"
#include "bindings/py_data.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

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

py::dict sizes(const MemoryUse& use) {
  py::dict sizes;
  sizes["parameters"] = use.parameters;
  sizes["gradients"] = use.gradients;
  sizes["optimizer"] = use.optimizer;
  sizes["packed_weights"] = use.packed_weights;
  sizes["workspace"] = use.workspace;
  return sizes;
}

py::list slots(const Network& self) {
  py::list list;
  for (auto& [name, array] : released([&] { return self.get_slots(); })) {
    list.append(py::make_tuple(name, to_numpy(std::move(array), self.is_double())));
  }
  return list;
}

}  // namespace

void register_network(py::module_& m) {
  py::class_<Network> network(m, "Network");
  network
      .def(py::init([](const std::string& config, const py::tuple& input_shape, const std::string& dtype) {
             return Network::create(config, dims_of(input_shape), dtype);
           }),
           py::arg("config"), py::arg("input_shape"), py::arg("dtype"))
      .def("variables", &variables)
      .def("output_shape", [](const Network& self) { return tuple_of(self.output_shape()); })
      .def("layer_output_shapes", &shapes)
      .def("get_weights",
           [](const Network& self) { return to_numpy(released([&] { return self.get_weights(); }), self.is_double()); })
      .def(
          "set_weights",
          [](Network& self, const std::vector<py::array>& w) {
            const std::vector<ArrayView> views = views_of(w, "weights");
            released([&] { self.set_weights(views); });
          },
          py::arg("weights"))
      .def("set_trainable", &Network::set_trainable, py::arg("flags"), Release())
      .def(
          "compile",
          [](Network& self, const std::string& loss, const std::string& optimizer) {
            const LossConfig l = parse_loss(loss);
            const OptimizerConfig o = parse_optimizer(optimizer);
            released([&] { self.compile(l, o); });
          },
          py::arg("loss"), py::arg("optimizer"))
      .def("set_learning_rate", &Network::set_learning_rate, py::arg("lr"))
      .def_property("iterations", &Network::iterations, &Network::set_iterations)
      .def("get_slots", &slots)
      .def(
          "set_slots",
          [](Network& self, const std::vector<py::array>& s) {
            const std::vector<ArrayView> views = views_of(s, "slots");
            released([&] { self.set_slots(views); });
          },
          py::arg("slots"))
      .def("set_metrics", &Network::set_metrics, py::arg("names"), Release())
      .def("set_seed", &Network::set_seed, py::arg("seed"))
      .def(
          "reset_state",
          [](Network& self, const std::string& mode) {
            self.reset_state(mode.empty() || mode_of(mode) == Mode::kFit, mode.empty() || mode_of(mode) != Mode::kFit);
          },
          py::arg("mode") = "", Release())
      .def(
          "get_state",
          [](const Network& self, const std::string& mode) {
            const Mode m = mode_of(mode);
            return to_numpy(released([&] { return self.get_state(m); }), self.is_double());
          },
          py::arg("mode"))
      .def(
          "set_state",
          [](Network& self, const std::string& mode, const std::vector<py::array>& state) {
            const Mode m = mode_of(mode);
            const std::vector<ArrayView> views = views_of(state, "states");
            released([&] { self.set_state(m, views); });
          },
          py::arg("mode"), py::arg("states"))
      .def("memory", &Network::memory, Release())
      .def("memory_use", [](const Network& self) { return sizes(released([&] { return self.memory_use(); })); })
      .def(
          "plan_memory",
          [](const Network& self, Dim batch, Dim steps, const std::string& mode) {
            const Mode m = mode_of(mode);
            return sizes(released([&] { return self.plan_memory(batch, steps, m); }));
          },
          py::arg("batch"), py::arg("steps"), py::arg("mode"))
      .def_property_readonly("isa", py::cpp_function(&Network::isa, Release()));
  register_runs(m, network);
  register_calls(network);
}

}  // namespace pylstm
