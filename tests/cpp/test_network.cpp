// Every check of a parameter says what, where, which value and what was expected.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "snnfp/detail/plan.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

TEST_CASE("bad parameters") {
  Network<double> net;
  const auto x = net.add_input("x", 2);
  const auto bad = [&](NeuronParameter p, Array<double> values, const char* text) {
    Lif<double> lif;
    lif[p] = std::move(values);
    CHECK_THROWS_WITH_AS(net.add_population("h", 3, lif), doctest::Contains(text), InvalidArgument);
  };
  bad(NeuronParameter::tau_mem, {1.0, 0.0, 1.0}, "h.tau_mem[1] is 0, expected a time > 0");
  bad(NeuronParameter::tau_syn, NAN, "h.tau_syn[0] is nan");
  bad(NeuronParameter::threshold, {1.0, 1.0, -1.0}, "h.threshold[2] is -1, expected a value above");
  bad(NeuronParameter::t_refractory, -1.0, "expected a time >= 0 (infinity allowed)");
  bad(NeuronParameter::capacitance, 0.0, "h.capacitance[0] is 0");
  bad(NeuronParameter::bias, INFINITY, "expected a finite number");
  bad(NeuronParameter::v_reset, {0.0, 0.0}, "has 2 values, expected 1 or 3");
  CHECK(net.populations().empty());

  const auto h = net.add_population("h", 3, {});
  CHECK_THROWS_WITH_AS(net.connect_dense(x, h, {1.0, 2.0}), doctest::Contains("expected 1 or 6"),
                       InvalidArgument);
  CHECK_THROWS_WITH_AS(net.connect_dense(x, h, NAN), doctest::Contains("x_to_h.weight[0] is nan"),
                       InvalidArgument);
  CHECK_THROWS_WITH_AS(net.connect_dense(x, h, 1.0, -1.0), doctest::Contains("x_to_h.delay[0]"),
                       InvalidArgument);
  CHECK_THROWS_AS(net.connect_dense(h, x, 1.0), InvalidArgument);
  CHECK_THROWS_AS(net.connect_one_to_one(x, h, 1.0), InvalidArgument);
  CHECK_THROWS_WITH_AS(net.connect_sparse(x, h, {0, 1, 2}, {0, 3}, 1.0),
                       doctest::Contains("targets[1] is 3, expected 0 <= target < 3"),
                       InvalidArgument);
  CHECK_THROWS_AS(net.connect_sparse(x, h, {0, 2, 1}, {0}, 1.0), InvalidArgument);
  CHECK(net.projections().empty());

  const Id p = net.connect_dense(x, h, 1.0);
  CHECK_THROWS_AS(net.set_weight(p, {1.0, 2.0}), InvalidArgument);
  CHECK_THROWS_AS(net.set_parameter(0, NeuronParameter::threshold, -1.0), InvalidArgument);
  CHECK(net.populations()[0].parameters.threshold[0] == 1.0);
}

TEST_CASE("units of all groups together have ids") {
  const Id most = std::numeric_limits<Id>::max();
  Network<double> net;
  net.add_input("a", Id(1) << 30);
  CHECK_THROWS_WITH_AS(net.add_input("b", Id(1) << 30),
                       "input b of size 1073741824 makes 2147483648 input channels and neurons in "
                       "the network, expected at most 2147483647",
                       InvalidArgument);
  CHECK_THROWS_WITH_AS(net.add_population("h", most, {}),
                       doctest::Contains("population h of size 2147483647 makes 3221225471 input"),
                       InvalidArgument);
  net.add_population("h", (Id(1) << 30) - 2, {});
  net.add_input("c", 1);
  CHECK_THROWS_AS(net.add_population("g", 1, {}), InvalidArgument);
  CHECK(net.inputs().size() == 2);
  CHECK(net.populations().size() == 1);
}

TEST_CASE("a network without input groups") {
  Network<double> net;
  Lif<double> driven;
  driven.bias = {0.0, 2.0};
  const auto h = net.add_population("h", 2, driven);
  net.connect_dense(h, h, {0.0, 3.0, 0.0, 0.0});
  SimulateOptions<double> options;
  options.until = 5;
  CHECK_THROWS_WITH_AS(simulate<double>(net, {}, options),
                       "the network has no input group and samples is 0, expected at least 1",
                       InvalidArgument);
  options.samples = 3;
  const Record<double> record = simulate<double>(net, {}, options);
  CHECK(record.samples() == 3);
  CHECK(record.spikes() % 3 == 0);
  CHECK(record.spikes() >= 9);
  options.engine = Engine::queue;
  CHECK(simulate<double>(net, {}, options).times == record.times);
  const std::vector<double> cotangents(record.times.size(), 1.0);
  const std::vector<Parameter> bias{{Parameter::Kind::neuron, 0, NeuronParameter::bias}};
  const auto reverse = vjp<double>(record, cotangents, bias);
  const auto forward = forward_gradient<double>(record, cotangents, bias);
  CHECK(reverse[1] == doctest::Approx(forward[1]).epsilon(1e-12));
  CHECK(reverse[1] < 0.0);
  const RecordedSpikes<double> recorded{record.times, record.neurons, record.offsets};
  CHECK(record_from_spikes<double>(net, {}, recorded, 1e-9, options).times == record.times);
}

TEST_CASE("bad input is refused before anything runs") {
  Network<double> net;
  const auto x = net.add_input("x", 2);
  net.connect_dense(x, net.add_population("h", 1, {}), 1.0);
  const auto refuse = [&](SpikeBatch<double> batch, const char* text) {
    CHECK_THROWS_WITH_AS(simulate<double>(net, {std::move(batch)}), doctest::Contains(text),
                         InvalidArgument);
  };
  refuse({{1.0, NAN}, {0, 0}, {0, 1, 2}}, "x: sample 1, spike 0: time nan");
  refuse({{1.0, -2.0}, {0, 0}, {0, 1, 2}}, "time -2, expected a finite time >= 0");
  refuse({{2.0, 1.0}, {0, 0}, {0, 2}}, "time 1 after 2");
  refuse({{1.0}, {2}, {0, 1}}, "unit 2, expected 0 <= unit < 2");
  refuse({{1.0}, {0}, {0}}, "expected at least 2");
  refuse({{1.0}, {0}, {0, 2}}, "expected the same number");
  // Told before spikes past the end are read.
  refuse({{2.0, 1.0}, {0, 0}, {0, 9, 2}}, "x.offsets[2] is 2, expected at least 9");
  CHECK_THROWS_AS(simulate<double>(net, {}), InvalidArgument);

  Lif<double> driven;
  driven.bias = 2.0;
  net.add_population("d", 1, driven);
  CHECK_THROWS_WITH_AS(simulate<double>(net, {single_sample<double>({})}),
                       doctest::Contains("fires for ever"), InvalidArgument);
  SimulateOptions<double> options;
  options.first_spikes_of = {1};
  CHECK(simulate<double>(net, {single_sample<double>({})}, options).spikes() == 1);
  options.first_spikes_of = {};
  options.until = 5;
  CHECK(simulate<double>(net, {single_sample<double>({})}, options).spikes() > 3);
}

TEST_CASE("groups have names of their own, and are those of their network") {
  Network<double> net, other;
  const auto x = net.add_input("x", 2);
  const auto h = net.add_population("h", 3, {});
  CHECK_THROWS_WITH_AS(
      net.add_population("h", 4, {}),
      "the name of population h is taken by a population of size 3, expected a new "
      "one",
      InvalidArgument);
  CHECK_THROWS_WITH_AS(net.add_input("h", 4), doctest::Contains("taken by a population of size 3"),
                       InvalidArgument);
  CHECK_THROWS_WITH_AS(net.add_population("x", 2, {}),
                       doctest::Contains("taken by an input of size 2"), InvalidArgument);
  CHECK(net.populations().size() == 1);
  CHECK(net.inputs().size() == 1);

  const auto theirs = other.add_population("g", 3, {}), input = other.add_input("z", 2);
  const auto refuse = [](const auto& connect, const char* text) {
    CHECK_THROWS_WITH_AS(connect(), text, InvalidArgument);
  };
  const char* const text =
      " is population g of size 3, which belongs to another network, expected a group of this one, "
      "whose population 0 is h of size 3";
  refuse([&] { net.connect_dense(x, theirs, 1.0); }, ("target" + std::string(text)).c_str());
  refuse([&] { net.connect_one_to_one(theirs, h, 1.0); }, ("source" + std::string(text)).c_str());
  refuse([&] { net.connect_sparse(input, h, {0, 0, 0}, {}, std::vector<double>()); },
         "source is input z of size 2, which belongs to another network, expected a group of this "
         "one, whose input 0 is x of size 2");
  CHECK_THROWS_AS(net.source_size(theirs), InvalidArgument);
  Network<double> larger;
  larger.add_population("g", 4, {});
  refuse([&] { larger.connect_dense(theirs, theirs, 1.0); },
         "source is population g of size 3, which belongs to another network, expected a group of "
         "this one, whose population 0 is g of size 4");
  CHECK(net.projections().empty());
  CHECK(larger.projections().empty());
  // A copy has the same groups; an index alone is that of whatever network it is given to.
  Network<double> copy = net;
  CHECK(copy.connect_dense(x, h, 1.0) == 0);
  CHECK(net.connect_dense({Source::Kind::input, 0}, {Source::Kind::population, 0}, 1.0) == 0);
}

TEST_CASE("delays say what they belong to, whatever their number") {
  using D = Delay<double>;
  Network<double> net;
  const auto x = net.add_input("x", 3);
  const auto h = net.add_population("h", 3, {});
  const auto kind = [&](Id p) { return net.projections()[p].delay.per; };
  CHECK(kind(net.connect_dense(x, h, 1.0)) == DelayPer::projection);
  CHECK(kind(net.connect_dense(x, h, 1.0, {0.5})) == DelayPer::projection);
  CHECK(kind(net.connect_dense(x, h, 1.0, std::vector<double>(9, 0.5))) == DelayPer::synapse);
  const std::vector<double> three{0.5, 0.25, 1.0};
  const Id p = net.connect_dense(x, h, 1.0, D::per_source(three));
  CHECK(kind(p) == DelayPer::source);
  net.set_delay(p, D::per_target(three));
  CHECK(kind(p) == DelayPer::target);
  // One to one all three are the same.
  CHECK(kind(net.connect_one_to_one(x, h, 1.0, D::per_target(three))) == DelayPer::synapse);
  CHECK(kind(net.connect_sparse(x, h, {0, 1, 2, 3}, {2, 1, 0}, 1.0, D::per_source(three))) ==
        DelayPer::source);

  // To or from one unit kinds coincide: of the one that kernels are fastest at.
  const auto single = net.add_population("single", 1, {});
  CHECK(kind(net.connect_dense(x, single, 1.0, three)) == DelayPer::source);
  CHECK(kind(net.connect_dense(single, h, 1.0, three)) == DelayPer::target);
  CHECK(kind(net.connect_dense(single, h, 1.0, D::per_source(0.5))) == DelayPer::projection);
  CHECK(kind(net.connect_dense(x, single, 1.0, D::per_target(0.5))) == DelayPer::projection);
  CHECK(kind(net.connect_one_to_one(single, single, 1.0, D::per_source(0.5))) ==
        DelayPer::projection);

  D one(0.5);
  one.per = DelayPer::synapse;
  CHECK(kind(net.connect_dense(x, h, 1.0, one)) == DelayPer::projection);

  const auto bad = [&](D delay, const char* text) {
    CHECK_THROWS_WITH_AS(net.set_delay(p, delay), text, InvalidArgument);
    CHECK(kind(p) == DelayPer::target);
  };
  bad(three, "x_to_h.delay has 3 values, expected 1 or 9 (one synapse)");
  bad({}, "x_to_h.delay has 0 values, expected 1 (one for the projection)");
  bad(D::per_source({1.0, 2.0}), "x_to_h.delay has 2 values, expected 3 (one source unit)");
  bad(D::per_target(1.0), "x_to_h.delay has 1 values, expected 3 (one target neuron)");
  bad(D::per_source({0.0, 1.0, -1.0}), "x_to_h.delay[2] is -1, expected a finite time >= 0");
  bad(D::per_target({0.0, INFINITY, 1.0}), "x_to_h.delay[1] is inf, expected a finite time >= 0");
  D unknown = three;
  unknown.per = DelayPer(7);
  bad(unknown,
      "the kind of x_to_h.delay is 7, expected one for the projection, a source unit, a target "
      "neuron, a synapse or a weight");
  CHECK_THROWS_AS(net.set_delay(99, D::per_source(three)), InvalidArgument);
}

TEST_CASE("the structure is made once, and anew after something was added") {
  Network<double> net;
  Lif<double> lif;
  const auto x = net.add_input("x", 2);
  const auto h = net.add_population("h", 3, lif);
  const Id weights = net.connect_dense(x, h, {1.0}, 0.5);
  const Network<double> before = net;  // as a call takes it that others may change the network in
  const auto graph = before.graph();
  CHECK(net.graph() == graph);
  net.set_weight(weights, {2.0});
  net.set_delay(weights, Delay<double>::per_source({0.5, 1.0}));
  net.set_parameter(0, NeuronParameter::bias, {0.1});
  CHECK(net.graph() == graph);
  Network<double> copy = net;
  CHECK(copy.graph() == graph);
  // Every run shares it.
  SimulateOptions<double> options;
  options.until = 1;
  CHECK(simulate(net, {single_sample<double>({})}, options).plan->graph == graph);

  const auto y = copy.add_population("y", 1, lif);
  CHECK(net.graph() == graph);
  CHECK(copy.graph()->population_names == std::vector<std::string>{"h", "y"});
  copy.connect_dense(h, y, {1.0});
  CHECK(copy.graph()->projections.size() == 2);
  copy.add_input("z", 4);
  CHECK(copy.graph()->n_inputs == 6);
  CHECK(copy.graph()->projections[1].source_first == 6);
}
