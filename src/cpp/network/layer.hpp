// A layer of the network: shapes, variables, forward and backward over the rows of a batch.
//
// A Layer is immutable once its network is built. Its packed weights (LayerWeights) are shared by all readers; what one
// call keeps of a layer (LayerWork: outputs, caches) and what layers need in turn (LayerScratch) are that call's own.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.hpp"
#include "base/interrupt.hpp"
#include "kernels/table.hpp"
#include "network/rows.hpp"
#include "ops/lstm.hpp"

namespace pylstm {

struct VariableSpec {
  std::string name;  // "kernel"; paths are "<layer>/<name>"
  std::vector<Dim> shape;
};

struct LayerWeights {
  virtual ~LayerWeights() = default;
  virtual std::size_t bytes() const = 0;
};

struct LayerWork {
  virtual ~LayerWork() = default;
  virtual std::size_t bytes() const = 0;
};

// Recurrent state of one direction for a batch, and in backward its gradient.
template <class T>
struct StateBlock {
  Buffer<T> h, c;  // [batch, units]
  Dim batch = 0;   // 0: empty, which means zeros
  Dim units = 0;
};

// One entry for each direction of each recurrent layer, in order.
template <class T>
using State = std::vector<StateBlock<T>>;

// What layers need within their forward or their backward alone, one after another.
template <class T>
struct LayerScratch {
  LstmScratch<T> lstm;
  RowProductScratch<T> sums;  // of backward, as what follows
  Buffer<T> dh, dc;           // see LstmGradients
  Buffer<T> dx;               // of the second of two directions
  std::size_t bytes() const { return lstm.bytes() + sums.bytes() + dh.bytes() + dc.bytes() + dx.bytes(); }
};

struct LayerScratchSizes {
  LstmScratchSizes lstm;
  RowProductSizes sums;
  Dim dh = 0, dc = 0, dx = 0;
  void cover(const LayerScratchSizes& other) {
    lstm.cover(other.lstm);
    sums.cover(other.sums);
    dh = std::max(dh, other.dh);
    dc = std::max(dc, other.dc);
    dx = std::max(dx, other.dx);
  }
  template <class T>
  std::size_t bytes() const {
    return lstm.bytes<T>() + static_cast<std::size_t>(sums.a + sums.d + dh + dc + dx) * sizeof(T);
  }
};

template <class T>
struct CallContext {
  const KernelTable<T>* kernels = nullptr;
  bool training = false;               // dropout on
  bool keep = false;                   // keep what backward needs
  bool repeats = false;                // the next layer takes_repeats
  std::uint64_t seed = 0;              // of dropout masks
  std::uint32_t step = 0;              // of dropout masks
  Dim first_row = 0;                   // of a window in its batch, where the masks of its elements begin
  State<T>* state = nullptr;           // read before and written after the run; null: zeros, dropped
  bool only_stateful = true;           // use `state` in layers with stateful=True alone
  State<T>* state_gradient = nullptr;  // backward: in dL/d(final state), out dL/d(initial state)
  LayerScratch<T>* scratch = nullptr;  // of all layers
  // [batch] where the last layer may write the steps of each sample, side by side; or null. If it does, its result has
  // no data.
  T* const* results = nullptr;
  Interrupt* interrupt = nullptr;
};

// What a layer will be asked to do, before there are rows.
struct PlannedCall {
  Dim batch = 0, steps = 1;  // of its input
  bool masked = false;       // at worst no step of the batch is
  bool training = false;     // forward that keeps, with dropout, and backward
  bool want_dx = false;
  bool repeats = false;  // the next layer takes_repeats
  bool results = false;  // with CallContext::results
  Dim distinct = 0;      // rows of the input's Rows::repeats at most; 0 without

  Dim rows() const { return batch * steps; }
};

// What weights are packed for.
enum class PackedFor {
  kReading,    // forward in any mode; nothing refers to the parameters
  kTraining,   // forward with CallContext::training, and backward; may refer to the parameters
  kGradients,  // forward in any mode, and backward; nothing refers to the parameters
};
inline bool runs_backward(PackedFor purpose) { return purpose != PackedFor::kReading; }

template <class T>
class Layer {
 public:
  Layer(std::string name, std::uint32_t index) : name_(std::move(name)), index_(index) {}
  virtual ~Layer() = default;

  const std::string& name() const { return name_; }

  virtual std::vector<VariableSpec> variables() const { return {}; }
  virtual SampleShape output_shape() const = 0;
  virtual Dim state_blocks() const { return 0; }  // entries in State
  virtual bool stateful() const { return false; }
  virtual bool reversed() const { return false; }        // reads time backwards: no streaming, no windows
  virtual bool holds_outputs() const { return false; }   // of a masked step, gives what it gave before it
  virtual bool reads_in_place() const { return false; }  // takes input rows with strides
  virtual bool takes_repeats() const { return false; }   // gains from Rows::repeats
  virtual void set_first_state(Dim) {}
  virtual std::vector<Dim> state_units() const { return {}; }

  // parameters: one pointer for each variable, in Keras' layout.
  virtual std::unique_ptr<LayerWeights> make_weights() const { return nullptr; }
  virtual void pack(LayerWeights&, const KernelTable<T>&, const std::vector<const T*>&, PackedFor) const {}

  // What LayerWeights::bytes() is after pack.
  virtual std::size_t planned_weights(const KernelTable<T>&, PackedFor) const { return 0; }

  virtual std::unique_ptr<LayerWork> make_work() const = 0;
  // What LayerWork::bytes() is at most after the first such calls, of as many rows or fewer.
  virtual std::size_t planned_work(const KernelTable<T>& kernels, const PlannedCall& call) const = 0;
  // What such a call reserves in CallContext::scratch at most, and in backward's `dx` [elements].
  virtual LayerScratchSizes planned_scratch(const KernelTable<T>&, const PlannedCall&) const { return {}; }
  virtual Dim planned_dx(const PlannedCall&) const { return 0; }
  // What makes a step of the input padding, a token or the value of all features; none: the layer makes no mask.
  virtual std::optional<double> padding() const { return std::nullopt; }
  virtual Dim most_repeats(Dim /*rows*/) const { return 0; }  // Rows::repeats of its results at most

  // The result points into `work` or `in` and lives until the next call with the same work, or is in context.results.
  virtual Rows<T> forward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work,
                          const Rows<T>& in) const = 0;

  // After forward with `keep`. dy [rows of the output] may be overwritten. gradients: one for each variable,
  // or empty when the layer is frozen. dx: where dL/d(in) may go, which dy is not in, or null: not wanted. Returns
  // dL/d(in), there or where dy was, or null: a row for each of in's, or, where in has repeats, for each distinct one.
  virtual T* backward(const CallContext<T>& context, const LayerWeights* weights, LayerWork& work, const Rows<T>& in,
                      T* dy, const std::vector<T*>& gradients, Buffer<T>* dx) const = 0;

  // The rows of the layer's one variable outside which backward left the gradient 0; null, also of more variables: it
  // may be anything anywhere. `work` belongs to one memory of gradients, 0 at first, where others write zeros at most.
  virtual const std::vector<std::int32_t>* touched_rows(const LayerWork&) const { return nullptr; }

 protected:
  std::uint32_t index() const { return index_; }

 private:
  std::string name_;
  std::uint32_t index_;  // in the network: its stream of random numbers
};

}  // namespace pylstm
