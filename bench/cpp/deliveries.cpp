// What does the delivery of a spike to one target cost in a sparse network, from 1e5 synapses to
// 1e7? Connections are random, so a target is rarely in a cache by itself.
#include <cmath>

#include "machine.hpp"
#include "networks.hpp"

namespace {

using namespace snnfp;

void deliveries(benchmark::State& state) {
  const Id n = Id(state.range(0));
  const Size synapses = state.range(1);
  auto c = bench::sparse<double>(n, synapses, 100);
  c.options.engine = Engine::queue;
  Record<double> record;
  for (auto _ : state) record = simulate(c.network, c.input, c.options);
  double delivered = 0;
  for (const double t : record.times)
    if (t + 1.5 <= 100) delivered += double(synapses);
  // Driven with its own spikes, every neuron is at its threshold at each of them.
  const RecordedSpikes<double> given{record.times, record.neurons, record.offsets};
  const auto again = record_from_spikes(c.network, c.input, given, 1e-9, c.options);
  if (record.spikes() < n || again.spikes() != record.spikes())
    return state.SkipWithError("too few spikes, or not at the threshold");
  bench::rate(state, "deliveries", delivered);
  state.counters["hertz"] = double(record.spikes()) / double(n) / 0.1;
  // An index, a weight, V, I and the time they are for.
  state.counters["bytes"] =
      benchmark::Counter(44 * delivered * double(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK(deliveries)
    ->Args({1000, 100})
    ->Args({4000, 500})
    ->Args({10000, 1000})
    ->Unit(benchmark::kMillisecond);

}  // namespace
