#pragma once
// The pieces of one call of parallel_for, for the caller and those who help it.

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

#include "snnfp/detail/parallel.hpp"
#include "system_threads.hpp"

namespace snnfp::detail {

// The first piece of each thread takes up to so much longer than its others: scratch memory and
// caches are new. One thread instead of two would have that once.
inline constexpr Nanoseconds most_warm_up = 200'000;
// A thread that waits no longer than this is not worth putting to sleep.
inline constexpr Nanoseconds short_wait = 50'000;
// Pieces that helpers have done, of all jobs.
inline std::atomic<Size> by_others{0};

// The exception of the lowest index, and the index from which on work is not worth starting.
class FirstFailure {
 public:
  bool before(Size index) const { return index_.load(std::memory_order_relaxed) < index; }
  void take(Size index) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (index < index_.load(std::memory_order_relaxed)) {
      index_.store(index, std::memory_order_relaxed);
      error_ = std::current_exception();
    }
  }
  // Keeps nothing of it: a worker that comes late may be the last to hold this.
  void rethrow() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  std::atomic<Size> index_{INT64_MAX};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Whether this thread is at a piece of some job.
inline thread_local bool at_work = false;
struct AtWork {
  AtWork() { at_work = true; }
  ~AtWork() { at_work = false; }
};

// The pieces of one call, taken one by one by the caller and those who help it. `finished_` goes up
// with each that was taken and done; at `end_` the caller may leave. The job itself lasts until the
// last helper lets go of it: one that comes late finds no piece and touches nothing of the
// caller's.
class Job {
 public:
  Job(Size begin, Size end, const std::function<void(Size, int)>& work)
      : end_(end), work_(work), next_(begin), finished_(begin) {}

  // Does one piece; false: all were taken.
  bool step() {
    const Size i = take();
    if (i >= end_) return false;
    attempt(i, 0);
    finish();
    return true;
  }

  void help(int worker) {
    const Nanoseconds start = processor_time();
    Nanoseconds first = 0, counted = 0;
    Size done = 0;
    const auto count_time = [&] {
      Nanoseconds spent = processor_time() - start;
      if (done > 1) {
        const Nanoseconds other = (spent - first) / (done - 1);
        spent -= std::clamp<Nanoseconds>(first - other, 0, most_warm_up);
      }
      saved_.fetch_add(spent - std::exchange(counted, spent), std::memory_order_relaxed);
    };
    for (Size i; (i = take()) < end_;) {
      attempt(i, worker);
      if (++done == 1) first = processor_time() - start;
      // The caller may leave after this one.
      if (finished_.load(std::memory_order_relaxed) + 1 == end_) count_time();
      by_others.fetch_add(1, std::memory_order_relaxed);
      finish();
    }
    count_time();
  }

  // Until all pieces that were taken are finished.
  void wait(const std::function<void()>& meanwhile, bool poll_once) {
    bool poll = bool(meanwhile);
    if (poll && poll_once) poll = guarded(-1, meanwhile);
    for (const Nanoseconds sleep = now() + short_wait; !over() && now() < sleep;) {
    }
    while (!over()) {
      if (poll) poll = guarded(-1, meanwhile);
      finished_all_.take_soon();
    }
  }

  void rethrow() { failure_.rethrow(); }
  // Processor time that the caller would have needed for the pieces of its helpers.
  Nanoseconds saved() const { return saved_.load(std::memory_order_relaxed); }

  // All pieces are taken: nothing is left for helpers.
  bool closed() const { return next_.load(std::memory_order_relaxed) >= end_; }

  // Helpers that are wanted, were woken, have come. The pool's lock guards them.
  int seats = 0, woken = 0, seated = 0;

 private:
  Size take() { return next_.fetch_add(1, std::memory_order_relaxed); }
  bool over() const { return finished_.load(std::memory_order_acquire) == end_; }

  void attempt(Size i, int worker) {
    if (failure_.before(i)) return;
    const AtWork here;
    guarded(i, [&] { work_(i, worker); });
  }

  template <class F>
  bool guarded(Size i, const F& f) {
    try {
      f();
      return true;
    } catch (const Stopped&) {
    } catch (...) {
      failure_.take(i);
    }
    return false;
  }

  void finish() {
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == end_) finished_all_.give();
  }

  const Size end_;
  const std::function<void(Size, int)>& work_;
  FirstFailure failure_;
  Tokens finished_all_;
  // On cache lines of their own: all threads write them.
  alignas(64) std::atomic<Size> next_;
  alignas(64) std::atomic<Size> finished_;
  std::atomic<Nanoseconds> saved_{0};
};

}  // namespace snnfp::detail
