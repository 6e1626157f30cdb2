// What does the delivery of a spike to one target cost in a sparse network, from 1e4 synapses to
// 1e8, and how much memory does it take? Connections are random, so a target is rarely in a cache
// by itself.
#include <sys/resource.h>

#include <cmath>

#include "machine.hpp"
#include "networks.hpp"

namespace {

using namespace snnfp;

// neurons, synapses of each, ms, whether the targets of a neuron ascend
void deliveries(benchmark::State& state, Engine engine) {
  const Id n = Id(state.range(0));
  const Size synapses = state.range(1);
  const double until = double(state.range(2));
  auto c = bench::sparse<double>(n, synapses, until, state.range(3) != 0);
  c.options.engine = engine;
  Record<double> record;
  for (auto _ : state) record = simulate(c.network, c.input, c.options);
  double delivered = 0;
  for (const double t : record.times)
    if (t + 1.5 <= until) delivered += double(synapses);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  // Driven with its own spikes, every neuron is at its threshold at each of them.
  const RecordedSpikes<double> given{record.times, record.neurons, record.offsets};
  const auto again = record_from_spikes(c.network, c.input, given, 1e-9, c.options);
  if (record.spikes() < n / 10 || again.spikes() != record.spikes())
    return state.SkipWithError("too few spikes, or not at the threshold");
  bench::rate(state, "deliveries", delivered);
  state.counters["hertz"] = double(record.spikes()) / double(n) / until * 1e3;
  const auto& p = c.network.projections().back();
  state.counters["bytes_a_synapse"] =
      double(p.targets.size() * Size(sizeof(Id)) + p.weight.size() * Size(sizeof(double)) +
             p.row_offsets.size() * Size(sizeof(Size))) /
      double(p.targets.size());
  state.counters["peak_MiB"] = double(usage.ru_maxrss) / 1024;  // of the process, up to here
}

// About 50 ms to 1 s of work each.
BENCHMARK_CAPTURE(deliveries, chosen, Engine::automatic)
    ->Args({100, 100, 20000, 1})
    ->Args({1000, 100, 2000, 1})
    ->Args({1000, 1000, 500, 1})
    ->Args({10000, 1000, 100, 1})
    ->Args({100000, 1000, 20, 1})
    ->Args({1000, 1000, 500, 0})
    ->Args({10000, 1000, 100, 0})
    ->Args({100000, 1000, 20, 0})
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(deliveries, queue, Engine::queue)
    ->Args({1000, 1000, 100, 0})
    ->Args({10000, 1000, 20, 0})
    ->Unit(benchmark::kMillisecond);

}  // namespace
