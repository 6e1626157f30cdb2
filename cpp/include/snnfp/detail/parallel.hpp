#pragma once
// The one way to run something in parallel.

#include <functional>

#include "snnfp/types.hpp"

namespace snnfp::detail {

// Calls work(index, worker) for every index in [0, count); worker < n_threads, and worker 0 is the
// calling thread. Where the system gives fewer threads, these do the work. If calls throw, the
// exception of the lowest index comes out, whatever the number of threads; calls of higher indices
// may then be left out. While the calling thread has no work left and waits for others, it calls
// `meanwhile` at once and every few milliseconds; what that throws comes out before all else.
void parallel_for(Size count, int n_threads, const std::function<void(Size, int)>& work,
                  const std::function<void()>& meanwhile = {});

// Thrown by work that leaves because another call's exception is on its way out.
struct Stopped {};

// More cost memory and gain nothing.
constexpr int most_threads = 4096;
// Checks a number of threads; what 0 stands for.
int thread_count(int n_threads);
int default_threads();
// "OpenMP 201511" or "none".
const char* parallel_runtime();
// Gives the runtime's threads back, so that a process may fork.
void release_threads();

}  // namespace snnfp::detail
