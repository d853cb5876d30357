// One optimizer step over a list of variables in flat buffers: clip, then update, in one threaded pass.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace pylstm {

enum class Rule { kSgd, kRmsprop, kAdam };

struct OptimizerConfig {  // Keras' arguments; Adam with weight_decay is AdamW
  Rule rule = Rule::kRmsprop;
  double learning_rate = 0.001;
  double momentum = 0;                  // SGD, RMSprop
  bool nesterov = false;                // SGD
  double rho = 0.9;                     // RMSprop
  bool centered = false;                // RMSprop
  double beta_1 = 0.9, beta_2 = 0.999;  // Adam
  double epsilon = 1e-7;
  double weight_decay = 0;
  double clipnorm = 0, global_clipnorm = 0, clipvalue = 0;  // 0: off
  std::vector<std::string> undecayed;                       // paths of variables that weight_decay leaves alone
};

// Of all gradients together: finite, and if the rule keeps squares of gradients that no limit makes small, so that T
// holds each square. An infinite one in a slot would make its weight NaN at the next step.
template <class T>
double largest_squared_norm(const OptimizerConfig& config) {
  constexpr double kMost = std::numeric_limits<T>::max();
  const double limit = std::max({config.clipnorm, config.global_clipnorm, config.clipvalue});  // of which one is set
  const bool limited = limit > 0 && limit * limit <= kMost;
  return config.rule == Rule::kSgd || limited ? std::numeric_limits<double>::max() : kMost;
}

// Names of the slots that a rule keeps for each variable, in the order of `slots` below.
std::vector<std::string> slot_names(const OptimizerConfig& config);

struct VariableRange {
  Dim offset, count;  // in the flat buffers
  bool trainable;
  // Outside these of its rows of `width` elements, ascending, the gradient is 0; null: it may be anything anywhere.
  const std::vector<std::int32_t>* touched = nullptr;
  Dim width = 0;
  bool decays = true;
};

// Squared norm of the gradient of every variable; the sum's order depends on sizes and touched rows alone.
template <class T>
std::vector<double> squared_norms(const KernelTable<T>& kernels, const std::vector<VariableRange>& variables,
                                  const T* gradients);

// parameters, gradients and slots are flat and share offsets; iteration counts from 1.
template <class T>
void optimizer_step(const KernelTable<T>& kernels, const OptimizerConfig& config,
                    const std::vector<VariableRange>& variables, const std::vector<double>& squared_norms,
                    long long iteration, T* parameters, const T* gradients, const std::vector<T*>& slots);

}  // namespace pylstm
