// Table look-up and its gradient.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/table.hpp"
#include "ops/repeats.hpp"

namespace pylstm {

// y[m] = table[ids[m]]; ids are valid rows of the table.
template <class T>
void embedding_forward(const T* table, Dim width, const std::int32_t* ids, Dim rows, T* y);

// Rows of a table outside which its gradient is 0; at first none.
struct TouchedRows {
  std::vector<std::int32_t> rows;  // ascending
  std::vector<std::uint8_t> seen;  // [entries] 0 between searches

  std::size_t bytes() const { return rows.capacity() * sizeof(std::int32_t) + seen.capacity(); }
};

// The sums of dy[m] over equal ids[m], m ascending, all other rows 0. gradient [entries, width] is 0 outside the rows
// of `touched`, which become those of `ids`: a table costs no more than its rows in use, and a byte read for each
// entry.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient, TouchedRows& touched);

struct DistinctIds {
  std::vector<std::int32_t> ids;    // in the order of their first row
  std::vector<std::int32_t> index;  // [rows] place in `ids`
  std::vector<std::int32_t> place;  // [entries] place in `ids`, -1 between searches

  std::size_t bytes() const { return (ids.capacity() + index.capacity() + place.capacity()) * sizeof(std::int32_t); }
};

// False, with `found` of no use, if there are more than `most` distinct ones.
bool find_distinct(const std::int32_t* ids, Dim rows, Dim entries, Dim most, DistinctIds& found);

// The same of distinct ids.
template <class T>
void embedding_backward_distinct(Dim width, const std::vector<std::int32_t>& ids, const T* dy, T* gradient,
                                 TouchedRows& touched);

}  // namespace pylstm
