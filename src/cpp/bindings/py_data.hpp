// The arrays of one call with the Python objects that keep them alive.
#pragma once

#include "bindings/arrays.hpp"

namespace pylstm {

struct PyData {
  Data data;
  std::vector<pybind11::object> owners;
};

Mode mode_of(const std::string& name);  // "fit", "evaluate", "predict"

}  // namespace pylstm
