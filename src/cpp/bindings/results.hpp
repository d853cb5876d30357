// Memory of large results.
#pragma once

#include "bindings/arrays.hpp"

namespace pylstm {

// An uninitialised array in C order that does not own its memory. It takes that which the last such one left behind, if
// it is enough and not more than twice as much: to get pages of zeros from the system, and to give them back, costs a
// call that writes many probabilities an eighth of its time. At most one result is kept so, of at most 128 MiB.
pybind11::array empty_result(const std::vector<Dim>& shape, bool is_double);

}  // namespace pylstm
