// The arrays of one fit, evaluate or predict call, their checks, and the gathering of a batch.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/buffer.hpp"
#include "base/interrupt.hpp"
#include "network/array.hpp"
#include "network/rows.hpp"

namespace pylstm {

enum class Mode { kFit, kEvaluate, kPredict, kCall };  // kCall: the network's outputs as they are, of one batch

// What the targets of a compiled loss look like.
struct TargetShape {
  bool present = false;  // false: no loss, y is ignored
  bool labels = false;   // integer class labels below `columns`; else values [.., columns]
  bool sequence = false;
  Dim columns = 0;
  std::optional<double> padding;  // of a sequence: Layer::padding; such steps are masked, and y may be anything
};

// Sums of one call, to be divided by the second number: loss by weight, metrics by count.
using Totals = std::map<std::string, std::pair<double, double>>;

struct Data {
  ArrayView x, y, sample_weight, mask;  // empty view: not given; mask: bool or uint8, 0 = masked
  Totals totals;

  Dim samples() const { return x.shape.empty() ? 0 : x.shape[0]; }
  Dim steps() const { return x.rank() >= 2 ? x.shape[1] : 1; }
};

// Shapes against the network and each other. Throws std::invalid_argument that names the argument.
void check_shapes(const Data& data, const SampleShape& input, const TargetShape& target, Mode mode);

// check_shapes, then a full scan: values finite as T (fit and evaluate), token ids and labels in range. Throws
// std::invalid_argument or std::out_of_range that names the argument, the place and the value; for tokens `vocabulary`
// is their number. When `interrupt` asks to stop, the rest is not looked at.
template <class T>
void check_data(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target, Mode mode,
                Interrupt* interrupt);

// Rows of one batch, time-major and converted. Buffers keep their memory between batches.
template <class T>
struct Batch {
  Rows<T> x;
  Buffer<T> values;
  Buffer<std::int32_t> ids;
  Buffer<std::uint8_t> mask;
  Buffer<std::int32_t> labels;
  Buffer<T> targets;  // [rows, columns]
  Buffer<T> weights;  // [rows]
  bool has_weights = false;
  std::size_t bytes() const {
    return values.bytes() + ids.bytes() + mask.bytes() + labels.bytes() + targets.bytes() + weights.bytes();
  }
};

// Samples rows[0..count), steps [first_step, last_step) of sequences. y is gathered when `target.present`. in_place:
// x may stay where it is, with strides, if it is of type T and the samples are consecutive. False if
// `interrupt` asked to stop: the batch is incomplete then.
template <class T>
bool gather_batch(const Data& data, const SampleShape& input, Dim vocabulary, const TargetShape& target,
                  const std::int64_t* rows, Dim count, Dim first_step, Dim last_step, bool in_place,
                  Interrupt* interrupt, Batch<T>& batch);

}  // namespace pylstm
