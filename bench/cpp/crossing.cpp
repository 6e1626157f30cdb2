// How many threshold crossings a second does the solver find, one at a time?
#include <cmath>
#include <random>

#include "machine.hpp"
#include "snnfp/model/crossing.hpp"

namespace {

using namespace snnfp;

// States that cross, of a neuron with tau_mem = ratio * tau_syn; `near`: just above tangency.
void crossing(benchmark::State& state, double ratio, bool near) {
  if (!bench::runs_header_code()) return state.SkipWithError("needs AVX2");
  Network<double> net;
  Lif<double> lif;
  lif.tau_mem = ratio;
  net.add_population("a", 1, lif);
  const auto plan = detail::make_plan(net);
  const double alpha = 1, beta = 1 / ratio, kappa_max = plan.neurons.kappa_max[0];
  std::mt19937 random(1);
  std::uniform_real_distribution<double> draw(0, 1);
  const auto voltage = [&](const detail::Membrane<double>& s, double d) {
    const double kappa = alpha == beta
                             ? d * std::exp(-d)
                             : (std::exp(-beta * d) - std::exp(-alpha * d)) / (alpha - beta);
    return s.v * std::exp(-beta * d) + s.i * kappa;
  };
  std::vector<detail::Membrane<double>> states;
  while (states.size() < 1024) {
    const detail::Membrane<double> s{near ? 0.0 : 0.9 * draw(random),
                                     (near ? 1 + 1e-6 : 2 * draw(random)) / kappa_max};
    bool crosses = near;
    for (double d = 0; d < 5 && !crosses; d += 0.05) crosses = voltage(s, d) > 1;
    if (crosses) states.push_back(s);
  }
  double sum = 0;
  for (auto _ : state) {
    for (const auto& s : states) sum += detail::crossing_time(plan.neurons, 0, s, 0.0);
    benchmark::DoNotOptimize(sum);
  }
  for (const auto& s : states) {
    const double d = detail::crossing_time(plan.neurons, 0, s, 0.0);
    if (!(std::abs(voltage(s, d) - 1) < 1e-13))
      return state.SkipWithError("V is not at the threshold");
  }
  bench::rate(state, "crossings", double(states.size()));
}

BENCHMARK_CAPTURE(crossing, equal, 1.0, false);
BENCHMARK_CAPTURE(crossing, two, 2.0, false);
BENCHMARK_CAPTURE(crossing, four, 4.0, false);
BENCHMARK_CAPTURE(crossing, four_near_tangency, 4.0, true);

}  // namespace
