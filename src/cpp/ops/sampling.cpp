#include "ops/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/index.hpp"

namespace pylstm {
namespace {

template <class T>
struct Likelier {
  const T* p;
  bool operator()(Dim a, Dim b) const { return p[a] > p[b] || (p[a] == p[b] && a < b); }
};

// The least likely of the fewest likeliest of `ids` whose weights together reach `wanted`. Halves are told apart, not
// sorted: that takes a time in proportion to their number.
template <class T>
Dim last_of_share(const T* p, const std::vector<T>& weights, double wanted, std::vector<Dim>& ids) {
  auto begin = ids.begin(), end = ids.end();
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, Likelier<T>{p});
    const double part = std::accumulate(begin, middle, 0.0,
                                        [&](double sum, Dim id) { return sum + static_cast<double>(weights[at(id)]); });
    if (part >= wanted) {
      end = middle;
    } else {
      wanted -= part;
      begin = middle;
    }
  }
  return *begin;
}

}  // namespace

template <class T>
Dim sample(const T* p, Dim count, const SampleOptions& options, double uniform, SampleScratch<T>& scratch) {
  const Dim best = std::max_element(p, p + count) - p;
  if (options.temperature == 0) return best;
  const Likelier<T> likelier{p};
  std::vector<Dim>& ids = scratch.ids;
  std::vector<T>& weights = scratch.weights;
  ids.resize(at(count));
  weights.resize(at(count));
  std::iota(ids.begin(), ids.end(), Dim{0});
  Dim last = -1;  // the least likely of those kept, or all are
  if (options.top_k > 0 && options.top_k < count) {
    std::nth_element(ids.begin(), ids.begin() + options.top_k - 1, ids.end(), likelier);
    ids.resize(at(options.top_k));
    last = ids.back();
  }
  const T power = static_cast<T>(1 / options.temperature);
  double total = 0;
  for (const Dim id : ids) {
    const T ratio = p[id] / p[best];
    weights[at(id)] = power == T(1) || ratio == T(0) ? ratio : std::pow(ratio, power);
    total += static_cast<double>(weights[at(id)]);
  }
  if (options.top_p < 1) last = last_of_share(p, weights, options.top_p * total, ids);
  const auto kept = [&](Dim id) { return last < 0 || !likelier(last, id); };
  if (last >= 0) total = 0;
  for (Dim id = 0; last >= 0 && id < count; ++id) total += kept(id) ? static_cast<double>(weights[at(id)]) : 0;
  double place = uniform * total;
  for (Dim id = 0; id < count; ++id) {
    if (!kept(id)) continue;
    place -= static_cast<double>(weights[at(id)]);
    if (place < 0) return id;
  }
  return best;  // rounding may leave a rest
}

template Dim sample<float>(const float*, Dim, const SampleOptions&, double, SampleScratch<float>&);
template Dim sample<double>(const double*, Dim, const SampleOptions&, double, SampleScratch<double>&);

}  // namespace pylstm
