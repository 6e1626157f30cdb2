// Recordings are checked both ways: spikes that cannot be, crossings without a spike.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "random_network.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

using Reason = ImpossibleSpike::Reason;

// One neuron: tau_mem = tau_syn = 1, so a weight w at 0 gives V = w t e^(-t), at most w / e at 1.
struct One {
  Network<double> net;
  Input<double> input;
  SimulateOptions<double> options;

  explicit One(double weight, double t_refractory = 0, double bias = 0,
               std::vector<std::pair<double, Id>> arrivals = {{0.0, 0}}) {
    const auto x = net.add_input("x", 1);
    Lif<double> lif;
    lif.t_refractory = t_refractory;
    lif.bias = bias;
    net.connect_dense(x, net.add_population("h", 1, lif), weight);
    input = {single_sample<double>(std::move(arrivals))};
  }
  Record<double> given(std::vector<double> times, double tolerance,
                       OnFault on_fault = OnFault::keep) const {
    const Size n = static_cast<Size>(times.size());
    return record_from_spikes<double>(net, input, {times, std::vector<Id>(n, 0), {0, n}}, tolerance,
                                      options, on_fault);
  }
  // The spike that the network fires first.
  double first() const { return simulate(net, input, options).times.at(0); }
};

}  // namespace

TEST_CASE("spikes that cannot be are named") {
  const One one(6.0, 0.5);
  const auto no = [&](std::vector<double> times, double tolerance, const char* text) {
    CHECK_THROWS_WITH_AS(one.given(times, tolerance, OnFault::raise), doctest::Contains(text),
                         RecordedSpikeError);
  };
  const double f = one.first();
  no({1.5}, 9.0, "not rising");
  no({0.3}, 0.1, "V - threshold");
  no({f, f + 0.25}, INFINITY, "the neuron is refractory until");
  no({0.0, f}, INFINITY, "time 0: expected 0 < time <= until = inf");
  no({f}, 1e-9, ": 0 impossible spikes, 1 crossing without a spike");
  CHECK(one.given({f, f + 0.6}, INFINITY, OnFault::raise).spikes() == 2);
}

TEST_CASE("the error holds all faults, its text the first few") {
  One one(6.0, 0.5);
  one.options.until = 5;
  try {
    one.given({0.01, 0.012, 0.014, 0.016, 0.018, 3.0, 6.0}, 0.1, OnFault::raise);
    FAIL("no error");
  } catch (const RecordedSpikeError& e) {
    REQUIRE(e.faults.impossible.size() == 7);
    const Reason reasons[] = {Reason::residual,   Reason::refractory, Reason::refractory,
                              Reason::refractory, Reason::refractory, Reason::falling,
                              Reason::outside};
    for (Size k = 0; k < 7; ++k) {
      CHECK(e.faults.impossible[k].spike == k);
      CHECK(e.faults.impossible[k].reason == reasons[k]);
    }
    const std::string text = e.what();
    CHECK(
        text.find("7 impossible spikes (4 in a refractory time, 1 where V does not rise, 1 with V "
                  "away from the threshold, 1 not within") != std::string::npos);
    CHECK(text.find("time 0.016") != std::string::npos);
    CHECK(text.find("time 0.018") == std::string::npos);
    CHECK(text.find("and 1 more like it") != std::string::npos);
  }
}

TEST_CASE("a crossing without a spike: when, and how far V goes") {
  for (const double w : {2.8, 3.0, 6.0, 1e3}) {
    const One one(w);
    const auto r = one.given({}, 1e-9);
    REQUIRE(r.faults.missing.size() == 1);
    const MissingSpike& m = r.faults.missing[0];
    CHECK(m.time == doctest::Approx(one.first()).epsilon(1e-12));
    CHECK(m.excess == doctest::Approx(w / std::exp(1.0) - 1).epsilon(1e-9));
    CHECK(m.neuron == 0);
    CHECK(m.sample == 0);
    CHECK(one.given({}, m.excess * 1.001).faults.missing.empty());
    CHECK(one.given({}, m.excess * 0.999).faults.missing.size() == 1);
  }
  CHECK(One(2.7).given({}, 0.0).faults.missing.empty());
}

TEST_CASE("V at its top between two arrivals, at an arrival, and at the end") {
  // Arrivals of nothing are none, so the second is of the smallest effect.
  for (const double second : {0.2, 0.99, 1.0, 1.01, 5.0}) {
    One one(3.0, 0, 0, {{0.0, 0}, {second, 1}});
    one.net = Network<double>();
    const auto x = one.net.add_input("x", 2);
    one.net.connect_dense(x, one.net.add_population("h", 1, {}), {3.0, 1e-12});
    const auto r = one.given({}, 1e-9);
    REQUIRE(r.faults.missing.size() == 1);
    CHECK(r.faults.missing[0].excess == doctest::Approx(3 / std::exp(1.0) - 1).epsilon(1e-9));
  }
  One one(3.0);
  const double f = one.first();
  one.options.until = f * 0.999;
  CHECK(one.given({}, 0.0).faults.missing.empty());
  one.options.until = 0.8;
  const auto r = one.given({}, 1e-9);
  REQUIRE(r.faults.missing.size() == 1);
  CHECK(r.faults.missing[0].excess == doctest::Approx(2.4 * std::exp(-0.8) - 1).epsilon(1e-9));
}

TEST_CASE("each time V comes down again ends an excursion") {
  const One one(3.0, 0, 0, {{0.0, 0}, {20.0, 0}, {40.0, 0}});
  const auto r = one.given({}, 1e-9);
  REQUIRE(r.faults.missing.size() == 3);
  CHECK(r.faults.missing[1].time == doctest::Approx(20 + one.first()).epsilon(1e-7));
  CHECK(one.given({one.first()}, 1e-9).faults.missing.size() == 2);
}

TEST_CASE("a late spike is its own excursion") {
  const One one(3.0);
  const double late = one.first() + 0.05, excess = 3 * late * std::exp(-late) - 1;
  CHECK(one.given({late}, excess * 1.001, OnFault::raise).faults.missing.empty());
  const auto r = one.given({late}, excess * 0.999);
  CHECK(r.faults.missing.size() == 1);
  CHECK(r.faults.impossible.size() == 1);
  CHECK(one.given({late}, INFINITY).faults.missing.empty());
  CHECK(one.given({}, INFINITY, OnFault::raise).faults.missing.size() == 1);
}

TEST_CASE("without an end V must stay below threshold for ever") {
  const One driven(0.1, 0, 1.5);  // V ends at 1.5
  const auto r = driven.given({}, 1e-9);
  REQUIRE(r.faults.missing.size() == 1);
  CHECK(r.faults.missing[0].excess == doctest::Approx(0.5));
  CHECK(One(0.1, 0, 0.9).given({}, 0.0).faults.missing.empty());
  const One inhibited(-50.0, 0, 1.5);
  CHECK(inhibited.given({}, 1e-9).faults.missing.size() == 1);
  Network<double> net;
  const auto x = net.add_input("x", 1);
  Lif<double> lif;
  lif.tau_mem = INFINITY;
  net.connect_dense(x, net.add_population("h", 1, lif), 1.25);
  const auto rises = record_from_spikes<double>(net, {single_sample<double>({{0.0, 0}})},
                                                {{}, {}, {0, 0}}, 1e-9, {}, OnFault::keep);
  REQUIRE(rises.faults.missing.size() == 1);
  CHECK(rises.faults.missing[0].excess == doctest::Approx(0.25));
}

TEST_CASE("what a simulation fires has no fault, and without it every crossing is missing") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const RandomCase c = random_case(seed, seed % 2);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto record = simulate(c.network, c.input, options);
    const RecordedSpikes<double> own{record.times, record.neurons, record.offsets};
    for (const double tolerance : {1e-11, double(INFINITY)}) {
      const auto again = record_from_spikes(c.network, c.input, own, tolerance, options);
      CHECK(again.faults.missing.empty());
      CHECK(again.times == record.times);
    }
    // Take out each neuron's last spike: it is named, where nothing comes after it.
    for (Size s = 0; s < record.samples(); ++s) {
      const Size k = record.offsets[s + 1] - 1;
      if (k < record.offsets[s]) continue;
      std::vector<double> times = record.times;
      std::vector<Id> neurons = record.neurons;
      std::vector<Size> offsets = record.offsets;
      times.erase(times.begin() + k);
      neurons.erase(neurons.begin() + k);
      for (Size q = s + 1; q <= record.samples(); ++q) --offsets[q];
      const auto cut = record_from_spikes<double>(c.network, c.input, {times, neurons, offsets}, 0,
                                                  options, OnFault::keep);
      const auto& missing = cut.faults.missing;
      CHECK(std::any_of(missing.begin(), missing.end(), [&](const MissingSpike& m) {
        return m.sample == s && m.neuron == record.neurons[k] &&
               std::abs(m.time - record.times[k]) < 1e-9;
      }));
    }
  }
}

TEST_CASE("a duplicate is dropped as if it had not been recorded, or kept without a derivative") {
  for (const double t_refractory : {0.0, 0.5}) {
    const One one(9.0, t_refractory, 0, {{0.0, 0}, {2.0, 0}});
    std::vector<double> times = simulate(one.net, one.input).times;
    REQUIRE(times.size() >= 2);
    std::vector<double> twice = times;
    twice.insert(twice.begin(), times[0]);
    const auto plain = one.given(times, 1e-9, OnFault::raise);
    const auto dropped = one.given(twice, 1e-9, OnFault::drop);
    CHECK(dropped.times == plain.times);
    CHECK(dropped.slopes == plain.slopes);
    REQUIRE(dropped.faults.impossible.size() == 1);
    CHECK(dropped.faults.impossible[0].spike == 1);
    CHECK(dropped.faults.impossible[0].reason == Reason::refractory);
    const auto kept = one.given(twice, INFINITY, OnFault::keep);
    CHECK(kept.times == twice);
    CHECK(kept.slopes[0] == plain.slopes[0]);
    CHECK(std::isinf(kept.slopes[1]));
    CHECK(kept.residuals[1] == -1.0);
  }
}

TEST_CASE("what is no recording at all is refused whatever the policy") {
  const One one(6.0);
  const auto no = [&](RecordedSpikes<double> spikes, const char* text) {
    CHECK_THROWS_WITH_AS(
        record_from_spikes(one.net, one.input, spikes, 1.0, one.options, OnFault::drop),
        doctest::Contains(text), InvalidArgument);
  };
  no({{0.5}, {1}, {0, 1}}, "neuron 1, expected 0 <= neuron < 1");
  no({{0.5}, {-1}, {0, 1}}, "neuron -1");
  no({{0.5, 0.4}, {0, 0}, {0, 2}}, "spike 1 of sample 0: before its predecessor");
  no({{NAN}, {0}, {0, 1}}, "time nan, expected a finite time");
  no({{0.5}, {0}, {0, 0}}, "last offset 0");
  no({{0.5}, {0}, {0, 1, 1}}, "2 samples, expected 1");
  CHECK_THROWS_WITH_AS(one.given({}, -1.0), doctest::Contains("tolerance is -1"), InvalidArgument);
  CHECK_THROWS_WITH_AS(one.given({}, NAN), doctest::Contains("tolerance is nan"), InvalidArgument);
  CHECK_THROWS_WITH_AS(one.given({}, 1.0, OnFault(3)), doctest::Contains("on_fault is 3"),
                       InvalidArgument);
}
