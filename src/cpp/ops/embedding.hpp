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

// gradient[ids[m]] += dy[m], m ascending for every row of the table; gradient [entries, width] is zeroed first.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient);

struct DistinctIds {
  std::vector<std::int32_t> ids;    // in the order of their first row
  std::vector<std::int32_t> index;  // [rows] place in `ids`
  std::vector<std::int32_t> place;  // [entries] place in `ids`, -1 between searches

  std::size_t bytes() const { return (ids.capacity() + index.capacity() + place.capacity()) * sizeof(std::int32_t); }
};

// False, with `found` of no use, if there are more than `most` distinct ones.
bool find_distinct(const std::int32_t* ids, Dim rows, Dim entries, Dim most, DistinctIds& found);

// gradient[ids[i]] = dy[i] for distinct ids, all other rows of the table 0.
template <class T>
void embedding_backward_distinct(Dim entries, Dim width, const std::vector<std::int32_t>& ids, const T* dy,
                                 T* gradient);

}  // namespace pylstm
