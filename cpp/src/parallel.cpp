// The only file that knows OpenMP.

#include "snnfp/detail/parallel.hpp"

#include <atomic>
#include <exception>
#include <mutex>

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

}  // namespace

void parallel_for(Size count, int n_threads, const std::function<void(Size, int)>& work) {
  if (n_threads <= 0) n_threads = default_threads();
  if (n_threads > count) n_threads = static_cast<int>(count);
  if (n_threads <= 1) {
    for (Size i = 0; i < count; ++i) work(i, 0);
    return;
  }
#ifdef _OPENMP
  FirstFailure failure;
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
  for (Size i = 0; i < count; ++i) {
    if (failure.before(i)) continue;
    try {
      work(i, omp_get_thread_num());
    } catch (const Stopped&) {
    } catch (...) {
      failure.take(i);
    }
  }
  failure.rethrow();
#else
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
