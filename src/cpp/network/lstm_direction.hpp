// One direction of a recurrent layer: from the rows of a batch, with any mask, to packed rows and
// back. LSTM has one, Bidirectional two.
#pragma once

#include <optional>

#include "network/layer.hpp"
#include "ops/lstm.hpp"

namespace pylstm {

struct LstmConfig {
  Dim inputs = 0;
  Dim units = 0;
  bool use_bias = true;
  bool return_sequences = false;
  bool go_backwards = false;
  bool stateful = false;
  bool zero_output_for_mask = false;
  double dropout = 0;
  double recurrent_dropout = 0;
  std::optional<std::uint64_t> seed;  // of the masks; none: the network's

  // Recurrent dropout has a mask for each gate, so that each gate is a product of its own.
  int groups() const { return recurrent_dropout > 0 ? 4 : 1; }
};

template <class T>
struct DirectionWeights {
  LstmWeights<T> together;  // four gates in one product; of a training with recurrent dropout not packed
  LstmWeights<T> apart;     // what such a training reads

  void pack(const KernelTable<T>& kernels, const LstmConfig& config, const std::vector<const T*>& parameters,
            PackedFor purpose);
  std::size_t bytes() const { return together.bytes() + apart.bytes(); }
  static std::size_t planned_bytes(const KernelTable<T>& kernels, const LstmConfig& config, PackedFor purpose);
};

// Elements of the buffers of a DirectionWork; 0: not used.
struct DirectionSizes {
  Dim x = 0, h = 0, c = 0, gates = 0, input_masks = 0, recurrent_masks = 0;
};

template <class T>
struct DirectionWork {
  Schedule schedule;
  LstmRun<T> run = {};
  Buffer<T> x;                        // [total, inputs] gathered rows of a masked batch
  std::vector<std::int32_t> repeats;  // [total] distinct input of a packed row
  Buffer<T> h, c, gates;              // see LstmRun
  Buffer<T> input_masks, recurrent_masks;
  std::size_t bytes() const;
};

template <class T>
class LstmDirection {
 public:
  LstmDirection(const LstmConfig& config, std::uint32_t stream) : config_(config), stream_(stream) {}

  const LstmConfig& config() const { return config_; }
  // Dropout makes equal inputs different.
  bool takes_repeats() const { return config_.dropout == 0 && config_.recurrent_dropout == 0; }

  // Runs the batch. `block` (may be null) is read as initial state if not empty and always written. True if the outputs
  // went to `results`, see CallContext, which may be null; then what follows has none.
  bool forward(const CallContext<T>& context, const DirectionWeights<T>& weights, DirectionWork<T>& work,
               const Rows<T>& in, StateBlock<T>* block, T* const* results = nullptr) const;

  // True if the packed h rows are the layer's output as they stand; then output_rows() is it.
  bool output_in_place(const DirectionWork<T>& work) const;
  T* output_rows(DirectionWork<T>& work) const;

  // The output of row b (and step i with return_sequences) to y + (i * batch + b) * y_row. in_order: step i is
  // time i even when time runs backwards.
  void write_output(const DirectionWork<T>& work, const Rows<T>& in, bool in_order, T* y, Dim y_row) const;

  // dy as write_output's y (with in_place: the packed rows themselves, destroyed). gradients: kernel, recurrent
  // kernel, bias or empty. state_gradient may be null. dx and result as of Layer::backward.
  T* backward(const CallContext<T>& context, DirectionWork<T>& work, const Rows<T>& in, bool in_place, bool in_order,
              T* dy, Dim dy_row, const std::vector<T*>& gradients, StateBlock<T>* state_gradient, Buffer<T>* dx) const;

  // What DirectionWork::bytes() is at most after the first such calls, of as many rows or fewer, and the rest as of
  // Layer; in_place as for backward.
  std::size_t planned_bytes(const KernelTable<T>& kernels, const PlannedCall& call) const;
  LayerScratchSizes planned_scratch(const KernelTable<T>& kernels, const PlannedCall& call, bool in_place) const;
  Dim planned_dx(const PlannedCall& call) const;

 private:
  LstmWeights<T> planned_weights(const KernelTable<T>& kernels, const PlannedCall& call) const;  // their sizes alone
  PlannedRun planned_run(const Schedule& schedule, const PlannedCall& call) const;
  void gather_inputs(DirectionWork<T>& work, const Rows<T>& in) const;
  // Whether no one reads h of all steps; results: they can be written elsewhere.
  bool may_keep_two_steps(bool keep, bool results) const;
  DirectionSizes forward_sizes(const Schedule& schedule, bool keep, bool training) const;
  // Elements of backward's buffers; the rows of the batch are padded to `steps`.
  Dim dh_size(const Schedule& schedule, bool in_place) const;
  Dim dx_size(const Schedule& schedule, Dim steps) const;
  void draw_masks(const CallContext<T>& context, DirectionWork<T>& work, Dim batch) const;

  LstmConfig config_;
  std::uint32_t stream_;
};

}  // namespace pylstm
