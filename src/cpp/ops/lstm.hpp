// The LSTM over whole sequences of one direction (Hochreiter & Schmidhuber 1997, forget gate of
// Gers et al. 2000), in Keras' conventions: gates i, f, c, o, one bias.
//
// Everything here is in packed rows (see schedule.hpp): row offset[s] + r is step s of the row at
// sorted position r. h and c have `batch` rows of initial state before the packed rows, unless LstmRun says otherwise.
#pragma once

#include <vector>

#include "base/interrupt.hpp"
#include "ops/product.hpp"
#include "ops/repeats.hpp"
#include "ops/row_product.hpp"
#include "ops/schedule.hpp"

namespace pylstm {

template <class T>
struct LstmParameters {  // Keras' layout, not owned
  const T* kernel;       // [inputs, 4 * units]
  const T* recurrent;    // [units, 4 * units]
  const T* bias;         // [4 * units] or null
};

// Packed parameters. Recurrent dropout multiplies h by another mask for each gate; then every gate
// is a product of its own (4 groups of `units` columns), otherwise the four are one (1 group).
template <class T>
class LstmWeights {
 public:
  void pack(const KernelTable<T>& kernels, const LstmParameters<T>& parameters, Dim inputs, Dim units, int groups,
            bool backward);
  // The sizes alone, for a plan.
  void set_sizes(const KernelTable<T>& kernels, Dim inputs, Dim units, int groups);

  Dim inputs = 0, units = 0;
  int groups = 1;
  Dim z_columns = 0, z_gate = 0;                 // of z; z_gate as in LstmStepArgs
  std::vector<Panels<T>> kernel, recurrent;      // forward, one for each group
  std::vector<Panels<T>> kernel_t, recurrent_t;  // transposed, for backward; else empty
  Buffer<T> bias;                                // in the order of z

  std::size_t bytes() const;
  // What bytes() is after pack.
  static std::size_t planned_bytes(const KernelTable<T>& kernels, Dim inputs, Dim units, int groups, bool backward);
};

template <class T>
struct LstmDropout {             // masks with values 0 or 1 / (1 - rate), by sorted position; null: none
  const T* inputs = nullptr;     // [groups, batch, inputs]
  const T* recurrent = nullptr;  // [4, batch, units]; needs 4 groups
};

template <class T>
struct LstmRun {
  const KernelTable<T>* kernels;
  const LstmWeights<T>* weights;
  const Schedule* schedule;
  std::vector<const T*> x;  // [steps] first row of each step's input, row stride x_row
  Dim x_row;
  // Inputs of packed rows instead of x, where many are equal: they are projected once. Needs 1 group and no dropout.
  Repeats<T> repeats;
  LstmDropout<T> dropout;
  T* h;                  // [batch + total, units]; the first `batch` rows are read. See two_steps
  T* c;                  // with gates: like h. Without: [batch, units], initial state in, final out
  T* gates;              // [total, 4 * units] kept for backward, or null for inference
  Interrupt* interrupt;  // when it asks to stop, outputs are incomplete; may be null
  // The first `batch` rows of h are 0: forward leaves out their product, which changes no bit of finite weights.
  bool from_zero = false;
  // Without gates: h is [2 * batch, units], and every second step writes over the initial state.
  bool two_steps = false;
  // Where h of each row goes too, by sorted position, its steps side by side; or null. Needs a dense schedule, and no
  // gates. Overlaps nothing else here.
  T* const* y = nullptr;

  // Rows of h after a step, by sorted position; -1: the initial ones.
  T* h_after(Dim step) const {
    const Dim batch = schedule->batch;
    if (two_steps) return h + (step + 1) % 2 * batch * weights->units;
    return h + (step < 0 ? 0 : batch + schedule->packed(step, 0)) * weights->units;
  }
};

// What a run needs within lstm_forward or within lstm_backward alone: any runs may have one in turn.
template <class T>
struct LstmScratch {
  std::vector<Buffer<T>> z, masked;  // one for each thread
  Buffer<T> dropped;
  Buffer<T> distinct;  // [repeats.count, z_columns]: their z, and in backward the sums of their dL/dz
  std::vector<const T*> x_rows, h_rows, one_rows;
  std::size_t bytes() const;
};

// A run that a plan is for.
struct PlannedRun {
  const Schedule* schedule = nullptr;  // its batch, steps, total and density alone are read
  Dim distinct = 0;                    // repeats at most
  bool has_bias = false, input_dropout = false, recurrent_dropout = false;
  bool training = false;  // backward too
};

struct LstmScratchSizes {
  std::vector<Dim> z, masked;                       // elements of LstmScratch's buffers, of these for each thread
  Dim dropped = 0, distinct = 0, row_pointers = 0;  // row_pointers: of all three vectors
  void cover(const LstmScratchSizes& other);
  template <class T>
  std::size_t bytes() const;  // LstmScratch::bytes() of these sizes
};

// What an LstmScratch holds at most after such a run of weights of these sizes and groups (panels are not read).
template <class T>
LstmScratchSizes planned_scratch(const KernelTable<T>& kernels, const LstmWeights<T>& weights,
                                 const PlannedRun& planned);

// What lstm_backward reserves for its sums over rows.
template <class T>
RowProductSizes lstm_sums(const KernelTable<T>& kernels, const LstmWeights<T>& weights, const PlannedRun& planned);

template <class T>
void lstm_forward(const LstmRun<T>& run, LstmScratch<T>& scratch);

template <class T>
struct LstmGradients {
  T* dh;          // [total, units] in: dL/dh from above; destroyed
  T* dc;          // [batch, units] in: dL/dc of the last states; out: dL/dc of the initial states
  T* dh_initial;  // [batch, units] out, or null
  T* dx;          // [total, inputs], with repeats [repeats.count, inputs], out, or null
  T* kernel;      // outputs in Keras' layout; null: not wanted (all three or none)
  T* recurrent;
  T* bias;  // null without a bias
};

// After lstm_forward of the same run with gates, which become dL/dz.
template <class T>
void lstm_backward(const LstmRun<T>& run, const LstmGradients<T>& gradients, LstmScratch<T>& scratch,
                   RowProductScratch<T>& sums);

}  // namespace pylstm
