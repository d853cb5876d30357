#include "base/buffer.hpp"

#include <cstdlib>

#include "base/check.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace pylstm {
namespace {

// Above this size 4 KiB pages exceed the first-level TLB of every CPU we know.
constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

void* aligned_allocate(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) / 2) throw OutOfMemory(0);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
#if defined(_WIN32)
  void* memory = _aligned_malloc(rounded, alignment);
#else
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, rounded) != 0) memory = nullptr;
#endif
  if (memory == nullptr) throw OutOfMemory(bytes);
#if defined(__linux__)
  // Advice only: a refusal costs speed, not correctness.
  if (alignment == kHugePage) (void)madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  return memory;
}

void aligned_release(void* memory) noexcept {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  std::free(memory);
#endif
}

}  // namespace pylstm
