// Walks the batches of a request within its time budget.
#pragma once

#include <functional>

#include "network/network.hpp"

namespace pylstm {

// body(rows, count) for each batch, in our floating-point environment, until the budget is used up, an
// interrupt is requested, or the body returns false (that batch counts as not done). Returns the next batch.
Dim each_batch(const Data& data, const RunRequest& request, Interrupt* interrupt,
               const std::function<bool(const std::int64_t* rows, Dim count)>& body);

}  // namespace pylstm
