// Every index once, workers within bounds, the exception of the lowest index, and threads that come
// late, not at all, or cost more than they give.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "snnfp/detail/parallel.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <pthread.h>
#include <signal.h>
#endif

using snnfp::Size;
using snnfp::detail::parallel_for;
using snnfp::detail::pieces_by_others;

namespace {

// Wakes all threads that are asked for, as long as it lives.
struct AlwaysWake {
  AlwaysWake() { snnfp::detail::wake_always(true); }
  ~AlwaysWake() { snnfp::detail::wake_always(false); }
};

// False where it has not come true in 20 s.
template <class Event>
bool wait_for(const Event& event) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!event()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

}  // namespace

TEST_CASE("parallel_for visits every index once") {
  const AlwaysWake all;
  for (int n_threads : {1, 2, 3, 8}) {
    std::vector<std::atomic<int>> seen(1000);
    std::atomic<bool> in_bounds{true};
    parallel_for(1000, n_threads, [&](Size i, int worker) {
      ++seen[i];
      if (worker < 0 || worker >= n_threads) in_bounds = false;
    });
    CHECK(in_bounds);
    for (const auto& s : seen) REQUIRE(s == 1);
  }
  parallel_for(0, 2, [](Size, int) { FAIL("nothing to do"); });
}

TEST_CASE("as many threads work at once as are asked for") {
  const AlwaysWake all;
  for (int n_threads : {2, 5, 3}) {
    const Size before = pieces_by_others();
    std::atomic<int> here{0};
    std::vector<std::atomic<int>> pieces_of(n_threads);
    parallel_for(n_threads, n_threads, [&](Size, int worker) {
      ++pieces_of[worker];
      ++here;
      CHECK(wait_for([&] { return here == n_threads; }));
    });
    for (const auto& pieces : pieces_of) CHECK(pieces == 1);
    CHECK(wait_for([&] { return pieces_by_others() >= before + n_threads - 1; }));
  }
}

TEST_CASE("the exception of the lowest index comes out") {
  const AlwaysWake all;
  for (int n_threads : {1, 2, 8})
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::string what;
      try {
        parallel_for(200, n_threads, [](Size i, int) {
          if (i % 7 == 3) throw std::runtime_error(std::to_string(i));
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      CHECK(what == "3");
    }
}

TEST_CASE("a calling thread without work left still looks around") {
  const AlwaysWake all;
  for (int n_threads : {2, 8}) {
    std::atomic<bool> stop{false};
    std::atomic<int> others{0};
    int looks = 0;
    const auto work = [&](Size, int worker) {
      if (worker > 0) {
        ++others;
        wait_for([&] { return stop.load(); });
        throw std::runtime_error("late");
      }
      wait_for([&] { return others == n_threads - 1; });  // who have the rest of the work
    };
    std::string what;
    try {
      parallel_for(n_threads, n_threads, work, [&] {
        if (++looks < 3) return;
        stop = true;
        throw std::runtime_error("meanwhile");
      });
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    CHECK(what == "meanwhile");
  }
}

TEST_CASE("a call from within a piece runs on its thread") {
  const AlwaysWake all;
  std::atomic<int> here{0}, elsewhere{0}, inner{0};
  parallel_for(3, 3, [&](Size, int) {
    ++here;
    wait_for([&] { return here == 3; });
    const auto self = std::this_thread::get_id();
    parallel_for(20, 4, [&](Size, int worker) {
      ++inner;
      if (worker != 0 || std::this_thread::get_id() != self) ++elsewhere;
    });
  });
  CHECK(inner == 60);
  CHECK(elsewhere == 0);
}

TEST_CASE("callers in several threads") {
  const AlwaysWake all;
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&wrong, c] {
      for (int repeat = 0; repeat < 300; ++repeat) {
        const Size count = 1 + (repeat + c) % 40;
        std::vector<int> seen(static_cast<std::size_t>(count), 0);
        try {
          parallel_for(count, 2 + c, [&](Size i, int) {
            ++seen[i];
            if (repeat % 5 == 0 && i == count / 2) throw repeat;
          });
          if (repeat % 5 == 0) ++wrong;
        } catch (int thrown) {
          if (thrown != repeat || repeat % 5 != 0) ++wrong;
        }
        for (Size i = 0; i < count; ++i)
          if (seen[i] != 1 && (seen[i] != 0 || repeat % 5 != 0 || i <= count / 2)) ++wrong;
      }
    });
  for (std::thread& t : callers) t.join();
  CHECK(wrong == 0);
}

namespace {

void spin(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

// As on a machine whose processors are busy: the others get a piece, and then no processor for 20
// ms. Gives the number of pieces that they did.
Size held_up() {
  std::atomic<int> by_others{0};
  parallel_for(2, 2, [&](Size, int worker) {
    if (worker == 0) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
      while (by_others == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
      spin(std::chrono::milliseconds(1));  // long enough to ask for help
    } else {
      ++by_others;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  return by_others;
}

bool one_processor() {
#ifdef __linux__
  return sysconf(_SC_NPROCESSORS_ONLN) < 2;
#else
  return std::thread::hardware_concurrency() < 2;
#endif
}

}  // namespace

TEST_CASE("others that cost a call time are left alone for a while") {
  if (one_processor()) return;
  REQUIRE(wait_for([] { return held_up() == 1; }));
  CHECK(held_up() == 0);
  {
    const AlwaysWake all;
    CHECK(wait_for([] { return held_up() == 1; }));
  }
  CHECK(held_up() == 0);
}

TEST_CASE("work of less than 200 us wakes nobody") {
  Size by_others = 0;
  const auto call = [&] {
    const Size before = pieces_by_others();
    std::atomic<int> sum{0};
    parallel_for(10, 4, [&](Size i, int) {
      spin(std::chrono::microseconds(10));
      sum += int(i);
    });
    CHECK(sum == 45);
    by_others += pieces_by_others() - before;
  };
  for (int repeat = 0; repeat < 1000; ++repeat) call();
  // The first call cannot know.
  CHECK(by_others < 1000);
}

#ifdef __linux__
namespace {
std::atomic<int> stopped{0};
std::atomic<bool> go_on{false};
void stand_still(int) {
  ++stopped;
  while (!go_on) usleep(100);
}
}  // namespace

TEST_CASE("a thread that gets no processor delays nobody") {
  const AlwaysWake all;
  // All threads that there are: as many as other tests started, and some more.
  const int n_threads = 16;
  std::vector<pthread_t> threads(n_threads);
  std::atomic<int> here{0};
  parallel_for(n_threads, n_threads, [&](Size, int worker) {
    threads[worker] = pthread_self();
    ++here;
    wait_for([&] { return here == n_threads; });
  });
  struct sigaction stop = {}, before = {};
  stop.sa_handler = stand_still;
  stop.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGUSR1, &stop, &before) == 0);
  go_on = false;
  stopped = 0;
  for (int k = 1; k < n_threads; ++k) REQUIRE(pthread_kill(threads[k], SIGUSR1) == 0);
  REQUIRE(wait_for([&] { return stopped == n_threads - 1; }));
  const Size pieces_before = pieces_by_others();
  for (int repeat = 0; repeat < 100; ++repeat) {
    // On the heap: a thread that came late and did a piece would meet freed memory.
    auto seen = std::make_unique<std::vector<int>>(20, 0);
    parallel_for(20, 2, [&](Size i, int) { ++(*seen)[i]; });
    for (const int s : *seen) REQUIRE(s == 1);
  }
  CHECK(pieces_by_others() == pieces_before);
  go_on = true;
  // They find that all is done, and are there for the next call.
  here = 0;
  parallel_for(n_threads, n_threads, [&](Size, int) {
    ++here;
    CHECK(wait_for([&] { return here == n_threads; }));
  });
  REQUIRE(sigaction(SIGUSR1, &before, nullptr) == 0);
}
#endif

#if defined(__unix__) || defined(__APPLE__)

TEST_CASE("a child of fork has threads of its own") {
  const AlwaysWake all;
  const auto together = [] {
    std::atomic<int> here{0};
    bool right = true;
    parallel_for(3, 3, [&](Size, int worker) {
      ++here;
      const bool met = wait_for([&] { return here == 3; });
      if (worker == 0 && !met) right = false;
    });
    return right;
  };
  REQUIRE(together());
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(together() ? 0 : 3);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(together());
}
#endif
