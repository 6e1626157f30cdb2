#pragma once
// Random networks with everything in them, for tests that compare two ways to the same numbers.

#include <algorithm>
#include <random>

#include "snnfp/snnfp.hpp"

using snnfp::Id;
using snnfp::Size;

struct RandomCase {
  snnfp::Network<double> network;
  snnfp::Input<double> input;
  double until = 12;
};

// `recurrent` adds a self-loop and a projection back; zero delays occur throughout.
// `dense_only` leaves out what the sweep does not take, `windows` what windows do not.
inline RandomCase random_case(unsigned seed, bool recurrent, Size samples = 2,
                              bool dense_only = false, bool windows = false) {
  using namespace snnfp;
  std::mt19937 random(seed);
  const auto uniform = [&](double a, double b) {
    return std::uniform_real_distribution<double>(a, b)(random);
  };
  const auto many = [&](Size n, double a, double b) {
    std::vector<double> x;
    for (Size k = 0; k < n; ++k) x.push_back(uniform(a, b));
    return x;
  };
  const Id n_in = 4, n_a = 7, n_b = 3;
  const auto lif = [&](Id n) {
    Lif<double> p;
    p.tau_mem = many(n, 1, 4);
    p.tau_syn = seed % 3 ? Array<double>(many(n, 0.5, 3)) : p.tau_mem;
    p.threshold = many(n, 0.7, 1.2);
    p.v_reset = many(n, -0.3, 0.2);
    p.t_refractory = seed % 2 ? Array<double>(many(n, 0, 0.6)) : Array<double>(0.0);
    p.bias = many(n, -0.1, 0.2);
    p.capacitance = many(n, 0.8, 1.3);
    return p;
  };
  RandomCase c;
  const auto x = c.network.add_input("x", n_in);
  const auto a = c.network.add_population("a", n_a, lif(n_a));
  const auto b = c.network.add_population("b", n_b, lif(n_b));
  c.network.connect_dense(x, a, many(n_in * n_a, -0.5, 2.0), uniform(0, 1));
  c.network.connect_dense(a, b, many(n_a * n_b, -0.5, 1.2),
                          (seed % 5 ? uniform(0, 0.4) : 0.0) + (windows && recurrent ? 0.2 : 0.0));
  if (!dense_only)
    c.network.connect_sparse(x, b, {0, 1, 1, 3, 4}, {2, 0, 0, 1}, many(4, 0, 1),
                             windows ? Array<double>(uniform(0, 2)) : Array<double>(many(4, 0, 2)));
  if (recurrent) {
    c.network.connect_dense(a, a, many(n_a * n_a, -0.5, 0.4),
                            windows    ? uniform(0.2, 0.5)
                            : seed % 4 ? uniform(0, 0.5)
                                       : 0.0);
    const auto delay = many(n_b * n_a, 0, 1);
    c.network.connect_dense(
        b, a, many(n_b * n_a, -0.5, 0.5),
        dense_only || windows ? Array<double>(delay[0] + 0.1) : Array<double>(delay));
    if (!dense_only)
      c.network.connect_one_to_one(b, b, many(n_b, -0.6, 0.3),
                                   uniform(0, 0.5) + (windows ? 0.2 : 0.0));
  }
  std::vector<double> times;
  std::vector<Id> units;
  std::vector<Size> offsets{0};
  for (Size s = 0; s < samples; ++s) {
    std::vector<double> t = many(12, 0, 6);
    std::sort(t.begin(), t.end());
    times.insert(times.end(), t.begin(), t.end());
    for (int k = 0; k < 12; ++k) units.push_back(static_cast<Id>(random() % n_in));
    offsets.push_back(static_cast<Size>(times.size()));
  }
  c.input.push_back({times, units, offsets});
  return c;
}
