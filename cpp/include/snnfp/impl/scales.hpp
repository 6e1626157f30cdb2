#pragma once
// Numbers too large or too small to calculate with, and times too coarse: refused by name. What a
// neuron can bear: model/scales.hpp. MATH.md E15.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/plan.hpp"
#include "snnfp/error.hpp"
#include "snnfp/impl/network.hpp"
#include "snnfp/record.hpp"

namespace snnfp::detail {

template <class Real>
std::string name_of(const Plan<Real>& plan, Id j, const char* parameter) {
  const Id p = plan.population_of[j];
  return plan.population_names[p] + "." + parameter + "[" +
         std::to_string(j - plan.population_offsets[p]) + "]";
}

template <class Real>
void check_weight_scale(const ProjectionPlan<Real>& p, const Projection<Real>& projection,
                        const Plan<Real>& plan) {
  for (Id unit = 0; unit < p.n_source; ++unit)
    for (Size k = p.row_begin(unit); k < p.row_end(unit); ++k) {
      const Id j = p.target_of(unit, k);
      const Real most = largest_current(plan.neurons, j);
      if (!(std::abs(p.weight[k]) <= most))
        invalid(projection.name, ".weight[",
                projection.weight_of.size() ? Size(projection.weight_of[k]) : k, "] is ",
                p.weight[k], ", expected at most ", most,
                " in size: more is out of proportion to the threshold ", plan.neurons.threshold[j],
                ", the time constants and the capacitance of neuron ", j - p.target_first,
                " of population ", plan.population_names[p.target_population]);
    }
}

template <class Real>
void check_scales(const Network<Real>& network, const Plan<Real>& plan) {
  std::vector<Real> most(network.populations().size(), std::numeric_limits<Real>::infinity());
  const auto check = [&](Id j, Real& m) {
    check_neuron_scale(plan.neurons, j, [&](const char* parameter, const auto&... what) {
      invalid(name_of(plan, j, parameter), " is ", what...);
    });
    m = std::min(m, largest_current(plan.neurons, j));
  };
  for (std::size_t p = 0; p < most.size(); ++p) {
    bool shared = true;
    for (int q = 0; q < n_neuron_parameters; ++q)
      shared &= network.populations()[p].parameters[NeuronParameter(q)].size() == 1;
    const Id first = plan.population_offsets[p], end = plan.population_offsets[p + 1];
    for (Id j = first; j < (shared ? first + 1 : end); ++j) check(j, most[p]);
  }
  for (const ProjectionPlan<Real>& p : plan.projections) {
    const Projection<Real>& q = network.projections()[p.index];
    if (q.largest_weight > most[p.target_population]) check_weight_scale(p, q, plan);
  }
}

template <class Real>
void check_initial_scale(const Network<Real>& network, const Plan<Real>& plan,
                         const Array<Real>& values, const std::string& name) {
  const bool current = name == "current";
  for (Size k = 0; k < values.size(); ++k) {
    const Id j = static_cast<Id>(k % plan.n_neurons);
    const Real most = current ? largest_current(plan.neurons, j) : largest_voltage(plan.neurons, j);
    if (std::abs(values[k]) <= most) continue;
    const Id p = plan.population_of[j];
    invalid("the initial ", name, " of neuron ", j - plan.population_offsets[p], " of population ",
            network.populations()[p].name, " is ", values[k], ", expected at most ", most,
            " in size");
  }
}

// Whether every spike's time resolves the time constants of its neuron. Crossings that a coarse
// clock hides are found in the simulators.
template <class Real>
void check_clock(const Record<Real>& record) {
  const NeuronConstants<Real>& c = record.plan->neurons;
  constexpr Real eps = std::numeric_limits<Real>::epsilon();
  const Id n = record.population_offsets.back();
  Real fastest = Real(0), latest = record.until;
  for (Id j = 0; j < n; ++j) fastest = std::max(fastest, c.fast_rate(j));
  if (!(latest < std::numeric_limits<Real>::infinity())) {
    // The last spike of each sample is its latest.
    latest = Real(0);
    for (Size s = 0; s < record.samples(); ++s)
      if (record.offsets[s + 1] > record.offsets[s])
        latest = std::max(latest, record.times[record.offsets[s + 1] - 1]);
  }
  if (!(latest * eps * fastest > Real(0.5))) return;
  for (Size s = 0; s < record.samples(); ++s)
    for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k) {
      const Real t = record.times[k];
      const Id j = record.neurons[k];
      const Real step = std::nextafter(t, std::numeric_limits<Real>::infinity()) - t;
      if (step * c.fast_rate(j) > Real(1)) throw_clock(*record.plan, s, j, t);
    }
}

}  // namespace snnfp::detail
