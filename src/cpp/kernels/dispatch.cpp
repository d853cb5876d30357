#include "kernels/dispatch.hpp"

#include <atomic>

#include "base/check.hpp"
#include "base/env.hpp"

namespace pylstm {
namespace {

struct Candidate {
  const Kernels* kernels;
  bool (*supported)();
};

}  // namespace

// From CMake's instruction-set table: declares each set's kernels and defines kCandidates, best
// first. __builtin_cpu_supports also asks whether the system saves the registers.
#include "isa_list.inc"

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

const Kernels& find(const std::string& name, const char* argument) {
  for (const Candidate& candidate : kCandidates) {
    if (name != candidate.kernels->name) continue;
    check(candidate.supported(), argument, ": this processor does not support '", name,
          "'; available: ", joined(available_isas()));
    return *candidate.kernels;
  }
  throw std::invalid_argument(text(argument, " must be one of ", joined(compiled_isas()), ", got '", name, "'"));
}

const Kernels& best() {
  const std::vector<std::string> names = available_isas();
  check(!names.empty(), "this build is for ", joined(compiled_isas()), ", which this processor does not support");
  return find(names.front(), "isa");
}

std::atomic<const Kernels*> active{nullptr};

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const Candidate& candidate : kCandidates) names.emplace_back(candidate.kernels->name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.supported()) names.emplace_back(candidate.kernels->name);
  }
  return names;
}

const Kernels& active_kernels() {
  const Kernels* current = active.load(std::memory_order_acquire);
  if (current != nullptr) return *current;
  const std::string forced = environment("PYLSTM_ISA");
  const Kernels& chosen = forced.empty() ? best() : find(forced, "PYLSTM_ISA");
  // Not over what a use_isa of another thread has set meanwhile.
  const bool first = active.compare_exchange_strong(current, &chosen, std::memory_order_acq_rel);
  return first ? chosen : *current;
}

void use_isa(const std::string& name) { active.store(&find(name, "isa"), std::memory_order_release); }

}  // namespace pylstm
