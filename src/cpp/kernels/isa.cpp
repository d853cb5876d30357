// Compiled once for each row of cmake/isa_table.cmake, which defines
// PYLSTM_ISA (the name) and PYLSTM_ISA_HEADER (its vector shim). Everything but the table lives
// in an unnamed namespace: a symbol that two of these objects shared would let the linker mix
// instruction sets.
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/table.hpp"

namespace pylstm {
namespace {

#include PYLSTM_ISA_HEADER

#include "kernels/vec/in_place.hpp"

#include "kernels/vec/many.hpp"

#include "kernels/body/math.hpp"

#include "kernels/body/elementwise.hpp"

#include "kernels/body/log.hpp"

#include "kernels/body/tile.hpp"

#include "kernels/body/tall_tile.hpp"

#include "kernels/body/panels.hpp"

#include "kernels/body/row.hpp"

#include "kernels/body/asking.hpp"

#include "kernels/body/gemm.hpp"

#include "kernels/body/pack.hpp"

#include "kernels/body/lstm.hpp"

#include "kernels/body/optimizers.hpp"

#include "kernels/body/softmax.hpp"

#include "kernels/body/logits.hpp"

#include "kernels/body/probe.hpp"

template <class T>
constexpr KernelTable<T> make_table() {
  return {Vec<T>::width,
          kPanelVectors,
          kTileRows,
          kPanelsTogether,
          packed_b<T>,
          pack_b<T>,
          gate_columns<T>,
          pack_gates<T>,
          pack_a<T>,
          gemm<T>,
          gemm_packed<T>,
          lstm_step<T>,
          lstm_cells_backward<T>,
          exp_array<T>,
          sigmoid_array<T>,
          tanh_array<T>,
          activate<T>,
          activate_backward<T>,
          softmax_backward<T>,
          logits_max<T>,
          logits_argmax<T>,
          logits_targets<T>,
          logits_exp<T>,
          logits_gradient<T>,
          logits_write<T>,
          largest_lanes<T>,
          sum_lanes_of_rows<T>,
          natural_log,
          add_array<T>,
          scale_array<T>,
          multiply_array<T>,
          multiply_add_array<T>,
          sum_of_squares<T>,
          squared_error<T>,
          all_finite<T>,
          sgd<T>,
          rmsprop<T>,
          adam<T>,
          fma_burst<T>,
          read_all<T>};
}

}  // namespace

#define PYLSTM_TEXT_(x) #x
#define PYLSTM_TEXT(x) PYLSTM_TEXT_(x)
#define PYLSTM_SYMBOL_(isa) pylstm_kernels_##isa
#define PYLSTM_SYMBOL(isa) PYLSTM_SYMBOL_(isa)

extern "C" {
extern const Kernels PYLSTM_SYMBOL(PYLSTM_ISA);
const Kernels PYLSTM_SYMBOL(PYLSTM_ISA) = {PYLSTM_TEXT(PYLSTM_ISA), make_table<float>(), make_table<double>()};
}

}  // namespace pylstm
