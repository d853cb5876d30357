// What flows between layers.
#pragma once

#include <cstdint>
#include <vector>

#include "base/types.hpp"
#include "ops/repeats.hpp"

namespace pylstm {

// Shape of one sample: (steps, features), (features,), or (steps,) token ids. steps -1: any number.
struct SampleShape {
  bool sequence = false;
  bool tokens = false;
  Dim steps = -1;
  Dim features = 0;

  std::vector<Dim> dims() const {  // as Keras prints it, without the batch
    if (tokens) return {steps};
    return sequence ? std::vector<Dim>{steps, features} : std::vector<Dim>{features};
  }
};

// Rows of a batch, time-major: sample b at step t is row t * batch + b. Not owned. Dense, but for the input of a
// layer that reads_in_place: the caller's own array, with its strides.
template <class T>
struct Rows {
  T* data = nullptr;                   // [rows, features]; null for token ids, and for results that are elsewhere
  const std::int32_t* ids = nullptr;   // [rows]
  const std::uint8_t* mask = nullptr;  // [rows], 0 = masked; null: all real
  Dim batch = 0;
  Dim steps = 1;
  Dim features = 0;
  bool sequence = false;
  Dim step_stride = 0, batch_stride = 0;  // elements; 0, 0: dense
  Repeats<T> repeats;                     // of these rows, for a layer that takes_repeats

  const T* at(Dim t, Dim b) const {
    return data + (batch_stride == 0 ? (t * batch + b) * features : t * step_stride + b * batch_stride);
  }
  // The same rows with other values: dense, no ids.
  Rows with(Dim new_features) const {
    Rows out = *this;
    out.data = nullptr;
    out.ids = nullptr;
    out.features = new_features;
    out.step_stride = out.batch_stride = 0;
    out.repeats = {};
    return out;
  }
  Dim rows() const { return sequence ? steps * batch : batch; }
};

}  // namespace pylstm
