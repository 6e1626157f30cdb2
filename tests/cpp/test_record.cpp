// Records: what they answer, every index they take, and putting one together again.
#include <doctest/doctest.h>

#include <cmath>

#include "random_network.hpp"
#include "same_record.hpp"

using namespace snnfp;

namespace {

Record<double> two_spikes() {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  net.connect_dense(x, net.add_population("a", 2, {}), {3.0, 3.0});
  net.add_population("b", 1, {});
  return simulate<double>(net, {single_sample<double>({{1.0, 0}})});
}

RecordParts<double> parts_of(const Record<double>& r) {
  return {r.offsets, r.times, r.neurons, r.slopes, r.release_currents, r.residuals, r.faults};
}

SimulateOptions<double> options_of(const Record<double>& r) {
  SimulateOptions<double> options;
  options.until = r.until;
  options.initial = r.initial;
  options.first_spikes_of = r.first_spikes_of;
  options.stop_after = r.stop_after;
  return options;
}

}  // namespace

TEST_CASE("indices of a record that do not exist") {
  const Record<double> r = two_spikes();
  CHECK(r.first_spikes(1) == std::vector<Size>{-1});
  CHECK(r.silent(1));
  CHECK(r.end(0) == INFINITY);
  for (const Id p : {-1, 2, 1000000000}) {
    CHECK_THROWS_WITH_AS(r.first_spikes(p), doctest::Contains("expected 0 <= population < 2"),
                         InvalidArgument);
    CHECK_THROWS_WITH_AS(r.silent(p), doctest::Contains(std::to_string(p).c_str()),
                         InvalidArgument);
  }
  for (const Size s : {-1, 1})
    CHECK_THROWS_WITH_AS(r.end(s), doctest::Contains("expected 0 <= sample < 1"), InvalidArgument);
}

TEST_CASE("indices of a network that do not exist") {
  Network<double> net;
  const auto x = net.add_input("x", 2);
  net.connect_dense(x, net.add_population("h", 3, {}), 1.0);
  const auto no = [](const auto& call, const char* text) {
    CHECK_THROWS_WITH_AS(call(), doctest::Contains(text), InvalidArgument);
  };
  for (const Id k : {-1, 1}) {
    no([&] { net.set_weight(k, 1.0); }, "expected 0 <= projection < 1");
    no([&] { net.set_delay(k, 1.0); }, "expected 0 <= projection < 1");
    no([&] { net.synapse_count(k); }, "expected 0 <= projection < 1");
    no([&] { net.set_parameter(k, NeuronParameter::bias, 1.0); }, "expected 0 <= population < 1");
    no([&] { net.source_size({Source::Kind::input, k}); }, "expected one of the 1 that exist");
    no([&] { net.source_name({Source::Kind::population, k}); }, "expected one of the 1");
  }
  no([&] { net.set_parameter(0, NeuronParameter(7), 1.0); }, "expected 0 <= neuron parameter < 7");
}

TEST_CASE("kinds of parameters and options that do not exist") {
  const Record<double> r = two_spikes();
  const auto no = [](const auto& call, const char* text) {
    CHECK_THROWS_WITH_AS(call(), doctest::Contains(text), InvalidArgument);
  };
  no([&] { layout(r, {{Parameter::Kind(4), 0}}); }, "the kind of parameter 0 of wrt is 4");
  no([&] { layout(r, {{Parameter::Kind::neuron, 0, NeuronParameter(7)}}); }, "neuron parameter");
  no([&] { layout(r, {{Parameter::Kind::neuron, 2}}); }, "population 2, expected one of 2");
  no([&] { layout(r, {{Parameter::Kind::input_times, 1}}); }, "input group 1, expected one of 1");
  SimulateOptions<double> options;
  options.engine = Engine(2);
  no([&] { simulate(r.network, r.input, options); }, "engine is 2");
  options.engine = Engine::automatic;
  options.n_threads = -2;
  no([&] { simulate(r.network, r.input, options); }, "n_threads is -2");
  options.n_threads = 1;
  options.isa = Isa(9);
  no([&] { simulate(r.network, r.input, options); }, "isa is 9");
}

TEST_CASE("a record put together again has the same derivatives") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const RandomCase c = random_case(seed, true);
    SimulateOptions<double> options;
    options.until = c.until;
    if (seed % 3 == 1) options.first_spikes_of = {0};
    if (seed % 3 == 2) options.stop_after = {1};
    const auto record = simulate(c.network, c.input, options);
    const auto again = restore(record.network, record.input, parts_of(record), options_of(record));
    check_same(record, again);
    CHECK(again.end(0) == record.end(0));
    std::vector<double> cotangents;
    for (Size k = 0; k < record.spikes(); ++k) cotangents.push_back(std::cos(double(k)));
    std::vector<Parameter> wrt{{Parameter::Kind::input_times, 0}};
    for (int q = 0; q < n_neuron_parameters; ++q)
      for (Id p = 0; p < 2; ++p) wrt.push_back({Parameter::Kind::neuron, p, NeuronParameter(q)});
    for (Id q = 0; q < Id(c.network.projections().size()); ++q)
      wrt.push_back({Parameter::Kind::weight, q});
    const Span<const double> u(cotangents);
    CHECK(vjp(record, u, wrt) == vjp(again, u, wrt));
    CHECK(forward_gradient(record, u, wrt) == forward_gradient(again, u, wrt));
  }
}

TEST_CASE("a record with two spikes at once, or at its end, can be put together again") {
  const Record<double> r = two_spikes();
  SimulateOptions<double> options = options_of(r);
  options.until = r.times.back();
  CHECK(restore(r.network, r.input, parts_of(r), options).times == r.times);
}

TEST_CASE("parts that are of no record") {
  const Record<double> r = two_spikes();
  const auto no = [&](const auto& change, const char* text) {
    RecordParts<double> parts = parts_of(r);
    change(parts);
    CHECK_THROWS_WITH_AS(restore(r.network, r.input, parts, options_of(r)), doctest::Contains(text),
                         InvalidArgument);
  };
  using Parts = RecordParts<double>;
  no([](Parts& p) { p.neurons[1] = 3; }, "neuron is 3, expected 0 <= neuron < 3");
  no([](Parts& p) { p.neurons.pop_back(); }, "neurons has 1 values, expected 2");
  no([](Parts& p) { p.slopes.pop_back(); }, "slopes has 1 values, expected 2");
  no([](Parts& p) { p.slopes[0] = 0; }, "slopes[0] is 0, expected a number > 0");
  no([](Parts& p) { p.times[0] = 9; }, "times[1] is");
  no([](Parts& p) { p.times[1] = NAN; }, "times[1] is nan");
  no([](Parts& p) { p.residuals = {0}; }, "residuals has 1 values, expected 2");
  no([](Parts& p) { p.offsets = {0, 1, 2}; }, "offsets has 3 values, expected 2");
  no([](Parts& p) { p.offsets = {0, 3}; }, "offsets go from 0 to 3");
  no([](Parts& p) { p.times[1] = INFINITY; }, "times[1] is inf");
  no([](Parts& p) { p.release_currents[0] = NAN; }, "release_currents[0] is nan");
  for (const double until : {-1.0, double(NAN)}) {
    SimulateOptions<double> options;
    options.until = until;
    CHECK_THROWS_WITH_AS(restore(r.network, r.input, parts_of(r), options),
                         doctest::Contains("expected a time >= 0"), InvalidArgument);
  }
  Parts falling = parts_of(r);
  falling.offsets = {0, 2, 1, 2};
  CHECK_THROWS_WITH_AS(restore<double>(r.network, {{{}, {}, {0, 0, 0, 0}}}, falling, {}),
                       doctest::Contains("offsets[2] is 1, expected at least 2"), InvalidArgument);
}
