#pragma once
// The adjoints of the spikes of populations that project to each other or to themselves, in any
// way: backwards in time in windows. MATH.md E12-E14.
//
// Invariant: when the spikes of a window have their turn, the adjoints of all spikes after it are
// known. What they sent within arrives after the window, as no delay there is shorter than it is
// long; so each projection's kernel takes all of a window's spikes at once, and then the spikes are
// solved one after the other.

#include <algorithm>

#include "snnfp/impl/reverse_pull.hpp"

SNNFP_ISA_BEGIN

template <class Real, class Model = LifModel>
class ReverseLoop {
 public:
  explicit ReverseLoop(const PlanOf<Model, Real>& plan) : plan_(plan) {}

  // Of the populations [begin, end), a component: puts lV just before each spike where its adjoint
  // was; adds to the weights and delays within.
  void run(ReverseSample<Real, Model>& s, const Id* begin, const Id* end,
           Vector<PopulationAdjoint<Real, Model>>& populations,
           Vector<ReversePull<Real, Model>>& pulls, const Watch& watch) {
    Real last = -never<Real>, shortest = never<Real>;
    for (const Id* p = begin; p != end; ++p) {
      Size m = s.first[*p + 1];
      while (m > s.first[*p] && s.mu[m - 1] == Real(0)) --m;
      if (m > s.first[*p]) last = std::max(last, s.time[m - 1]);
    }
    Size n = 0;
    for (const Id* p = begin; p != end; ++p) n += s.first[*p + 1] - s.first[*p];
    make_room(turns_, n);
    n = 0;
    for (const Id* p = begin; p != end; ++p) {
      SpikeAdjoints<Real, Model>& spikes = populations[*p].collect(s, false, last);
      spikes.index_pairs();
      for (Size e = 0; e < spikes.count(); ++e, ++n) {
        turns_[n].spike = s.spike[spikes.place(e)];
        turns_[n].population = *p;
        turns_[n].e = e;
      }
      for (const Id q : plan_.into_population.data()[*p])
        if (plan_.projections.data()[q].within_component) {
          pulls[q].start(s, populations[*p], true, false);
          shortest = std::min(shortest, pulls[q].shortest_delay());
        }
    }
    if (end - begin > 1)
      std::sort(turns_.begin(), turns_.begin() + n,
                [](const Turn& a, const Turn& b) { return a.spike < b.spike; });
    const auto time = [&](const Turn& t) { return populations[t.population].spikes().time(t.e); };
    Size checked = n;
    for (Size to = n, from; to > 0; to = from) {
      if (checked - to >= 64) {
        watch.check();
        checked = to;
      }
      const Real latest = time(turns_[to - 1]);
      for (from = to - 1; from > 0 && time(turns_[from - 1]) + shortest >= latest;) --from;
      pull(s, begin, end, populations, pulls, from, to, latest, watch);
      for (Size k = to; k-- > from;) {
        const Turn& t = turns_[k];
        populations[t.population].solve(s, t.e);
        for (const Id q : plan_.into_population.data()[t.population])
          if (plan_.projections.data()[q].within_component)
            pulls[q].solved(populations[t.population].spikes().unit(t.e));
      }
    }
  }

 private:
  struct Turn {
    Id spike;  // in the record's order
    Id population;
    Size e;
  };

  // What the spikes of the turns [from, to) sent within.
  void pull(ReverseSample<Real, Model>& s, const Id* begin, const Id* end,
            Vector<PopulationAdjoint<Real, Model>>& populations,
            Vector<ReversePull<Real, Model>>& pulls, Size from, Size to, Real latest,
            const Watch& watch) {
    for (const Id* p = begin; p != end; ++p) {
      // A population's spikes are in order.
      Size first = -1, last = -1;
      for (Size k = from; k < to; ++k)
        if (turns_[k].population == *p) {
          last = turns_[k].e;
          if (first < 0) first = last;
        }
      if (first < 0) continue;
      for (const Id q : plan_.from_population.data()[*p])
        if (plan_.projections.data()[q].within_component)
          pulls[q].pull(s, first, last + 1, latest, watch);
    }
  }

  const PlanOf<Model, Real>& plan_;
  Scratch<Turn> turns_;
};

SNNFP_ISA_END
