// Masking: leaves out the steps of a network's input whose features all are one value.
#pragma once

#include "network/layer.hpp"

namespace pylstm {

template <class T>
class MaskingLayer final : public Layer<T> {
 public:
  MaskingLayer(std::string name, std::uint32_t index, double value, SampleShape in)
      : Layer<T>(std::move(name), index), value_(value), in_(in) {}

  SampleShape output_shape() const override { return in_; }
  std::unique_ptr<LayerWork> make_work() const override;
  std::size_t planned_work(const KernelTable<T>&, const PlannedCall&) const override;
  std::optional<double> padding() const override { return value_; }
  Rows<T> forward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&) const override;
  T* backward(const CallContext<T>&, const LayerWeights*, LayerWork&, const Rows<T>&, T*, const std::vector<T*>&,
              Buffer<T>*) const override;

 private:
  double value_;
  SampleShape in_;
};

}  // namespace pylstm
