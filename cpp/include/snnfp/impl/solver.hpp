#pragma once
// Which solver suits a component of the graph: a question to its own projections and to those that
// reach it, and to no others. The same for every instruction set and number of threads.

#include <algorithm>
#include <limits>
#include <vector>

#include "snnfp/detail/plan.hpp"
#include "snnfp/execution.hpp"

namespace snnfp::detail {

template <class Real>
Real shortest_delay(const ProjectionPlan<Real>& in) {
  return in.delay_per == DelayPer::synapse ? *std::min_element(in.delay, in.delay + in.synapses())
                                           : in.shortest_delay;
}

// How long windows of a loop are: its shortest delay. Infinite where nothing feeds back.
template <class Real>
Real shortest_loop_delay(const Plan<Real>& plan, Size component) {
  Real shortest = std::numeric_limits<Real>::infinity();
  for (const Id* p = plan.component_begin(component); p != plan.component_end(component); ++p)
    for (const Id q : plan.into_population[*p])
      if (const ProjectionPlan<Real>& in = plan.projections[q];
          in.within_component && in.synapses() > 0)
        shortest = std::min(shortest, shortest_delay(in));
  return shortest;
}

// Deliveries in a sample through a projection from outside; other populations are taken to fire
// once.
template <class Real>
double sent_by(const ProjectionPlan<Real>& in, const std::vector<double>& input_spikes) {
  const double spikes = in.from_input >= 0 ? input_spikes[in.from_input] : double(in.n_source);
  return spikes * double(in.synapses()) / in.n_source;
}

// Arrivals at a neuron within one window, on average, of what a component receives from outside;
// `loops`: and of what its neurons send each other if all fire once.
template <class Real>
double arrivals_in_window(const Plan<Real>& plan, Size component, Real window,
                          const std::vector<double>& input_spikes, double until, bool loops) {
  double neurons = 0, deliveries = 0;
  for (const Id* p = plan.component_begin(component); p != plan.component_end(component); ++p) {
    neurons += plan.population_offsets[*p + 1] - plan.population_offsets[*p];
    for (const Id q : plan.into_population[*p]) {
      const ProjectionPlan<Real>& in = plan.projections[q];
      if (loops || !in.within_component) deliveries += sent_by(in, input_spikes);
    }
  }
  return deliveries * double(window) / (until * neurons);
}

// How short a window may become, of the longest one.
template <class Real>
inline constexpr Real shortest_step = Real(0x1p-6);

// Whether there is a last window, and time goes on in each.
template <class Real>
bool windows_end(Real window, double until) {
  return until < std::numeric_limits<double>::infinity() &&
         Real(until) + window * shortest_step<Real> > Real(until);
}

// Whether all that a component receives are rows that reach every neuron of a population at once.
template <class Real>
bool receives_rows_alone(const Plan<Real>& plan, Size component) {
  for (const Id* p = plan.component_begin(component); p != plan.component_end(component); ++p)
    for (const Id q : plan.into_population[*p])
      if (const ProjectionPlan<Real>& in = plan.projections[q];
          in.connectivity != Connectivity::dense || !in.arrives_at_once())
        return false;
  return true;
}

// Whether some neuron comes out of a refractory time before the end.
template <class Real>
bool some_released(const Plan<Real>& plan, Size component, double until) {
  const std::vector<Real>& refractory = plan.neurons.t_refractory;
  for (const Id* p = plan.component_begin(component); p != plan.component_end(component); ++p)
    for (Id j = plan.population_offsets[*p]; j < plan.population_offsets[*p + 1]; ++j)
      if (refractory[j] > Real(0) && double(refractory[j]) < until) return true;
  return false;
}

template <class Real>
Solver choose_solver(const Plan<Real>& plan, Size component,
                     const std::vector<double>& input_spikes, double until) {
  bool feeds_back = false, rows = true, one_delay = true;
  double singles = 0;
  for (const Id* p = plan.component_begin(component); p != plan.component_end(component); ++p)
    for (const Id q : plan.into_population[*p]) {
      const ProjectionPlan<Real>& in = plan.projections[q];
      feeds_back |= in.within_component;
      one_delay &= in.arrives_at_once();
      rows &= in.connectivity == Connectivity::dense && in.arrives_at_once();
      if (in.connectivity != Connectivity::dense) singles += sent_by(in, input_spikes);
    }
  // Packs of a layer go slowly while a lane is held, those of windows do not: 1.1 to 2.4 times as
  // fast where there are enough arrivals.
  if (!feeds_back && rows && until < std::numeric_limits<double>::infinity() &&
      some_released(plan, component, until) &&
      arrivals_in_window(plan, component, Real(until), input_spikes, until, false) > 128)
    return Solver::windows;
  // A layer keeps all single arrivals of a sample; windows take them in portions. It keeps no rows
  // of blocks.
  if (plan.hears_blocks[component]) return Solver::layer;
  if (!feeds_back && (singles < 1e6 || !one_delay)) return Solver::layer;
  if (!feeds_back) return Solver::windows;
  const Real window = shortest_loop_delay(plan, component);
  const bool has_windows = window > Real(0) && windows_end(window, until);
  const auto arrivals = [&](bool loops) {
    return arrivals_in_window(plan, component, window, input_spikes, until, loops);
  };
  // Where windows are short the others are faster, measured. In the last case each neuron is to
  // hear something once more than all that comes from outside.
  if (rows) return has_windows && arrivals(false) > 2 ? Solver::windows : Solver::loop;
  const double fewest = one_delay ? 1.0 / 16 - double(window) / until : 0.3;
  return has_windows && arrivals(!one_delay) > fewest ? Solver::windows : Solver::queue;
}

}  // namespace snnfp::detail
