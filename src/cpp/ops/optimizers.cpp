#include "ops/optimizers.hpp"

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"

namespace pylstm {
namespace {

constexpr Dim kBlock = 16384;  // elements: a multiple of every vector, small beside a variable worth two threads

// Fewer blocks stay on one thread: the one that packs these weights at the next step.
constexpr Dim kFewBlocks = 8;

// Blocks of all trainable variables, so that threads share large and small variables alike.
struct Work {
  std::size_t variable;
  Dim begin, count;
};

std::vector<Work> blocks_of(const std::vector<VariableRange>& variables) {
  std::vector<Work> work;
  for (std::size_t v = 0; v < variables.size(); ++v) {
    if (!variables[v].trainable) continue;
    for (Dim begin = 0; begin < variables[v].count; begin += kBlock) {
      work.push_back({v, begin, std::min(kBlock, variables[v].count - begin)});
    }
  }
  return work;
}

template <class F>
void each_block(const std::vector<Work>& work, F f) {
  const auto blocks = static_cast<Dim>(work.size());
  parallel_for(blocks, blocks < kFewBlocks ? blocks : 1, [&](Range range) {
    for (Dim i = range.begin; i < range.end; ++i) f(static_cast<std::size_t>(i));
  });
}

// Touched rows are rounded to as many elements: whole lines, and no rest of an inner loop for each.
constexpr Dim kPart = 64;

// f(begin, end, touched) for the parts of a block: rows that are touched, which touch each other, and those between.
template <class F>
void each_part(const VariableRange& variable, const Work& block, F f) {
  const Dim end = block.begin + block.count, width = variable.width;
  if (variable.touched == nullptr) return f(block.begin, end, true);
  const auto first_part = [&](Dim row) { return row * width / kPart * kPart; };
  const auto last = variable.touched->end();
  auto row = std::lower_bound(variable.touched->begin(), last, block.begin / width);
  for (Dim at = block.begin; at < end;) {
    const Dim from = row == last ? end : std::min(end, std::max(at, first_part(*row)));
    Dim to = from;
    for (; row != last && to < end && first_part(*row) <= to; ++row) {
      to = std::min(end, ((*row + 1) * width + kPart - 1) / kPart * kPart);
    }
    if (at < from) f(at, from, false);
    if (from < to) f(from, to, true);
    at = to;
  }
}

double limited(double norm, double limit) { return limit > 0 && norm > limit ? limit / norm : 1.0; }

}  // namespace

std::vector<std::string> slot_names(const OptimizerConfig& config) {
  switch (config.rule) {
    case Rule::kSgd:
      return config.momentum != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
    case Rule::kAdam:
      return {"momentum", "velocity"};
    case Rule::kRmsprop:
      break;
  }
  std::vector<std::string> names = {"velocity"};
  if (config.momentum != 0) names.push_back("momentum");
  if (config.centered) names.push_back("average_gradient");
  return names;
}

template <class T>
std::vector<double> squared_norms(const KernelTable<T>& kernels, const std::vector<VariableRange>& variables,
                                  const T* gradients) {
  const std::vector<Work> work = blocks_of(variables);
  std::vector<double> partial(work.size());
  each_block(work, [&](std::size_t i) {
    const VariableRange& variable = variables[work[i].variable];
    each_part(variable, work[i], [&](Dim begin, Dim end, bool touched) {
      if (touched) partial[i] += kernels.sum_of_squares(end - begin, gradients + variable.offset + begin);
    });
  });
  std::vector<double> norms(variables.size(), 0.0);
  for (std::size_t i = 0; i < work.size(); ++i) norms[work[i].variable] += partial[i];
  return norms;
}

template <class T>
void optimizer_step(const KernelTable<T>& kernels, const OptimizerConfig& config,
                    const std::vector<VariableRange>& variables, const std::vector<double>& norms, long long iteration,
                    T* parameters, const T* gradients, const std::vector<T*>& slots) {
  double total = 0;
  for (const double norm : norms) total += norm;
  const double global = limited(std::sqrt(total), config.global_clipnorm);
  const auto slot = [&](const char* name) -> T* {
    const std::vector<std::string> names = slot_names(config);
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? nullptr : slots[static_cast<std::size_t>(found - names.begin())];
  };
  const bool adam = config.rule == Rule::kAdam;
  const double count = static_cast<double>(iteration);
  const double rate =
      adam ? config.learning_rate * std::sqrt(1 - std::pow(config.beta_2, count)) / (1 - std::pow(config.beta_1, count))
           : config.learning_rate;
  T* const m = slot("momentum");
  T* const v = slot("velocity");
  T* const u = slot("average_gradient");
  UpdateArgs<T> all = {};
  all.clip_value = static_cast<T>(config.clipvalue);
  all.rate = static_cast<T>(rate);
  all.decay = static_cast<T>(config.learning_rate * config.weight_decay);
  const double beta_1 = adam ? config.beta_1 : config.momentum, beta_2 = adam ? config.beta_2 : config.rho;
  all.beta_1 = static_cast<T>(beta_1);
  all.beta_2 = static_cast<T>(beta_2);
  all.rest_1 = static_cast<T>(1 - beta_1);
  all.rest_2 = static_cast<T>(1 - beta_2);
  all.epsilon = static_cast<T>(config.epsilon);
  all.nesterov = config.nesterov;
  all.centered = config.centered;
  const auto update = adam ? kernels.adam : config.rule == Rule::kSgd ? kernels.sgd : kernels.rmsprop;
  const bool plain = config.rule == Rule::kSgd && m == nullptr;
  const std::vector<Work> work = blocks_of(variables);
  each_block(work, [&](std::size_t i) {
    const VariableRange& variable = variables[work[i].variable];
    const double norm = std::sqrt(norms[work[i].variable]);
    const bool decays = variable.decays && config.weight_decay != 0;
    each_part(variable, work[i], [&](Dim begin, Dim end, bool touched) {
      if (!touched && plain && !decays) return;
      const Dim at = variable.offset + begin;
      UpdateArgs<T> args = all;
      if (!decays) args.decay = 0;
      args.n = end - begin;
      args.p = parameters + at;
      args.g = touched ? gradients + at : nullptr;
      args.m = m == nullptr ? nullptr : m + at;
      args.v = v == nullptr ? nullptr : v + at;
      args.u = u == nullptr ? nullptr : u + at;
      args.gradient_scale = static_cast<T>(global * limited(norm, config.clipnorm));
      update(args);
    });
  });
}

#define PYLSTM_INSTANTIATE(T)                                                                                        \
  template std::vector<double> squared_norms<T>(const KernelTable<T>&, const std::vector<VariableRange>&, const T*); \
  template void optimizer_step<T>(const KernelTable<T>&, const OptimizerConfig&, const std::vector<VariableRange>&,  \
                                  const std::vector<double>&, long long, T*, const T*, const std::vector<T*>&);
PYLSTM_INSTANTIATE(float)
PYLSTM_INSTANTIATE(double)
#undef PYLSTM_INSTANTIATE

}  // namespace pylstm
