// The only file that starts threads, and the only one that knows OpenMP.

#include "snnfp/detail/parallel.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "job.hpp"
#include "snnfp/error.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define SNNFP_HAS_FORK
#endif

namespace snnfp::detail {
namespace {

// What must be left to do where waking others pays.
constexpr Nanoseconds worth_waking = 200'000;
// Others that cost a call some time are not woken again for so many times that time.
constexpr Nanoseconds caution = 50, most_caution = 1'000'000'000;

std::atomic<bool> always{false};

// Threads that a call from here may have, by the settings of OpenMP: the user may have limited
// them, or be inside a parallel region.
int allowed_threads() {
#ifdef _OPENMP
  return omp_get_active_level() < omp_get_max_active_levels() ? omp_get_thread_limit() : 1;
#else
  return most_threads;
#endif
}

// Threads that wait, asleep, for jobs to help with. There are as many as were ever wanted at once,
// and they end with the process: none is joined, so the pool must last as long. No caller waits for
// the lock, which a thread may hold that has no processor.
class Pool {
 public:
  // Wakes helpers; false where the lock is taken.
  bool offer(const std::shared_ptr<Job>& job, int helpers, bool patient) {
    std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    for (int k = 0; !lock && k < (patient ? 10'000 : 100); ++k) {
      if (patient) std::this_thread::yield();
      static_cast<void>(lock.try_lock());
    }
    if (!lock) return false;
    drop_closed();
    while (threads_ < wanted_.load(std::memory_order_relaxed) + helpers && start()) ++threads_;
    if (threads_ > 0) {
      open_.push_back(job);
      job->seats = helpers;
    }
    wanted_.fetch_add(helpers, std::memory_order_relaxed);
    const int more = next_to_wake(*job);
    lock.unlock();
    wake(more);
    return true;
  }
  // The caller has what it wanted; helpers may still be on their way back.
  void leave(int helpers) { wanted_.fetch_sub(helpers, std::memory_order_relaxed); }

 private:
  // The caller wakes two, and each of those that come two more: waking many takes the caller no
  // time, and ends where the work does.
  static int next_to_wake(Job& job) {
    const int more = std::min(job.seats - job.woken, 2);
    job.woken += more;
    return more;
  }
  void wake(int more) {
    for (; more > 0; --more) wakes_.give();
  }
  void drop_closed() {
    const auto closed = [](const std::shared_ptr<Job>& job) { return job->closed(); };
    open_.erase(std::remove_if(open_.begin(), open_.end(), closed), open_.end());
  }

  bool start() noexcept {
    try {
      // Memory that is left for the work, and for what a thread needs beside its stack: the C++
      // library ends the process where it cannot have a few bytes for its exceptions.
      const std::unique_ptr<char[]> room(new char[std::size_t(16) << 20]);
      static_cast<volatile char*>(room.get())[0] = 0;  // or the compiler leaves it out
      std::thread([this] {
        static_cast<void>(std::current_exception());
        static_cast<volatile bool&>(at_work) = false;
        serve();
      }).detach();
      return true;
    } catch (...) {
      return false;
    }
  }

  void serve() {
    for (;;) {
      wakes_.take();
      std::unique_lock<std::mutex> lock(mutex_);
      drop_closed();
      if (open_.empty()) continue;
      const std::shared_ptr<Job> job = open_.front();
      const int worker = ++job->seated, more = next_to_wake(*job);
      if (worker == job->seats) open_.pop_front();
      lock.unlock();
      wake(more);
      job->help(worker);
    }
  }

  std::mutex mutex_;
  Tokens wakes_;
  std::deque<std::shared_ptr<Job>> open_;  // with seats that are not taken
  int threads_ = 0;
  std::atomic<int> wanted_{0};  // by the calls that are going on
};

std::atomic<Pool*> pool_of_process{nullptr};

// A child of fork has none of its parent's threads, and makes a pool of its own.
#ifdef SNNFP_HAS_FORK
void forget_pool() { pool_of_process.store(nullptr, std::memory_order_relaxed); }
#endif

Pool& pool() {
#ifdef SNNFP_HAS_FORK
  static const int watched = pthread_atfork(nullptr, nullptr, forget_pool);
  static_cast<void>(watched);
#endif
  Pool* there = pool_of_process.load(std::memory_order_acquire);
  if (there) return *there;
  auto fresh = std::make_unique<Pool>();
  return pool_of_process.compare_exchange_strong(there, fresh.get()) ? *fresh.release() : *there;
}

// False where nobody was woken: then the caller may try again later.
bool wake_helpers(const std::shared_ptr<Job>& job, int helpers, bool patient) noexcept {
  try {
    return pool().offer(job, helpers, patient);
  } catch (...) {  // no memory
    return false;
  }
}

}  // namespace

int thread_count(int n_threads) {
  if (n_threads < 0 || n_threads > most_threads)
    throw InvalidArgument("n_threads is " + std::to_string(n_threads) +
                          ", expected 0 (all) or 1 ... " + std::to_string(most_threads));
  return n_threads > 0 ? n_threads : default_threads();
}

namespace {

// The first part of a call: the caller alone, until waking others pays.
class Alone {
 public:
  Alone(Size count, Experience& experience)
      : count_(count),
        experience_(experience),
        known_(experience.piece.load(std::memory_order_relaxed)),
        until_(experience.alone_until.load(std::memory_order_relaxed)),
        begin_(now()),
        warm_(begin_),
        cpu_begin_(processor_time()) {}

  // After `done` pieces.
  bool ends(Size done) const {
    const Size left = count_ - done;
    if (left < 2) return false;
    const Nanoseconds t = now();
    if (t < until_) return false;
    if (done == 0) return known_ < 0 || known_ >= worth_waking / left;
    // It may only have been long because this thread had no processor.
    return each(t, done) >= worth_waking / left && each_of_processor(done) >= worth_waking / left;
  }
  void first_done() { warm_ = now(); }
  void finished() {
    Nanoseconds piece = each(now(), count_);
    if (piece >= worth_waking / count_) piece = each_of_processor(count_);
    experience_.piece.store(piece, std::memory_order_relaxed);
  }

 private:
  // Time of a piece, without what the first takes longer.
  Nanoseconds each(Nanoseconds t, Size done) const {
    return done > 1 ? (t - warm_) / (done - 1) : std::max(known_, t - begin_ - most_warm_up);
  }
  Nanoseconds each_of_processor(Size done) const {
    const Nanoseconds spent = processor_time() - cpu_begin_;
    return done > 1 ? (spent - (warm_ - begin_)) / (done - 1)
                    : std::max(known_, spent - most_warm_up);
  }

  const Size count_;
  Experience& experience_;
  const Nanoseconds known_, until_, begin_;
  Nanoseconds warm_;
  const Nanoseconds cpu_begin_;
};

// The rest of the pieces, with helpers.
void run_together(Size begin, Size count, int helpers, bool patient,
                  const std::function<void(Size, int)>& work,
                  const std::function<void()>& meanwhile, Experience& experience) {
  const auto job = std::make_shared<Job>(begin, count, work);
  const Nanoseconds offered = now();
  const bool woken = wake_helpers(job, helpers, patient);
  const Nanoseconds cpu_begin = processor_time();
  Nanoseconds warm = cpu_begin;
  Size own = 0;
  while (job->step())
    if (++own == 1) warm = processor_time();
  const Nanoseconds cpu_end = processor_time();
  job->wait(meanwhile, own == 0);
  if (woken) {
    pool().leave(helpers);
    // Against what the caller would have needed alone, had it had a processor all the time.
    const Nanoseconds back = now(), lost = back - offered - (cpu_end - cpu_begin) - job->saved();
    if (lost > 0)
      experience.alone_until.store(back + std::min(caution * lost, most_caution),
                                   std::memory_order_relaxed);
  }
  if (own > 0)
    experience.piece.store(own > 1 ? (cpu_end - warm) / (own - 1) : warm - cpu_begin,
                           std::memory_order_relaxed);
  job->rethrow();
}

}  // namespace

void run_pieces(Size count, int n_threads, const std::function<void(Size, int)>& work,
                const std::function<void()>& meanwhile, Experience& experience) {
  const bool must_wake = always.load(std::memory_order_relaxed);
  Size threads = std::min<Size>(thread_count(n_threads), count);
  if (threads > 1) threads = std::min<Size>(threads, allowed_threads());
  if (threads > 1 && !must_wake) threads = std::min<Size>(threads, processors());
  if (threads <= 1 || at_work) {
    for (Size i = 0; i < count; ++i) work(i, 0);
    return;
  }
  Size done = 0;
  if (!must_wake) {
    Alone alone(count, experience);
    for (; done < count && !alone.ends(done); ++done) {
      const AtWork here;
      work(done, 0);
      if (done == 0) alone.first_done();
    }
    if (done == count) return alone.finished();
  }
  run_together(done, count, static_cast<int>(threads) - 1, must_wake, work, meanwhile, experience);
}

int default_threads() {
#ifdef _OPENMP
  return std::clamp(std::min(omp_get_max_threads(), omp_get_thread_limit()), 1, most_threads);
#else
  return std::min(processors(), most_threads);
#endif
}

const char* parallel_runtime() {
#ifdef _OPENMP
#define SNNFP_TEXT(x) #x
#define SNNFP_VALUE(x) SNNFP_TEXT(x)
  return "own threads, as many as OpenMP " SNNFP_VALUE(_OPENMP) " says";
#else
  return "own threads";
#endif
}

void wake_always(bool on) { always.store(on, std::memory_order_relaxed); }

Size pieces_by_others() { return by_others.load(std::memory_order_relaxed); }

}  // namespace snnfp::detail
