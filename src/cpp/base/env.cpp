#include "base/env.hpp"

#include <cstdlib>

namespace pylstm {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

}  // namespace pylstm
