#include "network/masking_layer.hpp"

#include <algorithm>

#include "base/index.hpp"
#include "base/parallel.hpp"
#include "network/padding.hpp"

namespace pylstm {
namespace {

template <class T>
struct MaskingWork final : LayerWork {
  Buffer<std::uint8_t> mask;
  Buffer<T> y;
  std::size_t bytes() const override { return mask.bytes() + y.bytes(); }
};

constexpr Dim kGrain = 16384;          // elements of one thread's share
constexpr Dim kAtOnce = Dim{1} << 22;  // between two looks at an interrupt: milliseconds

}  // namespace

template <class T>
std::unique_ptr<LayerWork> MaskingLayer<T>::make_work() const {
  return std::make_unique<MaskingWork<T>>();
}

template <class T>
std::size_t MaskingLayer<T>::planned_work(const KernelTable<T>&, const PlannedCall& call) const {
  return at(call.rows()) + (value_ == 0 ? 0 : at(call.rows() * in_.features) * sizeof(T));
}

template <class T>
Rows<T> MaskingLayer<T>::forward(const CallContext<T>& context, const LayerWeights*, LayerWork& work,
                                 const Rows<T>& in) const {
  auto& own = static_cast<MaskingWork<T>&>(work);
  const T value = static_cast<T>(value_);
  const Dim rows = in.rows(), features = in.features, rows_at_once = std::max<Dim>(1, kAtOnce / features);
  Rows<T> out = in;
  std::uint8_t* const mask = own.mask.reserve(rows);
  if (value != 0) out.data = own.y.reserve(rows * features);
  out.mask = mask;
  const auto run = [&](Range some) {
    mask_padding(in, value, some, mask);
    if (value == 0) return;
    // Keras: padding is 0 to a layer that looks at it, such as Dense.
    std::copy(in.data + some.begin * features, in.data + some.end * features, out.data + some.begin * features);
    clear_padding(in, value, some, features, out.data);
  };
  for (Dim begin = 0; begin < rows && !stop_requested(context.interrupt); begin += rows_at_once) {
    parallel_for(std::min(rows_at_once, rows - begin), std::max<Dim>(1, kGrain / features), [&](Range some) {
      run({begin + some.begin, begin + some.end});
    });
  }
  return out;
}

template <class T>
T* MaskingLayer<T>::backward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>& in, T* dy,
                             const std::vector<T*>&, Buffer<T>* dx) const {
  if (dx == nullptr) return nullptr;
  clear_padding(in, static_cast<T>(value_), {0, in.rows()}, in.features, dy);
  return dy;
}

template class MaskingLayer<float>;
template class MaskingLayer<double>;

}  // namespace pylstm
