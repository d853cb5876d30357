// Memory that ends at a page which nobody may touch: one element read or written too far stops the
// test. In front of it lie sentinels, and what is not set is a sentinel too, a NaN of rare bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "base/types.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#include <unistd.h>
#define PYLSTM_GUARD_PAGES 1
#else
#include <vector>
#define PYLSTM_GUARD_PAGES 0
#endif

namespace pylstm::test {

inline float sentinel(float) {
  const std::uint32_t bits = 0x7FC5A5A5u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline double sentinel(double) {
  const std::uint64_t bits = 0x7FF8A5A5A5A5A5A5ull;
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
class Guarded {
 public:
  explicit Guarded(Dim capacity) : capacity_(capacity + kFront) {
#if PYLSTM_GUARD_PAGES
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = static_cast<std::size_t>(capacity_) * sizeof(T);
    usable_ = (bytes + page - 1) / page * page;
    mapped_ = usable_ + page;
    void* memory = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    if (mprotect(base_ + usable_, page, PROT_NONE) != 0) throw std::bad_alloc();
#else
    storage_.resize(static_cast<std::size_t>(capacity_));
    usable_ = storage_.size() * sizeof(T);
    base_ = reinterpret_cast<char*>(storage_.data());
#endif
  }
#if PYLSTM_GUARD_PAGES
  ~Guarded() { munmap(base_, mapped_); }
#endif
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  // The last n elements before the page, all sentinels; as aligned as n happens to make them.
  T* take(Dim n) {
    taken_ = reinterpret_cast<T*>(base_ + usable_) - n;
    for (T* p = taken_ - kFront; p < taken_ + n; ++p) *p = sentinel(T());
    return taken_;
  }
  // Nothing was written in front of what was taken.
  bool intact() const {
    const T mark = sentinel(T());
    for (const T* p = taken_ - kFront; p < taken_; ++p) {
      if (std::memcmp(p, &mark, sizeof(T)) != 0) return false;
    }
    return true;
  }

 private:
  static constexpr Dim kFront = 64;
  Dim capacity_;
  std::size_t usable_ = 0, mapped_ = 0;
  char* base_ = nullptr;
  T* taken_ = nullptr;
#if !PYLSTM_GUARD_PAGES
  std::vector<T> storage_;
#endif
};

template <class T>
bool is_sentinel(const T& value) {
  const T mark = sentinel(T());
  return std::memcmp(&value, &mark, sizeof(T)) == 0;
}

}  // namespace pylstm::test

#undef PYLSTM_GUARD_PAGES
