#include <optional>

#include "bindings/py_data.hpp"

namespace py = pybind11;

namespace pylstm {
namespace {

using Optional = std::optional<py::array>;  // no list: its copy would be gone while the view is read

void attach(PyData& target, ArrayView& view, const Optional& array, const char* name) {
  if (!array) return;
  view = view_of(*array, name);
  target.owners.push_back(*array);
}

std::unique_ptr<PyData> make_data(const py::array& x, const Optional& y, const Optional& sample_weight,
                                  const Optional& mask) {
  auto result = std::make_unique<PyData>();
  attach(*result, result->data.x, x, "x");
  attach(*result, result->data.y, y, "y");
  attach(*result, result->data.sample_weight, sample_weight, "sample_weight");
  attach(*result, result->data.mask, mask, "mask");
  return result;
}

}  // namespace

Mode mode_of(const std::string& name) {
  if (name == "fit") return Mode::kFit;
  if (name == "evaluate") return Mode::kEvaluate;
  if (name == "predict") return Mode::kPredict;
  if (name == "call") return Mode::kCall;
  throw std::invalid_argument("mode must be 'fit', 'evaluate', 'predict' or 'call', got '" + name + "'");
}

void register_data(py::module_& m) {
  py::class_<PyData>(m, "Data")
      .def(py::init(&make_data), py::arg("x"), py::arg("y") = py::none(), py::arg("sample_weight") = py::none(),
           py::arg("mask") = py::none())
      .def_property_readonly("rows", [](const PyData& self) { return self.data.samples(); })
      .def("totals", [](const PyData& self) { return self.data.totals; })
      .def("reset_totals", [](PyData& self) { self.data.totals.clear(); });
}

}  // namespace pylstm
