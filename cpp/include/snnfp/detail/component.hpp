#pragma once
// One component of the graph in one sample, or the whole network as one: what its solver reads and
// fills.

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/sample_end.hpp"
#include "snnfp/detail/spike_list.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

// The spikes that one projection takes from its source.
template <class Real>
struct SentSpikes {
  const ProjectionPlan<Real>* projection;
  const InputSpikes<Real>* input;  // or
  const SpikeList<Real>* spikes;
  Id first;  // neuron of the sending population
  Size count;

  Real time(Size k) const { return input ? input->times[k] : (*spikes)[k].time; }
  Id unit(Size k) const { return input ? input->units[k] : (*spikes)[k].neuron - first; }
  // A row of zeros changes nothing, not even rounding.
  bool silent(Size k) const {
    return !projection->silent_row.empty() && projection->silent_row.data()[unit(k)];
  }
};

template <class Real, class Model = LifModel>
struct ComponentSample {
  const PlanOf<Model, Real>& plan;
  const Id *begin, *end;  // its populations
  const SampleInput<Real>& input;
  // One list a population of the network, each in order. Those of populations before this component
  // hold their spikes; those of its own are empty until its solver has run.
  SpikeList<Real>* spikes;
  Real until;
  SampleEnd<Real>& sample_end;
  bool whole = false;  // the whole network: all its projections are inside

  bool inside(const ProjectionPlan<Real>& q) const {
    return whole ? q.from_population >= 0 : q.within_component;
  }
  // Calls visit(sent) for each projection that reaches the component from outside.
  template <class Visit>
  void each_sent(const Visit& visit) const {
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan.into_population.data()[*p]) {
        const ProjectionPlan<Real>& in = plan.projections.data()[q];
        if (inside(in)) continue;
        if (in.from_input >= 0) {
          const InputSpikes<Real>& group = input.groups[in.from_input];
          visit(SentSpikes<Real>{&in, &group, nullptr, 0, group.count});
        } else {
          const SpikeList<Real>& list = spikes[in.from_population];
          visit(SentSpikes<Real>{&in, nullptr, &list,
                                 plan.population_offsets.data()[in.from_population], list.size()});
        }
      }
  }
};

// All populations at once, for the queue.
template <class Real, class Model = LifModel>
struct WholeNetwork {
  SampleEnd<Real> sample_end;
  ComponentSample<Real, Model> sample;

  WholeNetwork(const PlanOf<Model, Real>& plan, const SampleInput<Real>& input,
               const RunLimits& limits)
      : sample_end(plan, limits),
        sample{plan,
               plan.components.data(),
               plan.components.data() + plan.components.size(),
               input,
               nullptr,
               static_cast<Real>(limits.until),
               sample_end,
               true} {
    if (sample_end.wanted()) sample_end.reset();
  }
  WholeNetwork(const WholeNetwork&) = delete;
};

SNNFP_ISA_END
