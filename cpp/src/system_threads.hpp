#pragma once
// What parallel.cpp asks of the system: clocks, processors, and a way to sleep.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <thread>

#ifdef __linux__
#include <sched.h>
#include <semaphore.h>
#else
#include <condition_variable>
#include <mutex>
#endif

namespace snnfp::detail {

using Nanoseconds = std::int64_t;

inline Nanoseconds now() {
  const auto t = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(t).count();
}

// That this thread has had a processor.
inline Nanoseconds processor_time() {
#ifdef CLOCK_THREAD_CPUTIME_ID
  timespec t;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
    return Nanoseconds(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
#endif
  return now();
}

// That this thread may run on.
inline int processors() {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(CPU_COUNT(&allowed), 1);
#endif
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

// Tokens to sleep for. Giving one never waits; glibc's condition variables would at times, for a
// thread that was woken earlier and has no processor yet.
class Tokens {
 public:
#ifdef __linux__
  Tokens() { sem_init(&semaphore_, 0, 0); }
  ~Tokens() { sem_destroy(&semaphore_); }
  void give() { sem_post(&semaphore_); }
  void take() {
    while (sem_wait(&semaphore_) != 0) {
    }
  }
  // Not for longer than a few milliseconds.
  void take_soon() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 10'000'000;
    t.tv_sec += t.tv_nsec / 1'000'000'000;
    t.tv_nsec %= 1'000'000'000;
    sem_timedwait(&semaphore_, &t);
  }

 private:
  sem_t semaphore_;
#else
  void give() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++count_;
    given_.notify_one();
  }
  void take() {
    std::unique_lock<std::mutex> lock(mutex_);
    given_.wait(lock, [&] { return count_ > 0; });
    --count_;
  }
  void take_soon() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (given_.wait_for(lock, std::chrono::milliseconds(10), [&] { return count_ > 0; })) --count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  int count_ = 0;
#endif
};

}  // namespace snnfp::detail
