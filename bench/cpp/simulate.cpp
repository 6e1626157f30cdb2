// How long does a simulation take: a batch of a feed-forward network, a second of a recurrent one?
#include "machine.hpp"
#include "networks.hpp"

namespace {

using namespace snnfp;

template <class Real>
void run(benchmark::State& state, bench::Case<Real> c, Engine engine) {
  c.options.engine = engine;
  Record<Real> record;
  for (auto _ : state) record = simulate(c.network, c.input, c.options);
  auto other = c.options;
  other.engine = Engine::queue;
  other.isa = Isa::portable;
  const auto expected = simulate(c.network, c.input, other);
  if (record.spikes() < 100 || record.times != expected.times || record.neurons != expected.neurons)
    return state.SkipWithError("not the spikes that the portable queue gives");
  bench::rate(state, "spikes", double(record.spikes()));
  const auto& populations = c.network.populations();
  double first = 0;
  for (const Id j : record.neurons) first += j < populations[0].size;
  state.counters["first_population_a_sample"] = first / double(record.samples());
  state.counters["spikes_a_sample"] = double(record.spikes()) / double(record.samples());
}

template <class Real, Engine engine>
void feed_forward(benchmark::State& state) {
  run(state, bench::feed_forward<Real>(), engine);
}
template <class Real, Engine engine>
void recurrent(benchmark::State& state) {
  run(state, bench::recurrent<Real>(), engine);
}

#define SNNFP_SIMULATE_BENCHMARKS(name)                                               \
  BENCHMARK_TEMPLATE(name, double, Engine::automatic)->Unit(benchmark::kMillisecond); \
  BENCHMARK_TEMPLATE(name, double, Engine::queue)->Unit(benchmark::kMillisecond);     \
  BENCHMARK_TEMPLATE(name, float, Engine::automatic)->Unit(benchmark::kMillisecond)
SNNFP_SIMULATE_BENCHMARKS(feed_forward);
SNNFP_SIMULATE_BENCHMARKS(recurrent);

}  // namespace
