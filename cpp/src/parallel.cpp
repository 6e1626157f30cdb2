// The only file that knows OpenMP.

#include "snnfp/detail/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "snnfp/error.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace snnfp::detail {
namespace {

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
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<Size> index_{INT64_MAX};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Workers still at it, for the calling thread to wait for.
class Busy {
 public:
  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    left_.fetch_add(1, std::memory_order_relaxed);
    changed_.notify_one();
  }
  // Until `count` have left.
  void wait(int count, const std::function<void()>& meanwhile) {
    using Clock = std::chrono::steady_clock;
    meanwhile();  // once even where the others were quick and left nothing to the calling thread
    // A short wait is not worth going to sleep.
    const auto awake = Clock::now() + std::chrono::milliseconds(1);
    while (left_.load(std::memory_order_relaxed) < count) {
      if (Clock::now() < awake) {
        std::this_thread::yield();
        continue;
      }
      meanwhile();
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(10),
                        [&] { return left_.load(std::memory_order_relaxed) >= count; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<int> left_{0};
};

#ifdef _OPENMP
// The system counts a thread for a moment after it was joined: until its number is gone.
class Gone {
 public:
#ifdef __linux__
  void begin() { thread_ = syscall(SYS_gettid); }
  void wait() const {
    for (int k = 0; k < 10000 && syscall(SYS_tgkill, getpid(), thread_, 0) == 0; ++k)
      std::this_thread::yield();
  }

 private:
  long thread_ = 0;
#else
  void begin() {}
  void wait() const {}
#endif
};

// How many of so many threads the system gives at present. The runtime ends the process where it
// asks for one in vain.
int startable(int wanted) noexcept {
  int started = 0;
  try {
    // What the runtime needs beside their stacks.
    const std::unique_ptr<char[]> room(new char[std::size_t(1) << 20]);
    static_cast<volatile char*>(room.get())[0] = 0;  // or the compiler leaves it out
    std::vector<Gone> gone(static_cast<std::size_t>(wanted));
    std::vector<std::thread> threads;
    threads.reserve(gone.size());
    std::mutex all_at_once;
    {
      const std::lock_guard<std::mutex> wait(all_at_once);
      try {
        for (; started < wanted; ++started)
          threads.emplace_back([&all_at_once, &own = gone[started]] {
            own.begin();
            const std::lock_guard<std::mutex> wait_too(all_at_once);
          });
      } catch (const std::system_error&) {
      } catch (const std::bad_alloc&) {
      }
    }
    for (std::thread& t : threads) t.join();
    for (int k = 0; k < started; ++k) gone[k].wait();
  } catch (...) {  // not even room to ask
  }
  return started;
}

// Threads that the runtime keeps for the calling one, itself included: as many as it last had.
thread_local int team = 1;

// How many threads to ask for where `wanted` have something to do. Those that are there are kept up
// to `most`: the runtime would end them, and start them anew for the next one.
int team_for(int wanted, int most) {
  if (omp_get_active_level() >= omp_get_max_active_levels()) return 1;
  most = std::min(most, omp_get_thread_limit());
  wanted = std::min(wanted, most);
  if (wanted > team) team += startable(wanted - team);
  return team = std::min(team, most);
}
#endif

}  // namespace

int thread_count(int n_threads) {
  if (n_threads < 0 || n_threads > most_threads)
    throw InvalidArgument("n_threads is " + std::to_string(n_threads) +
                          ", expected 0 (all) or 1 ... " + std::to_string(most_threads));
  return n_threads > 0 ? n_threads : default_threads();
}

void parallel_for(Size count, int n_threads, const std::function<void(Size, int)>& work,
                  const std::function<void()>& meanwhile) {
  int threads = thread_count(n_threads);
#ifdef _OPENMP
  const int wanted = static_cast<int>(std::min<Size>(threads, count));
  threads = wanted > 1 ? team_for(wanted, threads) : 1;
#else
  threads = 1;
  (void)meanwhile;
#endif
  if (threads <= 1) {
    for (Size i = 0; i < count; ++i) work(i, 0);
    return;
  }
#ifdef _OPENMP
  FirstFailure failure;
  Busy busy;
  std::atomic<Size> next{0};
#pragma omp parallel num_threads(threads)
  {
    const int worker = omp_get_thread_num();
    const auto try_to = [&](Size i, const auto& what) {
      try {
        what();
      } catch (const Stopped&) {
      } catch (...) {
        failure.take(i);
      }
    };
    for (;;) {
      const Size i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count || failure.before(i)) break;
      try_to(i, [&] { work(i, worker); });
    }
    if (worker > 0) {
      busy.leave();
    } else if (meanwhile) {
      try_to(-1, [&] { busy.wait(omp_get_num_threads() - 1, meanwhile); });
    }
  }
  failure.rethrow();
#endif
}

int default_threads() {
#ifdef _OPENMP
  return std::min(omp_get_max_threads(), most_threads);
#else
  return 1;
#endif
}

const char* parallel_runtime() {
#ifdef _OPENMP
#define SNNFP_TEXT(x) #x
#define SNNFP_VALUE(x) SNNFP_TEXT(x)
  return "OpenMP " SNNFP_VALUE(_OPENMP);
#else
  return "none";
#endif
}

void release_threads() {
#ifdef _OPENMP
  team = 1;
#endif
#if defined(_OPENMP) && _OPENMP >= 201811
  omp_pause_resource_all(omp_pause_hard);
#elif defined(_OPENMP) && defined(__GNUC__)
  omp_pause_resource_all(omp_pause_hard);
#endif
}

}  // namespace snnfp::detail
