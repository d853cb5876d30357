// NumPy arrays in and out.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "network/network.hpp"

namespace pylstm {

// The array itself, unless its type is not one the engine reads: then TypeError naming `name`.
ArrayView view_of(const pybind11::array& array, const char* name);
std::vector<ArrayView> views_of(const std::vector<pybind11::array>& arrays, const char* name);

pybind11::array to_numpy(OwnedArray array, bool is_double);
pybind11::list to_numpy(std::vector<OwnedArray> arrays, bool is_double);

std::vector<Dim> dims_of(const pybind11::tuple& shape);
pybind11::tuple tuple_of(const std::vector<Dim>& shape);

void register_runtime(pybind11::module_& m);
void register_model_file(pybind11::module_& m);
void register_data(pybind11::module_& m);
void register_network(pybind11::module_& m);
void register_runs(pybind11::module_& m, pybind11::class_<Network>& network);  // Fitting, and methods of Network
void register_calls(pybind11::class_<Network>& network);

}  // namespace pylstm
