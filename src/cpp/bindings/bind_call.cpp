// Network on arrays: one call, its gradients, sampling.
#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/gil.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

std::vector<py::array> arrays_or_none(const py::object& arrays) {
  return arrays.is_none() ? std::vector<py::array>{} : arrays.cast<std::vector<py::array>>();
}

Data data_of(const py::array& x, const std::optional<py::array>& mask) {
  Data data;
  data.x = view_of(x, "x");
  if (mask) data.mask = view_of(*mask, "mask");
  return data;
}

py::list call(Network& self, const py::array& x, const py::object& states, const std::optional<py::array>& mask,
              bool training) {
  const Data data = data_of(x, mask);
  const std::vector<py::array> arrays = arrays_or_none(states);
  const std::vector<ArrayView> views = views_of(arrays, "states");
  return to_numpy(unlocked([&](Interrupt* interrupt) { return self.call(data, views, training, interrupt); }),
                  self.is_double());
}

py::tuple call_gradients(Network& self, const py::array& x, const py::object& states,
                         const std::optional<py::array>& mask, const std::vector<py::array>& dy, bool training) {
  const Data data = data_of(x, mask);
  const std::vector<py::array> arrays = arrays_or_none(states);
  const std::vector<ArrayView> state_views = views_of(arrays, "states"), dy_views = views_of(dy, "dy");
  Network::CallGradients g = unlocked(
      [&](Interrupt* interrupt) { return self.call_gradients(data, state_views, dy_views, training, interrupt); });
  const bool is_double = self.is_double();
  const py::object dx = g.x.shape.empty() ? py::object(py::none()) : to_numpy(std::move(g.x), is_double);
  return py::make_tuple(to_numpy(std::move(g.variables), is_double), dx, to_numpy(std::move(g.states), is_double));
}

py::array generate(Network& self, const py::array& prompt, Dim count, double temperature, Dim top_k, double top_p,
                   std::uint64_t seed) {
  const ArrayView view = view_of(prompt, "prompt");
  const SampleOptions options = {temperature, top_k, top_p, seed};
  const std::vector<std::int32_t> tokens =
      unlocked([&](Interrupt* interrupt) { return self.generate(view, count, options, interrupt); });
  py::array_t<std::int64_t> result =
      view.rank() == 1 ? py::array_t<std::int64_t>(count) : py::array_t<std::int64_t>({view.shape[0], count});
  std::copy(tokens.begin(), tokens.end(), result.mutable_data());
  return result;
}

}  // namespace

void register_calls(py::class_<Network>& network) {
  network
      .def("call", &call, py::arg("x"), py::arg("states") = py::none(), py::arg("mask") = py::none(),
           py::arg("training") = false)
      .def("call_gradients", &call_gradients, py::arg("x"), py::arg("states"), py::arg("mask"), py::arg("dy"),
           py::arg("training") = false)
      .def("generate", &generate, py::arg("prompt"), py::arg("max_new_tokens"), py::arg("temperature"),
           py::arg("top_k"), py::arg("top_p"), py::arg("seed"));
}

}  // namespace pylstm
