#pragma once
// The next threshold crossing of a free membrane: certified, first, bounded. MATH.md E4-E6.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/model/bounds.hpp"

SNNFP_ISA_BEGIN

namespace crossing {

constexpr int max_iterations = 100;
constexpr int max_newton_steps = 8;

// A step from a point of a concave rise (I > 0 and V rising: its third derivative is positive
// there, MATH.md E5) towards V = threshold. Where the parabola through V, V', V'' reaches the
// threshold, its root is past the crossing and before the maximum; one Newton step on the cubic
// brings it back: order four. Where it does not, the farther of the parabola's top and the
// tangent's root: neither is past the crossing, and only a tangent's root can be past the maximum,
// which shows there is none.
template <class T>
struct Step {
  T length;
  T bend;  // to hold against V': how much derivatives change along the step
  T v2;
};

template <class T>
SNNFP_INLINE Step<T> step(T gap, T v1, T i, const Neuron<T>& n) {
  const T alpha = n.alpha, beta = n.beta, current = n.inv_c * i;
  const T v2 = -fma(beta, v1, alpha * current);
  const T v3 = fma(alpha * alpha, current, -beta * v2);
  const T square = fma(v1, v1, T(2) * v2 * gap);
  const auto reaches = square >= T(0);
  const T root = sqrt_of(select(reaches, square, T(0)));
  const auto tangent = -v2 * gap >= v1 * v1;
  const T numerator = select(reaches, T(2) * gap, select(tangent, gap, v1));
  const T denominator = select(reaches, v1 + root, select(tangent, v1, -v2));
  const T first = numerator / denominator;
  const T cubic = v3 * first * first;
  const T back = first * cubic / fma(T(6), root, T(3) * cubic);
  const T length = select(reaches & (cubic > T(0)), first - back, first);
  return {length, size_of(length) * fma(alpha + beta, v1, -v2), v2};
}

// Whether what is left after this step is below rounding, its error being of order four.
template <class T>
SNNFP_INLINE auto converged(const Step<T>& s, T v1, T d) {
  constexpr bool is_double = sizeof(Scalar<T>) == 8;
  const T bend = is_double ? Scalar<T>(0x1p-13) : Scalar<T>(0x1p-6);
  const T part = is_double ? Scalar<T>(0x1p-14) : Scalar<T>(0x1p-6);
  return (s.bend <= bend * v1) & (size_of(s.length) <= part * d);
}

// Whether the maximum is so close, against the way d from the start, that rounding blurs it.
template <class T>
SNNFP_INLINE auto near_top(const Step<T>& s, T v1, T d) {
  const T part = sizeof(Scalar<T>) == 8 ? Scalar<T>(0x1p-16) : Scalar<T>(0x1p-8);
  return v1 < -s.v2 * (part * d);
}

// Slopes between these have squares that are ordinary numbers.
template <class Real>
constexpr Real low_slope = sizeof(Real) == 8 ? Real(0x1p-300) : Real(0x1p-36);
template <class Real>
constexpr Real high_slope = sizeof(Real) == 8 ? Real(0x1p300) : Real(0x1p40);

// What rounding can do to V a time d after state s, near the threshold.
template <class T>
SNNFP_INLINE T noise(Membrane<T> s, T d, const Neuron<T>& n) {
  const T part(64 * std::numeric_limits<Scalar<T>>::epsilon());
  return fma(d, part * size_of(n.drive), fma(part, size_of(s.v), part * size_of(n.threshold)));
}

// From a V below threshold that rises with I > 0: where its ceiling reaches the threshold, which is
// not past the crossing and, where one time constant is twice the other, almost there. Infinite
// where the ceiling stays below threshold.
template <class T>
SNNFP_INLINE T newton_start(Membrane<T> s, const Neuron<T>& n) {
  using Real = Scalar<T>;
  const T gap = n.threshold - s.v, v1 = slope(s, n), current = n.inv_c * s.i;
  const Ceiling<T> c = ceiling(v1, current, n);
  const T noise =
      T(64 * std::numeric_limits<Real>::epsilon()) * (size_of(s.v) + size_of(n.threshold));
  const auto never_there = tops_out(c, s.v, v1, current, gap - noise, n);
  const T square = fma(v1, v1, T(2) * c.bend * gap);
  const T y = T(2) * gap * c.rate / (v1 + sqrt_of(larger(square, T(0))));
  // Kept short by more than the logarithm's error.
  const T way = T(Real(1 - 0x1p-17)) * rough_log_of_rest(smaller(y, T(Real(63.0 / 64.0)))) / c.rate;
  return select(never_there, T(never<Real>), select(is_ceiling(c, v1, current, n), way, T(0)));
}

// Whether squares of V' and of the rates are ordinary numbers, as Newton's steps need them.
template <class T>
SNNFP_INLINE auto can_rise(T v1, const Neuron<T>& n) {
  const T low(low_slope<Scalar<T>>), high(high_slope<Scalar<T>>);
  const T fast = larger(n.alpha, n.beta);
  return (v1 > low) & (v1 < high) & (fast < high) & ((fast > low) | (fast == T(0)));
}

// Newton's steps from where V rises with I > 0. False: undecided, V comes too close to tangency.
template <class Real>
inline bool newton_step(Membrane<Real> s, const Neuron<Real>& n, Real& crossing) {
  Real d = newton_start(s, n);
  if (!(d < never<Real>)) {
    crossing = d;
    return true;
  }
  for (int k = 0; k <= max_newton_steps; ++k) {
    const Membrane<Real> at = propagate(s, d, n);
    const Real gap = n.threshold - at.v, v1 = slope(at, n);
    if (!(v1 > Real(0))) {
      crossing = never<Real>;
      return gap > Real(0);
    }
    const Step<Real> next = step(gap, v1, at.i, n);
    if (near_top(next, v1, d)) return false;
    d += next.length;
    if (converged(next, v1, d)) {
      crossing = d;
      return true;
    }
  }
  return false;
}

// The root of V(d) = threshold on [low, high], where V(low) < threshold <= V(high) or high bounds
// the rising part of V. Steps follow the parabola through V, V', V'': cubic convergence, exact at a
// maximum, and never outside the bracket.
template <class Real>
inline Real solve(Membrane<Real> s, const Neuron<Real>& n, Real low, Real high, Real d) {
  constexpr Real eps = std::numeric_limits<Real>::epsilon();
  Real last_step = never<Real>;
  for (int k = 0; k < max_iterations; ++k) {
    const Membrane<Real> at = propagate(s, d, n);
    const Real gap = n.threshold - at.v;
    if (gap == Real(0)) return d;
    if (gap > Real(0)) {
      low = d;
    } else {
      high = d;
    }
    const Real v1 = slope_after(s, d, at, n);
    // In their own scale where V moves with a rate far below the fast one.
    const Real up = v1 < low_slope<Real> ? high_slope<Real> : Real(1);
    const Real w1 = v1 * up, w2 = bend_after(s, d, at, v1, n) * up, rest = gap * up;
    const Real square = fma(w1, w1, Real(2) * w2 * rest);
    const Real root = sqrt_of(square > Real(0) ? square : Real(0));
    Real next = d + Real(2) * rest / (w1 + root);
    if (!(v1 > Real(0)) || !(next > low) || !(next < high)) {
      // Rounding holds the iterate at the root, or the parabola left the bracket: halve it.
      const Real middle = low + (high - low) / Real(2);
      if (!(middle > low) || !(middle < high)) return high < never<Real> ? high : low;
      if (v1 > Real(0) && (next == low || next == high || next == d)) return next;
      next = middle;
    }
    const Real step = next > d ? next - d : d - next;
    // Converged, or down at the noise of V where steps stop shrinking.
    if (step <= eps * next || (step < Real(1e-3) * next && k > 2 && step >= last_step)) return next;
    last_step = step;
    d = next;
  }
  return d;
}

// When V, whose slope v1 has the sign of the current i, has its extremum; infinity if it has none.
// MATH.md E4.
template <class Real>
inline Real extremum(Membrane<Real> s, Real v1, Real i, const Neuron<Real>& n) {
  constexpr Real far = std::numeric_limits<Real>::max() / 4;
  const Real difference = n.alpha - n.beta;  // signed, unlike n.difference
  const Real rho = smaller(v1 / (n.alpha * i), far);
  if (difference == Real(0)) return rho;
  const Real reach = difference * rho;
  if (reach < Real(1 - 0x1p-8)) return -std::log1p(-reach) / difference;
  // 1 - reach, where a fast synapse makes it small, without the difference.
  const Real rest = fma(n.alpha, fma(n.beta, s.v, -n.drive), n.beta * v1) / (n.alpha * i);
  return rest > Real(0) ? -std::log(smaller(rest, Real(1))) / difference : never<Real>;
}

// Counts time and voltage in powers of two near the neuron's own rate and forces, where these are
// not moderate: no square over- or underflows then, and results keep their bits. Returns the unit
// of time.
template <class Real>
inline Real to_own_units(Membrane<Real>& s, Neuron<Real>& n) {
  const auto forces = [&] {
    return larger(size_of(n.inv_c * s.i), larger(size_of(n.drive), size_of(n.beta * s.v)));
  };
  if (can_rise(forces(), n)) return Real(1);
  constexpr int most = std::numeric_limits<Real>::max_exponent - 8;
  const auto power_in = [&](Real x) {
    return x > Real(0) ? std::min(std::max(std::ilogb(x), -most), most) : 0;
  };
  const int rate = power_in(larger(n.alpha, n.beta));
  const Real time = std::ldexp(Real(1), -rate), per_time = std::ldexp(Real(1), rate);
  for (Real* x : {&n.alpha, &n.beta, &n.difference, &n.inv_c, &n.drive}) *x = *x * time;
  for (Real* x : {&n.inv_difference, &n.kappa_max}) *x = *x * per_time;
  const Real voltage = std::ldexp(Real(1), -power_in(forces()));
  for (Real* x : {&s.v, &s.i, &n.drive, &n.threshold}) *x = *x * voltage;
  return time;
}

// By cases, with logarithms, in the neuron's own units.
template <class Real>
inline Real by_cases(Membrane<Real> s, const Neuron<Real>& n) {
  const Real i = s.i * n.inv_c;
  const Real v1 = slope(s, n);
  const Real gap = n.threshold - s.v;

  // One exponential or none: closed form.
  if (n.alpha * i == Real(0)) {
    if (!(v1 > Real(0))) return never<Real>;
    if (n.beta == Real(0)) return gap / v1;
    const Real ratio = n.beta * gap / v1;
    return ratio < Real(1) ? -std::log1p(-ratio) / n.beta : never<Real>;
  }

  if (i > Real(0)) {
    // V rises to one maximum and falls for ever, or (driven) rises without end. Concave throughout.
    if (!(v1 > Real(0))) return never<Real>;
    const Real top = extremum(s, v1, i, n);
    if (top < never<Real>) {
      const Membrane<Real> peak = propagate(s, top, n);
      const Real above = peak.v - n.threshold;
      if (!(above > Real(0))) return never<Real>;
      const Real curvature = n.alpha * i * (peak.i / s.i);
      // Near tangency the parabola at the maximum is the better start, far from it the one here.
      const Real from_top = top - sqrt_of(Real(2) * above / curvature);
      return solve(s, n, Real(0), top, from_top > Real(0) ? from_top : Real(0));
    }
    const bool rises_past = n.beta > Real(0)
                                ? n.drive > n.beta * n.threshold
                                : (n.drive > Real(0) || (n.drive == Real(0) && i > n.alpha * gap));
    if (!rises_past) return never<Real>;
  } else {
    // Inhibition dies away: V ends at drive / beta, rising towards it.
    const bool rises_past = n.drive > n.beta * n.threshold;
    if (!rises_past) return never<Real>;
  }

  // V dips first where it falls now; after the dip it rises to the crossing.
  Real low = v1 < Real(0) ? extremum(s, v1, i, n) : Real(0);
  Real span = n.alpha > n.beta ? Real(1) / n.alpha : Real(1) / n.beta;
  Real high = low + span;
  while (propagate(s, high, n).v < n.threshold) {
    low = high;
    span *= Real(2);
    high = low + span;
    if (!(high < std::numeric_limits<Real>::max() / 4)) return never<Real>;
  }
  return solve(s, n, low, high, low);
}

}  // namespace crossing

// A free membrane in the end, if nothing arrives any more.
template <class Real>
inline Membrane<Real> at_rest(Membrane<Real> s, const Neuron<Real>& n) {
  const Real i = n.alpha > Real(0) ? Real(0) : s.i;
  const Real drive = fma(n.inv_c, i, n.drive);
  if (n.beta > Real(0)) return {drive / n.beta, i};
  if (drive != Real(0)) return {std::copysign(never<Real>, drive), i};
  return {s.v + (n.alpha > Real(0) ? n.inv_c * s.i / n.alpha : Real(0)), i};
}

// The highest V on the way from `s` to `e`, `d` later.
template <class Real>
inline Real highest(Membrane<Real> s, Membrane<Real> e, Real d, const Neuron<Real>& n) {
  const Real ends = std::max(s.v, e.v);
  const Real v1 = slope(s, n), i = n.inv_c * s.i;
  if (!(v1 > Real(0)) || !(n.alpha * i > Real(0))) return ends;  // no maximum inside
  const Real top = crossing::extremum(s, v1, i, n);
  return top < d ? std::max(ends, propagate(s, top, n).v) : ends;
}

// Whether V plainly stays at or below threshold there: no tangent of a concave rise is below it.
template <class Real>
inline bool never_above(Membrane<Real> s, Membrane<Real> e, Real d, const Neuron<Real>& n) {
  if (e.v > n.threshold) return false;
  const Real v1 = slope(s, n);
  return !(v1 > Real(0)) || !(s.i > Real(0)) || fma(v1, d, s.v) < n.threshold;
}

// The next crossing near tangency, under a bias or inhibition, and at scales where squares are no
// ordinary numbers. `by_newton`: Newton's steps are to be tried first, which gives the same bits in
// any units.
template <class Real>
[[gnu::noinline]] Real crossing_by_cases(Membrane<Real> s, Neuron<Real> n, bool by_newton = false) {
  const Real unit = crossing::to_own_units(s, n);
  Real d;
  return unit * (by_newton && crossing::newton_step(s, n, d) ? d : crossing::by_cases(s, n));
}

// Whether V, which no longer rises where a crossing was rounded to, went above threshold by more
// than rounding: the clock is too coarse for the spike.
template <class Real>
[[gnu::noinline]] bool clock_hides_spike(Membrane<Real> s, Neuron<Real> n) {
  crossing::to_own_units(s, n);
  const Real v1 = slope(s, n), i = n.inv_c * s.i;
  if (!(v1 > Real(0)) || !(i > Real(0))) return false;
  const Real top = crossing::extremum(s, v1, i, n);
  return top < never<Real> && propagate(s, top, n).v - n.threshold > crossing::noise(s, top, n);
}

// The smallest d > 0 with V(d) = threshold from below, or infinity. Touching is not a crossing.
// It depends on nothing but the state, so whoever asks gets the same bits.
template <class Real>
inline Real next_crossing(Membrane<Real> s, const Neuron<Real>& n) {
  const Real v1 = slope(s, n);
  // Rounding can leave V at the threshold just before a crossing; it counts if V still rises.
  if (!(s.v < n.threshold)) return v1 > Real(0) ? Real(0) : never<Real>;
  const bool by_newton = s.i > Real(0) && v1 > Real(0), at_once = crossing::can_rise(v1, n);
  Real d;
  if (by_newton && at_once && crossing::newton_step(s, n, d)) return d;
  return crossing_by_cases(s, n, by_newton && !at_once);
}

// When neuron j, free and in state `s` at `time`, spikes next if nothing arrives; infinity if
// never. Always later than `time`: what happened at `time` is a cause, not a consequence.
template <class Real>
inline Real crossing_time(const NeuronConstants<Real>& constants, Id j, Membrane<Real> s,
                          Real time) {
  const Neuron<Real> n(constants, j);
  if (stays_below(s, n)) return never<Real>;
  const Real d = next_crossing(s, n);
  if (!(d < never<Real>)) return never<Real>;
  const Real at = time + d;
  return at > time ? at : std::nextafter(time, never<Real>);
}

SNNFP_ISA_END
