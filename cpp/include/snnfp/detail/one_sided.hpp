#pragma once
// Derivatives by parameters that can move to one side only, where events tie. MATH.md E8.
//
// A refractory time of 0: the release is part of the spike, ahead of what arrives at that time. For
// a longer one those arrivals come before the release and count in V'(r+).
// A delay of 0: what arrives at the moment of a release comes before it. For a longer one it comes
// after the release and moves V.
// Either way the neuron's next spike f, after the release r, gains a term in the column of that
// parameter: by_time_at_release.

#include <algorithm>

#include "snnfp/detail/spike_index.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct OneSidedTerm {
  Size spike, column;
  Real by_voltage;  // to be divided by V'(f-)
};

// Finds those of one sample; costs nothing to speak of where no such parameter is asked for.
template <class Real, class Model = LifModel>
class OneSidedTerms {
 public:
  OneSidedTerms(const PlanOf<Model, Real>& plan, const SampleInput<Real>& input,
                const SampleSpikes<Real>& spikes, const Columns& columns)
      : plan_(plan), input_(input), spikes_(spikes), columns_(columns) {}

  // Finds them, in the order of their spikes.
  const Vector<OneSidedTerm<Real>>& find(const SpikeIndex<Real>& index) {
    terms_.clear();
    for (const ProjectionPlan<Real>& p : plan_.projections) {
      const Wanted wanted = of(p);
      if (!wanted.refractory && !wanted.delay) continue;
      send(p);
      if (p.arrives_at_once()) {
        find_rows(p, wanted, index);
      } else {
        find_each(p, wanted, index);
      }
    }
    std::stable_sort(terms_.begin(), terms_.end(),
                     [](const auto& a, const auto& b) { return a.spike < b.spike; });
    return terms_;
  }

  // Of those found, the ones of one spike.
  template <class Visit>
  void of_spike(Size k, Visit visit) const {
    auto t = std::lower_bound(terms_.begin(), terms_.end(), k,
                              [](const OneSidedTerm<Real>& a, Size b) { return a.spike < b; });
    for (; t != terms_.end() && t->spike == k; ++t) visit(*t);
  }

  // E14, given lV just before each spike.
  static void add_adjoint(const Vector<OneSidedTerm<Real>>& terms, const Real* lv, Real* gradient) {
    for (const OneSidedTerm<Real>& t : terms) gradient[t.column] -= lv[t.spike] * t.by_voltage;
  }

  bool possible() const {
    for (const ProjectionPlan<Real>& p : plan_.projections)
      if (const Wanted w = of(p); w.refractory || w.delay) return true;
    return false;
  }

 private:
  struct Wanted {
    bool refractory, delay;  // of a target, of a synapse, that is 0
  };
  struct Sent {
    Real time;
    Id unit;
  };

  Real refractory(Id j) const { return plan_.neurons.t_refractory.data()[j]; }
  Size refractory_column(Id population) const {
    return columns_.neuron[population * n_neuron_parameters + int(NeuronParameter::t_refractory)];
  }

  Wanted of(const ProjectionPlan<Real>& p) const {
    Wanted w{false, columns_.delay[p.index] >= 0 &&
                        (p.delay_per == DelayPer::synapse || p.shortest_delay == Real(0))};
    if (refractory_column(p.target_population) < 0) return w;
    for (Id t = 0; t < p.n_target && !w.refractory; ++t)
      w.refractory = refractory(p.target_first + t) == Real(0);
    return w;
  }

  // What leaves the source of a projection, in time order.
  void send(const ProjectionPlan<Real>& p) {
    sent_.clear();
    if (p.from_input >= 0) {
      const InputSpikes<Real>& in = input_.groups[p.from_input];
      for (Size k = 0; k < in.count; ++k) sent_.push_back({in.times[k], in.units[k]});
      return;
    }
    const Id first = plan_.population_offsets.data()[p.from_population];
    const Id end = plan_.population_offsets.data()[p.from_population + 1];
    for (Size k = 0; k < spikes_.count; ++k)
      if (const Id j = spikes_.neurons[k]; j >= first && j < end)
        sent_.push_back({spikes_.times[k], j - first});
  }

  // Rows that arrive at once: the moments at which an arrival counts are looked up among them.
  void find_rows(const ProjectionPlan<Real>& p, Wanted wanted, const SpikeIndex<Real>& index) {
    for (Sent& s : sent_) s.time = s.time + p.row_delay(s.unit);
    if (p.delay_per == DelayPer::source)
      std::stable_sort(sent_.begin(), sent_.end(),
                       [](const Sent& a, const Sent& b) { return a.time < b.time; });
    for (Id j = p.target_first; j < p.target_first + p.n_target; ++j) {
      const bool at_spike = refractory(j) == Real(0);
      if (!(at_spike ? wanted.refractory : wanted.delay)) continue;
      for (Size place = index.first(j); place + 1 < index.end(j); ++place) {
        const Real moment = index.release(place);
        auto s = std::lower_bound(sent_.begin(), sent_.end(), moment,
                                  [](const Sent& a, Real t) { return a.time < t; });
        for (; s != sent_.end() && s->time == moment; ++s) {
          if (!at_spike && p.row_delay(s->unit) != Real(0)) continue;
          Size m = p.row_begin(s->unit), end = p.row_end(s->unit);
          if (p.connectivity == Connectivity::dense) end = (m += j - p.target_first) + 1;
          for (; m < end; ++m)
            if (p.target_of(s->unit, m) == j) add(p, s->unit, m, j, place, at_spike, index);
        }
      }
    }
  }

  // Otherwise each arrival is looked up among its target's spikes.
  void find_each(const ProjectionPlan<Real>& p, Wanted wanted, const SpikeIndex<Real>& index) {
    for (const Sent& s : sent_)
      for (Size m = p.row_begin(s.unit); m < p.row_end(s.unit); ++m) {
        const Real delay = p.delay_of(s.unit, m);
        if (!wanted.refractory && delay != Real(0)) continue;
        const Id j = p.target_of(s.unit, m);
        const bool at_spike = refractory(j) == Real(0);
        if (!(at_spike ? wanted.refractory : wanted.delay && delay == Real(0))) continue;
        const Real time = s.time + delay;
        Size place = index.anchor(j, time);
        // Without a refractory time it is tied to the spike after the one at its own time.
        if (at_spike && --place < index.first(j)) continue;
        if (place + 1 < index.end(j) && index.release(place) == time)
          add(p, s.unit, m, j, place, at_spike, index);
      }
  }

  void add(const ProjectionPlan<Real>& p, Id unit, Size m, Id j, Size place, bool at_spike,
           const SpikeIndex<Real>& index) {
    const Size next = index.spike(place + 1);
    Size column = columns_.of_delay(p.index, p.delay_index(unit, m));
    if (at_spike) {
      const Size at =
          p.target_population * n_neuron_parameters + int(NeuronParameter::t_refractory);
      column = columns_.neuron[at] + (columns_.neuron_shared[at] ? 0 : j - p.target_first);
    }
    if (column < 0) return;
    const Real d = spikes_.times[next] - index.release(place);
    terms_.push_back({next, column,
                      by_time_at_release(p.weight[m], d, NeuronOf<Model, Real>(plan_.neurons, j))});
  }

  const PlanOf<Model, Real>& plan_;
  const SampleInput<Real>& input_;
  const SampleSpikes<Real>& spikes_;
  const Columns& columns_;
  Vector<Sent> sent_;
  Vector<OneSidedTerm<Real>> terms_;
};

SNNFP_ISA_END
