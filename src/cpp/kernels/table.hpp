// Every kernel's contract, written once. A table holds one instruction set's version of each;
// kernels allocate nothing, throw nothing, see no mask and start no thread.
//
// Sizes and strides are in elements. Unless a line says otherwise arrays may have any alignment,
// outputs alias no input, sizes may be 0, and NaN survives. Accuracy in ulp holds for normal
// inputs and results; denormals count as 0.
#pragma once

#include "base/types.hpp"

namespace pylstm {

// What a product starts from: 0, a bias for each column, or what C holds.
enum class Init { kZero, kBias, kKeep };

// C[rows, columns] = init + A[rows, inner] * B[inner, columns].
// The inner sum of each element has one order, fixed by (inner, columns, T, ISA) and by whether the caller gives it
// whole or in ranges: a row gives the same bits in any batch and at any place in it.
template <class T>
struct GemmArgs {
  const T* a;  // element (r, k) is a[r * a_row + k]
  Dim a_row;
  const T* b;  // panels from pack_b or pack_gates
  T* c;        // element (r, n) is c[r * c_row + n]
  Dim c_row;
  const T* bias;  // [columns] for Init::kBias
  Dim rows, columns, inner;
  Init init;
  Dim first_panel = 0, last_panel = -1;  // panels of B to compute; -1: to the last. c and bias stay those of column 0
  Dim c_panel = 0;  // element (r, n) is c[r * c_row + (n / panel) * c_panel + n % panel]; 0: panels side by side
  // Only this part of the inner sum, in one chain; a is then that of column first_inner. -1: the whole sum.
  Dim first_inner = 0, last_inner = -1;
  // Of such a part: element (r, first_inner + k) of A is a[r * a_row + (k / panel) * a_panel + k % panel]; 0: panels
  // side by side.
  Dim a_panel = 0;
  bool backwards = false;  // of a whole sum: panels in falling order, which changes no bit
  // Of a whole sum of two rows or more, its first part runs over all rows about so much at a time, which changes no
  // bit; 0: as the kernel chooses.
  Dim cut = 0;
  // So many products with the same B and bias, which changes no bit: element (r, k) of block i of A is
  // a[i * a_block + r * a_row + k], likewise C. Distances may be negative; blocks of A may overlap, or be one block,
  // those of C share no element.
  Dim row_blocks = 1, a_block = 0, c_block = 0;
  // [rows, width] or null: maxima of each row's outputs, carried lane by lane as logits_max does. Of a whole sum and
  // one block of rows.
  T* largest = nullptr;
};

// Columns of a matrix, which become rows of A that stand in tiles [inner][tile_rows]: element (k, first + n) goes to
// place (place + n) % height of tile (place + n) / height, row k. What else is in these tiles may be overwritten past
// `height` places.
template <class T>
struct PackedColumns {
  const T* const* rows;  // [inner]
  Dim first, inner, columns, place, height;
};

// The packed transposed operand of a product over rows, see PackedColumns: `low` tiles of `height` rows of A, then
// `high` of one more, at most tile_rows; of those with less than four rows, one of each height.
template <class T>
struct GemmPackedArgs {
  const T* a;
  const T* b;  // panels; lanes past `columns` are read and may hold anything
  T* c;
  Dim c_row;
  Dim height, low, high, columns, inner;
  Init init;  // kZero or kKeep
  // What the next call reads as b, for the columns that follow these; brought nearer meanwhile, as is its C. Null:
  // unknown.
  const T* next = nullptr;
  Dim cut = 0;  // the sum runs over all rows about so much at a time, as in GemmArgs
};

// Some rows of logits, some of their columns: element (r, n) is z[r * z_row + n]. given, the targets of the same
// elements: row stride given_row; null where labels are the targets.
template <class T>
struct LogitsBlock {
  Dim rows, columns;
  T* z;
  Dim z_row;
  const T* given;
  Dim given_row;
  // z of the block that runs next, of the same row stride, which some kernels bring nearer meanwhile; null: unknown.
  const T* next = nullptr;
  // logits_write alone: element (r, n) is z[(n / panel) * z_panel + r * z_row + n % panel]; 0: panels side by side.
  Dim z_panel = 0;
};

// One time step of an LSTM for `rows` sequences.
// Gates order: blocks of `width` units, of each block the gates i, f, c, o, of `width` columns each. Of a last block of
// n < width units a gate has width / 4 columns, or half or all of them: as few as hold n.
template <class T>
struct LstmStepArgs {
  Dim rows, units;
  const T* h_prev;  // [rows, units], row stride h_prev_row
  Dim h_prev_row;
  const T* recurrent;  // pack_gates(units, recurrent_kernel); null: z is complete, cells only
  // [rows, gate_columns(units)], or with z_gate [rows, 3 * z_gate + units]; in: x W + b, out: pre-activations. Columns
  // of no unit may hold anything, and be overwritten.
  T* z;
  Dim z_row;
  Dim z_gate;       // 0: z is in gates order; else the distance of its gates, each of which has its units side by side
  const T* c_prev;  // [rows, units] dense, may equal c
  T* c;             // [rows, units] dense
  T* h;             // [rows, units], row stride h_row
  Dim h_row;
  T* gates;  // [rows, 4 * units] i|f|c|o after their activation, or null
  // Blocks of `width` units to run, to the last if last_block is -1 or past the end; in falling order with
  // `backwards`, which changes no bit.
  Dim first_block = 0, last_block = -1;
  bool backwards = false;
  Dim cut = 0;  // of the product, see GemmArgs
  // [rows] or null: h of row r goes to y[r] + y_first too, `units` elements that overlap nothing else here.
  T* const* y = nullptr;
  Dim y_first = 0;
};

template <class T>
struct LstmCellsBackwardArgs {
  Dim rows, units;
  const T* dh;      // [rows, units] dense: dL/dh of this step, complete
  T* dc;            // [rows, units] dense; in: dL/dc from the next step, out: for the previous
  const T* c_prev;  // [rows, units] dense
  const T* c;       // [rows, units] dense
  T* gates;         // [rows, 4 * units] in: gate values, out: dL/dz
  // Blocks of `width` units to run, to the last if last_block is -1 or past the end; nothing else is read or written.
  Dim first_block = 0, last_block = -1;
};

enum class Activation { kLinear, kRelu, kTanh, kSigmoid };

// The rule of one optimizer step on n elements; Keras' formulas, scalars already combined.
template <class T>
struct UpdateArgs {
  Dim n;
  T* p;              // parameters
  const T* g;        // gradient; null: 0
  T* m;              // first slot or null
  T* v;              // second slot or null
  T* u;              // third slot or null
  T gradient_scale;  // clipping by norm
  T clip_value;      // then elements are clipped to +- clip_value; 0: off
  T rate;            // SGD, RMSprop: learning rate; Adam: lr * sqrt(1 - beta2^t) / (1 - beta1^t)
  T decay;           // p -= p * decay first (learning rate times weight decay)
  T beta_1, beta_2;  // SGD: momentum, unused; RMSprop: momentum, rho
  T rest_1, rest_2;  // 1 - beta_1, 1 - beta_2, each rounded once: 1 - float(0.9999999) is 19 % too large
  T epsilon;
  bool nesterov, centered;
};

template <class T>
struct KernelTable {
  Dim width;            // elements of one vector
  Dim panel_vectors;    // vectors of a full panel of B
  Dim tile_rows;        // rows of a full tile of A in pack_a
  Dim panels_together;  // panels that a row alone takes together

  // Packing. packed_b(inner, columns) elements; gates: columns = gate_columns(units), whole vectors.
  Dim (*packed_b)(Dim inner, Dim columns);
  // past_caches: not to be kept there, where a vector is a cache line, to one of which `packed` is aligned then.
  // B(k, n) = source[k * row_stride + n * column_stride].
  void (*pack_b)(const T* source, Dim row_stride, Dim column_stride, Dim inner, Dim columns, T* packed,
                 bool past_caches);
  Dim (*gate_columns)(Dim units);  // in gates order, see LstmStepArgs
  // source [inner, 4 * units] in Keras' gate order with row stride `row_stride` -> gates order, other columns 0.
  void (*pack_gates)(const T* source, Dim row_stride, Dim inner, Dim units, T* packed, bool past_caches);
  // `packed` is the tile of the first column.
  void (*pack_a)(const PackedColumns<T>& columns, T* packed);

  void (*gemm)(const GemmArgs<T>& args);
  void (*gemm_packed)(const GemmPackedArgs<T>& args);

  // Gates are sigmoid and tanh as below, to the bit. From exact ones for z, and h for the c that is written: h <= 6
  // ulp; c <= 6 ulp of the larger of f c_prev and i g.
  void (*lstm_step)(const LstmStepArgs<T>& args);
  void (*lstm_cells_backward)(const LstmCellsBackwardArgs<T>& args);

  // y may equal x. exp <= 1 ulp, sigmoid and tanh <= 2.5 ulp (baseline without fused
  // multiply-add: the same bounds). exp is 0 below -87.33 and +inf above 88.72 (double: -708.39, 709.78).
  void (*exp)(Dim n, const T* x, T* y);
  void (*sigmoid)(Dim n, const T* x, T* y);
  void (*tanh)(Dim n, const T* x, T* y);
  void (*activate)(Activation kind, Dim n, const T* x, T* y);
  // dx = dy * f'(y), from the output, NaN where that is, but for linear; dx may equal dy.
  void (*activate_backward)(Activation kind, Dim n, const T* y, const T* dy, T* dx);

  // dx = y * (dy - sum(y * dy)) by rows; dx may equal dy.
  void (*softmax_backward)(Dim rows, Dim columns, const T* y, const T* dy, T* dx);
  // Softmax and its cross-entropy in blocks of columns, see LogitsBlock. Lanes are [rows, width], carried from block to
  // block and started by the caller: at -inf for maxima, at 0 for sums. A NaN is no maximum, and reaches the sum.
  void (*logits_max)(const LogitsBlock<T>& block, T* lanes);
  // argmax[r] < 0 becomes first + the first column that equals largest[r], if the block has one.
  void (*logits_argmax)(const LogitsBlock<T>& block, const T* largest, Dim first, int* argmax);
  // With target = keep * given + share (without `given`: share): weighted += sum(target * (z - shift)) and, with
  // `given`, mass += sum(target).
  void (*logits_targets)(const LogitsBlock<T>& block, const T* shift, T keep, T share, double* mass, double* weighted);
  // z = exp(z - shift[r]), within 1.2 ulp, 0 where that is no normal number; lanes += z.
  void (*logits_exp)(const LogitsBlock<T>& block, const T* shift, T* lanes);
  // z = factor[r] * z - scale[r] * target
  void (*logits_gradient)(const LogitsBlock<T>& block, const T* factor, const T* scale, T keep, T share);
  // y[r][first + n] = factor[r] * z; past_caches: not kept there. y[r] is aligned to T.
  void (*logits_write)(const LogitsBlock<T>& block, const T* factor, T* const* y, Dim first, bool past_caches);
  // Of each row's lanes.
  void (*largest_lanes)(Dim rows, const T* lanes, T* result);
  void (*sum_lanes)(Dim rows, const T* lanes, T* result);
  double (*log)(double x);  // <= 2.5 ulp, for x positive and normal; NaN and inf stay

  void (*add)(Dim n, const T* x, T* y);                       // y += x
  void (*scale)(Dim n, T factor, T* x);                       // x *= factor
  void (*multiply)(Dim n, const T* x, const T* m, T* y);      // y = x * m, y may equal x
  void (*multiply_add)(Dim n, const T* x, const T* m, T* y);  // y += x * m
  double (*sum_of_squares)(Dim n, const T* x);                // one order for each n
  // The sum of (y - target)^2, in one order for each n; dy = slope * (y - target), unless null. dy may equal y.
  double (*squared_error)(Dim n, const T* y, const T* target, T slope, T* dy);
  bool (*all_finite)(Dim n, const T* x);

  void (*sgd)(const UpdateArgs<T>& args);
  void (*rmsprop)(const UpdateArgs<T>& args);
  void (*adam)(const UpdateArgs<T>& args);

  // Probes of the machine. fma_burst: `rounds` rounds of independent multiply-adds in registers, from
  // sink[0..3); returns their floating-point operations. read_all: the sum of n elements, every one read; of 8 vectors
  // at a time, what is left over stays out.
  Dim (*fma_burst)(Dim rounds, T* sink);
  T (*read_all)(Dim n, const T* x);
};

// One instruction set: what `pylstm.use_isa` names.
struct Kernels {
  const char* name;
  KernelTable<float> f32;
  KernelTable<double> f64;
};

template <class T>
const KernelTable<T>& table_of(const Kernels& kernels);
template <>
inline const KernelTable<float>& table_of<float>(const Kernels& kernels) {
  return kernels.f32;
}
template <>
inline const KernelTable<double>& table_of<double>(const Kernels& kernels) {
  return kernels.f64;
}

}  // namespace pylstm
