// Every index once, workers within bounds, and the exception of the lowest index.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "snnfp/detail/parallel.hpp"

using snnfp::Size;
using snnfp::detail::parallel_for;

TEST_CASE("parallel_for visits every index once") {
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

TEST_CASE("the exception of the lowest index comes out") {
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
  if (std::string(snnfp::detail::parallel_runtime()) == "none") return;
  for (int n_threads : {2, 8}) {
    std::atomic<bool> stop{false};
    std::atomic<int> others{0};
    int looks = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    const auto wait_for = [&](const auto& event) {
      while (!event() && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
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

TEST_CASE("threads that are there are kept for calls that need fewer") {
  if (std::string(snnfp::detail::parallel_runtime()) == "none") return;
  for (int count : {4, 2, 3, 1, 4, 64}) {
    std::vector<std::atomic<int>> seen(count);
    std::atomic<int> highest{0};
    parallel_for(count, 4, [&](Size i, int worker) {
      ++seen[i];
      for (int h = highest; worker > h && !highest.compare_exchange_weak(h, worker);) {
      }
    });
    CHECK(highest < 4);
    for (const auto& s : seen) CHECK(s == 1);
  }
}
