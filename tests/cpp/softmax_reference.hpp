// What softmax is in higher precision, and how far T may be from it.
#pragma once

#include <algorithm>

#include "laws.hpp"

namespace pylstm::test {

// exp(z - largest) / sum in Wide, and log(sum) + largest.
template <class T>
std::vector<Wide<T>> probabilities(const T* z, Dim n, Wide<T>* log_sum) {
  const Wide<T> shift = *std::max_element(z, z + n);
  std::vector<Wide<T>> p;
  Wide<T> sum = 0;
  for (Dim i = 0; i < n; ++i) {
    p.push_back(std::exp(z[i] - shift));
    sum += p.back();
  }
  for (Wide<T>& value : p) value /= sum;
  *log_sum = std::log(sum) + shift;
  return p;
}

// Relative error of exp(z - shift) / sum: half an eps of the difference moves exp by that times its
// argument, exp is within 1.2 ulp; the same for every term of the sum, n additions, two roundings.
template <class T>
double relative(Dim n, Wide<T> spread) {
  return kEps<T> * (static_cast<double>(spread) + 4 + 0.5 * static_cast<double>(n));
}

template <class T>
Wide<T> spread_of(const T* z, Dim n) {
  return static_cast<Wide<T>>(*std::max_element(z, z + n)) - *std::min_element(z, z + n);
}

}  // namespace pylstm::test
