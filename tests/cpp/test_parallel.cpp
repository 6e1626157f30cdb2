// Every index once, workers within bounds, and the exception of the lowest index.
#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <string>

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
