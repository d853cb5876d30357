#include "network/simple_layers.hpp"

#include <algorithm>
#include <cstring>

#include "base/index.hpp"
#include "network/padding.hpp"
#include "ops/dense_softmax.hpp"
#include "ops/dropout.hpp"
#include "ops/embedding.hpp"

namespace pylstm {
namespace {

template <class T>
struct EmbeddingWeights final : LayerWeights {
  const T* table = nullptr;
  Buffer<T> own;
  std::size_t bytes() const override { return own.bytes(); }
};

template <class T>
struct EmbeddingWork final : LayerWork {
  Buffer<T> y;
  Buffer<T> values;  // rows of the table that the batch uses, each once
  DistinctIds distinct;
  bool repeats = false;
  TouchedRows touched;
  Buffer<std::uint8_t> mask;
  std::size_t bytes() const override {
    return y.bytes() + values.bytes() + distinct.bytes() + touched.bytes() + mask.bytes();
  }
};

template <class T>
struct DenseWork final : LayerWork {
  Buffer<T> y;
  std::vector<const T*> x_rows;
  std::vector<T*> y_rows;
  DenseScratch<T> scratch;
  CrossEntropyScratch<T> softmax;
  std::size_t bytes() const override {
    return y.bytes() + scratch.bytes() + softmax.bytes() + x_rows.capacity() * sizeof(const T*) +
           y_rows.capacity() * sizeof(T*);
  }
};

template <class T>
struct DropoutWork final : LayerWork {
  Buffer<T> y;
  std::size_t bytes() const override { return y.bytes(); }
};

Activation kernel_activation(DenseActivation activation) {
  switch (activation) {
    case DenseActivation::kRelu:
      return Activation::kRelu;
    case DenseActivation::kTanh:
      return Activation::kTanh;
    case DenseActivation::kSigmoid:
      return Activation::kSigmoid;
    default:
      return Activation::kLinear;
  }
}

// Tokens that occur at least this often on average are worth the search, in batches of at least so many rows.
constexpr Dim kRepetition = 2, kRepeatingRows = 32;

// Elements of one thread's share of an activation.
constexpr Dim kActivationGrain = 16384;

}  // namespace

template <class T>
EmbeddingLayer<T>::EmbeddingLayer(std::string name, std::uint32_t index, Dim input_dim, Dim output_dim, bool mask_zero,
                                  SampleShape in)
    : Layer<T>(std::move(name), index),
      input_dim_(input_dim),
      output_dim_(output_dim),
      mask_zero_(mask_zero),
      in_(in) {}

template <class T>
std::unique_ptr<LayerWeights> EmbeddingLayer<T>::make_weights() const {
  return std::make_unique<EmbeddingWeights<T>>();
}

template <class T>
void EmbeddingLayer<T>::pack(LayerWeights& weights, const KernelTable<T>&, const std::vector<const T*>& parameters,
                             PackedFor purpose) const {
  auto& w = static_cast<EmbeddingWeights<T>&>(weights);
  w.table = parameters[0];
  if (purpose == PackedFor::kTraining) return;
  const Dim count = input_dim_ * output_dim_;
  std::memcpy(w.own.reserve(count), parameters[0], static_cast<std::size_t>(count) * sizeof(T));
  w.table = w.own.data();
}

template <class T>
std::size_t EmbeddingLayer<T>::planned_weights(const KernelTable<T>&, PackedFor purpose) const {
  return purpose == PackedFor::kTraining ? 0 : at(input_dim_ * output_dim_) * sizeof(T);
}

template <class T>
std::unique_ptr<LayerWork> EmbeddingLayer<T>::make_work() const {
  return std::make_unique<EmbeddingWork<T>>();
}

template <class T>
Dim EmbeddingLayer<T>::most_repeats(Dim rows) const {
  return rows >= kRepeatingRows ? std::min(rows / kRepetition, input_dim_) : 0;
}

template <class T>
std::size_t EmbeddingLayer<T>::planned_work(const KernelTable<T>&, const PlannedCall& call) const {
  const Dim rows = call.rows();
  const Dim searched = call.repeats && most_repeats(rows) > 0 ? most_repeats(rows) + 1 + rows + input_dim_ : 0;
  const std::size_t touched =
      call.training ? at(std::min(rows, input_dim_)) * sizeof(std::int32_t) + at(input_dim_) : 0;
  return at(rows * output_dim_) * sizeof(T) + at(searched) * sizeof(std::int32_t) + touched +
         (mask_zero_ ? at(rows) : 0);
}

template <class T>
Rows<T> EmbeddingLayer<T>::forward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                                   const Rows<T>& in) const {
  auto& own = static_cast<EmbeddingWork<T>&>(work);
  Rows<T> out = in.with(output_dim_);
  const T* table = static_cast<const EmbeddingWeights<T>*>(weights)->table;
  const Dim rows = in.rows();
  const Dim most = context.repeats ? most_repeats(rows) : 0;
  own.repeats = most > 0 && find_distinct(in.ids, rows, input_dim_, most, own.distinct);
  if (own.repeats) {
    const Dim count = static_cast<Dim>(own.distinct.ids.size());
    T* values = own.values.reserve(count * output_dim_);
    embedding_forward(table, output_dim_, own.distinct.ids.data(), count, values);
    out.repeats = {values, count, own.distinct.index.data()};
  } else {
    out.data = own.y.reserve(rows * output_dim_);
    embedding_forward(table, output_dim_, in.ids, rows, out.data);
  }
  if (mask_zero_) {
    std::uint8_t* mask = own.mask.reserve(rows);
    mask_padding(in, T(0), {0, rows}, mask);
    out.mask = mask;
  }
  return out;
}

template <class T>
T* EmbeddingLayer<T>::backward(const CallContext<T>& context, const LayerWeights*, LayerWork& work, const Rows<T>& in,
                               T* dy, const std::vector<T*>& gradients, Buffer<T>*) const {
  auto& own = static_cast<EmbeddingWork<T>&>(work);
  if (gradients.empty()) return nullptr;
  if (own.repeats) {
    embedding_backward_distinct(output_dim_, own.distinct.ids, dy, gradients[0], own.touched);
  } else {
    embedding_backward(*context.kernels, input_dim_, output_dim_, in.ids, in.rows(), dy, gradients[0], own.touched);
  }
  return nullptr;
}

template <class T>
const std::vector<std::int32_t>* EmbeddingLayer<T>::touched_rows(const LayerWork& work) const {
  return &static_cast<const EmbeddingWork<T>&>(work).touched.rows;
}

template <class T>
DenseLayer<T>::DenseLayer(std::string name, std::uint32_t index, Dim units, DenseActivation activation, bool use_bias,
                          SampleShape in)
    : Layer<T>(std::move(name), index), units_(units), activation_(activation), use_bias_(use_bias), in_(in) {}

template <class T>
std::vector<VariableSpec> DenseLayer<T>::variables() const {
  std::vector<VariableSpec> specs = {{"kernel", {in_.features, units_}}};
  if (use_bias_) specs.push_back({"bias", {units_}});
  return specs;
}

template <class T>
std::unique_ptr<LayerWeights> DenseLayer<T>::make_weights() const {
  return std::make_unique<DenseLayerWeights<T>>();
}

template <class T>
void DenseLayer<T>::pack(LayerWeights& weights, const KernelTable<T>& kernels, const std::vector<const T*>& parameters,
                         PackedFor purpose) const {
  static_cast<DenseLayerWeights<T>&>(weights).dense.pack(kernels, parameters[0], use_bias_ ? parameters[1] : nullptr,
                                                         in_.features, units_, runs_backward(purpose));
}

template <class T>
std::size_t DenseLayer<T>::planned_weights(const KernelTable<T>& kernels, PackedFor purpose) const {
  return DenseWeights<T>::planned_bytes(kernels, in_.features, units_, use_bias_, runs_backward(purpose));
}

template <class T>
std::unique_ptr<LayerWork> DenseLayer<T>::make_work() const {
  return std::make_unique<DenseWork<T>>();
}

template <class T>
std::size_t DenseLayer<T>::planned_work(const KernelTable<T>& kernels, const PlannedCall& call) const {
  const Dim rows = call.rows();
  std::size_t sum = at(rows * units_) * sizeof(T);
  if (activation_ == DenseActivation::kSoftmax) {
    sum += 2 * at(rows) * sizeof(T*);
    sum += dense_softmax_bytes(kernels, in_.features, units_, rows);
  }
  if (call.training) sum += DenseScratch<T>::planned_bytes(rows);
  return sum;
}

template <class T>
LayerScratchSizes DenseLayer<T>::planned_scratch(const KernelTable<T>& kernels, const PlannedCall& call) const {
  LayerScratchSizes sizes;
  if (call.training) sizes.sums = dense_sums(kernels, in_.features, units_, use_bias_, call.rows(), false);
  return sizes;
}

template <class T>
Dim DenseLayer<T>::planned_dx(const PlannedCall& call) const {
  return call.want_dx ? call.rows() * in_.features : 0;
}

template <class T>
std::size_t DenseLayer<T>::planned_loss(const KernelTable<T>& kernels, Dim rows, bool gradients) const {
  return CrossEntropyScratch<T>::planned_bytes(kernels, in_.features, units_, rows, gradients);
}

template <class T>
RowProductSizes DenseLayer<T>::planned_loss_sums(const KernelTable<T>& kernels, Dim rows) const {
  return CrossEntropyScratch<T>::planned_sums(kernels, in_.features, units_, use_bias_, rows);
}

template <class T>
Rows<T> DenseLayer<T>::forward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                               const Rows<T>& in) const {
  const DenseWeights<T>& w = static_cast<const DenseLayerWeights<T>*>(weights)->dense;
  const KernelTable<T>& kernels = *context.kernels;
  auto& own = static_cast<DenseWork<T>&>(work);
  Rows<T> out = in.with(units_);
  out.data = own.y.reserve(in.rows() * units_);
  if (activation_ == DenseActivation::kSoftmax) {
    own.y_rows.resize(at(in.rows()));
    own.x_rows.resize(at(in.rows()));
    for (Dim row = 0; row < in.rows(); ++row) {
      own.x_rows[at(row)] = in.data + row * in.features;
      own.y_rows[at(row)] = out.data + row * units_;
    }
    write_probabilities(context, weights, work, own.x_rows.data(), in.rows(), own.y_rows.data(), false);
    return out;
  }
  dense_forward(kernels, w, in.data, in.rows(), out.data, context.interrupt);
  if (activation_ != DenseActivation::kLinear) {
    // Ranges in whole vectors: an element gives the same bits wherever the split falls.
    parallel_for(
        in.rows() * units_, kActivationGrain,
        [&](Range range) {
          T* y = out.data + range.begin;
          kernels.activate(kernel_activation(activation_), range.end - range.begin, y, y);
        },
        kernels.width);
  }
  return out;
}

template <class T>
void DenseLayer<T>::write_probabilities(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                                        const T* const* x, Dim rows, T* const* y, bool past_caches) const {
  dense_softmax(*context.kernels, static_cast<const DenseLayerWeights<T>*>(weights)->dense, x, rows, y, past_caches,
                context.interrupt, static_cast<DenseWork<T>&>(work).softmax);
}

template <class T>
T* DenseLayer<T>::backward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                           const Rows<T>& in, T* dy, const std::vector<T*>& gradients, Buffer<T>* dx) const {
  auto& own = static_cast<DenseWork<T>&>(work);
  const KernelTable<T>& kernels = *context.kernels;
  const Dim rows = in.rows();
  if (activation_ == DenseActivation::kSoftmax) {
    parallel_for(rows, std::max<Dim>(1, kActivationGrain / units_), [&](Range range) {
      const Dim first = range.begin * units_;
      kernels.softmax_backward(range.end - range.begin, units_, own.y.data() + first, dy + first, dy + first);
    });
  } else if (activation_ != DenseActivation::kLinear) {
    parallel_for(
        rows * units_, kActivationGrain,
        [&](Range range) {
          T* d = dy + range.begin;
          kernels.activate_backward(kernel_activation(activation_), range.end - range.begin, own.y.data() + range.begin,
                                    d, d);
        },
        kernels.width);
  }
  T* d_in = dx == nullptr ? nullptr : dx->reserve(rows * in.features);
  dense_backward(kernels, static_cast<const DenseLayerWeights<T>*>(weights)->dense, in.data, dy, rows, false,
                 gradients.empty() ? nullptr : gradients[0], gradients.size() < 2 ? nullptr : gradients[1], d_in,
                 own.scratch, context.scratch->sums, context.interrupt);
  return d_in;
}

template <class T>
std::unique_ptr<LayerWork> DropoutLayer<T>::make_work() const {
  return std::make_unique<DropoutWork<T>>();
}

template <class T>
std::size_t DropoutLayer<T>::planned_work(const KernelTable<T>&, const PlannedCall& call) const {
  return call.training && rate_ > 0 ? at(call.rows() * in_.features) * sizeof(T) : 0;
}

template <class T>
void DropoutLayer<T>::drop(const CallContext<T>& context, const Rows<T>& in, const T* x, T* y) const {
  constexpr Dim kAtOnce = Dim{1} << 22;  // tens of milliseconds
  const Dim count = in.rows() * in.features, begin = context.first_row * in.features;
  for (Dim first = 0; first < count && !stop_requested(context.interrupt); first += kAtOnce) {
    dropout(random(context), rate_, begin + first, std::min(kAtOnce, count - first), x + first, y + first);
  }
}

template <class T>
Rows<T> DropoutLayer<T>::forward(const CallContext<T>& context, const LayerWeights*, LayerWork& work,
                                 const Rows<T>& in) const {
  if (!active(context)) return in;
  Rows<T> out = in.with(in.features);
  out.data = static_cast<DropoutWork<T>&>(work).y.reserve(in.rows() * in.features);
  drop(context, in, in.data, out.data);
  return out;
}

template <class T>
T* DropoutLayer<T>::backward(const CallContext<T>& context, const LayerWeights*, LayerWork&, const Rows<T>& in, T* dy,
                             const std::vector<T*>&, Buffer<T>* dx) const {
  if (active(context)) drop(context, in, dy, dy);
  return dx == nullptr ? nullptr : dy;
}

template class EmbeddingLayer<float>;
template class EmbeddingLayer<double>;
template class DenseLayer<float>;
template class DenseLayer<double>;
template class DropoutLayer<float>;
template class DropoutLayer<double>;

}  // namespace pylstm
