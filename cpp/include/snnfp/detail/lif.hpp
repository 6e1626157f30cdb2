#pragma once
// The one neuron model: how a leaky integrate-and-fire neuron moves between events, and the
// coefficients with which sensitivities flow. MATH.md E2, E3, E7. The next spike: crossing.hpp.

#include <limits>

#include "snnfp/detail/exponential.hpp"
#include "snnfp/detail/plan.hpp"

SNNFP_ISA_BEGIN

// The constants of one neuron, or of as many as a pack has lanes.
template <class T>
struct Neuron {
  T alpha, beta, difference, inv_difference, inv_c, drive, threshold, v_reset, t_refractory,
      kappa_max;

  SNNFP_INLINE Neuron(const NeuronConstants<Scalar<T>>& c, Id j)
      : Neuron(c, [j](const Scalar<T>* x) { return T(x[j]); }) {}
  // Neurons first, first + 1, ...
  static Neuron load(const NeuronConstants<Scalar<T>>& c, Id first) {
    return {c, [first](const Scalar<T>* x) { return T::load(x + first); }};
  }
  static Neuron gather(const NeuronConstants<Scalar<T>>& c, const Id* at) {
    return {c, [at](const Scalar<T>* x) { return T::gather(x, at); }};
  }

 private:
  template <class Get>
  SNNFP_INLINE Neuron(const NeuronConstants<Scalar<T>>& c, Get get)
      : alpha(get(c.alpha.data())),
        beta(get(c.beta.data())),
        difference(get(c.difference.data())),
        inv_difference(get(c.inv_difference.data())),
        inv_c(get(c.inv_c.data())),
        drive(get(c.drive.data())),
        threshold(get(c.threshold.data())),
        v_reset(get(c.v_reset.data())),
        t_refractory(get(c.t_refractory.data())),
        kappa_max(get(c.kappa_max.data())) {}
};

// e^(-beta d), e^(-alpha d) and kappa(d), full precision at any ratio of time constants: the
// difference of the exponentials is taken through expm1, and its limit at alpha == beta is coded
// beside it.
template <class T>
struct Decay {
  T mem, syn, kappa;
};

template <class T>
SNNFP_INLINE Decay<T> decay(T d, T alpha, T beta, T difference, T inv_difference) {
  const T rate = smaller(alpha, beta);
  ExponentialParts<T> ratio = exponential_parts(-rate * d);
  const T slow = ratio.exp();
  const auto equal = difference == T(0);
  if (!any(!equal)) return {slow, slow, d * slow};
  if (any(!(difference == rate))) ratio = exponential_parts(-difference * d);
  const T fast = slow * ratio.exp();
  const T kappa = select(equal, d * slow, slow * (-ratio.expm1() * inv_difference));
  const auto slow_mem = alpha < beta;
  return {select(slow_mem, fast, slow), select(slow_mem, slow, fast), kappa};
}

template <class T>
SNNFP_INLINE Decay<T> decay(T d, const Neuron<T>& n) {
  return decay(d, n.alpha, n.beta, n.difference, n.inv_difference);
}

// The response of V to a unit of bias / C: (1 - e^(-beta d)) / beta, d without leak.
template <class T>
SNNFP_INLINE T step_response(T d, T beta) {
  return select(beta > T(0), -exponential_parts(-beta * d).expm1() / beta, d);
}

// The state of one neuron.
template <class T>
struct Membrane {
  T v, i;
};

// E2. One order of operations for every simulator in the library: their records agree to the bit.
template <class T>
SNNFP_INLINE Membrane<T> propagate(Membrane<T> s, const Decay<T>& e, T inv_c, T driven) {
  return {fma(e.mem, s.v, fma(e.kappa * inv_c, s.i, driven)), e.syn * s.i};
}

template <class T>
SNNFP_INLINE Membrane<T> propagate(Membrane<T> s, T d, const Neuron<T>& n) {
  const auto undriven = n.drive == T(0);
  T driven(0);
  if (any(!undriven)) driven = select(undriven, T(0), n.drive * step_response(d, n.beta));
  return propagate(s, decay(d, n), n.inv_c, driven);
}

// V' of a free membrane.
template <class T>
SNNFP_INLINE T slope(Membrane<T> s, const Neuron<T>& n) {
  return fma(-n.beta, s.v, fma(n.inv_c, s.i, n.drive));
}

// Whether V is to follow an inhibition that a slow synapse takes back. The terms of V' and V''
// cancel there, and what they were at the start of the flight says more: MATH.md E5.
template <class T>
SNNFP_INLINE auto follows_inhibition(Membrane<T> s, const Neuron<T>& n) {
  return (s.i < T(0)) & (T(1024) * n.alpha < n.beta);
}

// V' a time d after state s. Rare, and out of the way of the others.
template <class T>
[[gnu::noinline]] T slope_from_start(const Membrane<T>& s, const T& d, const Neuron<T>& n) {
  const Decay<T> e = decay(d, n);
  return fma(e.mem, slope(s, n), -(n.alpha * (n.inv_c * s.i)) * e.kappa);
}

// V' where a flight of length d that began in state s ends. An inhibited V that a bias barely
// brings to the threshold rises so slowly there that it is taken from the start too.
template <class T>
SNNFP_INLINE T slope_after(Membrane<T> s, T d, Membrane<T> end, const Neuron<T>& n) {
  const T part(sizeof(Scalar<T>) == 8 ? Scalar<T>(0x1p-30) : Scalar<T>(0x1p-12));
  const T v1 = slope(end, n);
  const auto cancels =
      follows_inhibition(s, n) | ((s.i < T(0)) & (v1 <= part * (n.beta * size_of(end.v))));
  return any(cancels) ? select(cancels, slope_from_start(s, d, n), v1) : v1;
}
// V'' there, where V' is v1.
template <class Real>
inline Real bend_after(Membrane<Real> s, Real d, Membrane<Real> end, Real v1,
                       const Neuron<Real>& n) {
  if (!follows_inhibition(s, n)) return -fma(n.beta, v1, n.alpha * n.inv_c * end.i);
  const Decay<Real> e = decay(d, n);
  const Real pull = n.alpha * (n.inv_c * s.i);
  return fma(n.alpha * pull, e.kappa, -fma(n.beta, slope(s, n), pull) * e.mem);
}

// A curve that V stays below from here on, where I > 0 and V rises: the parabola in
// 1 - e^(-rate d) with V's value, slope and curvature at d = 0. Where one time constant is twice
// the other it is V itself. MATH.md E5.
template <class T>
struct Ceiling {
  T rate;
  T bend;  // V'' there + rate V', < 0
};

template <class T>
SNNFP_INLINE Ceiling<T> ceiling(T v1, T current, const Neuron<T>& n) {
  const T rate = larger(smaller(n.alpha, n.beta), T(0.5) * larger(n.alpha, n.beta));
  return {rate, fma(rate - n.beta, v1, -(n.alpha * current))};
}
// Whether it is one, and rounding has no part in that: with a synapse so fast that the two sides
// differ by rounding only it is none.
template <class T>
SNNFP_INLINE auto is_ceiling(const Ceiling<T>& c, T v1, T current, const Neuron<T>& n) {
  const T more(1 + 4 * std::numeric_limits<Scalar<T>>::epsilon());
  return (c.rate > T(0)) & (v1 * (more * (n.alpha - n.beta)) <= n.alpha * current);
}
// Whether its top lies less than `room` above V. The slope is taken larger by its own rounding.
template <class T>
SNNFP_INLINE auto tops_out(const Ceiling<T>& c, T v, T v1, T current, T room, const Neuron<T>& n) {
  const T blur = T(8 * std::numeric_limits<Scalar<T>>::epsilon());
  const T rise = fma(blur, fma(n.beta, size_of(v), current + size_of(n.drive)), v1);
  return (rise * rise < T(-2) * c.bend * room) & is_ceiling(c, v1, current, n);
}

// phi2(x) = (e^x - 1 - x) / x^2 times e^(-m), where m >= max(x, 0): no overflow, no cancellation.
template <class Real>
inline Real scaled_phi2(Real x, Real m) {
  if (x > Real(-0.5) && x < Real(0.5)) {
    Real term = Real(0.5), sum = Real(0.5);
    for (int n = 3; n < 20; ++n) {
      term *= x / Real(n);
      sum += term;
    }
    return sum * exp_of(-m);
  }
  return (exp_of(x - m) - (Real(1) + x) * exp_of(-m)) / (x * x);
}

// E7. Explicit derivatives of kappa(d) by alpha and beta, and of step_response(d) by beta.
template <class Real>
inline Real kappa_by_alpha(Real d, const Neuron<Real>& n) {
  return -d * d * scaled_phi2((n.alpha - n.beta) * d, n.alpha * d);
}
template <class Real>
inline Real kappa_by_beta(Real d, const Neuron<Real>& n) {
  return -d * d * scaled_phi2((n.beta - n.alpha) * d, n.beta * d);
}
// Both of kappa's at once from e^(-beta d) and e^(-alpha d), without another exponential. The
// series of phi2(x) and phi2(-x) have their even and odd parts in common.
template <class T>
struct KappaByRates {
  T alpha, beta;
};
template <class T>
SNNFP_INLINE KappaByRates<T> kappa_by_rates(T d, const Decay<T>& e, const Neuron<T>& n) {
  using Real = Scalar<T>;
  const T x = (n.alpha - n.beta) * d;
  const auto close = size_of(x) < T(0.5);
  KappaByRates<T> by{T(0), T(0)};
  if (any(!close)) {
    const T square = n.inv_difference * n.inv_difference;
    by = {square * fma(T(1) + x, e.syn, -e.mem), square * fma(T(1) - x, e.mem, -e.syn)};
  }
  if (any(close)) {
    const T x2 = x * x;
    T even(Real(1.0 / 20922789888000.0)), odd(Real(1.0 / 1307674368000.0));  // 1/16!, 1/15!
    for (const double c : {87178291200.0, 479001600.0, 3628800.0, 40320.0, 720.0, 24.0, 2.0})
      even = fma(even, x2, T(Real(1.0 / c)));
    for (const double c : {6227020800.0, 39916800.0, 362880.0, 5040.0, 120.0, 6.0})
      odd = fma(odd, x2, T(Real(1.0 / c)));
    const T d2 = -d * d;
    by = {select(close, d2 * e.syn * fma(x, odd, even), by.alpha),
          select(close, d2 * e.mem * fma(-x, odd, even), by.beta)};
  }
  return by;
}
template <class Real>
inline Real step_response_by_beta(Real d, const Neuron<Real>& n) {
  return -d * d * scaled_phi2(n.beta * d, n.beta * d);
}

SNNFP_ISA_END
