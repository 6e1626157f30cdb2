// At most n spikes a neuron: the first n of those without the limit where nothing feeds back, and
// the same in every simulator; derivatives are those of the spikes that are left.

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "mixed_network.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

// The same network whose neurons fire at most so many spikes.
Network<double> limited(const Network<double>& given, Size most) {
  Network<double> net;
  for (const InputGroup& g : given.inputs()) net.add_input(g.name, g.size);
  for (const auto& p : given.populations()) net.add_population(p.name, p.size, p.parameters, most);
  for (const auto& q : given.projections()) {
    Source source{q.source.kind, q.source.index};
    const Source target{Source::Kind::population, q.target};
    if (q.connectivity == Connectivity::dense)
      net.connect_dense(source, target, q.weight, q.delay, q.name);
    else if (q.connectivity == Connectivity::one_to_one)
      net.connect_one_to_one(source, target, q.weight, q.delay, q.name);
    else
      net.connect_sparse(source, target, q.row_offsets, q.targets, q.weight, q.delay, q.name);
  }
  return net;
}

Size most_of_a_neuron(const Record<double>& record) {
  Size most = 0;
  for (Size s = 0; s < record.samples(); ++s) {
    std::map<Id, Size> counts;
    for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k)
      most = std::max(most, ++counts[record.neurons[k]]);
  }
  return most;
}

}  // namespace

TEST_CASE("at most n spikes a neuron, the same in every simulator") {
  Size cut = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const MixedNetwork<double> made(seed);
    const auto& c = made.get();
    for (Size most = 1; most <= 3; ++most) {
      CAPTURE(seed);
      CAPTURE(most);
      const auto net = limited(c.network, most);
      auto options = c.options;
      Record<double> free, record;
      try {
        free = simulate(c.network, c.input, options);
      } catch (const EventLimitError&) {
        continue;
      }
      record = simulate(net, c.input, options);
      CHECK(most_of_a_neuron(record) <= most);
      cut += most_of_a_neuron(free) > most;
      if (most_of_a_neuron(free) <= most) CHECK(free.times == record.times);
      options.engine = Engine::queue;
      const auto queue = simulate(net, c.input, options);
      REQUIRE(queue.neurons == record.neurons);
      for (std::size_t k = 0; k < queue.times.size(); ++k)
        CHECK(record.times[k] == doctest::Approx(queue.times[k]).epsilon(1e-11));
    }
  }
  CHECK(cut > 60);
}

TEST_CASE("a limit below 1 is refused") {
  Network<double> net;
  CHECK_THROWS_WITH_AS(net.add_population("h", 1, {}, 0),
                       "max_spikes of population h is 0, expected at least 1", InvalidArgument);
  CHECK(net.populations().empty());
}
