// Arithmetic of a reference that knows how far T's results may be from its own: by a rounding for each operation of T,
// and by what its operands were off. A tolerance follows from the operations alone.
#pragma once

#include <cmath>
#include <limits>

#include "laws.hpp"

namespace pylstm::test {

template <class T>
struct Bounded {
  Wide<T> value = 0;
  double error = 0;  // at most, of T's result

  Bounded() = default;
  Bounded(T exact) : value(exact) {}
  Bounded(Wide<T> reference, double limit) : value(reference), error(limit) {}
  double size() const { return std::fabs(static_cast<double>(value)) + error; }  // of T's result, at most
};

// Half a unit of the last place, and all of a result that counts as 0.
template <class T>
Bounded<T> rounded(Wide<T> value, double error, double roundings = 1) {
  const double size = std::fabs(static_cast<double>(value)) + error;
  return {value, error + roundings * (kEps<T> / 2 * size + static_cast<double>(std::numeric_limits<T>::min()))};
}
template <class T>
Bounded<T> operator*(const Bounded<T>& a, const Bounded<T>& b) {
  return rounded<T>(a.value * b.value, a.size() * b.error + a.error * (b.size() - b.error));
}
template <class T>
Bounded<T> operator+(const Bounded<T>& a, const Bounded<T>& b) {
  return rounded<T>(a.value + b.value, a.error + b.error);
}
template <class T>
Bounded<T> one_minus(const Bounded<T>& a) {
  return rounded<T>(1 - a.value, a.error);
}

// Of the table: sigmoid and tanh <= 2.5 ulp, 5 roundings. A sigmoid takes a quarter of its argument's error, a tanh
// all.
constexpr double kActivationRoundings = 5;
template <class T>
Bounded<T> sigmoid_of(const Bounded<T>& x) {
  return rounded<T>(sigmoid<T>(x.value), x.error / 4, kActivationRoundings);
}
template <class T>
Bounded<T> tanh_of(const Bounded<T>& x) {
  return rounded<T>(std::tanh(x.value), x.error, kActivationRoundings);
}

// A sum of products in any order of T: in it a term meets at most one rounding for each of the others and what else
// there is: its own product, a bias, a mask, the parts of an inner sum (4), those of gates (4).
template <class T>
class BoundedSum {
 public:
  static constexpr double kMoreRoundings = 12;
  explicit BoundedSum(const Bounded<T>& first = {}) : value_(first.value), size_(first.size()), error_(first.error) {}

  void add(const Bounded<T>& a, const Bounded<T>& b) {
    const Wide<T> term = a.value * b.value;
    value_ += term;
    size_ += a.size() * b.size();
    error_ += a.size() * b.error + a.error * (b.size() - b.error);
    ++terms_;
  }
  Bounded<T> operator()(double more = 0) const {
    const double roundings = terms_ + kMoreRoundings + more;
    const double tiny = static_cast<double>(std::numeric_limits<T>::min());
    return {value_, error_ + roundings * (kEps<T> / 2 * size_ + tiny)};
  }

 private:
  Wide<T> value_;
  double size_, error_, terms_ = 0;
};

// Whether T's result is as near as the bound says; where the reference is no wider, it is off by as much itself.
template <class T>
bool within(T got, const Bounded<T>& want) {
  const double own = static_cast<double>(std::numeric_limits<Wide<T>>::epsilon()) / kEps<T>;
  return std::fabs(static_cast<double>(got - want.value)) <= (1 + own) * want.error;
}

}  // namespace pylstm::test
