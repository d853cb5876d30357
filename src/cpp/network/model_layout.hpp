// What reader and writer of model files must agree on. For model_file*.cpp only.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network/json.hpp"
#include "network/model_file.hpp"

namespace pylstm {

constexpr std::size_t kLengthBytes = 8;     // the length of the header
constexpr std::size_t kDataAlignment = 64;  // a cache line and an AVX-512 vector, for mapped files
constexpr std::int64_t kDigestBytes = 32;
constexpr char kDigestName[] = "sha256";
constexpr char kMetadataKey[] = "__metadata__";
constexpr char kFormatKey[] = "pylstm_format";
constexpr char kFormatVersion[] = "1";

std::optional<FileDtype> dtype_of(std::string_view name) noexcept;

// 1 to 256 printable ASCII characters.
bool is_valid_name(std::string_view name) noexcept;

// Throws Error unless `name`, of a tensor or whatever `what` says, is valid.
template <class Error>
void check_name(const std::string& name, const char* what) {
  if (is_valid_name(name)) return;
  throw Error(std::string("the name of a ") + what + " must be 1 to 256 printable ASCII characters, got " +
              printable(name));
}

// Bytes of a tensor with dimensions >= 0; nothing if 2^63 or more would be needed with every
// dimension 0 counted as 1 (NumPy's rule, which keeps all strides representable).
std::optional<std::uint64_t> byte_count(FileDtype dtype, const std::vector<std::int64_t>& shape) noexcept;

}  // namespace pylstm
