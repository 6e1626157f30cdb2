// Layers of neurons by packs, wide and narrow, beside the queue: everything that a pack has a case
// for.
#include <cmath>
#include <random>
#include <string>

#include "isas.hpp"
#include "same_record.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

struct LayerCase {
  bool same_time_constants, same_thresholds;
  double bias, t_refractory;
  Size samples;
  bool on_a_grid;  // many arrivals at one time
  double until;
  bool initial_state;
};

// 6-21-5-2: packs half full, and one full pack.
template <class Real>
Size check_layers(const LayerCase& c, unsigned seed) {
  std::mt19937 random(seed);
  const auto many = [&](Size n, double a, double b) {
    std::vector<Real> x;
    for (Size k = 0; k < n; ++k)
      x.push_back(static_cast<Real>(std::uniform_real_distribution<double>(a, b)(random)));
    return x;
  };
  const auto lif = [&](Id n) {
    Lif<Real> p;
    if (c.same_time_constants) {
      p.tau_mem = Real(2);
      p.tau_syn = Real(seed % 2 ? 2 : 1);
    } else {
      p.tau_mem = many(n, 1, 3);
      p.tau_syn = many(n, 0.5, 3);
    }
    if (!c.same_thresholds) p.threshold = many(n, 0.8, 1.2);
    p.v_reset = many(n, -0.2, 0.1);
    p.bias = Real(c.bias);
    p.t_refractory = c.t_refractory > 0 && c.t_refractory < 10
                         ? Array<Real>(many(n, 0, c.t_refractory))
                         : Array<Real>(Real(c.t_refractory));
    return p;
  };
  Network<Real> net;
  const auto x = net.add_input("x", 6);
  const auto a = net.add_population("a", 21, lif(21));
  const auto b = net.add_population("b", 5, lif(5));
  const auto d = net.add_population("d", 2, lif(2));
  net.connect_dense(x, a, many(6 * 21, -0.5, 2), Real(0.25));
  net.connect_dense(a, b, many(21 * 5, -0.4, 1));
  net.connect_dense(b, d, many(5 * 2, 0, 1.5), Real(0.5));
  net.connect_dense(x, d, many(6 * 2, -0.2, 1));

  std::vector<Real> times;
  std::vector<Id> units;
  std::vector<Size> offsets{0};
  for (Size s = 0; s < c.samples; ++s) {
    // Ragged: some samples hear nothing at all.
    std::vector<Real> t = many(s % 7 == 3 ? 0 : 1 + random() % 20, 0, 6);
    if (c.on_a_grid)
      for (Real& v : t) v = std::floor(v);
    std::sort(t.begin(), t.end());
    times.insert(times.end(), t.begin(), t.end());
    for (std::size_t k = 0; k < t.size(); ++k) units.push_back(static_cast<Id>(random() % 6));
    offsets.push_back(static_cast<Size>(times.size()));
  }
  const Input<Real> input{{times, units, offsets}};
  SimulateOptions<Real> options;
  options.until = static_cast<Real>(c.until);
  if (c.initial_state) {
    options.initial.voltage = many(28 * c.samples, -0.2, 0.7);
    options.initial.current = many(28 * c.samples, -0.2, 1);
  }
  options.engine = Engine::queue;
  options.isa = Isa::portable;
  const auto reference = simulate(net, input, options);
  options.engine = Engine::automatic;
  for (Isa isa : isas_here())
    for (int n_threads : {1, 2}) {
      options.isa = isa;
      options.n_threads = n_threads;
      CAPTURE(seed);
      CAPTURE(std::string(isa_name(isa)));
      CAPTURE(n_threads);
      check_same(reference, simulate(net, input, options));
    }
  return reference.spikes();
}

}  // namespace

TEST_CASE("layers by packs leave the queue's record") {
  unsigned seed = 0;
  Size spikes = 0;
  for (bool same_time_constants : {true, false})
    for (bool same_thresholds : {true, false})
      for (double bias : {0.0, 0.2})
        for (double t_refractory : {0.0, 0.4, double(INFINITY)})
          for (Size samples : {1, 5, 40})
            for (bool on_a_grid : {false, true}) {
              const LayerCase c{same_time_constants,
                                same_thresholds,
                                bias,
                                t_refractory,
                                samples,
                                on_a_grid,
                                seed % 3 ? 9.0 : double(INFINITY),
                                seed % 5 == 0};
              spikes += check_layers<double>(c, seed);
              spikes += check_layers<float>(c, seed);
              ++seed;
            }
  CHECK(spikes > 20000);
}

TEST_CASE("a layer that fires without end is an error that names the first of its neurons") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  const auto h = net.add_population("h", 20, {});
  std::vector<double> weight(20, 0.0);
  weight[17] = 1e6;
  weight[3] = 2e6;  // comes to the limit before 17
  net.connect_dense(x, h, weight);
  SimulateOptions<double> options;
  options.spike_limit = 500;
  for (Isa isa : isas_here()) {
    options.isa = isa;
    try {
      simulate(net, {single_sample<double>({{0.0, 0}})}, options);
      FAIL("no error");
    } catch (const EventLimitError& e) {
      CHECK(e.population == "h");
      CHECK(e.neuron == 3);
      CHECK(e.count == 501);
    }
  }
}

TEST_CASE("neurons not followed beyond their first spikes: the first ones of the whole record") {
  Network<double> net;
  std::mt19937 random(4);
  const auto many = [&](Size n, double a, double b) {
    std::vector<double> x;
    for (Size k = 0; k < n; ++k) x.push_back(std::uniform_real_distribution<double>(a, b)(random));
    return x;
  };
  const auto x = net.add_input("x", 5);
  const auto h = net.add_population("h", 30, {});
  const auto o = net.add_population("o", 3, {});
  net.connect_dense(x, h, many(150, -0.5, 4));
  net.connect_dense(h, o, many(90, -0.2, 1));
  const Input<double> input{
      single_sample<double>({{0.1, 0}, {0.3, 1}, {0.3, 2}, {0.9, 3}, {1.2, 4}})};
  SimulateOptions<double> options;
  options.until = 6;
  const auto all = simulate(net, input, options);
  options.first_spikes_of = {o.index};
  for (Engine engine : {Engine::queue, Engine::automatic}) {
    options.engine = engine;
    const auto first = simulate(net, input, options);
    std::vector<double> times;
    std::vector<Id> neurons;
    std::vector<bool> seen(33, false);
    for (Size k = 0; k < all.spikes(); ++k) {
      const Id j = all.neurons[k];
      if (j >= 30 && seen[j]) continue;
      seen[j] = true;
      times.push_back(all.times[k]);
      neurons.push_back(j);
    }
    CHECK(first.times == times);
    CHECK(first.neurons == neurons);
    CHECK(first.spikes() < all.spikes());
    // Derivatives of the spikes that both have are the same.
    std::vector<double> of_first(times.size(), 0.0), of_all(all.times.size(), 0.0);
    for (std::size_t k = 0; k < times.size(); ++k) {
      if (neurons[k] < 30) continue;
      of_first[k] = 1.0 + double(k);
      for (std::size_t q = 0; q < of_all.size(); ++q)
        if (all.times[q] == times[k] && all.neurons[q] == neurons[k]) of_all[q] = of_first[k];
    }
    using Kind = Parameter::Kind;
    std::vector<Parameter> wrt{{Kind::weight, 0}, {Kind::weight, 1}, {Kind::input_times, 0}};
    for (NeuronParameter q : {NeuronParameter::tau_mem, NeuronParameter::tau_syn,
                              NeuronParameter::t_refractory, NeuronParameter::v_reset})
      wrt.push_back({Kind::neuron, o.index, q});
    const auto a = vjp<double>(first, of_first, wrt), b = vjp<double>(all, of_all, wrt),
               f = forward_gradient<double>(first, of_first, wrt);
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) {
      CHECK(a[k] == doctest::Approx(b[k]).epsilon(1e-10));
      CHECK(f[k] == doctest::Approx(b[k]).epsilon(1e-10));
    }
  }
}
