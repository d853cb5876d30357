#include "network/batches.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/check.hpp"
#include "base/float_env.hpp"

namespace pylstm {

Dim each_batch(const Data& data, const RunRequest& request, Interrupt* interrupt,
               const std::function<bool(const std::int64_t* rows, Dim count)>& body) {
  const FloatEnvironment guard;
  const Dim samples = request.order != nullptr ? request.order_count : data.samples();
  check(request.batch_size >= 1, "batch_size must be at least 1, got ", request.batch_size);
  const Dim batches = samples == 0 ? 0 : (samples - 1) / request.batch_size + 1;  // of any size, without overflow
  check(request.first >= 0 && request.last <= batches && request.first <= request.last, "batches [", request.first,
        ", ", request.last, ") must lie in [0, ", batches, ")");
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::int64_t> natural;
  for (Dim batch = request.first; batch < request.last; ++batch) {
    const Dim begin = batch * request.batch_size, count = std::min(request.batch_size, samples - begin);
    const std::int64_t* rows = request.order == nullptr ? nullptr : request.order + begin;
    if (rows == nullptr) {
      natural.resize(static_cast<std::size_t>(count));
      std::iota(natural.begin(), natural.end(), std::int64_t{begin});
      rows = natural.data();
    } else {
      for (Dim i = 0; i < count; ++i) {
        check(rows[i] >= 0 && rows[i] < data.samples(), "order must hold rows from 0 to ", data.samples() - 1, ", got ",
              rows[i]);
      }
    }
    if (stop_requested(interrupt) || !body(rows, count)) return batch;
    const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
    if (request.budget_ms > 0 && spent.count() >= request.budget_ms) return batch + 1;
  }
  return request.last;
}

}  // namespace pylstm
