// LSTM and Bidirectional(LSTM).
#pragma once

#include "network/lstm_direction.hpp"

namespace pylstm {

std::vector<VariableSpec> lstm_variables(const LstmConfig& config, const std::string& prefix);

template <class T>
class LstmLayer final : public Layer<T> {
 public:
  LstmLayer(std::string name, std::uint32_t index, const LstmConfig& config, SampleShape in)
      : Layer<T>(std::move(name), index), direction_(config, 2 * index), in_(in) {}

  std::vector<VariableSpec> variables() const override { return lstm_variables(direction_.config(), ""); }
  SampleShape output_shape() const override;
  Dim state_blocks() const override { return 1; }
  bool stateful() const override { return direction_.config().stateful; }
  bool reversed() const override { return direction_.config().go_backwards; }
  bool holds_outputs() const override { return !direction_.config().zero_output_for_mask; }
  bool reads_in_place() const override { return true; }
  bool takes_repeats() const override { return direction_.takes_repeats(); }
  void set_first_state(Dim first) override { first_state_ = first; }
  std::vector<Dim> state_units() const override { return {direction_.config().units}; }
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
  LstmDirection<T> direction_;
  SampleShape in_;
  Dim first_state_ = 0;
};

enum class Merge { kConcat, kSum, kMul, kAve };

template <class T>
class BidirectionalLayer final : public Layer<T> {
 public:
  BidirectionalLayer(std::string name, std::uint32_t index, const LstmConfig& forward, const LstmConfig& backward,
                     Merge merge, SampleShape in)
      : Layer<T>(std::move(name), index),
        directions_{LstmDirection<T>(forward, 2 * index), LstmDirection<T>(backward, 2 * index + 1)},
        merge_(merge),
        in_(in) {}

  std::vector<VariableSpec> variables() const override;
  SampleShape output_shape() const override;
  Dim state_blocks() const override { return 2; }
  bool stateful() const override { return directions_[0].config().stateful; }
  bool reversed() const override { return true; }
  bool reads_in_place() const override { return true; }
  bool takes_repeats() const override { return directions_[0].takes_repeats() && directions_[1].takes_repeats(); }
  void set_first_state(Dim first) override { first_state_ = first; }
  std::vector<Dim> state_units() const override {
    return {directions_[0].config().units, directions_[1].config().units};
  }
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
  Dim units() const { return directions_[0].config().units; }

  LstmDirection<T> directions_[2];
  Merge merge_;
  SampleShape in_;
  Dim first_state_ = 0;
};

}  // namespace pylstm
