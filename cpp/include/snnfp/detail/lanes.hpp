#pragma once
// The vector loop over the neurons of a population: from one arrival to the next, and which of them
// might cross in between.

#include <cstdint>
#include <limits>

#include "snnfp/detail/lif.hpp"
#include "snnfp/detail/vector.hpp"

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
    const auto same = [&](const std::vector<Real>& x, Id j) {
      return x.data()[first + j] == x.data()[first];
    };
    for (Id j = 0; j < n; ++j) {
      uniform &= same(c.alpha, j) && same(c.beta, j);
      driven |= c.drive.data()[first + j] != Real(0);
      identical &= uniform && same(c.inv_c, j) && same(c.drive, j) && same(c.threshold, j);
    }
  }
};

// How far from the threshold V has to stay, so that no rounding makes a crossing of it: of V, and
// of the crossing's time, which may be past `horizon` and still be rounded to it. V' is at most its
// value at the start where V is concave, and beta |V| + |drive| elsewhere.
template <class T>
struct Margin {
  T late;   // the span d and what rounding adds to it
  T slack;  // a part of V, negative
  T top;    // below the threshold
};

template <class T>
SNNFP_INLINE Margin<T> margin(T d, T horizon, const Neuron<T>& n) {
  constexpr Scalar<T> eps = std::numeric_limits<Scalar<T>>::epsilon();
  const T blur = T(4 * eps) * horizon;
  return {d + blur, -fma(blur, n.beta, T(64 * eps)), n.threshold - blur * size_of(n.drive)};
}

// Whether V can be shown not to cross between a state and the one a time d later. False costs a
// call of the solver, nothing else: the margins keep "true" on the safe side of rounding.
template <class T>
SNNFP_INLINE auto no_crossing(Membrane<T> s, Membrane<T> end, T d, const Margin<T>& m,
                              const Neuron<T>& n) {
  const T zero(0);
  const T current = n.inv_c * s.i, current_end = n.inv_c * end.i;
  const T v1 = slope(s, n), v1_end = slope(end, n);
  const T positive_i = larger(current, zero);
  const T size = size_of(s.v) + size_of(n.threshold) + positive_i * smaller(d, n.kappa_max);
  const T below = fma(m.slack, size, m.top);
  // Long after the last arrival the slope at the end is rounding, and says nothing about a top
  // before.
  const T noise = -m.slack * (fma(n.beta, size, size_of(current)) + size_of(n.drive));
  // The bound of stays_below; a V that is largest at one of the ends; and, where V is concave (up
  // to the end, if it still is there), its ceiling's top, the tangent at the start and where it
  // meets that at the end.
  const auto bounded =
      (n.drive <= zero) & (fma(positive_i, n.kappa_max, larger(s.v, zero)) < below);
  const auto stays = fma(m.late - d, larger(v1_end, zero), end.v) < below;
  const auto ends = stays & ((s.i <= zero) | (v1 <= zero) | (v1_end > noise));
  const auto concave = (s.i > zero) & (v1 > zero);
  const auto tangent = fma(m.late, v1, s.v) < below;
  const T meets = v1 * (end.v - fma(v1_end, d, s.v));
  const auto bends = fma(n.beta, v1_end, n.alpha * current_end) > n.beta * noise;
  const auto between = stays & (v1_end < zero) & bends & (meets < (v1 - v1_end) * (below - s.v));
  const auto below_top = tops_out(ceiling(v1, current, n), s.v, v1, current, below - s.v, n);
  return bounded | ends | (concave & (tangent | between | below_top));
}

// The cheap half of no_crossing: V ends below threshold, and so does the tangent at its start.
// Where I > 0 and V rises it is concave, below its tangent; elsewhere it is largest at one of the
// ends.
template <class T>
SNNFP_INLINE auto plainly_below(Membrane<T> s, Membrane<T> end, T d, const Margin<T>& m,
                                const Neuron<T>& n) {
  const T size =
      size_of(s.v) + size_of(n.threshold) + larger(n.inv_c * s.i, T(0)) * smaller(d, n.kappa_max);
  return larger(end.v, fma(m.late, slope(s, n), s.v)) < fma(m.slack, size, m.top);
}

// The same for neurons that share d and all constants. Where V ends below threshold and the tangent
// does, the size in the margin is at most 3 |V| + 2 |threshold| + |drive| d, as beta kappa_max
// <= 1.
template <class T>
struct TangentBound {
  T by_v, by_i, by_drive;  // where the tangent ends: by_v V + by_i I + by_drive
  T slack, top;            // the threshold less the margin: top + slack |V|

  TangentBound() = default;
  SNNFP_INLINE TangentBound(T d, T horizon, const Neuron<T>& n) {
    constexpr Scalar<T> eps = std::numeric_limits<Scalar<T>>::epsilon();
    const Margin<T> m = margin(d, horizon, n);
    const T turn = n.beta * m.late;
    by_v = T(1) - turn;
    by_i = n.inv_c * m.late;
    by_drive = n.drive * m.late;
    slack = T(3) * fma(T(-8 * eps), turn, m.slack);
    top = fma(slack, size_of(n.threshold) + size_of(by_drive), m.top);
  }
  SNNFP_INLINE auto clears(Membrane<T> s, Membrane<T> end) const {
    return larger(end.v, fma(by_v, s.v, fma(by_i, s.i, by_drive))) < fma(slack, size_of(s.v), top);
  }
};

// An upper bound of V between two arrivals where no bias drives it: V+ + reach I+, as no
// exponential is above 1 and kappa not above `reach` C. Every term is positive, so that rounding
// stays a part of the threshold.
template <class T>
struct UpperBound {
  static SNNFP_INLINE T lid(const Neuron<T>& n) {
    return T(1 - 64 * std::numeric_limits<Scalar<T>>::epsilon()) * n.threshold;
  }
  // Of an interval of length d that ends at `horizon`, and of the times past it that round to it.
  static SNNFP_INLINE T reach(T d, T horizon, const Decay<T>& e, const Neuron<T>& n) {
    constexpr Scalar<T> eps = std::numeric_limits<Scalar<T>>::epsilon();
    const auto rises = e.mem > n.alpha * e.kappa;
    const T kappa = select(rises, e.kappa + T(4 * eps) * (horizon + d), n.kappa_max);
    return T(1 + 16 * eps) * (n.inv_c * kappa);
  }
  static SNNFP_INLINE T ever(const Neuron<T>& n) {
    return T(1 + 16 * std::numeric_limits<Scalar<T>>::epsilon()) * (n.inv_c * n.kappa_max);
  }
  static SNNFP_INLINE T of(Membrane<T> s, T reach) {
    return fma(reach, larger(s.i, T(0)), larger(s.v, T(0)));
  }
  static SNNFP_INLINE auto stays_below(Membrane<T> s, T reach, const Neuron<T>& n) {
    return of(s, reach) < lid(n);
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
inline void settle(const Lanes<Real>& lanes, LaneStates<Real>& states) {
  using P = Pack<Real>;
  if (!states.arriving) return;
  Real* i = states.i.data();
  for (Size j = 0; j < lanes.count; j += P::width)
    (P::load(i + j) + load_up_to(states.arriving + j, lanes.count - j)).store(i + j);
  states.arriving = nullptr;
}

// move(j, s, at) takes a pack of states s to its end and says which are surely below threshold.
template <bool looks, class Real, class Move>
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
    if (!looks) continue;
    const unsigned bits = bits_of(!below);
    doubtful[j / P::width] = static_cast<std::uint16_t>(bits);
    doubt |= bits;
  }
  states.doubt = doubt != 0;
  states.arriving = nullptr;
}

// Moves all lanes by d, to `horizon`; `looks`: and finds the doubtful ones.
template <bool looks, class Real>
inline void move_lanes(const Lanes<Real>& lanes, Real d, Real horizon, LaneStates<Real>& states) {
  using P = Pack<Real>;
  const NeuronConstants<Real>& c = lanes.constants;
  const P span(d);
  const auto neuron = [&](Size j) { return Neuron<P>::load(c, lanes.first + static_cast<Id>(j)); };
  const auto below = [&](Membrane<P> s, Membrane<P> at, const Neuron<P>& n) {
    return plainly_below(s, at, span, margin(span, P(horizon), n), n);
  };
  if (!lanes.uniform) {
    move_packs<looks>(lanes.count, states, [&](Size j, Membrane<P> s, Membrane<P>& at) {
      const Neuron<P> n = neuron(j);
      at = propagate(s, span, n);
      return below(s, at, n);
    });
    return;
  }
  const Neuron<Real> one(c, lanes.first);
  const Decay<Real> e = decay(d, one);
  const Decay<P> shared{P(e.mem), P(e.syn), P(e.kappa)};
  const P zero(Real(0)), response(lanes.driven ? step_response(d, one.beta) : Real(0));
  const auto driven = [=](P drive) { return select(drive == zero, zero, drive * response); };
  if (lanes.identical) {
    const Neuron<P> n(c, lanes.first);
    const TangentBound<P> bound(span, P(horizon), n);
    const P by_drive = driven(n.drive);
    move_packs<looks>(lanes.count, states, [&](Size, Membrane<P> s, Membrane<P>& at) {
      at = propagate(s, shared, n.inv_c, by_drive);
      return bound.clears(s, at);
    });
  } else {
    move_packs<looks>(lanes.count, states, [&](Size j, Membrane<P> s, Membrane<P>& at) {
      const Neuron<P> n = neuron(j);
      at = propagate(s, shared, n.inv_c, driven(n.drive));
      return below(s, at, n);
    });
  }
}

// Calls open(j) for those lanes just moved that the solver has to look at.
template <class Real, class Open>
inline void look_closely(const Lanes<Real>& lanes, Real d, Real horizon,
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
