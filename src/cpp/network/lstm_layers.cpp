#include "network/lstm_layers.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace pylstm {
namespace {

template <class T>
struct LstmLayerWeights final : LayerWeights {
  DirectionWeights<T> direction;
  std::size_t bytes() const override { return direction.bytes(); }
};

template <class T>
struct LstmLayerWork final : LayerWork {
  DirectionWork<T> direction;
  Buffer<T> y;
  std::size_t bytes() const override { return direction.bytes() + y.bytes(); }
};

template <class T>
struct BidirectionalWeights final : LayerWeights {
  DirectionWeights<T> direction[2];
  std::size_t bytes() const override { return direction[0].bytes() + direction[1].bytes(); }
};

template <class T>
struct BidirectionalWork final : LayerWork {
  DirectionWork<T> direction[2];
  Buffer<T> part[2];  // outputs of the two directions [rows, units]
  Buffer<T> y;        // [rows, merged features]
  Buffer<T> dy[2];
  std::size_t bytes() const override {
    return direction[0].bytes() + direction[1].bytes() + part[0].bytes() + part[1].bytes() + y.bytes() + dy[0].bytes() +
           dy[1].bytes();
  }
};

template <class T>
StateBlock<T>* state_block(const CallContext<T>& context, bool stateful, Dim i) {
  if (context.state == nullptr || (context.only_stateful && !stateful)) return nullptr;
  return &(*context.state)[static_cast<std::size_t>(i)];
}

template <class T>
StateBlock<T>* gradient_block(const CallContext<T>& context, Dim i) {
  return context.state_gradient == nullptr ? nullptr : &(*context.state_gradient)[static_cast<std::size_t>(i)];
}

}  // namespace

std::vector<VariableSpec> lstm_variables(const LstmConfig& config, const std::string& prefix) {
  std::vector<VariableSpec> specs = {{prefix + "kernel", {config.inputs, 4 * config.units}},
                                     {prefix + "recurrent_kernel", {config.units, 4 * config.units}}};
  if (config.use_bias) specs.push_back({prefix + "bias", {4 * config.units}});
  return specs;
}

template <class T>
SampleShape LstmLayer<T>::output_shape() const {
  const LstmConfig& config = direction_.config();
  return {config.return_sequences, false, config.return_sequences ? in_.steps : Dim{1}, config.units};
}

template <class T>
std::unique_ptr<LayerWeights> LstmLayer<T>::make_weights() const {
  return std::make_unique<LstmLayerWeights<T>>();
}

template <class T>
void LstmLayer<T>::pack(LayerWeights& weights, const KernelTable<T>& kernels, const std::vector<const T*>& parameters,
                        PackedFor purpose) const {
  static_cast<LstmLayerWeights<T>&>(weights).direction.pack(kernels, direction_.config(), parameters, purpose);
}

template <class T>
std::size_t LstmLayer<T>::planned_weights(const KernelTable<T>& kernels, PackedFor purpose) const {
  return DirectionWeights<T>::planned_bytes(kernels, direction_.config(), purpose);
}

template <class T>
std::unique_ptr<LayerWork> LstmLayer<T>::make_work() const {
  return std::make_unique<LstmLayerWork<T>>();
}

template <class T>
std::size_t LstmLayer<T>::planned_work(const KernelTable<T>& kernels, const PlannedCall& call) const {
  const LstmConfig& config = direction_.config();
  const Dim y = call.masked ? (config.return_sequences ? call.rows() : call.batch) * config.units : 0;
  return direction_.planned_bytes(kernels, call) + static_cast<std::size_t>(y) * sizeof(T);
}

template <class T>
LayerScratchSizes LstmLayer<T>::planned_scratch(const KernelTable<T>& kernels, const PlannedCall& call) const {
  return direction_.planned_scratch(kernels, call, !call.masked);
}

template <class T>
Dim LstmLayer<T>::planned_dx(const PlannedCall& call) const {
  return direction_.planned_dx(call);
}

template <class T>
Rows<T> LstmLayer<T>::forward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                              const Rows<T>& in) const {
  auto& own = static_cast<LstmLayerWork<T>&>(work);
  const LstmConfig& config = direction_.config();
  const bool written =
      direction_.forward(context, static_cast<const LstmLayerWeights<T>*>(weights)->direction, own.direction, in,
                         state_block(context, config.stateful, first_state_), context.results);
  Rows<T> out = in.with(config.units);
  out.sequence = config.return_sequences;
  if (!out.sequence) {
    out.mask = nullptr;
    out.steps = 1;
  }
  if (written) return out;
  if (direction_.output_in_place(own.direction)) {
    out.data = direction_.output_rows(own.direction);
  } else {
    out.data = own.y.reserve(out.rows() * config.units);
    direction_.write_output(own.direction, in, false, out.data, config.units);
  }
  return out;
}

template <class T>
T* LstmLayer<T>::backward(const CallContext<T>& context, const LayerWeights*, LayerWork& work, const Rows<T>& in, T* dy,
                          const std::vector<T*>& gradients, Buffer<T>* dx) const {
  auto& own = static_cast<LstmLayerWork<T>&>(work);
  return direction_.backward(context, own.direction, in, direction_.output_in_place(own.direction), false, dy,
                             direction_.config().units, gradients, gradient_block(context, first_state_), dx);
}

template <class T>
std::vector<VariableSpec> BidirectionalLayer<T>::variables() const {
  std::vector<VariableSpec> specs = lstm_variables(directions_[0].config(), "forward_layer/");
  for (VariableSpec& spec : lstm_variables(directions_[1].config(), "backward_layer/"))
    specs.push_back(std::move(spec));
  return specs;
}

template <class T>
SampleShape BidirectionalLayer<T>::output_shape() const {
  const bool sequence = directions_[0].config().return_sequences;
  return {sequence, false, sequence ? in_.steps : Dim{1}, merge_ == Merge::kConcat ? 2 * units() : units()};
}

template <class T>
std::unique_ptr<LayerWeights> BidirectionalLayer<T>::make_weights() const {
  return std::make_unique<BidirectionalWeights<T>>();
}

template <class T>
void BidirectionalLayer<T>::pack(LayerWeights& weights, const KernelTable<T>& kernels,
                                 const std::vector<const T*>& parameters, PackedFor purpose) const {
  auto& w = static_cast<BidirectionalWeights<T>&>(weights);
  const auto half = static_cast<std::ptrdiff_t>(lstm_variables(directions_[0].config(), "").size());
  w.direction[0].pack(kernels, directions_[0].config(), {parameters.begin(), parameters.begin() + half}, purpose);
  w.direction[1].pack(kernels, directions_[1].config(), {parameters.begin() + half, parameters.end()}, purpose);
}

template <class T>
std::size_t BidirectionalLayer<T>::planned_weights(const KernelTable<T>& kernels, PackedFor purpose) const {
  return DirectionWeights<T>::planned_bytes(kernels, directions_[0].config(), purpose) +
         DirectionWeights<T>::planned_bytes(kernels, directions_[1].config(), purpose);
}

template <class T>
std::unique_ptr<LayerWork> BidirectionalLayer<T>::make_work() const {
  return std::make_unique<BidirectionalWork<T>>();
}

template <class T>
std::size_t BidirectionalLayer<T>::planned_work(const KernelTable<T>& kernels, const PlannedCall& call) const {
  const Dim rows = directions_[0].config().return_sequences ? call.rows() : call.batch;
  const Dim parts = merge_ == Merge::kConcat ? 0 : 2;                         // of the output
  const Dim more = merge_ == Merge::kMul && call.training ? Dim{2} : Dim{0};  // of its gradient
  const Dim values = rows * (output_shape().features + (parts + more) * units());
  PlannedCall of_each = call;
  of_each.results = false;  // they are merged first
  return directions_[0].planned_bytes(kernels, of_each) + directions_[1].planned_bytes(kernels, of_each) +
         static_cast<std::size_t>(values) * sizeof(T);
}

template <class T>
LayerScratchSizes BidirectionalLayer<T>::planned_scratch(const KernelTable<T>& kernels, const PlannedCall& call) const {
  LayerScratchSizes sizes = directions_[0].planned_scratch(kernels, call, false);
  sizes.cover(directions_[1].planned_scratch(kernels, call, false));
  sizes.dx = directions_[1].planned_dx(call);
  return sizes;
}

template <class T>
Dim BidirectionalLayer<T>::planned_dx(const PlannedCall& call) const {
  return directions_[0].planned_dx(call);
}

template <class T>
Rows<T> BidirectionalLayer<T>::forward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                                       const Rows<T>& in) const {
  auto& own = static_cast<BidirectionalWork<T>&>(work);
  const auto& w = *static_cast<const BidirectionalWeights<T>*>(weights);
  Rows<T> out = in.with(output_shape().features);
  out.sequence = directions_[0].config().return_sequences;
  if (!out.sequence) {
    out.mask = nullptr;
    out.steps = 1;
  }
  const Dim rows = out.rows(), n = rows * units();
  out.data = own.y.reserve(rows * out.features);
  const bool concat = merge_ == Merge::kConcat;
  for (int d = 0; d < 2; ++d) {
    directions_[d].forward(context, w.direction[d], own.direction[d], in,
                           state_block(context, stateful(), first_state_ + d));
    T* y = concat ? out.data + d * units() : own.part[d].reserve(n);
    directions_[d].write_output(own.direction[d], in, true, y, concat ? out.features : units());
  }
  if (concat) return out;
  const KernelTable<T>& kernels = *context.kernels;
  const T* one = own.part[0].data();
  const T* other = own.part[1].data();
  if (merge_ == Merge::kMul) {
    kernels.multiply(n, one, other, out.data);
  } else {
    std::copy(one, one + n, out.data);
    kernels.add(n, other, out.data);
    if (merge_ == Merge::kAve) kernels.scale(n, T(0.5), out.data);
  }
  return out;
}

template <class T>
T* BidirectionalLayer<T>::backward(const CallContext<T>& context, const LayerWeights*, LayerWork& work,
                                   const Rows<T>& in, T* dy, const std::vector<T*>& gradients, Buffer<T>* dx) const {
  auto& own = static_cast<BidirectionalWork<T>&>(work);
  const KernelTable<T>& kernels = *context.kernels;
  const bool concat = merge_ == Merge::kConcat;
  const Dim n = (directions_[0].config().return_sequences ? in.steps * in.batch : in.batch) * units();
  if (merge_ == Merge::kAve) kernels.scale(n, T(0.5), dy);
  const auto half = static_cast<std::ptrdiff_t>(gradients.size() / 2);
  T* sum = nullptr;
  for (int d = 0; d < 2; ++d) {
    const T* from = concat ? dy + d * units() : dy;
    T* part = const_cast<T*>(from);
    if (merge_ == Merge::kMul) {
      part = own.dy[d].reserve(n);
      kernels.multiply(n, dy, own.part[1 - d].data(), part);
    }
    const std::vector<T*> mine(gradients.begin() + d * half, d == 0 ? gradients.begin() + half : gradients.end());
    Buffer<T>* to = dx == nullptr || d == 0 ? dx : &context.scratch->dx;
    T* d_in = directions_[d].backward(context, own.direction[d], in, false, true, part, concat ? 2 * units() : units(),
                                      mine, gradient_block(context, first_state_ + d), to);
    if (d == 0) {
      sum = d_in;
    } else if (dx != nullptr) {
      kernels.add((in.repeats.values != nullptr ? in.repeats.count : in.rows()) * in.features, d_in, sum);
    }
  }
  return sum;
}

template class LstmLayer<float>;
template class LstmLayer<double>;
template class BidirectionalLayer<float>;
template class BidirectionalLayer<double>;

}  // namespace pylstm
