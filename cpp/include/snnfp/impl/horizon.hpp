#pragma once
// Up to when samples are followed, and whether that is ever reached.

#include <algorithm>
#include <cmath>
#include <vector>

#include "snnfp/impl/shared_weights.hpp"
#include "snnfp/model/constants.hpp"
#include "snnfp/network.hpp"

namespace snnfp::detail {

// Where V goes by itself.
template <class Real>
Real rest_of(const Lif<Real>& q, Id k) {
  const Real bias = q.bias.at_or_shared(k);
  return bias == Real(0) ? Real(0)
                         : bias * q.tau_mem.at_or_shared(k) / q.capacitance.at_or_shared(k);
}

// Whether nothing but a hold stops a neuron from firing.
template <class Real>
bool may_fire_for_ever(const Lif<Real>& q, Id k) {
  return rest_of(q, k) > q.threshold.at_or_shared(k) || std::isinf(q.tau_syn.at_or_shared(k));
}

// Whether a neuron fires a limited number of spikes, and is held then.
template <class Real>
bool held_for_good(const Network<Real>& network, Size population, Id k,
                   const std::vector<Id>& first_spikes_of) {
  const Population<Real>& p = network.populations()[population];
  return p.max_spikes < any_number || p.parameters.t_refractory.at_or_shared(k) >= forever<Real> ||
         std::count(first_spikes_of.begin(), first_spikes_of.end(), population) > 0;
}

// Up to when samples are followed: a neuron that would fire for ever is held up to forever<Real>.
template <class Real>
Real horizon(const Network<Real>& network, Real until, const std::vector<Id>& first_spikes_of) {
  if (until < forever<Real>) return until;
  const auto& populations = network.populations();
  for (std::size_t p = 0; p < populations.size(); ++p)
    for (Id k = 0; k < populations[p].size; ++k)
      if (may_fire_for_ever(populations[p].parameters, k) &&
          held_for_good(network, p, k, first_spikes_of))
        return std::nextafter(forever<Real>, Real(0));
  return until;
}

// Without an end what fires by itself must stop by itself.
template <class Real>
void check_until(const Network<Real>& network, Real until, const std::vector<Id>& first_spikes_of) {
  if (std::isnan(until) || until < Real(0)) invalid("until is ", until, ", expected a time >= 0");
  if (std::isfinite(until)) return;
  const auto& populations = network.populations();
  for (std::size_t p = 0; p < populations.size(); ++p)
    for (Id k = 0; k < populations[p].size; ++k) {
      const Lif<Real>& q = populations[p].parameters;
      if (!may_fire_for_ever(q, k) || held_for_good(network, p, k, first_spikes_of)) continue;
      const Real end = rest_of(q, k), threshold = q.threshold.at_or_shared(k);
      if (end > threshold)
        invalid(
            "until is not given, but neuron ", k, " of population ", populations[p].name,
            " fires for ever: ",
            end == Real(0) ? "V, which is measured from rest, goes to " : "its bias drives V to ",
            end, ", above threshold ", threshold, " (max_spikes would end that)");
      invalid("until is not given, but neuron ", k, " of population ", populations[p].name,
              " has tau_syn = inf: its current never ends, and it may fire for ever");
    }
}

}  // namespace snnfp::detail
