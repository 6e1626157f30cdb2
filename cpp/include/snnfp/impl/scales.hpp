#pragma once
// Numbers too large or too small to calculate with, and times too coarse: refused by name. A
// neuron's own scales are its faster rate, its capacitance and the slope of a V that reaches the
// threshold at that rate. Within these limits products of all three are ordinary numbers, and so
// are spike times and gradients: MATH.md E15.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/plan.hpp"
#include "snnfp/error.hpp"
#include "snnfp/impl/network.hpp"
#include "snnfp/record.hpp"

namespace snnfp::detail {

// The slope that brings V from 0 to the threshold (from the reset voltage, where that is further
// away) within the shorter time constant.
template <class Real>
Real own_slope(const NeuronConstants<Real>& c, Id j) {
  const Real fast = std::max(c.alpha[j], c.beta[j]);
  return std::max(std::abs(c.threshold[j]), std::abs(c.v_reset[j])) * (fast > Real(0) ? fast : 1);
}

// The largest current, or weight, of a neuron: in proportion to its threshold, and so that V'' and
// derivatives by times do not overflow.
template <class Real>
Real largest_current(const NeuronConstants<Real>& c, Id j) {
  using L = Limits<Real>;
  const Real fast = std::max({c.alpha[j], c.beta[j], Real(1)});
  const Real most = L::current / fast * std::min(Real(1), 1 / c.inv_c[j]);
  return std::min(most, L::ratio * own_slope(c, j) / c.inv_c[j]);
}

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
        invalid(projection.name, ".weight[", k, "] is ", p.weight[k], ", expected at most ", most,
                " in size: more is out of proportion to the threshold ", plan.neurons.threshold[j],
                ", the time constants and the capacitance of neuron ", j - p.target_first,
                " of population ", plan.population_names[p.target_population]);
    }
}

// Names the parameter that takes a neuron furthest out of range.
template <class Real>
[[noreturn]] void refuse_scales(const Plan<Real>& plan, Id j, int rate, int slope, int capacity) {
  const NeuronConstants<Real>& c = plan.neurons;
  const Real tau = 1 / std::max(c.alpha[j], c.beta[j]), capacitance = 1 / c.inv_c[j];
  const bool by_reset = std::abs(c.v_reset[j]) > std::abs(c.threshold[j]);
  const Real voltage = by_reset ? c.v_reset[j] : c.threshold[j];
  const auto fail = [&](const char* parameter, Real value, const char* unit) {
    invalid(name_of(plan, j, parameter), " is ", value, ": the shorter time constant ", tau,
            ", the voltage ", voltage, " over it and the capacitance ", capacitance,
            " are together ", (rate + slope + capacity) * 3 / 10,
            " orders of magnitude away from 1, expected at most ", Limits<Real>::powers * 3 / 10,
            "; choose another unit of ", unit);
  };
  if (rate >= std::max(slope, capacity))
    fail(c.alpha[j] > c.beta[j] ? "tau_syn" : "tau_mem", tau, "time");
  if (slope >= capacity) fail(by_reset ? "v_reset" : "threshold", voltage, "voltage");
  fail("capacitance", capacitance, "charge");
  throw InvalidArgument("");  // not reached
}

template <class Real>
void check_scales(const Network<Real>& network, const Plan<Real>& plan) {
  using L = Limits<Real>;
  const NeuronConstants<Real>& c = plan.neurons;
  std::vector<Real> most(network.populations().size(), std::numeric_limits<Real>::infinity());
  const auto power = [](Real x) {
    return x > Real(0) && std::isfinite(x) ? std::abs(std::ilogb(x)) : 9999;
  };
  const auto check = [&](Id j, Real& m) {
    const Real fast = std::max(c.alpha[j], c.beta[j]), slope = own_slope(c, j);
    const int rate = fast > Real(0) ? power(fast) : 0;
    if (rate + power(slope) + power(c.inv_c[j]) > L::powers)
      refuse_scales(plan, j, rate, power(slope), power(c.inv_c[j]));
    if (!(std::abs(c.drive[j]) <= L::ratio * slope))
      invalid(name_of(plan, j, "bias"), " is ", c.drive[j] / c.inv_c[j], ", expected at most ",
              L::ratio * slope / c.inv_c[j],
              " in size: more is out of proportion to the threshold");
    m = std::min(m, largest_current(c, j));
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
    const Real fast = std::max(plan.neurons.alpha[j], plan.neurons.beta[j]);
    const Real most =
        current ? largest_current(plan.neurons, j)
                : Limits<Real>::ratio * own_slope(plan.neurons, j) / (fast > Real(0) ? fast : 1);
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
  for (Id j = 0; j < n; ++j) fastest = std::max({fastest, c.alpha[j], c.beta[j]});
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
      if (step * std::max(c.alpha[j], c.beta[j]) > Real(1)) throw_clock(*record.plan, s, j, t);
    }
}

}  // namespace snnfp::detail
