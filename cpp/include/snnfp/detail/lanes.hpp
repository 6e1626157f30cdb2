#pragma once
// The vector loop over the neurons of a population: from one arrival to the next, and which of them
// might cross in between.

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

// How far from the threshold V has to stay, so that no rounding makes a crossing of it: of V, and of
// the crossing's time, which may be past `horizon` and still be rounded to it. V' is at most its value
// at the start where V is concave, and beta |V| + |drive| elsewhere.
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
  // Long after the last arrival the slope at the end is rounding, and says nothing about a top before.
  const T noise = -m.slack * (fma(n.beta, size, size_of(current)) + size_of(n.drive));
  // The bound of stays_below; a V that is largest at one of the ends; and, where V is concave (up to
  // the end, if it still is there), its ceiling's top, the tangent at the start and where it meets
  // that at the end.
  const auto bounded =
      (n.drive <= zero) & (fma(positive_i, n.kappa_max, larger(s.v, zero)) < below);
  const auto stays = fma(m.late - d, larger(v1_end, zero), end.v) < below;
  const auto ends = stays & ((s.i <= zero) | (v1 <= zero) | (v1_end > noise));
  const auto concave = (s.i > zero) & (v1 > zero);
  const auto tangent = fma(m.late, v1, s.v) < below;
  const T meets = v1 * (end.v - fma(v1_end, d, s.v));
  const auto bends = fma(n.beta, v1_end, n.alpha * current_end) > n.beta * noise;
  const auto between =
      stays & (v1_end < zero) & bends & (meets < (v1 - v1_end) * (below - s.v));
  const auto below_top = tops_out(ceiling(v1, current, n), s.v, v1, current, below - s.v, n);
  return bounded | ends | (concave & (tangent | between | below_top));
}

// The cheap half of no_crossing: V ends below threshold, and so does the tangent at its start. Where
// I > 0 and V rises it is concave, below its tangent; elsewhere it is largest at one of the ends.
template <class T>
SNNFP_INLINE auto plainly_below(Membrane<T> s, Membrane<T> end, T d, const Margin<T>& m,
                                const Neuron<T>& n) {
  const T size = size_of(s.v) + size_of(n.threshold) +
                 larger(n.inv_c * s.i, T(0)) * smaller(d, n.kappa_max);
  return larger(end.v, fma(m.late, slope(s, n), s.v)) < fma(m.slack, size, m.top);
}

// Moves all lanes by d, to `horizon`, into (v_end, i_end) and calls open(j) for those that the solver
// has to look at. Arrays are padded.
template <class Real, class Open>
inline void move_lanes(const Lanes<Real>& lanes, Real d, Real horizon, const Real* v, const Real* i,
                       Real* v_end, Real* i_end, Open open) {
  using P = Pack<Real>;
  const NeuronConstants<Real>& c = lanes.constants;
  const P span(d);
  const auto loop = [&](auto neuron, auto move) {
    for (Size j = 0; j < lanes.count; j += P::width) {
      const Neuron<P> n = neuron(lanes.first + static_cast<Id>(j));
      const Membrane<P> s{P::load(v + j), P::load(i + j)};
      const Membrane<P> at = move(s, n);
      at.v.store(v_end + j);
      at.i.store(i_end + j);
      const Margin<P> m = margin(span, P(horizon), n);
      if (!any(!plainly_below(s, at, span, m, n))) continue;
      for (unsigned b = bits_of(!no_crossing(s, at, span, m, n)); b != 0; b &= b - 1) {
        const Size k = j + __builtin_ctz(b);
        if (k < lanes.count) open(k);
      }
    }
  };
  const Neuron<Real> one(c, lanes.first);
  const Decay<Real> e = decay(d, one);
  const Decay<P> shared{P(e.mem), P(e.syn), P(e.kappa)};
  const P zero(Real(0)), response(lanes.driven ? step_response(d, one.beta) : Real(0));
  if (lanes.identical) {
    const Neuron<P> first(c, lanes.first);
    const P driven = select(first.drive == zero, zero, first.drive * response);
    loop([&](Id) { return first; },
         [&](Membrane<P> s, const Neuron<P>& n) { return propagate(s, shared, n.inv_c, driven); });
  } else if (lanes.uniform) {
    loop([&](Id j) { return Neuron<P>::load(c, j); },
         [&](Membrane<P> s, const Neuron<P>& n) {
           const P driven = select(n.drive == zero, zero, n.drive * response);
           return propagate(s, shared, n.inv_c, driven);
         });
  } else {
    loop([&](Id j) { return Neuron<P>::load(c, j); },
         [&](Membrane<P> s, const Neuron<P>& n) { return propagate(s, span, n); });
  }
}

SNNFP_ISA_END
