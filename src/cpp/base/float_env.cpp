#include "base/float_env.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace pylstm {
namespace {

#if defined(__x86_64__) || defined(_M_X64)
constexpr unsigned kState = 0x1F80u | 0x8000u | 0x0040u;  // all masked, FTZ, DAZ
unsigned long long read_state() { return _mm_getcsr(); }
void write_state(unsigned long long state) { _mm_setcsr(static_cast<unsigned>(state)); }
unsigned long long our_state() { return kState; }
#elif defined(__aarch64__)
// Control word in the low half, sticky flags in the high half.
unsigned long long read_state() {
  unsigned long long control, flags;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  __asm__ volatile("mrs %0, fpsr" : "=r"(flags));
  return control | flags << 32;
}
void write_state(unsigned long long state) {
  __asm__ volatile("msr fpcr, %0" : : "r"(state & 0xFFFFFFFFull));
  __asm__ volatile("msr fpsr, %0" : : "r"(state >> 32));
}
unsigned long long our_state() { return 1ull << 24; }  // FZ, round to nearest
#else
unsigned long long read_state() { return 0; }
void write_state(unsigned long long) {}
unsigned long long our_state() { return 0; }
#endif

}  // namespace

FloatEnvironment::FloatEnvironment() noexcept : saved_(read_state()) { write_state(our_state()); }
FloatEnvironment::FloatEnvironment(unsigned long long state) noexcept : saved_(read_state()) { write_state(state); }
unsigned long long float_state() noexcept { return read_state(); }
FloatEnvironment::~FloatEnvironment() { write_state(saved_); }

}  // namespace pylstm
