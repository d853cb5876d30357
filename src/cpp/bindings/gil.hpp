// Work without the GIL. Whatever may wait for a lock of the engine releases it: the holder of the lock may be polling
// for signals, which needs the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include "base/float_env.hpp"
#include "base/interrupt.hpp"

namespace pylstm {

// Asks Python for pending signals from inside a call that has released the GIL.
class SignalPoll {
 public:
  SignalPoll() : interrupt_([this] { return look(); }) {}
  Interrupt* get() { return &interrupt_; }
  void restore() {  // with the GIL
    if (!raised_) return;
    PyErr_Restore(type_, value_, trace_);
    throw pybind11::error_already_set();
  }

 private:
  bool look() {
    const pybind11::gil_scoped_acquire locked;
    const FloatEnvironment callers(state_);  // a signal handler is the caller's code
    raised_ = PyErr_CheckSignals() != 0;
    if (raised_) PyErr_Fetch(&type_, &value_, &trace_);
    return raised_;
  }

  unsigned long long state_ = float_state();
  bool raised_ = false;
  PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
  Interrupt interrupt_;
};

// Runs f() without the GIL.
template <class F>
auto released(F f) {
  const pybind11::gil_scoped_release release;
  return f();
}

// Runs f(interrupt) without the GIL, then raises what a signal handler raised: the result is dropped then, or the
// exception that incomplete work led to.
template <class F>
auto unlocked(F f) {
  SignalPoll poll;
  auto result = [&] {
    try {
      return released([&] { return f(poll.get()); });
    } catch (...) {
      poll.restore();
      throw;
    }
  }();
  poll.restore();
  return result;
}

using Release = pybind11::call_guard<pybind11::gil_scoped_release>;  // for functions that see no Python object

}  // namespace pylstm
