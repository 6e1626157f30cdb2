// Samples that end early leave the record that they would leave with `until` at their end.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "isas.hpp"
#include "random_network.hpp"
#include "same_record.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

template <class Real>
Input<Real> one_sample(const Input<Real>& input, Size s) {
  std::vector<Real> times;
  std::vector<Id> units;
  for (Size k = input[0].offsets[s]; k < input[0].offsets[s + 1]; ++k) {
    times.push_back(input[0].times[k]);
    units.push_back(input[0].units[k]);
  }
  const Size n = static_cast<Size>(times.size());
  return {{times, units, std::vector<Size>{0, n}}};
}

// The last of the first spikes of the populations, or `until` where a neuron fires none.
double end_of(const Record<double>& r, Size s, const std::vector<Id>& populations) {
  double end = 0;
  for (const Id p : populations)
    for (Id j = r.population_offsets[p]; j < r.population_offsets[p + 1]; ++j) {
      double first = INFINITY;
      for (Size k = r.offsets[s + 1]; k-- > r.offsets[s];)
        if (r.neurons[k] == j) first = r.times[k];
      if (!(first < INFINITY)) return r.until;
      end = std::max(end, first);
    }
  return end;
}

}  // namespace

TEST_CASE("samples that end early: the record with `until` at their ends") {
  Size ended = 0, dropped = 0;
  unsigned seed = 100;
  for (bool recurrent : {false, true})
    for (bool dense_only : {true, false})
      for (bool windows : {true, false})
        for (int turn = 0; turn < 4; ++turn, ++seed) {
          const Size samples = turn % 2 ? 30 : 7;
          const RandomCase c = random_case(seed, recurrent, samples, dense_only, windows);
          SimulateOptions<double> options;
          options.until = c.until;
          options.engine = Engine::queue;
          options.isa = Isa::portable;
          const auto whole = simulate(c.network, c.input, options);
          for (const std::vector<Id>& populations : {std::vector<Id>{1}, {0}, {1, 0, 1}}) {
            Record<double> expected;
            expected.offsets.push_back(0);
            std::vector<double> ends;
            for (Size s = 0; s < samples; ++s) {
              ends.push_back(end_of(whole, s, populations));
              ended += ends.back() < c.until;
              options.until = ends.back();
              const auto part = simulate(c.network, one_sample(c.input, s), options);
              const auto append = [](auto& to, const auto& from) {
                to.insert(to.end(), from.begin(), from.end());
              };
              append(expected.times, part.times);
              append(expected.neurons, part.neurons);
              append(expected.slopes, part.slopes);
              append(expected.release_currents, part.release_currents);
              expected.offsets.push_back(static_cast<Size>(expected.times.size()));
            }
            dropped += whole.spikes() - expected.spikes();
            SimulateOptions<double> early;
            early.until = c.until;
            early.stop_after = populations;
            for (Engine engine : {Engine::queue, Engine::automatic})
              for (Isa isa : isas_here())
                for (int n_threads : {1, 2}) {
                  early.engine = engine;
                  early.isa = isa;
                  early.n_threads = n_threads;
                  CAPTURE(seed);
                  CAPTURE(std::string(isa_name(isa)));
                  CAPTURE(n_threads);
                  const auto record = simulate(c.network, c.input, early);
                  check_same(expected, record);
                  for (Size s = 0; s < samples; ++s) CHECK(record.end(s) == ends[s]);
                }
          }
        }
  CHECK(ended > 300);
  CHECK(dropped > 3000);
}

TEST_CASE("a neuron that runs away after its sample's end is no error, one before it is") {
  for (bool feedback : {false, true}) {
    Network<double> net;
    const auto x = net.add_input("x", 2);
    const auto h = net.add_population("h", 6, {});
    const auto o = net.add_population("o", 2, {});
    std::vector<double> weight(12, 0.0);
    for (int j = 0; j < 5; ++j) weight[j] = 4.0;
    weight[6 + 5] = 1e6;  // the second input drives the last neuron without end
    net.connect_dense(x, h, weight);
    net.connect_dense(h, o, std::vector<double>(12, 3.0));
    if (feedback) net.connect_dense(o, h, std::vector<double>(12, 0.1), 0.5);
    const auto input = [&](double when) {
      std::vector<double> times;
      std::vector<Id> units;
      std::vector<Size> offsets{0};
      for (int s = 0; s < 12; ++s) {
        std::vector<std::pair<double, Id>> spikes{{0.1 + 0.01 * s, 0}, {when, 1}};
        std::sort(spikes.begin(), spikes.end());
        for (const auto& [t, u] : spikes) {
          times.push_back(t);
          units.push_back(u);
        }
        offsets.push_back(static_cast<Size>(times.size()));
      }
      return Input<double>{{times, units, offsets}};
    };
    SimulateOptions<double> options;
    options.until = 8;
    options.spike_limit = 100;
    CHECK_THROWS_AS(simulate(net, input(7.0), options), EventLimitError);
    options.stop_after = {o.index};
    for (Engine engine : {Engine::queue, Engine::automatic})
      for (Isa isa : isas_here()) {
        options.engine = engine;
        options.isa = isa;
        const auto record = simulate(net, input(7.0), options);
        for (Size s = 0; s < 12; ++s) CHECK(record.end(s) < 7.0);
        try {
          simulate(net, input(0.05), options);
          FAIL("no error");
        } catch (const EventLimitError& e) {
          CHECK(e.population == "h");
          CHECK(e.sample == 0);
          CHECK(e.neuron == 5);
          CHECK(e.count == 101);
        }
      }
  }
}

TEST_CASE("derivatives of samples that end early are those of the whole ones") {
  for (unsigned seed = 0; seed < 12; ++seed) {
    const RandomCase c = random_case(seed, seed % 2, 6);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto whole = simulate(c.network, c.input, options);
    options.stop_after = {1};
    const auto early = simulate(c.network, c.input, options);
    const std::vector<Size> a = whole.first_spikes(1), b = early.first_spikes(1);
    std::vector<double> of_whole(whole.times.size(), 0.0), of_early(early.times.size(), 0.0);
    for (std::size_t k = 0; k < a.size(); ++k) {
      REQUIRE((a[k] < 0) == (b[k] < 0));
      if (a[k] < 0) continue;
      CHECK(whole.times[a[k]] == early.times[b[k]]);
      of_whole[a[k]] = of_early[b[k]] = 1.0 + double(k);
    }
    using Kind = Parameter::Kind;
    std::vector<Parameter> wrt{
        {Kind::weight, 0}, {Kind::weight, 1}, {Kind::delay, 1}, {Kind::input_times, 0}};
    for (Id p : {0, 1})
      for (NeuronParameter q : {NeuronParameter::tau_mem, NeuronParameter::tau_syn,
                                NeuronParameter::t_refractory, NeuronParameter::v_reset})
        wrt.push_back({Kind::neuron, p, q});
    const auto r = vjp<double>(whole, of_whole, wrt), s = vjp<double>(early, of_early, wrt),
               f = forward_gradient<double>(early, of_early, wrt);
    REQUIRE(r.size() == s.size());
    double size = 0;
    for (const double g : r) size = std::max(size, std::abs(g));
    for (std::size_t k = 0; k < r.size(); ++k) {
      CHECK(std::abs(s[k] - r[k]) <= 1e-10 * size);
      CHECK(std::abs(f[k] - r[k]) <= 1e-10 * size);
    }
  }
}

TEST_CASE("what a sample that ends early does not know is not probed") {
  const RandomCase c = random_case(3, false, 2);
  SimulateOptions<double> options;
  options.until = c.until;
  options.stop_after = {0};
  const auto record = simulate(c.network, c.input, options);
  const double end = std::min(record.end(0), record.end(1));
  REQUIRE(end < c.until);
  const auto whole = [&] {
    auto o = options;
    o.stop_after.clear();
    return simulate(c.network, c.input, o);
  }();
  const Probe<double> inside{{0, 8}, {0.5 * end, 0.9 * end}};
  CHECK(probe(record, inside).voltage == probe(whole, inside).voltage);
  CHECK_THROWS_WITH_AS(probe(record, {{0}, {c.until}}), doctest::Contains("(stop_after)"),
                       InvalidArgument);
  options.stop_after = {2};
  CHECK_THROWS_WITH_AS(simulate(c.network, c.input, options),
                       "stop_after[0] is 2, expected one of 2 populations", InvalidArgument);
  options.stop_after = {0};
  CHECK_THROWS_WITH_AS(
      record_from_spikes(c.network, c.input, {{}, {}, std::vector<Size>{0, 0, 0}}, 1.0, options),
      doctest::Contains("stop_after has 1 populations"), InvalidArgument);
}
