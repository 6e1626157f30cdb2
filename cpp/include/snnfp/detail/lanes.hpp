#pragma once
// The vector loop over the neurons of a population: from one arrival to the next, and which of them
// might cross in between.

#include <cstdint>
#include <limits>

#include "snnfp/detail/struct_of_arrays.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/bounds.hpp"

SNNFP_ISA_BEGIN

// A population's neurons side by side.
template <class Real>
struct Lanes {
  const NeuronConstants<Real>& constants;
  Id first;
  Size count;
  bool uniform = true;    // one pair of time constants: exponentials are shared
  bool driven = false;    // some bias is not 0
  bool identical = true;  // nothing that V depends on differs

  Lanes(const NeuronConstants<Real>& c, Id first_neuron, Id n)
      : constants(c), first(first_neuron), count(n) {
    for (Id j = first; j < first + n; ++j) {
      uniform &= c.same_decay(j, first);
      driven |= c.driven(j);
      identical &= c.same_motion(j, first);
    }
  }
};

// The states of a population's neurons at one time and, if nothing arrives before, at a later one.
// Arrays are padded.
template <class Real>
struct LaneStates {
  Vector<Real> v, i, v_end, i_end;
  const Real* arriving = nullptr;  // weights that are still to be added to i, one a lane
  Vector<std::uint16_t> doubtful;  // of each pack: who may cross in between, a bit each
  bool doubt = false;              // whether anyone may

  explicit LaneStates(Size n)
      : v(padded<Real>(n), Real(0)), i(v), v_end(v), i_end(v), doubtful(v.size()) {}
};

// Adds what arrives.
template <class Real>
inline void add_arriving(const Lanes<Real>& lanes, LaneStates<Real>& states) {
  using P = Pack<Real>;
  if (!states.arriving) return;
  Real* i = states.i.data();
  for (Size j = 0; j < lanes.count; j += P::width)
    (P::load(i + j) + load_up_to(states.arriving + j, lanes.count - j)).store(i + j);
  states.arriving = nullptr;
}

// move(j, s, at) takes a pack of states s to its end and says which are surely below threshold.
template <bool bounds, class Real, class Move>
SNNFP_INLINE void move_packs(Size count, LaneStates<Real>& states, Move move) {
  using P = Pack<Real>;
  const Real *v = states.v.data(), *arriving = states.arriving;
  Real *i = states.i.data(), *v_end = states.v_end.data(), *i_end = states.i_end.data();
  std::uint16_t* doubtful = states.doubtful.data();
  unsigned doubt = 0;
  for (Size j = 0; j < count; j += P::width) {
    Membrane<P> at;
    Membrane<P> s{P::load(v + j), P::load(i + j)};
    if (arriving) {
      s.i = s.i + load_up_to(arriving + j, count - j);
      s.i.store(i + j);
    }
    const auto below = move(j, s, at);
    at.v.store(v_end + j);
    at.i.store(i_end + j);
    if (!bounds) continue;
    const unsigned bits = bits_of(!below);
    doubtful[j / P::width] = static_cast<std::uint16_t>(bits);
    doubt |= bits;
  }
  states.doubt = doubt != 0;
  states.arriving = nullptr;
}

// Moves all lanes by d, to `horizon`; `bounds`: and finds the doubtful ones.
template <bool bounds, class Real>
inline void move_lanes(const Lanes<Real>& lanes, Real d, Real horizon, LaneStates<Real>& states) {
  using P = Pack<Real>;
  const NeuronConstants<Real>& c = lanes.constants;
  const P span(d);
  const auto neuron = [&](Size j) { return Neuron<P>::load(c, lanes.first + static_cast<Id>(j)); };
  const auto below = [&](Membrane<P> s, Membrane<P> at, const Neuron<P>& n) {
    return plainly_below(s, at, span, margin(span, P(horizon), n), n);
  };
  if (!lanes.uniform) {
    move_packs<bounds>(lanes.count, states, [&](Size j, Membrane<P> s, Membrane<P>& at) {
      const Neuron<P> n = neuron(j);
      at = propagate(s, span, n);
      return below(s, at, n);
    });
    return;
  }
  const Neuron<Real> one(c, lanes.first);
  const Decay<Real> e = decay(d, one);
  const Decay<P> shared = everywhere<P>(e);
  const P response(lanes.driven ? step_response(d, one) : Real(0));
  if (lanes.identical) {
    const Neuron<P> n(c, lanes.first);
    const TangentBound<P> bound(span, P(horizon), n);
    const P by_drive = driven_by(response, n);
    move_packs<bounds>(lanes.count, states, [&](Size, Membrane<P> s, Membrane<P>& at) {
      at = propagate(s, shared, by_drive, n);
      return bound.clears(s, at);
    });
  } else {
    move_packs<bounds>(lanes.count, states, [&](Size j, Membrane<P> s, Membrane<P>& at) {
      const Neuron<P> n = neuron(j);
      at = propagate(s, shared, driven_by(response, n), n);
      return below(s, at, n);
    });
  }
}

// Calls open(j) for those lanes just moved that the solver has to look at.
template <class Real, class Open>
inline void find_crossing_lanes(const Lanes<Real>& lanes, Real d, Real horizon,
                                const LaneStates<Real>& states, Open open) {
  using P = Pack<Real>;
  const P span(d);
  for (Size j = 0; j < lanes.count; j += P::width) {
    if (states.doubtful[j / P::width] == 0) continue;
    const Neuron<P> n = Neuron<P>::load(lanes.constants, lanes.first + static_cast<Id>(j));
    const Membrane<P> s{P::load(&states.v[j]), P::load(&states.i[j])};
    const Membrane<P> at{P::load(&states.v_end[j]), P::load(&states.i_end[j])};
    const auto shut = no_crossing(s, at, span, margin(span, P(horizon), n), n);
    for (unsigned b = bits_of(!shut); b != 0; b &= b - 1) {
      const Size lane = j + __builtin_ctz(b);
      if (lane < lanes.count) open(lane);
    }
  }
}

SNNFP_ISA_END
