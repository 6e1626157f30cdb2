#pragma once
// A pack of a layer under way.

#include "snnfp/impl/layer_tables.hpp"

SNNFP_ISA_BEGIN

// Interval a of its lanes ends at their arrival a, the last one at the horizon; (v, i) is their
// state at the end of interval `at` - 1, ahead of the arrival.
template <class Real>
struct LayerItem {
  using P = Pack<Real>;
  static constexpr int width = P::width;

  alignas(64) Real v[width];
  Real i[width];
  Size count[width];
  Id lane_neuron[width], tag[width];
  // Of lanes held: their release and their last spike. The last interval of every lane.
  Real release[width];
  Size last_spike[width];
  const Id* last;
  Size sample;  // of the first lane
  Id neuron;    // of the first lane
  Size column;  // of the first lane
  LaneKind kind;
  Size first;         // interval, in the tables; with its own times: which of own_
  Real delay[width];  // of neurons that are late
  Id at, intervals;
  unsigned mask;  // that take part: not those past the last, nor those held beyond the horizon
  unsigned held;

  Size sample_of(int lane) const { return sample + (kind == LaneKind::samples ? lane : 0); }

  // V of lanes held does not move.
  P hold(P before, P after) const {
    Real kept[width], moved[width];
    before.store(kept);
    after.store(moved);
    for (unsigned m = held; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      moved[l] = kept[l];
    }
    return P::load(moved);
  }

  // Whether a lane's refractory time ends within interval a, which ends at `horizon`.
  bool falls_due(Id a, int lane, Real horizon) const {
    return release[lane] < horizon || (a >= last[lane] && release[lane] <= horizon);
  }

  // A lane that takes no part any more: out of the way of the cheap bounds, whatever still arrives.
  void retire(int lane) {
    mask &= ~(1u << lane);
    v[lane] = Real(0);
    i[lane] = Real(-1e30);
  }
};

SNNFP_ISA_END
