// From a configuration (JSON as Sequential.get_config() gives it) to layers, by a closed table of
// layer types: nothing in it names code.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "network/json.hpp"
#include "network/layer.hpp"

namespace pylstm {

// input_shape without the batch: (steps or -1,) token ids when the first layer is an Embedding, (steps or -1, features)
// or (features,). Throws JsonError or std::invalid_argument that names the layer and the argument.
SampleShape input_of(const JsonView& layers, const std::vector<Dim>& input_shape);

template <class T>
std::vector<std::unique_ptr<Layer<T>>> build_layers(const JsonView& layers, SampleShape input);

}  // namespace pylstm
