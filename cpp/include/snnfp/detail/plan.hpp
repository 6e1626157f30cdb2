#pragma once
// A network made ready to run: its graph, and the values of a call: flat per-neuron constants,
// weights, delays. Read by every inner loop through plain pointers.

#include <memory>
#include <utility>
#include <vector>

#include "snnfp/detail/graph.hpp"
#include "snnfp/model/constants.hpp"

namespace snnfp::detail {

template <class Real>
struct ProjectionPlan : ProjectionGraph {
  DelayPer delay_per;  // one to one: the projection or a synapse
  const Size* row_offsets;
  const Id* targets;
  const Real* weight;
  const Real* delay;
  Real shortest_delay, longest_delay;     // not of delays a synapse
  bool targets_ascend = false;            // sparse: within each row
  std::vector<unsigned char> silent_row;  // dense: 1 where every weight of the source unit is 0
  bool some_zero = false;  // dense, delays a target: a weight of a row that is not silent
  // [rows of blocks, size] From outside a loop, where rows arrive at once and no weight is 0; else
  // empty.
  std::vector<Real> block_weight;

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

// A graph and the values of its projections. The other members are the graph's.
template <class Real>
struct PlanGraph {
  std::shared_ptr<const Graph> graph;
  std::vector<ProjectionPlan<Real>> projections;
  const Id &n_inputs, &n_neurons;
  const std::vector<Id>&input_offsets, &population_offsets, &population_of;
  const std::vector<std::string>& population_names;
  const std::vector<std::vector<Id>>&from_input, &from_population, &into_population;
  const std::vector<Id>&components, &component_offsets;

  explicit PlanGraph(std::shared_ptr<const Graph> of = std::make_shared<Graph>())
      : graph(std::move(of)),
        n_inputs(graph->n_inputs),
        n_neurons(graph->n_neurons),
        input_offsets(graph->input_offsets),
        population_offsets(graph->population_offsets),
        population_of(graph->population_of),
        population_names(graph->population_names),
        from_input(graph->from_input),
        from_population(graph->from_population),
        into_population(graph->into_population),
        components(graph->components),
        component_offsets(graph->component_offsets) {}

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
  std::vector<Size> max_spikes;  // of each neuron in a sample; empty: none has a limit

  // The time that neuron j is held after this spike of its (1: the first). After the last that it
  // may fire it is held for ever. Derivatives need not know: nothing after a neuron's last spike
  // has a part in them.
  Real refractory(Id j, Size spike) const {
    const bool last = !max_spikes.empty() && spike >= max_spikes.data()[j];
    return last ? forever<Real> : neurons.t_refractory.data()[j];
  }

  ModelPlan() = default;
  explicit ModelPlan(const PlanGraph<Real>& graph) : PlanGraph<Real>(graph) {}
};
template <class Real>
struct Plan : ModelPlan<Real, NeuronConstants<Real>> {
  // Components: 1 where it is one population of equal neurons that hears nothing but the blocks of
  // one projection from outside.
  std::vector<unsigned char> hears_blocks;

  using ModelPlan<Real, NeuronConstants<Real>>::ModelPlan;
};

// Neurons of the populations `first_spikes_of` spike at most once.
template <class Real>
Plan<Real> make_plan(const Network<Real>& network, const std::vector<Id>& first_spikes_of = {});

extern template Plan<float> make_plan(const Network<float>&, const std::vector<Id>&);
extern template Plan<double> make_plan(const Network<double>&, const std::vector<Id>&);

}  // namespace snnfp::detail
