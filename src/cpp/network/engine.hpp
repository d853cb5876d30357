// Network for one working type. engine.cpp: construction, settings; engine_weights.cpp: parameters, packed weights, who
// trains; engine_memory.cpp: what is held and what a batch will need; engine_state.cpp: work spaces, state;
// engine_batch.cpp: one batch through the layers and the loss; engine_run.cpp: many batches; engine_call.cpp: single
// calls and gradients; engine_generate.cpp: sampling.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

#include "base/fork_locks.hpp"
#include "kernels/dispatch.hpp"
#include "network/layer.hpp"
#include "network/network.hpp"
#include "network/reading.hpp"
#include "network/simple_layers.hpp"
#include "ops/softmax_loss.hpp"

namespace pylstm {

template <class T>
using WeightsList = std::vector<std::unique_ptr<LayerWeights>>;

// Packed weights of all layers for readers; not changed while anyone holds them.
template <class T>
struct Snapshot {
  const Kernels* kernels = nullptr;
  long long version = 0;  // of the parameters
  WeightsList<T> weights;
};

// What one running call owns.
template <class T>
struct CallWork {
  std::vector<std::unique_ptr<LayerWork>> layers;
  std::vector<Rows<T>> rows;  // rows[i] is the input of layer i, the last one the output
  Batch<T> batch;
  State<T> state;  // of the running call, committed when it succeeds
  CallContext<T> context;
  CrossEntropyScratch<T> cross_entropy;
  LayerScratch<T> scratch;
  Buffer<T> dy[2];  // dL/d(outputs) of the last layer, then of each layer below in turn
  Buffer<T> weights;
  Buffer<T> gradients;  // flat, as the parameters; what layers left in it is known to `layers`, see touched_rows
  std::vector<double> row_loss;
  std::vector<std::int32_t> argmax;
  std::vector<const T*> x_rows;
  std::vector<T*> y_rows;

  std::size_t bytes() const;
};

constexpr const char* kBeingTrained = "the model is being trained";

template <class T>
class Engine final : public Network {
 public:
  Engine(std::vector<std::unique_ptr<Layer<T>>> layers, SampleShape input);

  bool is_double() const override { return sizeof(T) == 8; }
  const std::vector<VariableInfo>& variables() const override { return variables_; }
  std::vector<Dim> output_shape() const override { return output_.dims(); }
  std::vector<std::vector<Dim>> layer_output_shapes() const override;
  std::vector<OwnedArray> get_weights() const override;
  void set_weights(const std::vector<ArrayView>& weights) override;
  void set_trainable(const std::vector<bool>& flags) override;
  void compile(const LossConfig& loss, const OptimizerConfig& optimizer) override;
  void set_learning_rate(double rate) override { learning_rate_ = rate; }
  long long iterations() const override { return iterations_; }
  void set_iterations(long long iterations) override { iterations_ = iterations; }
  std::vector<std::pair<std::string, OwnedArray>> get_slots() const override;
  void set_slots(const std::vector<ArrayView>& slots) override;
  void set_metrics(const std::vector<std::string>& names) override;
  void set_seed(std::uint64_t seed) override { seed_ = seed; }
  void check(const Data& data, Mode mode, Interrupt* interrupt) const override;
  void start() override;
  void finish() noexcept override;
  bool trains() const override { return training_; }
  bool trains_elsewhere() const override { return training_ && trainer_.load() != std::this_thread::get_id(); }
  Dim train_batches(Data& data, const RunRequest& request, Interrupt* interrupt) override;
  Dim evaluate_batches(Data& data, const RunRequest& request, Interrupt* interrupt) override;
  Dim predict(const Data& data, const RunRequest& request, void* out, Interrupt* interrupt) override;
  OwnedArray forward(const Data& data, const RunRequest& request, bool training, Interrupt* interrupt) override;
  bool backward(const ArrayView& dy, Interrupt* interrupt) override;
  std::pair<double, std::vector<OwnedArray>> gradients(const Data& data, Interrupt* interrupt) override;
  std::vector<OwnedArray> call(const Data& data, const std::vector<ArrayView>& states, bool training,
                               Interrupt* interrupt) override;
  CallGradients call_gradients(const Data& data, const std::vector<ArrayView>& states, const std::vector<ArrayView>& dy,
                               bool training, Interrupt* interrupt) override;
  void reset_state(bool fit, bool predict) override;
  std::vector<OwnedArray> get_state(Mode mode) const override;
  void set_state(Mode mode, const std::vector<ArrayView>& state) override;
  std::vector<std::int32_t> generate(const ArrayView& prompt, Dim count, const SampleOptions& options,
                                     Interrupt* interrupt) override;
  std::size_t memory() const override;
  MemoryUse memory_use() const override;
  MemoryUse plan_memory(Dim batch, Dim steps, Mode mode) const override;
  std::string isa() const override;

 private:
  struct StepResult {
    double loss = 0, weight = 0;
    bool finished = true;  // false: interrupted, nothing was changed
    bool finite = true;    // false: nothing was updated
  };

  struct EndTraining {  // at the end of its scope, also when an exception leaves it
    Engine* engine;
    ~EndTraining() {
      engine->trainer_ = std::thread::id();
      engine->training_ = false;
    }
  };
  // A work space that a call has for itself, from the pool or, for a fit, the trainer's own
  // with gradients reserved; given back at the end of its scope.
  class Loan {
   public:
    explicit Loan(Engine& engine, Mode mode = Mode::kPredict);
    ~Loan();
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    CallWork<T>& operator*() const { return *work_; }
    CallWork<T>* operator->() const { return work_.get(); }

   private:
    Engine& engine_;
    bool training_;
    std::unique_ptr<CallWork<T>> work_;
  };
  // Alone with the settings, until it dies; a fork waits for that.
  struct Change {
    explicit Change(const Engine& engine) : alone(*engine.settings_mutex_), changing(engine.change_mutex_) {}
    Writing alone;
    std::lock_guard<std::mutex> changing;
  };
  // What a reader does with a batch: gathered, its state open. False: interrupted, the batch counts as not done.
  using ReadBatch =
      std::function<bool(CallWork<T>& work, const WeightsList<T>& weights, const std::int64_t* rows, Dim count)>;

  // engine.cpp
  bool any_stateful() const;
  Dim steps_of(const Data& data) const { return input_.sequence ? data.steps() : 1; }
  TargetShape target_shape() const;
  bool crossentropy() const;
  const DenseLayer<T>* last_dense(DenseActivation activation) const;  // the last layer, if it is that
  const DenseLayer<T>* fused_dense() const;  // the last layer, when its softmax and the loss are one operation

  // engine_weights.cpp
  bool trains_here() const { return training_ && trainer_.load() == std::this_thread::get_id(); }
  void pack(const Kernels& kernels, PackedFor purpose, WeightsList<T>& weights) const;
  void publish(const Kernels& kernels);  // the parameters of now, with snapshot_mutex_ held
  std::shared_ptr<const Snapshot<T>> snapshot();
  const WeightsList<T>& training_weights();
  std::vector<OwnedArray> variables_of(const Buffer<T>& flat) const;  // copies, one for each variable

  // engine_state.cpp
  State<T> empty_state() const;
  State<T> carried_state(Mode mode, bool windows) const;
  void keep_state(Mode mode, State<T> state);
  void open_state(CallWork<T>& work, State<T> state, Dim batch, bool windows) const;

  // engine_batch.cpp
  bool gather(const Data& data, const TargetShape& target, const std::int64_t* rows, Dim count, Dim first_step,
              Dim last_step, CallWork<T>& work) const;
  void open_context(CallWork<T>& work, const Kernels& kernels, Interrupt* interrupt) const;
  void run_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count,
                  T* const* results) const;  // see CallContext
  void run_layers(CallWork<T>& work, const WeightsList<T>& weights) const {
    run_layers(work, weights, layers_.size(), nullptr);
  }
  void backward_layers(CallWork<T>& work, const WeightsList<T>& weights, std::size_t count, T* dy, T** dx) const;
  std::vector<T*> gradients_of(CallWork<T>& work, std::size_t layer, bool all) const;
  std::size_t lowest_trained(std::size_t count) const;
  bool loss_of_batch(CallWork<T>& work, const WeightsList<T>& weights, bool gradient, StepResult& result) const;
  T* generic_loss(CallWork<T>& work, const Rows<T>& out, const Targets<T>& targets, double scale, bool gradient) const;
  Targets<T> targets_of(const CallWork<T>& work) const;
  void count_batch(const CallWork<T>& work, const StepResult& result, Totals& totals) const;

  // engine_run.cpp
  void check_loss() const;
  void check_metrics() const;
  void check_windows(const RunRequest& request) const;
  StepResult train_window(CallWork<T>& work, Totals& totals);
  bool update(CallWork<T>& work);
  Dim read_batches(const Data& data, const TargetShape& target, const RunRequest& request, Interrupt* interrupt,
                   const ReadBatch& body);

  // engine_call.cpp
  bool gather_all(const Data& data, const TargetShape& target, CallWork<T>& work) const;
  bool run_call(CallWork<T>& work, const WeightsList<T>& weights, const Data& data,
                const std::vector<ArrayView>& states) const;

  std::size_t plan_workspace(const KernelTable<T>& kernels, Dim batch, Dim steps,
                             Mode mode) const;  // engine_memory.cpp

  void check_generative() const;  // engine_generate.cpp

  std::vector<std::unique_ptr<Layer<T>>> layers_;
  SampleShape input_, output_;
  Dim vocabulary_ = 0;
  std::vector<VariableInfo> variables_;
  std::vector<VariableRange> ranges_;  // of variables_, with trainable and decays
  Dim flat_count_ = 0;

  Buffer<T> parameters_;
  mutable std::mutex parameters_mutex_;        // held while parameters_ change or are read as a whole
  std::atomic<long long> version_{1};          // of parameters_, counts their changes
  std::atomic<long long> readers_version_{1};  // readers get no older one: what a training or set_weights has left
  std::vector<Buffer<T>> slots_;
  // Shared by every running call; alone for compile and the like, which wait for them. A forked child has one of its
  // own: calls of threads that it has not would hold this one for ever.
  std::unique_ptr<SettingsMutex> settings_mutex_ = std::make_unique<SettingsMutex>();
  mutable std::mutex change_mutex_;  // held while settings change
  LossConfig loss_;
  bool compiled_ = false;
  OptimizerConfig optimizer_;
  std::atomic<double> learning_rate_{0};  // stands for that of optimizer_
  std::atomic<long long> iterations_{0};
  std::vector<std::string> metrics_;
  std::atomic<std::uint64_t> seed_{0};

  WeightsList<T> training_weights_;
  const Kernels* training_kernels_ = nullptr;  // that they are packed for
  const Kernels* fit_kernels_ = nullptr;       // of the fit since start, whatever is active meanwhile
  long long training_version_ = 0;             // of the parameters that they were packed from; 0: of none
  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<Snapshot<T>> snapshot_;

  // Held while a training starts and while weights are replaced: neither comes between the steps of the other.
  mutable std::mutex trainer_mutex_;
  std::atomic<bool> training_{false};
  std::atomic<std::thread::id> trainer_{};
  bool awaits_backward_ = false;   // the trainer's last pass was a forward of its own; no other thread looks
  mutable std::mutex pool_mutex_;  // of the work spaces that no call has
  std::unique_ptr<CallWork<T>> train_work_;
  std::vector<std::unique_ptr<CallWork<T>>> pool_;
  std::size_t works_ = 0;  // made so far
  mutable std::mutex state_mutex_;
  State<T> fit_state_, predict_state_;

  // A child reads whole weights and settings. Not settings_mutex_: a fork would wait for every running call, and those
  // may wait for the thread that forks.
  ForkLocks fork_locks_{
      {&change_mutex_, &trainer_mutex_, &snapshot_mutex_, &parameters_mutex_, &pool_mutex_, &state_mutex_}, [this] {
        (void)settings_mutex_.release();  // those calls have it still
        settings_mutex_ = std::make_unique<SettingsMutex>();
      }};
};

// A copy of `values` in C order; null: not filled.
template <class T>
OwnedArray own_array(std::vector<Dim> shape, const T* values) {
  OwnedArray array;
  const Dim count = checked_product(shape, sizeof(T));
  array.shape = std::move(shape);
  unsigned char* bytes = array.bytes.reserve(count * static_cast<Dim>(sizeof(T)));
  if (values != nullptr && count > 0) std::memcpy(bytes, values, static_cast<std::size_t>(count) * sizeof(T));
  return array;
}

// h and c of every block.
template <class T>
std::vector<OwnedArray> own_states(const State<T>& state);

// The reverse: arrays 2 i and 2 i + 1 are h and c [batch, units] of block i; batch -1: as many as they have. In
// messages the list is `name` and its first array number `first`.
template <class T>
void read_states(const std::vector<ArrayView>& arrays, Dim batch, const char* name, std::size_t first, State<T>& state);

}  // namespace pylstm
