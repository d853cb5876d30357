// The only place that reads environment variables.
#pragma once

#include <string>

namespace pylstm {

// The value of `name`, or an empty string.
std::string environment(const char* name);

}  // namespace pylstm
