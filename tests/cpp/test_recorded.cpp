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

TEST_CASE("faults are told by neuron of a population and by spike of the recording") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  net.connect_dense(x, net.add_population("a", 1, {}), 0.1);
  net.connect_dense(x, net.add_population("b", 3, {}), {6.0, 0.1, 6.0});
  const SpikeBatch<double> two{{0.0, 0.0}, {0, 0}, {0, 1, 2}};
  // An early one in each sample, and one of a neuron that comes nowhere near.
  const RecordedSpikes<double> spikes{{0.0, 0.5, 0.0, 0.6}, {0, 2, 0, 2}, {0, 2, 4}};
  try {
    record_from_spikes<double>(net, {two}, spikes, 0.1);
    FAIL("no error");
  } catch (const RecordedSpikeError& e) {
    const auto& impossible = e.faults.impossible;
    REQUIRE(impossible.size() == 4);
    for (Size k = 0; k < 4; ++k) {
      CHECK(impossible[k].spike == k);
      CHECK(impossible[k].sample == k / 2);
      CHECK(impossible[k].time == spikes.times[k]);
      CHECK(impossible[k].neuron == spikes.neurons[k]);
      CHECK(impossible[k].reason == (k % 2 ? Reason::residual : Reason::outside));
    }
    const auto& missing = e.faults.missing;
    REQUIRE(missing.size() == 4);
    for (Size k = 0; k < 4; ++k) {
      CHECK(missing[k].sample == k / 2);
      CHECK(missing[k].neuron == (k % 2 ? 3 : 1));
    }
    const std::string text = e.what();
    CHECK(text.find("neuron 1 of population b, sample 1, time 0.6: V - threshold") !=
          std::string::npos);
    CHECK(text.find("neuron 2 of population b, sample 0, time ") != std::string::npos);
    CHECK(text.find("and 1 more like it") != std::string::npos);
  }
}

TEST_CASE("a spike at the end of the recording is in it") {
  One one(6.0);
  const double f = one.first();
  one.options.until = f;
  CHECK(one.given({f}, 1e-9, OnFault::raise).times == std::vector<double>{f});
}

TEST_CASE("touching is no crossing as far as rounding can tell, and no further") {
  const double e = std::exp(1.0);
  for (double k = -8; k <= 8; ++k)
    CHECK(One(e * (1 + k * 0x1p-52)).given({}, 0.0).faults.missing.empty());
  const auto r = One(e * (1 + 1e-11)).given({}, 0.0);
  REQUIRE(r.faults.missing.size() == 1);
  CHECK(r.faults.missing[0].excess == doctest::Approx(1e-11).epsilon(1e-3));
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
    CHECK(one.given({}, m.excess).faults.missing.empty());
    CHECK(one.given({}, m.excess * 0.999).faults.missing.size() == 1);
  }
  CHECK(One(2.7).given({}, 0.0).faults.missing.empty());
}

TEST_CASE("the tolerance is a voltage, whatever the threshold and the capacitance") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  Lif<double> lif;
  lif.threshold = 3;
  lif.capacitance = 2;
  net.connect_dense(x, net.add_population("h", 1, lif), 24.0);  // V = 12 t e^(-t)
  const auto given = [&](RecordedSpikes<double> spikes, double tolerance) {
    const Input<double> input = {single_sample<double>({{0.0, 0}})};
    return record_from_spikes(net, input, spikes, tolerance, {}, OnFault::keep);
  };
  const RecordedSpikes<double> none{{}, {}, {0, 0}}, late{{0.5}, {0}, {0, 1}};
  const double excess = 12 / std::exp(1.0) - 3, residual = 6 * std::exp(-0.5) - 3;
  REQUIRE(given(none, 0.0).faults.missing.size() == 1);
  CHECK(given(none, 0.0).faults.missing[0].excess == doctest::Approx(excess).epsilon(1e-12));
  CHECK(given(none, excess * 0.999).faults.missing.size() == 1);
  REQUIRE(given(late, 0.0).faults.impossible.size() == 1);
  const double value = given(late, 0.0).faults.impossible[0].value;
  CHECK(value == doctest::Approx(residual).epsilon(1e-12));
  CHECK(given(late, value).faults.impossible.empty());
  CHECK(given(late, value * 0.999).faults.impossible.size() == 1);
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
  // It comes down after an arrival above the threshold.
  One two(3.0, 0, 0, {{0.0, 0}, {1.2, 1}, {20.0, 0}});
  two.net = Network<double>();
  const auto x = two.net.add_input("x", 2);
  two.net.connect_dense(x, two.net.add_population("h", 1, {}), {3.0, 1e-12});
  CHECK(two.given({}, 1e-9).faults.missing.size() == 2);
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

TEST_CASE("without an end a current that never dies carries V to its own level, or for ever") {
  for (const double tau_mem : {1.0, double(INFINITY)}) {
    Network<double> net;
    const auto x = net.add_input("x", 1);
    Lif<double> lif;
    lif.tau_mem = tau_mem;
    lif.tau_syn = INFINITY;
    lif.capacitance = 2;
    net.connect_dense(x, net.add_population("h", 1, lif), 3.0);
    const auto r = record_from_spikes<double>(net, {single_sample<double>({{0.0, 0}})},
                                              {{}, {}, {0, 0}}, 1e-9, {}, OnFault::keep);
    REQUIRE(r.faults.missing.size() == 1);
    CHECK(r.faults.missing[0].excess == (tau_mem < 2 ? 0.5 : INFINITY));
  }
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

TEST_CASE("what is kept: its reason, its residual, and a slope where there is a derivative") {
  const One one(9.0, 2.0, 0, {{1.0, 0}});
  const double f = one.first();
  const auto kept = [&](std::vector<double> times, double tolerance, Reason reason, double value) {
    const auto r = one.given(std::move(times), tolerance);
    REQUIRE(r.faults.impossible.size() == 1);
    CHECK(r.faults.impossible[0].reason == reason);
    CHECK(r.faults.impossible[0].value == doctest::Approx(value).epsilon(1e-12));
    CHECK(std::isinf(r.slopes.back()) == (reason != Reason::residual));
    return r;
  };
  const double v = 9 * 0.3 * std::exp(-0.3) - 1;
  const auto off = kept({1.3}, 0.1, Reason::residual, v);
  CHECK(off.residuals[0] == doctest::Approx(v));
  CHECK(off.slopes[0] == doctest::Approx(9 * 0.7 * std::exp(-0.3)));
  kept({3.0}, INFINITY, Reason::falling, -9 * std::exp(-2.0));
  kept({0.5}, INFINITY, Reason::falling, 0.0);
  // V is held until the neuron is released, so it does not cross the threshold either.
  const auto early = kept({f, f + 1.5}, INFINITY, Reason::refractory, f + 2);
  CHECK(early.residuals[1] == -1.0);
  CHECK(early.faults.missing.empty());
  // Ahead of what arrives at that time, even where the refractory time ends.
  const auto last = One(9.0, 0.5, 0, {{0.0, 0}, {1.0, 0}}).given({0.5, 1.0}, INFINITY);
  CHECK(last.release_currents[0] == doctest::Approx(9 * std::exp(-1.0)));
}

TEST_CASE("both modes agree on an arrival at the time of kept spikes") {
  for (const double t_refractory : {0.0, 0.5}) {
    const One one(9.0, t_refractory, 0, {{0.0, 0}, {1.0, 0}});
    const std::vector<Parameter> wrt{{Parameter::Kind::weight, 0},
                                     {Parameter::Kind::delay, 0},
                                     {Parameter::Kind::input_times, 0}};
    const auto record = one.given({0.5, 1.0, 1.0, 1.6}, INFINITY);
    const std::vector<double> last{0, 0, 0, 1};
    const auto reverse = vjp<double>(record, last, wrt);
    const auto forward = forward_gradient<double>(record, last, wrt);
    for (std::size_t k = 0; k < reverse.size(); ++k)
      CHECK(forward[k] == doctest::Approx(reverse[k]).epsilon(1e-12));
    CHECK(reverse.back() != 0.0);
  }
}

TEST_CASE("what is dropped leaves no trace") {
  const One one(6.0);
  const double f = one.first();
  const auto plain = one.given({f}, 1e-9);
  for (const double wrong : {0.03, 0.1}) {
    const auto r = one.given({wrong, f}, 1e-9, OnFault::drop);
    CHECK(r.times == plain.times);
    CHECK(r.slopes == plain.slopes);
    CHECK(r.residuals == plain.residuals);
  }
  const auto late = one.given({2.5}, 1e-9, OnFault::drop);
  REQUIRE(late.faults.missing.size() == 1);
  CHECK(late.faults.missing[0].excess == doctest::Approx(6 / std::exp(1.0) - 1).epsilon(1e-9));
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
  no({{0.5}, {0}, {1, 1}}, "offsets[0] is 1, expected 0");
  CHECK_THROWS_WITH_AS(one.given({}, -1.0), doctest::Contains("tolerance is -1"), InvalidArgument);
  CHECK_THROWS_WITH_AS(one.given({}, NAN), doctest::Contains("tolerance is nan"), InvalidArgument);
  CHECK_THROWS_WITH_AS(one.given({}, 1.0, OnFault(3)), doctest::Contains("on_fault is 3"),
                       InvalidArgument);
  One other(6.0);
  other.options.stop_after = {0};
  CHECK_THROWS_WITH_AS(other.given({}, 1.0), doctest::Contains("stop_after has 1 populations"),
                       InvalidArgument);
  other.options.stop_after.clear();
  for (const double until : {-1.0, double(NAN)}) {
    other.options.until = until;
    CHECK_THROWS_WITH_AS(other.given({}, 1.0), doctest::Contains("expected a time >= 0"),
                         InvalidArgument);
  }
}

TEST_CASE("the order of recorded spikes, in every sample") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  net.connect_dense(x, net.add_population("h", 2, {}), 0.1);
  const auto no = [&](RecordedSpikes<double> spikes, const char* text) {
    const Input<double> input = {{{}, {}, {0, 0, 0}}};
    CHECK_THROWS_WITH_AS(record_from_spikes<double>(net, input, spikes, 1.0, {}, OnFault::keep),
                         doctest::Contains(text), InvalidArgument);
  };
  no({{0.5, 0.5}, {1, 0}, {0, 0, 2}}, "spike 1 of sample 1: before its predecessor");
  // Told before spikes past the end are read.
  no({{0.5, 0.4}, {0, 0}, {0, 9, 2}}, "recorded offsets[2] is 2, expected at least 9");
}
