#pragma once
// A network made ready to run: flat per-neuron constants and, for each source, its projections.
// Built once a simulation, read by every inner loop through plain pointers.

#include <string>
#include <vector>

#include "snnfp/model/constants.hpp"
#include "snnfp/network.hpp"

namespace snnfp::detail {

template <class Real>
struct ProjectionPlan {
  Id index;
  Connectivity connectivity;
  DelayPer delay_per;             // one to one: the projection or a synapse
  bool within_component = false;  // joins populations of one strongly connected component
  Id from_input;                  // input group, or -1
  Id from_population;             // population, or -1
  Id source_first;                // sender number of the first source unit (see Plan)
  Id n_source;
  Id target_first;  // neuron number of the first target
  Id n_target;
  Id target_population;
  const Size* row_offsets;
  const Id* targets;
  const Real* weight;
  const Real* delay;
  Real shortest_delay, longest_delay;     // not of delays a synapse
  bool targets_ascend = false;            // sparse: within each row
  std::vector<unsigned char> silent_row;  // dense: 1 where every weight of the source unit is 0
  bool some_zero = false;  // dense, delays a target: a weight of a row that is not silent

  Size row_begin(Id unit) const {
    switch (connectivity) {
      case Connectivity::dense: return Size(unit) * n_target;
      case Connectivity::one_to_one: return unit;
      default: return row_offsets[unit];
    }
  }
  Size row_end(Id unit) const {
    switch (connectivity) {
      case Connectivity::dense: return Size(unit + 1) * n_target;
      case Connectivity::one_to_one: return unit + 1;
      default: return row_offsets[unit + 1];
    }
  }
  // Neuron number that synapse k of this unit reaches.
  Id target_of(Id unit, Size k) const {
    switch (connectivity) {
      case Connectivity::dense: return target_first + Id(k - Size(unit) * n_target);
      case Connectivity::one_to_one: return target_first + unit;
      default: return target_first + targets[k];
    }
  }

  // All code has delays from here. Whether what a unit sends arrives at all its targets at once,
  // and how much later.
  bool arrives_at_once() const {
    return delay_per == DelayPer::projection || delay_per == DelayPer::source;
  }
  Real row_delay(Id unit) const { return delay[delay_per == DelayPer::source ? unit : 0]; }
  // Which of the projection's delays synapse k of this unit has.
  Size delay_index(Id unit, Size k) const {
    switch (delay_per) {
      case DelayPer::projection: return 0;
      case DelayPer::source: return unit;
      case DelayPer::target: return target_of(unit, k) - target_first;
      default: return k;
    }
  }
  Real delay_of(Id unit, Size k) const { return delay[delay_index(unit, k)]; }
  // Those of a row from its first synapse on (delays a target: from the first target), where they
  // differ.
  const Real* row_delays(Id unit) const {
    return delay_per == DelayPer::target ? delay : delay + row_begin(unit);
  }

  Size synapses() const { return row_end(n_source - 1); }
};

// Populations, projections and the order in which they are gone through. Senders are numbered input
// units first, then neurons: sender = n_inputs + neuron.
template <class Real>
struct PlanGraph {
  Id n_inputs = 0;
  Id n_neurons = 0;
  std::vector<Id> input_offsets;       // [groups + 1]
  std::vector<Id> population_offsets;  // [populations + 1]
  std::vector<Id> population_of;       // [neurons]
  std::vector<std::string> population_names;
  std::vector<ProjectionPlan<Real>> projections;
  std::vector<std::vector<Id>> from_input;       // projections leaving each input group
  std::vector<std::vector<Id>> from_population;  // projections leaving each population
  std::vector<std::vector<Id>> into_population;  // projections reaching each population
  // Populations in an order in which every group of mutually connected ones comes after all that
  // feed it; group g is components[component_offsets[g] .. component_offsets[g + 1]).
  std::vector<Id> components;
  std::vector<Id> component_offsets;

  Size n_components() const { return static_cast<Size>(component_offsets.size()) - 1; }
  const Id* component_begin(Size g) const {
    return components.data() + component_offsets.data()[g];
  }
  const Id* component_end(Size g) const { return component_begin(g + 1); }
};

// A graph and the constants of its neurons, those of one model.
template <class Real, class Constants>
struct ModelPlan : PlanGraph<Real> {
  Constants neurons;
};
template <class Real>
struct Plan : ModelPlan<Real, NeuronConstants<Real>> {};

// Neurons of the populations `first_spikes_of` spike at most once.
template <class Real>
Plan<Real> make_plan(const Network<Real>& network, const std::vector<Id>& first_spikes_of = {});

extern template Plan<float> make_plan(const Network<float>&, const std::vector<Id>&);
extern template Plan<double> make_plan(const Network<double>&, const std::vector<Id>&);

}  // namespace snnfp::detail
