#pragma once
// One sample on its way through the adjoint: what is read, and where derivatives go.

#include <algorithm>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

// Scratch memory that never shrinks. Its values are lost where it grows.
template <class T>
using Scratch = UnsetVector<T>;
template <class T>
inline void make_room(Scratch<T>& v, Size n) {
  if (Size(v.size()) >= n) return;
  v.clear();
  v.resize(static_cast<std::size_t>(n));
}

alignas(64) inline constexpr Id lane_numbers[] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                  8, 9, 10, 11, 12, 13, 14, 15};

template <class Real, class Model = LifModel>
struct ReverseSample {
  const PlanOf<Model, Real>& plan;
  const Columns& columns;

  const SampleInput<Real>* input = nullptr;
  SampleSpikes<Real> spikes;
  Real* gradient = nullptr;
  Real* const* input_times = nullptr;  // one a group, null where not asked for; null: none is

  // The spikes once more, population by population and in time order within each: those of
  // population p are [first[p], first[p + 1]). Arrays have room for a pack behind the last.
  Vector<Size> first;
  Scratch<Id> spike;  // in the record's order
  Scratch<Real> time, slope;
  Scratch<Id> unit;
  // The adjoint of the spike time, as far as what the spike caused has been gone through; from the
  // turn of its component on lV just before the spike, if that is to be kept.
  Scratch<Real> mu;

  ReverseSample(const PlanOf<Model, Real>& p, const Columns& c)
      : plan(p), columns(c), first(p.population_offsets.size()) {}

  void take(const SampleInput<Real>& in, const SampleSpikes<Real>& s, const Real* adjoints) {
    input = &in;
    spikes = s;
    const Size room = s.count + lane_width<Real>;
    for (Scratch<Id>* v : {&spike, &unit}) make_room(*v, room);
    for (Scratch<Real>* v : {&time, &slope, &mu}) make_room(*v, room);
    const Id* offsets = plan.population_offsets.data();
    const Id populations = static_cast<Id>(first.size()) - 1;
    first[0] = 0;
    if (populations <= 8) {
      for (Id p = 0; p < populations; ++p)
        first[p + 1] = first[p] + take(adjoints, offsets[p], offsets[p + 1], first[p]);
      return;
    }
    const Id* population_of = plan.population_of.data();
    std::fill(first.begin(), first.end(), Size(0));
    for (Size k = 0; k < s.count; ++k) ++first[population_of[s.neurons[k]] + 1];
    for (Id p = 0; p < populations; ++p) first[p + 1] += first[p];
    for (Size k = s.count; k-- > 0;) {
      const Id p = population_of[s.neurons[k]];
      put(--first[p + 1], k, s.neurons[k] - offsets[p], adjoints);
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
  // Null: not asked for.
  Real* weights(const ProjectionPlan<Real>& q) const {
    return columns.weight[q.index] >= 0 ? gradient + columns.weight[q.index] : nullptr;
  }
  Real* delays(const ProjectionPlan<Real>& q) const {
    return columns.delay[q.index] >= 0 ? gradient + columns.delay[q.index] : nullptr;
  }
  // Whether anything depends on the times of what arrives through a projection.
  bool timed(const ProjectionPlan<Real>& q) const {
    return q.from_population >= 0 || columns.delay[q.index] >= 0 || input_times[q.from_input];
  }

  // What leaves the source of a projection, in time order; `by_time` takes the derivatives by these
  // times, null where not asked for.
  struct Sent {
    const Real* times;
    const Id* units;
    Size count;
    Real* by_time;
  };
  Sent sent(const ProjectionPlan<Real>& q) {
    if (q.from_population >= 0) {
      const Size at = first[q.from_population];
      return {&time[at], &unit[at], first[q.from_population + 1] - at, &mu[at]};
    }
    const InputSpikes<Real>& in = input->groups[q.from_input];
    Real* const to = input_times ? input_times[q.from_input] : nullptr;
    return {in.times, in.units, in.count, to ? to + in.first : nullptr};
  }

 private:
  using P = Pack<Real>;

  void put(Size m, Size k, Id unit_, const Real* adjoints) {
    spike[m] = static_cast<Id>(k);
    unit[m] = unit_;
    time[m] = spikes.times[k];
    slope[m] = spikes.slopes[k];
    mu[m] = adjoints[k];
  }

  // Puts the spikes of the neurons [begin, end) at place `to` and behind; returns how many.
  Size take(const Real* adjoints, Id begin, Id end, Size to) {
    const Ids<Real> lane = Ids<Real>::load(lane_numbers);
    Size m = to, k = 0;
    for (; k + P::width <= spikes.count; k += P::width) {
      const Ids<Real> units = Ids<Real>::load(spikes.neurons + k).plus(-begin);
      const unsigned mine = units.below(end - begin);
      lane.plus(static_cast<Id>(k)).store_lanes(mine, &spike[m]);
      units.store_lanes(mine, &unit[m]);
      P::load(spikes.times + k).store_lanes(mine, &time[m]);
      P::load(spikes.slopes + k).store_lanes(mine, &slope[m]);
      P::load(adjoints + k).store_lanes(mine, &mu[m]);
      m += __builtin_popcount(mine);
    }
    for (; k < spikes.count; ++k) {
      const Id unit_ = spikes.neurons[k] - begin;
      put(m, k, unit_, adjoints);
      m += unit_ >= 0 && unit_ < end - begin;
    }
    return m - to;
  }
};

SNNFP_ISA_END
