// How long does the adjoint take, beside the simulation it follows?
#include <chrono>
#include <cmath>

#include "machine.hpp"
#include "networks.hpp"

namespace {

using namespace snnfp;

template <class Real>
void run(benchmark::State& state, const bench::Case<Real>& c) {
  const auto record = simulate(c.network, c.input, c.options);
  const std::vector<Parameter> weights{{Parameter::Kind::weight, 0}, {Parameter::Kind::weight, 1}};
  std::mt19937 random(5);
  const auto cotangents = bench::normal<Real>(random, record.spikes(), 0, 1);
  std::vector<Real> gradient;
  // The two take turns.
  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> simulation{0}, reverse{0};
  for (auto _ : state) {
    const auto start = Clock::now();
    benchmark::DoNotOptimize(simulate(c.network, c.input, c.options));
    const auto middle = Clock::now();
    gradient = vjp<Real>(record, cotangents, weights, c.options);
    const auto end = Clock::now();
    simulation += middle - start;
    reverse += end - middle;
    state.SetIterationTime(std::chrono::duration<double>(end - middle).count());
  }
  const auto forward = forward_gradient<Real>(record, cotangents, weights, c.options);
  double size = 0, error = 0;
  for (std::size_t k = 0; k < forward.size(); ++k) {
    size = std::max(size, std::abs(double(forward[k])));
    error = std::max(error, std::abs(double(forward[k]) - double(gradient[k])));
  }
  if (!(error <= 1e5 * double(std::numeric_limits<Real>::epsilon()) * size))
    return state.SkipWithError("not the gradient of forward propagation");
  bench::rate(state, "spikes", double(record.spikes()));
  state.counters["over_simulation"] = reverse / simulation;
}

template <class Real>
void reverse_feed_forward(benchmark::State& state) {
  run(state, bench::feed_forward<Real>());
}
template <class Real>
void reverse_recurrent(benchmark::State& state) {
  run(state, bench::recurrent<Real>());
}

BENCHMARK(reverse_feed_forward<double>)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(reverse_feed_forward<float>)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(reverse_recurrent<double>)->Unit(benchmark::kMillisecond)->UseManualTime();
BENCHMARK(reverse_recurrent<float>)->Unit(benchmark::kMillisecond)->UseManualTime();

}  // namespace
