#include "network/build.hpp"

#include "base/check.hpp"
#include "network/lstm_layers.hpp"
#include "network/masking_layer.hpp"
#include "network/simple_layers.hpp"

namespace pylstm {
namespace {

constexpr std::int64_t kMaxDim = (std::int64_t{1} << 31) - 1;

double rate(const JsonView& config, const char* key) {
  const double value = config.double_or(key, 0);
  if (!(value >= 0 && value <= 1)) config.at(key).fail("a rate from 0 to 1");
  return value;
}

std::optional<std::uint64_t> seed_of(const JsonView& config) {
  const auto seed = config.find("seed");
  if (!seed || seed->is_null()) return std::nullopt;
  return static_cast<std::uint64_t>(seed->as_int(0));
}

void expect_text(const JsonView& config, const char* key, const char* expected) {
  if (config.string_or(key, expected) != expected) {
    config.at(key).fail(text("\"", expected, "\", the only one supported"));
  }
}

LstmConfig lstm_config(const JsonView& config, Dim inputs) {
  expect_text(config, "activation", "tanh");
  expect_text(config, "recurrent_activation", "sigmoid");
  LstmConfig lstm;
  lstm.inputs = inputs;
  lstm.units = config.at("units").as_int(1, kMaxDim / 4);
  lstm.use_bias = config.bool_or("use_bias", true);
  lstm.return_sequences = config.bool_or("return_sequences", false);
  lstm.go_backwards = config.bool_or("go_backwards", false);
  lstm.stateful = config.bool_or("stateful", false);
  lstm.zero_output_for_mask = config.bool_or("zero_output_for_mask", false);
  lstm.dropout = rate(config, "dropout");
  lstm.recurrent_dropout = rate(config, "recurrent_dropout");
  lstm.seed = seed_of(config);
  return lstm;
}

DenseActivation dense_activation(const JsonView& config) {
  const auto found = config.find("activation");
  if (!found || found->is_null()) return DenseActivation::kLinear;
  const std::string& name = found->as_string();
  if (name == "linear") return DenseActivation::kLinear;
  if (name == "relu") return DenseActivation::kRelu;
  if (name == "tanh") return DenseActivation::kTanh;
  if (name == "sigmoid") return DenseActivation::kSigmoid;
  if (name == "softmax") return DenseActivation::kSoftmax;
  found->fail("one of \"linear\", \"relu\", \"tanh\", \"sigmoid\", \"softmax\" or null");
}

Merge merge_mode(const JsonView& config) {
  const std::string name = config.string_or("merge_mode", "concat");
  if (name == "concat") return Merge::kConcat;
  if (name == "sum") return Merge::kSum;
  if (name == "mul") return Merge::kMul;
  if (name == "ave") return Merge::kAve;
  config.at("merge_mode").fail("one of \"concat\", \"sum\", \"mul\", \"ave\"");
}

template <class T>
std::unique_ptr<Layer<T>> bidirectional(const std::string& name, std::uint32_t index, const JsonView& config,
                                        SampleShape in) {
  LstmConfig forward = lstm_config(config.at("layer").at("config"), in.features);
  LstmConfig backward = forward;
  backward.go_backwards = !forward.go_backwards;
  if (const auto other = config.find("backward_layer"); other && !other->is_null()) {
    backward = lstm_config(other->at("config"), in.features);
  }
  check(forward.go_backwards != backward.go_backwards, name,
        ": layer and backward_layer must run in opposite directions, got go_backwards=",
        forward.go_backwards ? "True" : "False", " in both");
  check(forward.units == backward.units && forward.return_sequences == backward.return_sequences &&
            forward.stateful == backward.stateful && forward.use_bias == backward.use_bias,
        name, ": layer and backward_layer must agree in units, use_bias, return_sequences and stateful");
  // Keras: a bidirectional sequence is 0 where it is masked, so that both halves agree.
  if (forward.return_sequences) forward.zero_output_for_mask = backward.zero_output_for_mask = true;
  return std::make_unique<BidirectionalLayer<T>>(name, index, forward, backward, merge_mode(config), in);
}

template <class T>
std::unique_ptr<Layer<T>> build_layer(const JsonView& entry, std::uint32_t index, SampleShape in) {
  const std::string& type = entry.at("class_name").as_string();
  const JsonView config = entry.at("config");
  const std::string& name = config.at("name").as_string();
  const auto need_values = [&] {
    check(!in.tokens, name, ": ", type, " needs numbers, not token ids; put an Embedding before it");
  };
  if (type == "Embedding") {
    check(in.tokens, name, ": an Embedding must be the first layer");
    return std::make_unique<EmbeddingLayer<T>>(name, index, config.at("input_dim").as_int(1, kMaxDim),
                                               config.at("output_dim").as_int(1, kMaxDim),
                                               config.bool_or("mask_zero", false), in);
  }
  need_values();
  if (type == "Masking") {
    check(index == 0, name, ": a Masking must be the first layer");
    check(in.sequence, name, ": Masking needs samples of shape (steps, features), got ", shape_text(in.dims()));
    const double value = config.double_or("mask_value", 0);
    return std::make_unique<MaskingLayer<T>>(name, index, value, in);
  }
  if (type == "Dense") {
    return std::make_unique<DenseLayer<T>>(name, index, config.at("units").as_int(1, kMaxDim), dense_activation(config),
                                           config.bool_or("use_bias", true), in);
  }
  if (type == "Dropout")
    return std::make_unique<DropoutLayer<T>>(name, index, rate(config, "rate"), seed_of(config), in);
  check(type != "LSTM" || in.sequence, name, ": LSTM needs samples of shape (steps, features), got ",
        shape_text(in.dims()), "; does the layer before it lack return_sequences=True?");
  if (type == "LSTM") return std::make_unique<LstmLayer<T>>(name, index, lstm_config(config, in.features), in);
  check(type != "Bidirectional" || in.sequence, name, ": Bidirectional needs samples of shape (steps, features), got ",
        shape_text(in.dims()));
  if (type == "Bidirectional") return bidirectional<T>(name, index, config, in);
  entry.at("class_name").fail("one of \"Embedding\", \"Masking\", \"LSTM\", \"Bidirectional\", \"Dense\", \"Dropout\"");
}

}  // namespace

SampleShape input_of(const JsonView& layers, const std::vector<Dim>& shape) {
  check(layers.size() > 0, "layers must not be empty: a network needs at least one layer");
  for (std::size_t i = 0; i < shape.size(); ++i) {
    check(shape[i] >= 1 || (shape[i] == -1 && i == 0), "input_shape must have sizes of at least 1, got ",
          shape_text(shape));
  }
  if (layers.at(std::size_t{0}).at("class_name").as_string() == "Embedding") {
    check(shape.size() == 1, "input_shape before an Embedding must be (steps,), got ", shape_text(shape));
    return {true, true, shape[0], 0};
  }
  check(shape.size() == 2 || (shape.size() == 1 && shape[0] > 0),
        "input_shape must be (steps, features) or (features,), got ", shape_text(shape));
  if (shape.size() == 1) return {false, false, 1, shape[0]};
  return {true, false, shape[0], shape[1]};
}

template <class T>
std::vector<std::unique_ptr<Layer<T>>> build_layers(const JsonView& layers, SampleShape shape) {
  std::vector<std::unique_ptr<Layer<T>>> built;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    built.push_back(build_layer<T>(layers.at(i), static_cast<std::uint32_t>(i), shape));
    shape = built.back()->output_shape();
    for (const VariableSpec& variable : built.back()->variables()) checked_product(variable.shape, sizeof(T));
  }
  return built;
}

template std::vector<std::unique_ptr<Layer<float>>> build_layers(const JsonView&, SampleShape);
template std::vector<std::unique_ptr<Layer<double>>> build_layers(const JsonView&, SampleShape);

}  // namespace pylstm
