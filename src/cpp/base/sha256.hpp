// SHA-256 (FIPS 180-4), incremental. It guards the model file against damage and sees no secrets.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace pylstm {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  // Appends `size` bytes to the message; `data` may be null when size is 0.
  void update(const void* data, std::size_t size) noexcept;

  // The digest of everything appended. Call it once: the object is spent afterwards.
  Sha256Digest finish() noexcept;

 private:
  void compress(const std::uint8_t* block) noexcept;

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_ = {};  // the incomplete last block
  std::uint64_t length_ = 0;                 // bytes appended
};

}  // namespace pylstm
