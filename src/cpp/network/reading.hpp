// Calls that read a network's settings, and changes that wait for them to end.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

namespace pylstm {

// What calls and changes of one network wait for. A system's shared_mutex may let calls in as long as there is one: a
// change would never come about beside threads that always predict, so calls that begin let it go first.
struct SettingsMutex {
  std::shared_mutex mutex;
  std::mutex turn;  // of a change that waits
  std::atomic<int> waiting{0};
};

// A call that reads settings, until it dies. What a signal handler does inside it, on its thread, is part of it: it may
// read too, and must not wait for the call to end, nor for another thread's, which a change may hold up.
class Reading {
 public:
  explicit Reading(SettingsMutex& settings) : settings_(&settings), outer_(innermost_) {
    if (!inside(settings)) {
      if (settings.waiting.load() > 0) {
        const std::lock_guard<std::mutex> after(settings.turn);
      }
      lock_ = std::shared_lock<std::shared_mutex>(settings.mutex);
    }
    innermost_ = this;
  }
  ~Reading() { innermost_ = outer_; }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  // Whether this thread is inside such a call.
  static bool inside(const SettingsMutex& settings) {
    for (const Reading* call = innermost_; call != nullptr; call = call->outer_) {
      if (call->settings_ == &settings) return true;
    }
    return false;
  }

  // Throws std::runtime_error if this thread is.
  static void check_outside(const SettingsMutex& settings) {
    if (inside(settings)) {
      throw std::runtime_error(
          "the model is inside a call that a signal handler interrupted: change it after the call");
    }
  }

 private:
  inline static thread_local const Reading* innermost_ = nullptr;

  const SettingsMutex* settings_;
  const Reading* outer_;
  std::shared_lock<std::shared_mutex> lock_;
};

// Alone with the settings, until it dies. Throws std::runtime_error inside a Reading of the same thread.
class Writing {
 public:
  explicit Writing(SettingsMutex& settings) {
    Reading::check_outside(settings);
    ++settings.waiting;
    {
      const std::lock_guard<std::mutex> turn(settings.turn);
      lock_ = std::unique_lock<std::shared_mutex>(settings.mutex);
    }
    --settings.waiting;
  }

 private:
  std::unique_lock<std::shared_mutex> lock_;
};

}  // namespace pylstm
