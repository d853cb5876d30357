// Table look-up and its gradient.
#pragma once

#include <cstdint>

#include "kernels/table.hpp"

namespace pylstm {

// y[m] = table[ids[m]]; ids are valid rows of the table.
template <class T>
void embedding_forward(const T* table, Dim width, const std::int32_t* ids, Dim rows, T* y);

// gradient[ids[m]] += dy[m], m ascending for every row of the table; gradient [entries, width] is zeroed first.
template <class T>
void embedding_backward(const KernelTable<T>& kernels, Dim entries, Dim width, const std::int32_t* ids, Dim rows,
                        const T* dy, T* gradient);

}  // namespace pylstm
