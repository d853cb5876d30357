// The extension module pylstm._core: nothing but registrations.
#include "bindings/arrays.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "pylstm's engine";
  pylstm::register_runtime(m);
  pylstm::register_model_file(m);
  pylstm::register_data(m);
  pylstm::register_network(m);
}
