#include "network/array.hpp"

#include <cstring>
#include <limits>
#include <type_traits>

#include "base/check.hpp"

namespace pylstm {
namespace {

// IEEE 754 half precision.
struct Half {
  std::uint16_t bits;
};

float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Exact, also where denormals are taken for 0; without calls or branches, so that compilers make vectors of it.
float value_of(Half half) {
  constexpr std::uint32_t kRebias = (127 - 15) << 23, kOne = 1 << 23;  // of exponents
  const std::uint32_t exponent = half.bits & 0x7c00, magnitude = (half.bits & 0x7fffu) << 13;
  const std::uint32_t sign = (half.bits & 0x8000u) << 16;
  const float denormal = float_of(magnitude + kRebias + kOne) - float_of(kRebias + kOne);
  const float other = float_of(magnitude + kRebias + (exponent == 0x7c00 ? kRebias : 0));
  const float size = exponent == 0 ? denormal : other;
  std::uint32_t bits;
  std::memcpy(&bits, &size, sizeof(bits));
  return float_of(bits | sign);
}
template <class S>
S value_of(S value) {
  return value;
}

template <class S>
S element(const unsigned char* from, bool swapped) {
  unsigned char bytes[sizeof(S)];
  std::memcpy(bytes, from, sizeof(S));
  if (swapped) {
    for (std::size_t i = 0; i < sizeof(S) / 2; ++i) std::swap(bytes[i], bytes[sizeof(S) - 1 - i]);
  }
  S value;
  std::memcpy(&value, bytes, sizeof(S));
  return value;
}

template <class Out, class Value>
Out converted(Value value) {
  if constexpr (std::is_floating_point_v<Value> && std::is_integral_v<Out>) {
    constexpr Value kEnd = static_cast<Value>(std::uint64_t{1} << std::numeric_limits<Out>::digits);
    constexpr Value kFirst = std::is_signed_v<Out> ? -kEnd : Value(0);
    if (!(value >= kFirst && value < kEnd)) return static_cast<Out>(-1);  // the language has no result for it
  }
  return static_cast<Out>(value);
}

template <class S, class Out>
void read(const unsigned char* from, Dim stride, Dim count, bool swapped, Out* out) {
  if (!swapped && stride == static_cast<Dim>(sizeof(S))) {
    if constexpr (std::is_same_v<S, Out>) {
      std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(S));
    } else {  // the loop below with constants, of which compilers make vectors
      constexpr Dim kStride = sizeof(S);
      for (Dim i = 0; i < count; ++i) out[i] = converted<Out>(value_of(element<S>(from + i * kStride, false)));
    }
    return;
  }
  for (Dim i = 0; i < count; ++i) out[i] = converted<Out>(value_of(element<S>(from + i * stride, swapped)));
}

}  // namespace

bool is_floating(ElementType type) {
  return type == ElementType::kF16 || type == ElementType::kF32 || type == ElementType::kF64;
}

std::size_t element_size(ElementType type) {
  switch (type) {
    case ElementType::kBool:
    case ElementType::kI8:
    case ElementType::kU8:
      return 1;
    case ElementType::kI16:
    case ElementType::kU16:
    case ElementType::kF16:
      return 2;
    case ElementType::kI32:
    case ElementType::kU32:
    case ElementType::kF32:
      return 4;
    default:
      return 8;
  }
}

template <class Out>
void read_elements(const ArrayView& array, const unsigned char* from, Dim stride, Dim count, Out* out) {
  const bool swapped = array.swapped;
  switch (array.type) {
    case ElementType::kBool:
    case ElementType::kU8:
      return read<std::uint8_t>(from, stride, count, false, out);
    case ElementType::kI8:
      return read<std::int8_t>(from, stride, count, false, out);
    case ElementType::kI16:
      return read<std::int16_t>(from, stride, count, swapped, out);
    case ElementType::kU16:
      return read<std::uint16_t>(from, stride, count, swapped, out);
    case ElementType::kI32:
      return read<std::int32_t>(from, stride, count, swapped, out);
    case ElementType::kU32:
      return read<std::uint32_t>(from, stride, count, swapped, out);
    case ElementType::kI64:
      return read<std::int64_t>(from, stride, count, swapped, out);
    case ElementType::kU64:
      return read<std::uint64_t>(from, stride, count, swapped, out);
    case ElementType::kF16:
      return read<Half>(from, stride, count, swapped, out);
    case ElementType::kF32:
      return read<float>(from, stride, count, swapped, out);
    case ElementType::kF64:
      return read<double>(from, stride, count, swapped, out);
  }
}

template <class T>
void read_array(const ArrayView& array, const std::vector<Dim>& shape, const std::string& name, T* out) {
  check(array.shape == shape, name, " must have shape ", shape_text(shape), ", got ", shape_text(array.shape),
        array.shape.size() == 2 && shape.size() == 2 && array.shape[0] == shape[1] && array.shape[1] == shape[0]
            ? "; is it transposed?"
            : "");
  const std::size_t rank = shape.size();
  const Dim inner = rank == 0 ? 1 : shape.back();
  const Dim outer = rank < 2 ? 1 : shape[rank - 2], more = rank < 3 ? 1 : shape[rank - 3];
  for (Dim i = 0; i < more; ++i) {
    for (Dim j = 0; j < outer; ++j) {
      const unsigned char* from =
          array.data + (rank < 3 ? 0 : i * array.strides[rank - 3]) + (rank < 2 ? 0 : j * array.strides[rank - 2]);
      read_elements(array, from, rank == 0 ? 0 : array.strides.back(), inner, out + (i * outer + j) * inner);
    }
  }
}

template void read_elements<float>(const ArrayView&, const unsigned char*, Dim, Dim, float*);
template void read_elements<double>(const ArrayView&, const unsigned char*, Dim, Dim, double*);
template void read_elements<std::int32_t>(const ArrayView&, const unsigned char*, Dim, Dim, std::int32_t*);
template void read_elements<std::int64_t>(const ArrayView&, const unsigned char*, Dim, Dim, std::int64_t*);
template void read_elements<std::uint8_t>(const ArrayView&, const unsigned char*, Dim, Dim, std::uint8_t*);
template void read_array<float>(const ArrayView&, const std::vector<Dim>&, const std::string&, float*);
template void read_array<double>(const ArrayView&, const std::vector<Dim>&, const std::string&, double*);

}  // namespace pylstm
