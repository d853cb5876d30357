// Which instruction set runs. Chosen once by what the processor and the system support; forced
// by the variable PYLSTM_ISA or by use_isa.
#pragma once

#include <string>
#include <vector>

#include "kernels/table.hpp"

namespace pylstm {

std::vector<std::string> compiled_isas();   // in this build, best first
std::vector<std::string> available_isas();  // of these, what this machine can run

// The active set. Throws std::invalid_argument if PYLSTM_ISA names one that cannot run here.
const Kernels& active_kernels();

// Makes `name` active for calls that start from now on. Throws std::invalid_argument if it is
// unknown or not supported by this processor.
void use_isa(const std::string& name);

}  // namespace pylstm
