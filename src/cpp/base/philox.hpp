// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). A draw is a pure function of (seed, counter), so a mask can be
// recomputed instead of stored and a run resumes from two integers.
#pragma once

#include <array>
#include <cstdint>

namespace pylstm {

// What a draw is for; part of the counter, so that no two uses ever share a number.
enum class Purpose : std::uint32_t {
  kInitialize = 1,
  kShuffle = 2,
  kDropout = 3,
  kInputDropout = 4,
  kRecurrentDropout = 5,
  kSample = 6,
};

class Philox {
 public:
  // stream: the layer or another id, below 2^24, above which the purpose stands; step: the optimizer step, epoch or
  // position.
  Philox(std::uint64_t seed, Purpose purpose, std::uint32_t stream, std::uint32_t step)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        high_{step, (static_cast<std::uint32_t>(purpose) << 24) ^ stream} {}

  // Four independent 32-bit words for block `index`.
  std::array<std::uint32_t, 4> block(std::uint64_t index) const {
    std::array<std::uint32_t, 4> x = {static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                      high_[0], high_[1]};
    std::uint32_t k0 = key_[0], k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = 0xD2511F53ull * x[0];
      const std::uint64_t p1 = 0xCD9E8D57ull * x[2];
      x = {static_cast<std::uint32_t>(p1 >> 32) ^ x[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ x[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return x;
  }

  // Uniform in [0, 1) with 53 bits.
  double uniform(std::uint64_t index) const {
    const auto x = block(index / 2);
    const std::size_t at = (index % 2) * 2;
    const std::uint64_t bits = (std::uint64_t{x[at]} << 32) | x[at + 1];
    return static_cast<double>(bits >> 11) * 0x1p-53;
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> high_;
};

}  // namespace pylstm
