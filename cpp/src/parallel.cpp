// The only file that knows OpenMP.

#include "snnfp/detail/parallel.hpp"

#include "snnfp/error.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#ifdef _OPENMP
#include <omp.h>
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

}  // namespace

void parallel_for(Size count, int n_threads, const std::function<void(Size, int)>& work,
                  const std::function<void()>& meanwhile) {
  if (n_threads < 0)
    throw InvalidArgument("n_threads is " + std::to_string(n_threads) +
                          ", expected at least 1, or 0 for all");
  if (n_threads == 0) n_threads = default_threads();
  if (n_threads > count) n_threads = static_cast<int>(count);
  if (n_threads <= 1) {
    for (Size i = 0; i < count; ++i) work(i, 0);
    return;
  }
#ifdef _OPENMP
  FirstFailure failure;
  Busy busy;
  std::atomic<Size> next{0};
#pragma omp parallel num_threads(n_threads)
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
#else
  (void)meanwhile;
  for (Size i = 0; i < count; ++i) work(i, 0);
#endif
}

int default_threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
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
#if defined(_OPENMP) && _OPENMP >= 201811
  omp_pause_resource_all(omp_pause_hard);
#elif defined(_OPENMP) && defined(__GNUC__)
  omp_pause_resource_all(omp_pause_hard);
#endif
}

}  // namespace snnfp::detail
