// Aligned memory. A buffer grows and never shrinks, so a workspace that has once served a
// batch of some size serves every smaller one without an allocation.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "base/check.hpp"
#include "base/types.hpp"

namespace pylstm {

constexpr std::size_t kAlignment = 64;  // one cache line, one AVX-512 register

void* aligned_allocate(std::size_t bytes);  // throws OutOfMemory; never returns null
void aligned_release(void* memory) noexcept;

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>, "elements are copied as bytes and never destroyed");

 public:
  Buffer() = default;
  explicit Buffer(Dim count) { reserve(count); }
  Buffer(const Buffer& other) {
    reserve(other.count_);
    if (count_ > 0) std::memcpy(data(), other.data(), bytes());
  }
  Buffer(Buffer&& other) noexcept : memory_(std::move(other.memory_)), count_(std::exchange(other.count_, 0)) {}
  Buffer& operator=(Buffer other) noexcept {
    memory_.swap(other.memory_);
    std::swap(count_, other.count_);
    return *this;
  }

  // At least `count` elements; the content is lost when the buffer has to grow.
  T* reserve(Dim count) {
    if (count > count_) {
      checked_product({count}, sizeof(T));
      memory_.reset();
      count_ = 0;
      memory_.reset(static_cast<T*>(aligned_allocate(static_cast<std::size_t>(count) * sizeof(T))));
      count_ = count;
    }
    return memory_.get();
  }
  T* reserve_zeroed(Dim count) {
    T* memory = reserve(count);
    if (count > 0) std::memset(memory, 0, static_cast<std::size_t>(count) * sizeof(T));
    return memory;
  }

  T* data() { return memory_.get(); }
  const T* data() const { return memory_.get(); }
  Dim count() const { return count_; }
  std::size_t bytes() const { return static_cast<std::size_t>(count_) * sizeof(T); }
  T& operator[](Dim i) { return memory_.get()[i]; }
  const T& operator[](Dim i) const { return memory_.get()[i]; }

 private:
  struct Release {
    void operator()(T* memory) const noexcept { aligned_release(memory); }
  };
  std::unique_ptr<T[], Release> memory_;
  Dim count_ = 0;
};

}  // namespace pylstm
