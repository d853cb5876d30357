// Loss and optimizer settings from JSON; a closed set of names.
#include <limits>

#include "base/check.hpp"
#include "base/float_env.hpp"
#include "network/json.hpp"
#include "network/network.hpp"

namespace pylstm {
namespace {

double number(const JsonView& config, const char* key, double fallback) {
  const auto found = config.find(key);
  return !found || found->is_null() ? fallback : found->as_double();
}

// Less would be 0, which is off, to kernels that take denormals for 0.
constexpr double kLeastNormal = std::numeric_limits<float>::min();

double positive_or_off(const JsonView& config, const char* key) {
  const auto found = config.find(key);
  if (!found || found->is_null()) return 0;
  const double value = found->as_double();
  if (!(value >= kLeastNormal)) found->fail("a number of at least 2**-126");
  return value;
}

}  // namespace

LossConfig parse_loss(const std::string& json) {
  const FloatEnvironment guard;
  const JsonValue document =
      json.empty() || json.front() != '{' ? JsonValue(JsonValue::Object{{"name", json}}) : parse_json(json);
  const JsonView config(document, "loss");
  const std::string& name = config.at("name").as_string();
  LossConfig loss;
  loss.from_logits = config.bool_or("from_logits", false);
  loss.smoothing = number(config, "label_smoothing", 0);
  check(loss.smoothing >= 0 && loss.smoothing <= 1, "label_smoothing must be from 0 to 1, got ", loss.smoothing);
  if (name == "external") {
    loss.external = true;
  } else if (name == "categorical_crossentropy") {
    loss.kind = Loss::kCategoricalCrossentropy;
  } else if (name == "sparse_categorical_crossentropy") {
    loss.kind = Loss::kSparseCategoricalCrossentropy;
  } else if (name == "binary_crossentropy") {
    loss.kind = Loss::kBinaryCrossentropy;
  } else if (name == "mean_squared_error") {
    loss.kind = Loss::kMeanSquaredError;
  } else if (name == "mean_absolute_error") {
    loss.kind = Loss::kMeanAbsoluteError;
  } else {
    config.at("name").fail("the name of a loss");
  }
  return loss;
}

OptimizerConfig parse_optimizer(const std::string& json) {
  const FloatEnvironment guard;
  const JsonValue document = parse_json(json);
  const JsonView config(document, "optimizer");
  const std::string& name = config.at("name").as_string();
  OptimizerConfig o;
  if (name == "sgd") {
    o.rule = Rule::kSgd;
  } else if (name == "rmsprop") {
    o.rule = Rule::kRmsprop;
  } else if (name == "adam" || name == "adamw") {
    o.rule = Rule::kAdam;
  } else {
    config.at("name").fail("\"sgd\", \"rmsprop\", \"adam\" or \"adamw\"");
  }
  o.learning_rate = number(config, "learning_rate", o.rule == Rule::kSgd ? 0.01 : 0.001);
  o.momentum = number(config, "momentum", 0);
  o.nesterov = config.bool_or("nesterov", false);
  o.rho = number(config, "rho", 0.9);
  o.centered = config.bool_or("centered", false);
  o.beta_1 = number(config, "beta_1", 0.9);
  o.beta_2 = number(config, "beta_2", 0.999);
  o.epsilon = number(config, "epsilon", 1e-7);
  o.weight_decay = number(config, "weight_decay", name == "adamw" && !config.find("weight_decay") ? 0.004 : 0);
  o.clipnorm = positive_or_off(config, "clipnorm");
  o.global_clipnorm = positive_or_off(config, "global_clipnorm");
  o.clipvalue = positive_or_off(config, "clipvalue");
  if (const auto paths = config.find("undecayed")) {
    for (std::size_t i = 0; i < paths->size(); ++i) o.undecayed.push_back(paths->at(i).as_string());
  }
  check((o.clipnorm > 0) + (o.global_clipnorm > 0) + (o.clipvalue > 0) <= 1,
        "only one of clipnorm, global_clipnorm and clipvalue may be set");
  return o;
}

}  // namespace pylstm
