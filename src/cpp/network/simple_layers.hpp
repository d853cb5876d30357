// Embedding, Dense and Dropout.
#pragma once

#include <optional>

#include "base/philox.hpp"
#include "network/layer.hpp"
#include "ops/softmax_loss.hpp"

namespace pylstm {

template <class T>
class EmbeddingLayer final : public Layer<T> {
 public:
  EmbeddingLayer(std::string name, std::uint32_t index, Dim input_dim, Dim output_dim, bool mask_zero, SampleShape in);

  std::vector<VariableSpec> variables() const override { return {{"embeddings", {input_dim_, output_dim_}}}; }
  SampleShape output_shape() const override { return {true, false, in_.steps, output_dim_}; }
  std::unique_ptr<LayerWeights> make_weights() const override;
  void pack(LayerWeights&, const KernelTable<T>&, const std::vector<const T*>&, PackedFor) const override;
  std::size_t planned_weights(const KernelTable<T>&, PackedFor) const override;
  std::unique_ptr<LayerWork> make_work() const override;
  std::size_t planned_work(const KernelTable<T>&, const PlannedCall&) const override;
  std::optional<double> padding() const override { return mask_zero_ ? std::optional<double>(0) : std::nullopt; }
  Dim most_repeats(Dim rows) const override;
  Rows<T> forward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&) const override;
  T* backward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&, T*, const std::vector<T*>&,
              Buffer<T>*) const override;
  const std::vector<std::int32_t>* touched_rows(const LayerWork&) const override;

 private:
  Dim input_dim_, output_dim_;
  bool mask_zero_;
  SampleShape in_;
};

enum class DenseActivation { kLinear, kRelu, kTanh, kSigmoid, kSoftmax };

template <class T>
struct DenseLayerWeights final : LayerWeights {
  DenseWeights<T> dense;
  std::size_t bytes() const override { return dense.bytes(); }
};

template <class T>
class DenseLayer final : public Layer<T> {
 public:
  DenseLayer(std::string name, std::uint32_t index, Dim units, DenseActivation activation, bool use_bias,
             SampleShape in);

  DenseActivation activation() const { return activation_; }
  // Of a last layer whose softmax and loss are one operation: what CrossEntropyScratch::bytes() is then, and what
  // backward's sums need.
  std::size_t planned_loss(const KernelTable<T>& kernels, Dim rows, bool gradients) const;
  RowProductSizes planned_loss_sums(const KernelTable<T>& kernels, Dim rows) const;
  // forward of softmax for `rows` rows of the caller's, x[row] [inputs] to y[row] [units]; past_caches as
  // dense_softmax.
  void write_probabilities(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                           const T* const* x, Dim rows, T* const* y, bool past_caches) const;

  std::vector<VariableSpec> variables() const override;
  SampleShape output_shape() const override { return {in_.sequence, false, in_.steps, units_}; }
  std::unique_ptr<LayerWeights> make_weights() const override;
  void pack(LayerWeights&, const KernelTable<T>&, const std::vector<const T*>&, PackedFor) const override;
  std::size_t planned_weights(const KernelTable<T>&, PackedFor) const override;
  std::unique_ptr<LayerWork> make_work() const override;
  std::size_t planned_work(const KernelTable<T>&, const PlannedCall&) const override;
  LayerScratchSizes planned_scratch(const KernelTable<T>&, const PlannedCall&) const override;
  Dim planned_dx(const PlannedCall&) const override;
  Rows<T> forward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&) const override;
  T* backward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&, T*, const std::vector<T*>&,
              Buffer<T>*) const override;

 private:
  Dim units_;
  DenseActivation activation_;
  bool use_bias_;
  SampleShape in_;
};

template <class T>
class DropoutLayer final : public Layer<T> {
 public:
  DropoutLayer(std::string name, std::uint32_t index, double rate, std::optional<std::uint64_t> seed, SampleShape in)
      : Layer<T>(std::move(name), index), rate_(rate), seed_(seed), in_(in) {}

  SampleShape output_shape() const override { return in_; }
  std::unique_ptr<LayerWork> make_work() const override;
  std::size_t planned_work(const KernelTable<T>&, const PlannedCall&) const override;
  Rows<T> forward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&) const override;
  T* backward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&, T*, const std::vector<T*>&,
              Buffer<T>*) const override;

 private:
  bool active(const CallContext<T>& context) const { return context.training && rate_ > 0; }
  // y of x, all of them unless an interrupt comes; y may be x.
  void drop(const CallContext<T>& context, const Rows<T>& in, const T* x, T* y) const;
  Philox random(const CallContext<T>& context) const {
    return Philox(seed_.value_or(context.seed), Purpose::kDropout, this->index(), context.step);
  }

  double rate_;
  std::optional<std::uint64_t> seed_;  // none: the network's
  SampleShape in_;
};

}  // namespace pylstm
