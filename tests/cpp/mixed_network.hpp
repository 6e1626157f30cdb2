#pragma once
// Random graphs of several components that mix every kind of projection: dense, sparse and
// one-to-one, with one delay, one a source unit, a target or a synapse, loops of each kind, few
// neurons and many, with one set of time constants or one a neuron; refractory times, bias, an
// initial state and ties among them.

#include <algorithm>
#include <random>
#include <string>

#include "snnfp/snnfp.hpp"

template <class Real>
struct MixedCase {
  snnfp::Network<Real> network;
  snnfp::Input<Real> input;
  snnfp::SimulateOptions<Real> options;
};

template <class Real>
class MixedNetwork {
 public:
  explicit MixedNetwork(unsigned seed, int samples = 2) : random_(seed) {
    using namespace snnfp;
    MixedCase<Real>& c = case_;
    const Id n_in = whole(3, 20);
    const Source x = c.network.add_input("x", n_in);
    std::vector<Source> sources;
    std::vector<Id> sizes;
    for (int p = whole(1, 4); p > 0; --p) {
      const Id sizes_at_hand[] = {1, 3, 8, 17, 33};
      sizes.push_back(sizes_at_hand[whole(0, 4)]);
      sources.push_back(
          c.network.add_population("p" + std::to_string(p), sizes.back(), neurons(sizes.back())));
    }
    connect(x, n_in, sources[0], sizes[0], false);
    for (std::size_t p = 1; p < sources.size(); ++p) {
      connect(sources[p - 1], sizes[p - 1], sources[p], sizes[p], false);
      if (chance(0.5)) connect(x, n_in, sources[p], sizes[p], false);
    }
    for (std::size_t p = 0; p < sources.size(); ++p) {
      if (chance(0.4)) connect(sources[p], sizes[p], sources[p], sizes[p], true);
      if (p > 0 && chance(0.25)) connect(sources[p], sizes[p], sources[p - 1], sizes[p - 1], true);
    }
    std::vector<Real> times;
    std::vector<Id> units;
    std::vector<Size> offsets{0};
    const bool ties = chance(0.3);
    for (int s = 0; s < samples; ++s) {
      std::vector<Real> t = many(20, 0, 6);
      if (ties)
        for (Real& v : t) v = std::round(v * 4) / 4;
      std::sort(t.begin(), t.end());
      times.insert(times.end(), t.begin(), t.end());
      for (int k = 0; k < 20; ++k) units.push_back(whole(0, n_in - 1));
      offsets.push_back(static_cast<Size>(times.size()));
    }
    c.input.push_back({times, units, offsets});
    c.options.until = 8;
    if (chance(0.5)) {
      Size n = 0;
      for (const Id size : sizes) n += size;
      c.options.initial.voltage = many(n * samples, -0.3, 0.5);
      c.options.initial.current = many(n * samples, -0.2, 0.4);
    }
  }
  const MixedCase<Real>& get() const { return case_; }

 private:
  double uniform(double a, double b) {
    return std::uniform_real_distribution<double>(a, b)(random_);
  }
  bool chance(double p) { return uniform(0, 1) < p; }
  int whole(int a, int b) { return std::uniform_int_distribution<int>(a, b)(random_); }
  std::vector<Real> many(snnfp::Size n, double a, double b) {
    std::vector<Real> x;
    for (snnfp::Size k = 0; k < n; ++k) x.push_back(Real(uniform(a, b)));
    return x;
  }

  snnfp::Lif<Real> neurons(snnfp::Id n) {
    using snnfp::Array;
    const bool shared = chance(0.5);
    const auto some = [&](double a, double b) {
      return shared ? Array<Real>(Real(uniform(a, b))) : Array<Real>(many(n, a, b));
    };
    snnfp::Lif<Real> lif;
    lif.tau_mem = some(1, 4);
    lif.tau_syn = some(0.5, 3);
    const int kind = whole(0, 4);
    if (kind == 0) lif.tau_syn = lif.tau_mem;
    if (kind == 1) lif.tau_mem = std::numeric_limits<Real>::infinity();
    if (kind == 2) lif.tau_syn = Real(0.004);
    lif.threshold = some(0.7, 1.2);
    lif.v_reset = some(-0.3, 0.2);
    lif.capacitance = some(0.8, 1.3);
    if (chance(0.6)) lif.bias = some(-0.1, 0.2);
    if (chance(0.6)) lif.t_refractory = some(0, 0.6);
    return lif;
  }

  void connect(snnfp::Source from, snnfp::Id n_from, snnfp::Source to, snnfp::Id n_to, bool loop) {
    using namespace snnfp;
    const double scale = 4.0 / std::max<Id>(4, n_from);
    const auto weights = [&](Size n) { return many(n, -0.5 * scale, (loop ? 0.4 : 2) * scale); };
    const int delay_kind = whole(0, 9);
    // On a grid arrivals tie.
    const auto several = [&](Size n, double least) {
      std::vector<Real> d = many(n, least, 1);
      if (chance(0.3))
        for (Real& v : d) v = std::ceil(4 * v) / 4;
      return d;
    };
    const double least = chance(0.5) ? 0.1 : 0;
    const auto delays = [&](Size n) {
      switch (delay_kind) {
        case 0:
        case 1: return Delay<Real>(several(n, 0));
        case 2:
        case 3: return Delay<Real>::per_source(several(n_from, least));
        case 4:
        case 5: return Delay<Real>::per_target(several(n_to, least));
        case 6: return Delay<Real>(Real(0));
        default: return Delay<Real>(Real(0.25) * Real(whole(1, 4)));
      }
    };
    const int kind = whole(0, n_from == n_to ? 3 : 2);
    if (kind == 3) {
      case_.network.connect_one_to_one(from, to, weights(n_from), delays(n_from));
    } else if (kind == 2) {
      // From a tenth of all synapses to all, and some pairs twice.
      const double part = chance(0.3) ? 1 : uniform(0.1, 0.9);
      std::vector<Size> offsets{0};
      std::vector<Id> targets;
      for (Id i = 0; i < n_from; ++i) {
        for (Id j = 0; j < n_to; ++j)
          if (part == 1 || chance(part))
            targets.insert(targets.end(), part < 1 && chance(0.1) ? 2 : 1, j);
        offsets.push_back(static_cast<Size>(targets.size()));
      }
      const Size n = static_cast<Size>(targets.size());
      case_.network.connect_sparse(from, to, offsets, targets, weights(n), delays(n));
    } else {
      case_.network.connect_dense(from, to, weights(n_from * n_to), delays(n_from * n_to));
    }
  }

  std::mt19937 random_;
  MixedCase<Real> case_;
};
