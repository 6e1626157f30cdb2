// Readouts: closed forms without leak, forward propagation against the adjoint, the same bits for
// every instruction set and any number of threads, and what is refused. Their formulas are held
// against mpmath in tests/python/test_readout_reference.py.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "isas.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Lif<double> listener(Array<double> tau_mem, Array<double> tau_syn,
                     Array<double> capacitance = 2.0) {
  Lif<double> parameters;
  parameters.tau_mem = std::move(tau_mem);
  parameters.tau_syn = std::move(tau_syn);
  parameters.capacitance = std::move(capacitance);
  return parameters;
}

// A hidden population of 5 that fires, and a readout of n that listens to it and to the input.
struct Listened {
  Record<double> record, heard;
  Source readout;

  explicit Listened(Lif<double> parameters, Id n = 11) {
    std::mt19937 rng(4);
    std::uniform_real_distribution<double> time(0.0, 8.0), weight(-1.0, 2.5), delay(0.0, 0.5);
    Network<double> net;
    const Source in = net.add_input("in", 3);
    Lif<double> lif;
    lif.tau_mem = 4.0;
    lif.tau_syn = 2.0;
    const Source hidden = net.add_population("hidden", 5, lif);
    const auto draw = [&](auto& from, Size count) {
      std::vector<double> values;
      for (Size k = 0; k < count; ++k) values.push_back(from(rng));
      return Array<double>(values);
    };
    net.connect_dense(in, hidden, draw(weight, 15));
    SpikeBatch<double> input;
    std::vector<double> times;
    std::vector<Id> units;
    for (int s = 0; s < 3; ++s) {
      std::vector<double> own;
      for (int k = 0; k < 20; ++k) own.push_back(time(rng));
      std::sort(own.begin(), own.end());
      times.insert(times.end(), own.begin(), own.end());
      for (int k = 0; k < 20; ++k) units.push_back(k % 3);
    }
    SimulateOptions<double> options;
    options.until = 10.0;
    record = simulate(net, {{times, units, {Size(0), Size(20), Size(40), Size(60)}}}, options);

    Network<double> listening;
    const Source heard_in = listening.add_input("in", 3);
    const Source heard_hidden = listening.add_input("hidden", 5);
    readout = listening.add_population("out", n, std::move(parameters));
    listening.connect_dense(heard_hidden, readout, draw(weight, 5 * n), draw(delay, 1));
    listening.connect_dense(heard_in, readout, draw(weight, 3 * n),
                            Delay<double>::per_target(draw(delay, n)));
    heard = listen(record, listening, {in, hidden});
  }

  std::vector<Parameter> wrt() const {
    std::vector<Parameter> all;
    for (const NeuronParameter p : {NeuronParameter::tau_mem, NeuronParameter::tau_syn,
                                    NeuronParameter::bias, NeuronParameter::capacitance})
      all.push_back({Parameter::Kind::neuron, 0, p});
    for (Id q = 0; q < 2; ++q) {
      all.push_back({Parameter::Kind::weight, q});
      all.push_back({Parameter::Kind::delay, q});
    }
    return all;
  }
};

std::vector<Reading<double>> readings() {
  return {{0, ReadoutValue::voltage, {10.0, 3.5}},
          {0, ReadoutValue::maximum},
          {0, ReadoutValue::integral},
          {0, ReadoutValue::integral, {}, 2.0}};
}

std::vector<double> waves(Size n, double step) {
  std::vector<double> values;
  for (Size k = 0; k < n; ++k) values.push_back(std::cos(step * double(k + 1)));
  return values;
}

// Of different and of equal time constants.
std::vector<Lif<double>> kinds() {
  std::vector<double> mem = {4, 2, 1, infinity, 3, 2, 5, 6, 1, 1, 2};
  std::vector<double> syn = {2, 2, infinity, infinity, 3, 2 + 1e-9, 1, 9, 1, 4, 0.01};
  return {listener(mem, syn), listener(3.0, 1.5)};
}

}  // namespace

TEST_CASE("without leak V is a ramp, and its integral a parabola") {
  Network<double> net;
  const Source in = net.add_input("in", 1);
  net.add_population("idle", 1, {});
  SimulateOptions<double> options;
  options.until = 8.0;
  const auto record = simulate(net, {single_sample<double>({{1.0, 0}, {4.0, 0}})}, options);
  Network<double> listening;
  const Source heard_in = listening.add_input("in", 1);
  const Source out = listening.add_population("out", 1, listener(infinity, infinity));
  listening.connect_dense(heard_in, out, 3.0, 0.5);
  const auto heard = listen(record, listening, {in});
  CHECK(read(heard, {0, ReadoutValue::voltage, {8.0, 2.0, 1.0}}) ==
        std::vector<double>{1.5 * (6.5 + 3.5), 1.5 * 0.5, 0.0});
  CHECK(read(heard, {0, ReadoutValue::integral})[0] ==
        doctest::Approx(1.5 * (6.5 * 6.5 + 3.5 * 3.5) / 2).epsilon(1e-15));
  CHECK(read(heard, {0, ReadoutValue::maximum})[0] == 1.5 * (6.5 + 3.5));
  const std::vector<double> one{1.0};
  const auto gradient =
      read_vjp<double>(heard, {0, ReadoutValue::voltage, {8.0}}, one,
                       {{Parameter::Kind::weight, 0}, {Parameter::Kind::delay, 0}});
  CHECK(gradient.parameters == std::vector<double>{5.0, -3.0});
  CHECK(gradient.senders[0] == std::vector<double>{-1.5, -1.5});
}

TEST_CASE("forward propagation is the adjoint's transpose, the same bits everywhere") {
  Size checked = 0;
  for (const auto& kind : kinds()) {
    const Listened made(kind);
    REQUIRE(made.record.spikes() > 20);
    const auto wrt = made.wrt();
    const Size columns = layout(made.heard, wrt).size();
    for (const auto& reading : readings()) {
      const auto said = read(made.heard, reading);
      const auto c = waves(Size(said.size()), 0.7), v = waves(columns, 0.3);
      const auto gradient = read_vjp<double>(made.heard, reading, c, wrt);
      std::vector<std::vector<double>> tangents;
      std::vector<Span<const double>> senders;
      for (const auto& g : gradient.senders) tangents.push_back(waves(Size(g.size()), 0.9));
      for (const auto& t : tangents) senders.emplace_back(t);
      const auto along = read_jvp<double>(made.heard, reading, wrt, v, senders);
      double left = 0, right = 0, size = 0;
      for (std::size_t k = 0; k < along.size(); ++k) left += c[k] * along[k];
      const auto add = [&](double g, double t) { right += g * t, size += std::abs(g * t); };
      for (Size k = 0; k < columns; ++k) add(gradient.parameters[k], v[k]);
      for (std::size_t g = 0; g < tangents.size(); ++g)
        for (std::size_t k = 0; k < tangents[g].size(); ++k)
          add(gradient.senders[g][k], tangents[g][k]);
      CHECK(std::abs(left - right) <= 1e-13 * size);
      for (const Isa isa : isas_here())
        for (const int threads : {1, 3}) {
          ExecutionOptions options;
          options.isa = isa;
          options.n_threads = threads;
          CHECK(read(made.heard, reading, options) == said);
          const auto again = read_vjp<double>(made.heard, reading, c, wrt, options);
          CHECK(again.parameters == gradient.parameters);
          CHECK(again.senders == gradient.senders);
          CHECK(read_jvp<double>(made.heard, reading, wrt, v, senders, options) == along);
          ++checked;
        }
    }
  }
  CHECK(checked == Size(2 * 4 * 2 * isas_here().size()));
}

TEST_CASE("a row of the Jacobian is the gradient of its value, the same bits everywhere") {
  Size checked = 0;
  for (const auto& kind : kinds()) {
    const Listened made(kind);
    const auto wrt = made.wrt();
    const Size columns = layout(made.heard, wrt).size(), samples = made.heard.samples();
    for (const auto& reading : readings()) {
      const auto rows = read_jacobian<double>(made.heard, reading, wrt, {0, 1});
      const Size values = Size(read(made.heard, reading).size()) / samples;
      REQUIRE(Size(rows.parameters.size()) == samples * values * columns);
      for (Size row = 0; row < samples * values; ++row) {
        std::vector<double> one(static_cast<std::size_t>(samples * values));
        one[row] = 1.0;
        const auto gradient = read_vjp<double>(made.heard, reading, one, wrt);
        const auto begin = rows.parameters.begin() + row * columns;
        CHECK(std::equal(gradient.parameters.begin(), gradient.parameters.end(), begin));
        for (std::size_t g = 0; g < gradient.senders.size(); ++g) {
          const Size spikes = Size(gradient.senders[g].size());
          const auto& offsets = made.heard.input[g].offsets;
          const Size sample = row / values;
          for (Size k = offsets[sample]; k < offsets[sample + 1]; ++k)
            CHECK(gradient.senders[g][k] == rows.senders[g][row % values * spikes + k]);
        }
        ++checked;
      }
      for (const Isa isa : isas_here()) {
        ExecutionOptions options;
        options.isa = isa;
        options.n_threads = 3;
        const auto again = read_jacobian<double>(made.heard, reading, wrt, {0, 1}, options);
        CHECK(again.parameters == rows.parameters);
        CHECK(again.senders == rows.senders);
      }
      const auto of_one = read_jacobian<double>(made.heard, reading, wrt, {1});
      CHECK(of_one.parameters == rows.parameters);
      CHECK(of_one.senders[0].empty());
      CHECK(of_one.senders[1] == rows.senders[1]);
    }
  }
  CHECK(checked == 2 * 3 * 11 * 5);
}

TEST_CASE("readouts hear inputs without any population between") {
  Network<double> net;
  const Source in = net.add_input("in", 2);
  SimulateOptions<double> options;
  options.until = 8.0;
  const auto record = simulate(net, {single_sample<double>({{1.0, 0}, {4.0, 1}})}, options);
  CHECK(record.spikes() == 0);
  CHECK(record.samples() == 1);
  CHECK(record.end(0) == 8.0);
  CHECK(probe<double>(record, {{}, {1.0}}).voltage.empty());
  const std::vector<Parameter> times{{Parameter::Kind::input_times, 0}};
  CHECK(vjp<double>(record, {}, times) == std::vector<double>(2));
  CHECK(forward_gradient<double>(record, {}, times) == std::vector<double>(2));
  Network<double> listening;
  const Source heard_in = listening.add_input("in", 2);
  listening.connect_dense(
      heard_in, listening.add_population("out", 1, listener(infinity, infinity)), {3.0, 1.0});
  const auto heard = listen(record, listening, {in});
  CHECK(read(heard, {0, ReadoutValue::voltage, {8.0}})[0] == 0.5 * (3.0 * 7.0 + 4.0));
  options.samples = 1;
  CHECK_THROWS_WITH_AS(simulate<double>(Network<double>(), {}, options),
                       doctest::Contains("the network has no population and no input"),
                       InvalidArgument);
}

TEST_CASE("what cannot be read is refused") {
  const Listened made(listener(2.0, 1.0));
  const auto& heard = made.heard;
  const auto refused = [](const auto& call, const char* message) {
    CAPTURE(message);
    CHECK_THROWS_WITH_AS(call(), doctest::Contains(message), InvalidArgument);
  };
  refused([&] { read(heard, {1, ReadoutValue::maximum}); },
          "readout is 1, expected 0 <= readout < 1");
  refused([&] { read(heard, {0, ReadoutValue::voltage, {10.5}}); },
          "times[0] of readout out is 10.5, expected a finite time from 0 up to until = 10");
  refused([&] { read(heard, {0, ReadoutValue::integral, {}, -1.0}); }, "time_scale is -1");
  const std::vector<double> three(3, 1.0);
  refused([&] { read_vjp<double>(heard, {0, ReadoutValue::maximum}, three, {}); },
          "cotangents of a readout has 3 values, expected 33");
  refused(
      [&] {
        read_vjp<double>(heard, {0, ReadoutValue::maximum}, std::vector<double>(33),
                         {{Parameter::Kind::input_times, 0}});
      },
      "parameter 0 of wrt are input times");
  refused([&] { read_jvp<double>(heard, {0, ReadoutValue::maximum}, {}, {}, {}); },
          "tangents of 0 senders, expected 2");
  refused([&] { listen(made.record, heard.network, {{Source::Kind::input, 0}}); },
          "1 senders, expected 2");
  refused(
      [&] {
        listen(made.record, heard.network,
               {{Source::Kind::population, 0}, {Source::Kind::input, 0}});
      },
      "sender 0 is hidden of size 5, expected 3 as input in of the readouts");
  const std::vector<double> endless(33, infinity), large(33, 1e308);
  refused([&] { read_vjp<double>(heard, {0, ReadoutValue::maximum}, endless, {}); },
          "cotangents of a readout[0] is inf");
  refused(
      [&] {
        read_vjp<double>(heard, {0, ReadoutValue::integral}, large, {{Parameter::Kind::weight, 1}});
      },
      "the derivative of what is read off readout out by in_to_out.weight[0] is inf");
  refused([&] { read_vjp<double>(heard, {0, ReadoutValue::voltage, {10.0}}, large, {}); },
          "by the time of spike");
  const Source in{Source::Kind::input, 0}, hidden{Source::Kind::population, 0};
  auto first = made.record;
  first.first_spikes_of = {0};
  const auto lacking = listen(first, heard.network, {in, hidden});
  refused([&] { read(lacking, {0, ReadoutValue::maximum}); },
          "projection hidden_to_out to a readout starts at population hidden, of which the record");
  auto endless_record = made.record;
  endless_record.until = infinity;
  const auto never = listen(endless_record, heard.network, {in, hidden});
  refused([&] { read(never, {0, ReadoutValue::maximum}); },
          "the maximum of readout out is taken up to the end of the simulation, and until is inf");
  Network<double> loop = heard.network;
  const Source out{Source::Kind::population, 0};
  loop.connect_dense(out, out, 1.0);
  refused(
      [&] { listen(made.record, loop, {{Source::Kind::input, 0}, {Source::Kind::population, 0}}); },
      "starts at readout out, which sends no spikes");
}
