#pragma once
// The one way to run something in parallel.

#include <atomic>
#include <cstdint>
#include <functional>

#include "snnfp/types.hpp"

namespace snnfp::detail {

// What earlier calls from one place in the code took, in nanoseconds. It decides whether the next
// ones wake other threads, never what comes out.
struct Experience {
  std::atomic<std::int64_t> piece{-1};       // of one piece of work; -1: not known
  std::atomic<std::int64_t> alone_until{0};  // time of the steady clock
};

void run_pieces(Size count, int n_threads, const std::function<void(Size, int)>& work,
                const std::function<void()>& meanwhile, Experience& experience);

// Calls work(index, worker) for every index in [0, count); worker < n_threads, and worker 0 is the
// calling thread. Other threads are woken where that pays: not for work of some 100 us, and
// not for a while after it cost more time than it saved, as where the processors are busy. They
// take pieces as they come, so that a thread without a processor delays nobody. Where the system
// gives fewer threads, these do the work; a call from within `work` runs on the thread that makes
// it. If calls throw, the exception of the lowest index comes out, whatever the number of threads;
// calls of higher indices may then be left out. While the calling thread has no work left and waits
// for others, it calls `meanwhile` at once and every few milliseconds; what that throws comes out
// before all else.
template <class Work>
void parallel_for(Size count, int n_threads, const Work& work,
                  const std::function<void()>& meanwhile = {}) {
  static Experience experience;  // of this place, as each lambda has a type of its own
  run_pieces(count, n_threads, std::cref(work), meanwhile, experience);
}

// Thrown by work that leaves because another call's exception is on its way out.
struct Stopped {};

// More cost memory and gain nothing.
constexpr int most_threads = 4096;
// Checks a number of threads; what 0 stands for.
int thread_count(int n_threads);
// OpenMP's setting where the library is built with it, else the processors of this process.
int default_threads();
// "threads, as many as OpenMP 201511 says" or "threads".
const char* parallel_runtime();

// For tests: from now on every call wakes n_threads - 1 others, whatever that costs.
void wake_always(bool always);
// How many pieces other threads than the calling ones have done so far.
Size pieces_by_others();

}  // namespace snnfp::detail
