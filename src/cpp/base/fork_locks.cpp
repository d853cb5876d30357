#include "base/fork_locks.hpp"

#include <algorithm>
#include <utility>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace pylstm {

struct ForkRegistry {
  std::mutex mutex;  // of `entries`; held during a fork too
  std::vector<ForkLocks*> entries;

  static ForkRegistry& get() {
    static ForkRegistry* const registry = new ForkRegistry;  // outlives every object that others destroy late
    return *registry;
  }
  void lock_all() {
    mutex.lock();
    for (ForkLocks* entry : entries) {
      for (std::mutex* lock : entry->locks_) lock->lock();
    }
  }
  void unlock_all() {
    for (ForkLocks* entry : entries) {
      for (std::mutex* lock : entry->locks_) lock->unlock();
    }
    mutex.unlock();
  }
  void renew_all() {
    unlock_all();
    for (ForkLocks* entry : entries) {
      if (entry->in_child_) entry->in_child_();
    }
  }
};

#if !defined(_WIN32)
namespace {

const int hook = pthread_atfork([] { ForkRegistry::get().lock_all(); }, [] { ForkRegistry::get().unlock_all(); },
                                [] { ForkRegistry::get().renew_all(); });

}  // namespace
#endif

ForkLocks::ForkLocks(std::vector<std::mutex*> locks, std::function<void()> in_child)
    : locks_(std::move(locks)), in_child_(std::move(in_child)) {
  ForkRegistry& registry = ForkRegistry::get();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.entries.push_back(this);
}

ForkLocks::~ForkLocks() {
  ForkRegistry& registry = ForkRegistry::get();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.entries.erase(std::find(registry.entries.begin(), registry.entries.end(), this));
}

}  // namespace pylstm
