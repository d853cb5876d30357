// The only seam to threads. Work is split over independent outputs, so a result never depends
// on the number of threads. Every thread of a region runs in our FloatEnvironment.
#pragma once

#include <functional>
#include <string>

#include "base/types.hpp"

namespace pylstm {

int num_threads();             // threads that a region started now may use, >= 1
void set_num_threads(int n);   // throws std::invalid_argument for n < 1
int available_cores();         // affinity and cgroup quota, >= 1
const char* thread_backend();  // "pool" (our own), "openmp" or "none"

// Runs body(index, size) on `threads` threads, or on as many as the system gives, index 0 on the caller. Inside a
// region, in a forked child, with threads <= 1 and with the back-end "none" it runs body(0, 1); with "pool" also beside
// another caller's, where "openmp" has a team for each. The first exception is rethrown, after all; a body whose
// threads wait for each other must not throw. Threads stay for later regions, those of "pool" with the affinity of the
// one that made them.
void parallel_region(int threads, const std::function<void(int index, int size)>& body);

// Whether the calling thread is in a region that has other threads, which may wait for it.
bool inside_shared_region();

// Threads for cheap work of so many grains, each of some ten microseconds: at most one a grain, and besides those that
// are awake only as many as have enough to do to be woken.
int threads_for_grains(Dim grains);

// body(range) for the pieces of [0, n), see Pieces, on `threads` threads: any number of times on each, in any order.
void parallel_pieces(int threads, Dim n, Dim smallest, Dim multiple, const std::function<void(Range)>& body);

// The same with pieces of a grain, on threads_for_grains(n / grain) threads.
void parallel_for(Dim n, Dim grain, const std::function<void(Range)>& body, Dim multiple = 1);

// The part of [0, n) that belongs to `index` of `size`, bounds at multiples of `multiple`.
Range split(Dim n, int index, int size, Dim multiple = 1);

}  // namespace pylstm
