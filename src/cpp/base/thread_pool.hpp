// A team of threads that waits in three stages: it spins for the next region of a running step, then yields its core to
// whoever wants it, at once if the thread that it waits for was last seen there, then sleeps. A runtime that spins
// longer stalls a busy machine: the thread that waits keeps the core from the thread that it waits for.
#pragma once

#include <functional>

namespace pylstm {

// Runs body(index, n) for index 0 .. n - 1, 0 on the caller, where n is `size` or as many as the system gives. Threads
// are made when first needed and kept. False, with nothing run, if the team serves another thread at the moment or the
// system gives none. The body must not throw.
bool run_on_team(int size, const std::function<void(int index, int size)>& body);

// Threads of the team, besides callers, that are awake just now.
int threads_awake();

}  // namespace pylstm
