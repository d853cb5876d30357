// Work without the GIL. Whatever may wait for a lock of the engine releases it: the holder of the lock may be polling
// for signals, which needs the GIL.
#pragma once

#include <pybind11/pybind11.h>

#if defined(__GLIBCXX__) && defined(__linux__)
#include <cxxabi.h>
#endif
#ifndef _WIN32
#include <unistd.h>
#endif

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/float_env.hpp"
#include "base/interrupt.hpp"
#include "base/parallel.hpp"

namespace pylstm {

// A thread that asks for the GIL when the interpreter has ended, or is about to, must sleep instead, as it does of
// itself from Python 3.14 on: up to 3.13 it is unwound, through frames that let no exception pass, which ends the
// process, and past locks that others wait for; later there is nothing left to ask.
class Asking {
 public:
  // By a thread with the GIL: the only one that still runs while the interpreter ends may go on.
  Asking() : ends_(!Py_IsInitialized()) {}

  template <class F>
  void operator()(F ask) const {
    if (!ends_ && !Py_IsInitialized()) sleep();
#if defined(__GLIBCXX__) && defined(__linux__)
    try {
      ask();
    } catch (abi::__forced_unwind&) {
      sleep();
    }
#else
    ask();
#endif
  }

 private:
  [[noreturn]] static void sleep() {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }

  bool ends_;
};

class Unlocked {  // without the GIL
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    ask_([&] { PyEval_RestoreThread(state_); });
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  Asking ask_;
  PyThreadState* state_;
};

class Locked {  // with it, inside Unlocked
 public:
  explicit Locked(const Asking& ask) {
    ask([&] { state_ = PyGILState_Ensure(); });
  }
  ~Locked() { PyGILState_Release(state_); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  PyGILState_STATE state_;
};

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
    const Locked with(ask_);
    const FloatEnvironment callers(state_);  // a signal handler is the caller's code
    const auto process = process_id();
    raised_ = PyErr_CheckSignals() != 0;
    if (process_id() != process && inside_shared_region()) end_child(raised_);
    if (raised_) PyErr_Fetch(&type_, &value_, &trace_);
    return raised_;
  }

#ifdef _WIN32
  static int process_id() { return 0; }
#else
  static pid_t process_id() { return ::getpid(); }
#endif

  // A signal handler forked, and did not end the child, which is now in a region whose other threads it has not: they
  // would be waited for for ever.
  [[noreturn]] static void end_child(bool raised) {
    if (raised) {
      PyErr_Print();  // ends the process itself, if it is a SystemExit
    } else {
      PySys_WriteStderr("pylstm: a child that a signal handler forked during a call cannot go on with it\n");
    }
    std::_Exit(1);
  }

  Asking ask_;
  unsigned long long state_ = float_state();
  bool raised_ = false;
  PyObject *type_ = nullptr, *value_ = nullptr, *trace_ = nullptr;
  Interrupt interrupt_;
};

// Runs f() without the GIL.
template <class F>
auto released(F f) {
  const Unlocked without;
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

using Release = pybind11::call_guard<Unlocked>;  // for functions that see no Python object

}  // namespace pylstm
