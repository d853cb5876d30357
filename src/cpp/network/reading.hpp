// Calls that read a network's settings, and changes that wait for them to end.
#pragma once

#include <mutex>
#include <shared_mutex>
#include <stdexcept>

namespace pylstm {

// A call that reads settings, until it dies. What a signal handler does inside it, on its thread, is part of it: it may
// read too, and must not wait for the call to end.
class Reading {
 public:
  explicit Reading(std::shared_mutex& settings) : settings_(&settings), outer_(innermost_) {
    if (!inside(settings)) lock_ = std::shared_lock<std::shared_mutex>(settings);
    innermost_ = this;
  }
  ~Reading() { innermost_ = outer_; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  // Whether this thread is inside such a call.
  static bool inside(const std::shared_mutex& settings) {
    for (const Reading* call = innermost_; call != nullptr; call = call->outer_) {
      if (call->settings_ == &settings) return true;
    }
    return false;
  }

  // Throws std::runtime_error if this thread is.
  static void check_outside(const std::shared_mutex& settings) {
    if (inside(settings)) {
      throw std::runtime_error(
          "the model is inside a call that a signal handler interrupted: change it after the call");
    }
  }

 private:
  inline static thread_local const Reading* innermost_ = nullptr;

  const std::shared_mutex* settings_;
  const Reading* outer_;
  std::shared_lock<std::shared_mutex> lock_;
};

// Alone with the settings, until it dies. Throws std::runtime_error inside a Reading of the same thread.
class Writing {
 public:
  explicit Writing(std::shared_mutex& settings) : lock_((Reading::check_outside(settings), settings)) {}

 private:
  std::unique_lock<std::shared_mutex> lock_;
};

}  // namespace pylstm
