#pragma once
// Cheap proofs that V does not reach the threshold: for ever, or between two states. Each is kept
// on the safe side of rounding, so that leaving out the search for a crossing never changes a
// result. MATH.md E5, E6.

#include <limits>

#include "snnfp/model/lif.hpp"

SNNFP_ISA_BEGIN

template <class Real>
constexpr Real never = std::numeric_limits<Real>::infinity();

// Whether V can be shown to stay below threshold for ever without another arrival, at the price of
// one multiplication: V <= V+ + (I+/C) max kappa where no bias drives it. The margin keeps the
// answer on the safe side of rounding, so that skipping the solver never changes a result.
template <class Real>
inline bool stays_below(Membrane<Real> s, const Neuron<Real>& n) {
  const Real v = s.v > Real(0) ? s.v : Real(0);
  const Real i = s.i > Real(0) ? s.i : Real(0);
  constexpr Real margin = Real(1) - 64 * std::numeric_limits<Real>::epsilon();
  return n.drive <= Real(0) && fma(i * n.inv_c, n.kappa_max, v) < margin * n.threshold;
}

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

SNNFP_ISA_END
