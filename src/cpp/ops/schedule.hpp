// Which rows of a batch run at which step. A masked step only holds h and c, so a masked row is a
// shorter sequence: rows are sorted by their number of real steps (longest first) and step s runs
// the first rows[s] of them. No kernel sees a mask.
#pragma once

#include <cstdint>
#include <vector>

#include "base/paces.hpp"
#include "base/types.hpp"

namespace pylstm {

struct Schedule {
  Dim batch = 0;
  Dim steps = 0;            // of the longest row
  Dim total = 0;            // real steps of all rows = packed rows
  bool dense = true;        // every row runs every step in order: packed row s * batch + b
  std::vector<Dim> rows;    // [steps] rows that run at a step, non-increasing
  std::vector<Dim> offset;  // [steps] first packed row of a step
  std::vector<Dim> order;   // [batch] sorted position -> batch row
  std::vector<Dim> length;  // [batch] real steps of the row at a sorted position
  std::vector<Dim> time;    // [total] time in the batch of a packed row

  std::size_t bytes() const {
    return (rows.capacity() + offset.capacity() + order.capacity() + length.capacity() + time.capacity()) * sizeof(Dim);
  }
  Dim packed(Dim step, Dim position) const { return offset[static_cast<std::size_t>(step)] + position; }
};

// mask [steps, batch] (time-major; 0 = masked) or null. reversed: time runs backwards.
void make_schedule(Dim steps, Dim batch, const std::uint8_t* mask, bool reversed, Schedule& schedule);

// Steps of some of the sorted rows.
double work_of(const Schedule& schedule, Range rows);

// Bounds [size + 1] that split the sorted rows into contiguous ranges, of work as the paces of threads have it.
std::vector<Dim> balanced_rows(const Schedule& schedule, int size, const Paces& paces);

// Rows of such a range at most.
Dim most_rows_of(const Schedule& schedule, int size);

// Sorted position of every packed row, through f(packed, step, position).
template <class F>
void each_packed_row(const Schedule& s, F f) {
  for (Dim step = 0; step < s.steps; ++step) {
    for (Dim r = 0; r < s.rows[static_cast<std::size_t>(step)]; ++r) f(s.packed(step, r), step, r);
  }
}

}  // namespace pylstm
