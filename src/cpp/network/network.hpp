// A network: layers, parameters, optimizer, and everything that fit, evaluate, predict and generate
// do. Complete without Python. The working type is float or double; this interface hides which.
//
// Threads: any number may read (evaluate, predict, call, generate) at once, also during a fit; they see the weights
// last published. One may train. Weights are published by set_weights, when the training thread itself evaluates or
// predicts, and by the first reader after a training: if another one has begun by then, it publishes what that has made
// of them so far, after a whole number of steps. To change weights or settings while another thread trains is refused
// (std::runtime_error). A child that is forked meanwhile can read; for it the fit never ends. A child has whole
// settings, and can change them whatever other threads were reading.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/interrupt.hpp"
#include "network/data.hpp"
#include "ops/losses.hpp"
#include "ops/optimizers.hpp"
#include "ops/sampling.hpp"

namespace pylstm {

struct VariableInfo {
  std::string path;  // "lstm/kernel"
  std::vector<Dim> shape;
  Dim layer;
  Dim offset, count;  // in the flat buffers, elements
};

struct LossConfig {
  bool external = false;  // computed by the caller from outputs
  Loss kind = Loss::kMeanSquaredError;
  bool from_logits = false;
  double smoothing = 0;
};

// JSON: {"name": ..., "from_logits": ..., "label_smoothing": ...} or a bare name.
LossConfig parse_loss(const std::string& json);
OptimizerConfig parse_optimizer(const std::string& json);

// Arrays of the network's own type, dense, with shapes; bytes are owned.
struct OwnedArray {
  std::vector<Dim> shape;
  Buffer<unsigned char> bytes;
};

struct RunRequest {
  const std::int64_t* order = nullptr;  // rows of Data; null: 0, 1, ...
  Dim order_count = 0;                  // of `order`; without one all rows are visited
  Dim batch_size = 32;
  Dim first = 0, last = 0;  // batches
  double budget_ms = 0;     // stop after the batch that exceeds it; 0: no limit
  Dim tbptt = 0;            // window in steps; 0: whole sequences
};

// Bytes by purpose.
struct MemoryUse {
  std::size_t parameters = 0, gradients = 0, optimizer = 0;
  std::size_t packed_weights = 0;  // those that training reads, and those that readers share
  std::size_t workspace = 0;       // one batch, its way through the layers, and the loss
};

// When an `interrupt` asks to stop, a call ends early and its result is incomplete or empty, but the network is whole.
class Network {
 public:
  // input_shape: see build.hpp; dtype "float32" or "float64".
  static std::unique_ptr<Network> create(const std::string& config_json, const std::vector<Dim>& input_shape,
                                         const std::string& dtype);
  virtual ~Network() = default;

  virtual bool is_double() const = 0;
  virtual const std::vector<VariableInfo>& variables() const = 0;
  virtual std::vector<Dim> output_shape() const = 0;
  virtual std::vector<std::vector<Dim>> layer_output_shapes() const = 0;

  virtual std::vector<OwnedArray> get_weights() const = 0;
  virtual void set_weights(const std::vector<ArrayView>& weights) = 0;
  virtual void set_trainable(const std::vector<bool>& flags) = 0;

  virtual void compile(const LossConfig& loss, const OptimizerConfig& optimizer) = 0;
  virtual void set_learning_rate(double rate) = 0;
  virtual long long iterations() const = 0;
  virtual void set_iterations(long long iterations) = 0;
  virtual std::vector<std::pair<std::string, OwnedArray>> get_slots() const = 0;
  virtual void set_slots(const std::vector<ArrayView>& slots) = 0;
  virtual void set_metrics(const std::vector<std::string>& names) = 0;
  virtual void set_seed(std::uint64_t seed) = 0;

  // See check_data. What takes Data checks shapes itself; values only here, of data that is used more than once.
  virtual void check(const Data& data, Mode mode, Interrupt* interrupt) const = 0;
  virtual void start() = 0;  // of a fit: std::runtime_error if the model is being trained
  virtual void finish() noexcept = 0;
  virtual bool trains() const = 0;            // between start and finish
  virtual bool trains_elsewhere() const = 0;  // on another thread
  // Batches [first, last) of a fit, after start, or of an evaluation; sums go into data.totals. Return the next batch.
  virtual Dim train_batches(Data& data, const RunRequest& request, Interrupt* interrupt) = 0;
  virtual Dim evaluate_batches(Data& data, const RunRequest& request, Interrupt* interrupt) = 0;
  // out: [samples, output shape] of the network's type; rows of a batch that was stopped may be anything. Returns the
  // next batch.
  virtual Dim predict(const Data& data, const RunRequest& request, void* out, Interrupt* interrupt) = 0;

  // A step in two halves for losses computed outside, of one batch: last is first + 1. dy has the shape of forward's
  // result. backward throws std::invalid_argument if weights were set since forward.
  virtual OwnedArray forward(const Data& data, const RunRequest& request, bool training, Interrupt* interrupt) = 0;
  virtual bool backward(const ArrayView& dy, Interrupt* interrupt) = 0;  // false: not finite, nothing updated

  // Nothing is updated, but it is a fit to other threads: std::runtime_error if the model is being trained.
  virtual std::pair<double, std::vector<OwnedArray>> gradients(const Data& data, Interrupt* interrupt) = 0;
  // Output, then h and c of every direction of every recurrent layer.
  virtual std::vector<OwnedArray> call(const Data& data, const std::vector<ArrayView>& states, bool training,
                                       Interrupt* interrupt) = 0;
  struct CallGradients {
    std::vector<OwnedArray> variables;
    OwnedArray x;  // empty shape for token ids
    std::vector<OwnedArray> states;
  };
  virtual CallGradients call_gradients(const Data& data, const std::vector<ArrayView>& states,
                                       const std::vector<ArrayView>& dy, bool training, Interrupt* interrupt) = 0;

  virtual void reset_state(bool fit, bool predict) = 0;
  virtual std::vector<OwnedArray> get_state(Mode mode) const = 0;
  virtual void set_state(Mode mode, const std::vector<ArrayView>& state) = 0;

  // prompt: token ids (steps,) or (rows, steps); the result is `count` new tokens for each row, [rows, count].
  // A row's tokens do not depend on the others.
  virtual std::vector<std::int32_t> generate(const ArrayView& prompt, Dim count, const SampleOptions& options,
                                             Interrupt* interrupt) = 0;
  virtual std::size_t memory() const = 0;  // bytes of the work spaces that no running call has
  // What is held now; of work spaces those that no running call has. While another thread trains, its work space and
  // packed weights are not counted.
  virtual MemoryUse memory_use() const = 0;
  // What a fresh network holds at most after such a batch, and smaller ones, as its first (fit: every layer trained),
  // with the slots of the optimizer that it is compiled with; of data without a mask of its own. steps: 1 if the input
  // is no sequence. Throws std::bad_alloc for a batch that no machine can hold.
  virtual MemoryUse plan_memory(Dim batch, Dim steps, Mode mode) const = 0;
  virtual std::string isa() const = 0;  // of the published weights
};

}  // namespace pylstm
