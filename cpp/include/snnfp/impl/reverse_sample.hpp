#pragma once
// One sample on its way through the reverse sweep: what is read, and where derivatives go.

#include <algorithm>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/lif.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

// Scratch memory that never shrinks.
template <class T>
inline void make_room(Vector<T>& v, Size n) {
  if (Size(v.size()) < n) v.resize(static_cast<std::size_t>(n));
}

template <class Real>
struct ReverseSample {
  const Plan<Real>& plan;
  const Columns& columns;

  const SampleInput<Real>* input = nullptr;
  SampleSpikes<Real> spikes;
  Real* gradient = nullptr;
  Real* const* input_times = nullptr;
  Real* voltage_adjoint = nullptr;  // takes lV just before each spike; null: not asked for
  const Real* known = nullptr;      // lV just before each spike, from an earlier run

  // The spikes once more, population by population and in time order within each: those of
  // population p are [first[p], first[p + 1]).
  Vector<Size> first;
  Vector<Size> spike;  // in the record's order
  Vector<Real> time;
  Vector<Id> unit;
  Vector<Real> mu;  // the adjoint of the spike time; without `known` only

  ReverseSample(const Plan<Real>& p, const Columns& c)
      : plan(p), columns(c), first(p.population_offsets.size()) {}

  void take(const SampleInput<Real>& in, const SampleSpikes<Real>& s, const Real* cotangents) {
    input = &in;
    spikes = s;
    make_room(spike, s.count);
    make_room(time, s.count);
    make_room(unit, s.count);
    make_room(mu, s.count);
    const Id* population_of = plan.population_of.data();
    const Id* offsets = plan.population_offsets.data();
    // first[p + 1]: the spikes of all populations up to p.
    std::fill(first.begin(), first.end(), Size(0));
    if (first.size() <= 8) {
      for (std::size_t p = 1; p < first.size(); ++p) {
        Size below = 0;
        for (Size k = 0; k < s.count; ++k) below += s.neurons[k] < offsets[p];
        first[p] = below;
      }
    } else {
      for (Size k = 0; k < s.count; ++k) ++first[population_of[s.neurons[k]] + 1];
      for (std::size_t p = 1; p < first.size(); ++p) first[p] += first[p - 1];
    }
    for (Size k = s.count; k-- > 0;) {
      const Id j = s.neurons[k], p = population_of[j];
      const Size m = --first[p + 1];
      spike[m] = k;
      time[m] = s.times[k];
      unit[m] = j - offsets[p];
      if (cotangents) mu[m] = cotangents[k];
    }
    // Each has come down to where its population begins.
    std::copy(first.begin() + 1, first.end(), first.begin());
    first.back() = s.count;
  }

  bool wants(Id population, NeuronParameter p) const {
    return columns.neuron[population * n_neuron_parameters + int(p)] >= 0;
  }
  void add(Id population, Id unit_, NeuronParameter p, Real value) {
    const Size at = population * n_neuron_parameters + int(p);
    if (columns.neuron[at] < 0) return;
    gradient[columns.neuron[at] + (columns.neuron_shared[at] ? 0 : unit_)] += value;
  }
  Real* weights(const ProjectionPlan<Real>& q) const {
    return columns.weight[q.index] >= 0 ? gradient + columns.weight[q.index] : nullptr;
  }
  // Whether anything depends on the times of what arrives through a projection.
  bool timed(const ProjectionPlan<Real>& q) const {
    return !known && (q.from_population >= 0 || columns.delay[q.index] >= 0 ||
                      input_times[q.from_input]);
  }
};

SNNFP_ISA_END
