#include "ops/schedule.hpp"

#include <algorithm>
#include <numeric>

#include "base/index.hpp"

namespace pylstm {

void make_schedule(Dim steps, Dim batch, const std::uint8_t* mask, bool reversed, Schedule& s) {
  s.batch = batch;
  s.dense = mask == nullptr || std::all_of(mask, mask + steps * batch, [](std::uint8_t real) { return real != 0; });
  s.order.resize(at(batch));
  s.length.resize(at(batch));
  std::iota(s.order.begin(), s.order.end(), Dim{0});
  if (s.dense) {
    std::fill(s.length.begin(), s.length.end(), steps);
  } else {
    std::vector<Dim> real(at(batch), 0);
    for (Dim t = 0; t < steps; ++t) {
      for (Dim b = 0; b < batch; ++b) real[at(b)] += mask[t * batch + b] != 0;
    }
    std::stable_sort(s.order.begin(), s.order.end(), [&](Dim a, Dim b) { return real[at(a)] > real[at(b)]; });
    for (Dim r = 0; r < batch; ++r) s.length[at(r)] = real[at(s.order[at(r)])];
  }
  s.steps = batch == 0 ? 0 : s.length[0];
  s.rows.resize(at(s.steps));
  s.offset.resize(at(s.steps));
  s.total = 0;
  Dim running = batch;
  for (Dim step = 0; step < s.steps; ++step) {
    while (running > 0 && s.length[at(running - 1)] <= step) --running;
    s.rows[at(step)] = running;
    s.offset[at(step)] = s.total;
    s.total += running;
  }
  s.time.resize(at(s.total));
  for (Dim r = 0; r < batch; ++r) {
    Dim step = 0;
    for (Dim i = 0; i < steps; ++i) {
      const Dim t = reversed ? steps - 1 - i : i;
      if (s.dense || mask[t * batch + s.order[at(r)]] != 0) s.time[at(s.packed(step++, r))] = t;
    }
  }
}

double work_of(const Schedule& s, Range rows) {
  return static_cast<double>(std::accumulate(s.length.begin() + rows.begin, s.length.begin() + rows.end, Dim{0}));
}

std::vector<Dim> balanced_rows(const Schedule& s, int size, const Paces& paces) {
  std::vector<Dim> bounds(static_cast<std::size_t>(size) + 1, s.batch);
  bounds[0] = 0;
  const bool few = s.batch < Paces::kFewUnits * size;
  Dim row = 0, done = 0;
  for (int part = 1; part < size; ++part) {
    const Dim goal = few ? s.total * part / size : paces.share(s.total, part, size).begin;
    while (row < s.batch && done + s.length[at(row)] / 2 < goal) done += s.length[at(row++)];
    bounds[at(part)] = row;
  }
  return bounds;
}

Dim most_rows_of(const Schedule& s, int size) {
  if (!s.dense) return s.batch;  // of short rows a thread may get any number
  return std::min(s.batch, static_cast<Dim>(Paces::kMostShare * static_cast<double>(s.batch) / size) + 2);
}

}  // namespace pylstm
