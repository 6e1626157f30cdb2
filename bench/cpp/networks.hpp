#pragma once
// The networks that several benchmarks ask about.

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "snnfp/snnfp.hpp"

namespace bench {

using snnfp::Id;
using snnfp::Size;

template <class Real>
struct Case {
  snnfp::Network<Real> network;
  snnfp::Input<Real> input;
  snnfp::SimulateOptions<Real> options;  // one thread
};

template <class Real>
std::vector<Real> normal(std::mt19937& random, Size n, double mean, double deviation) {
  std::normal_distribution<double> draw(mean, deviation);
  std::vector<Real> x;
  for (Size k = 0; k < n; ++k) x.push_back(Real(draw(random)));
  return x;
}

// 50 inputs at 20 Hz for 1 s, densely into 100 recurrent neurons, which spike about 1000 times. ms.
template <class Real>
Case<Real> recurrent() {
  std::mt19937 random(1);
  Case<Real> c;
  snnfp::Lif<Real> lif;
  lif.tau_mem = Real(20);
  lif.tau_syn = Real(5);
  lif.capacitance = Real(20);
  const Id n_in = 50, n = 100;
  const auto x = c.network.add_input("x", n_in);
  const auto a = c.network.add_population("a", n, lif);
  c.network.connect_dense(x, a, normal<Real>(random, n_in * n, 0.182, 0.091), Real(1));
  c.network.connect_dense(a, a, normal<Real>(random, n * n, 0.0, 0.0546), Real(1));
  std::vector<std::pair<Real, Id>> spikes;
  std::uniform_real_distribution<double> time(0, 1000);
  for (int k = 0; k < 1017; ++k) {
    const Real t = Real(time(random));
    spikes.push_back({t, Id(random() % n_in)});
  }
  c.input.push_back(snnfp::single_sample(spikes));
  c.options.until = Real(1000);
  c.options.n_threads = 1;
  return c;
}

// 5-150-3 in units of tau_syn, a batch of 150: about 140 hidden spikes a sample.
template <class Real>
Case<Real> feed_forward() {
  std::mt19937 random(2);
  Case<Real> c;
  snnfp::Lif<Real> lif;
  lif.tau_mem = Real(2);
  const auto x = c.network.add_input("x", 5);
  const auto a = c.network.add_population("hidden", 150, lif);
  const auto b = c.network.add_population("out", 3, lif);
  c.network.connect_dense(x, a, normal<Real>(random, 5 * 150, 0.5, 0.45));
  c.network.connect_dense(a, b, normal<Real>(random, 150 * 3, 0.03, 0.03));
  std::vector<Real> times;
  std::vector<Id> units;
  std::vector<Size> offsets{0};
  std::uniform_real_distribution<double> time(0, 2);
  for (int s = 0; s < 150; ++s) {
    std::vector<std::pair<Real, Id>> spikes;
    for (Id i = 0; i < 5; ++i) spikes.push_back({Real(time(random)), i});
    std::sort(spikes.begin(), spikes.end());
    for (const auto& [t, i] : spikes) {
      times.push_back(t);
      units.push_back(i);
    }
    offsets.push_back(Size(times.size()));
  }
  c.input.push_back({times, units, offsets});
  c.options.until = Real(8);
  c.options.n_threads = 1;
  return c;
}

// n neurons with `synapses` random targets each, 80 % excitatory, delay 1.5 ms, each driven by an
// input of its own. Targets in any order or, `ascending`, one in each of `synapses` equal parts.
// ms.
template <class Real>
Case<Real> sparse(Id n, Size synapses, double until, bool ascending) {
  std::mt19937 random(3);
  Case<Real> c;
  snnfp::Lif<Real> lif;
  lif.tau_mem = Real(20);
  lif.tau_syn = Real(2);
  lif.t_refractory = Real(2);
  lif.capacitance = Real(20);
  const auto x = c.network.add_input("x", n);
  const auto a = c.network.add_population("a", n, lif);
  c.network.connect_one_to_one(x, a, Real(16));
  std::vector<Size> offsets{0};
  std::vector<Id> targets;
  std::vector<Real> weight;
  targets.reserve(std::size_t(n * synapses));
  weight.reserve(std::size_t(n * synapses));
  for (Id i = 0; i < n; ++i) {
    for (Size k = 0; k < synapses; ++k) {
      const Size drawn = Size(random() % std::mt19937::result_type(n));
      targets.push_back(Id(ascending ? (k * n + drawn) / synapses : drawn));
      weight.push_back(Real((i % 5 ? 1.0 : -5.0) * 4.0 / double(synapses)));
    }
    offsets.push_back(Size(targets.size()));
  }
  c.network.connect_sparse(a, a, std::move(offsets), std::move(targets), std::move(weight),
                           Real(1.5));
  std::vector<std::pair<Real, Id>> spikes;
  std::exponential_distribution<double> gap(0.05);
  for (Id i = 0; i < n; ++i)
    for (double t = gap(random); t < until; t += gap(random)) spikes.push_back({Real(t), i});
  c.input.push_back(snnfp::single_sample(spikes));
  c.options.until = Real(until);
  c.options.n_threads = 1;
  return c;
}

}  // namespace bench
