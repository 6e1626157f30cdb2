#pragma once
// Explicit derivatives by the parameters of a neuron, as one table: what V and I gain along a free
// flight, and what is gained at a spike and at the release before it. MATH.md E7, E8, E14.

#include "snnfp/model/adjoint.hpp"
#include "snnfp/neuron.hpp"

SNNFP_ISA_BEGIN

// Both derivatives of kappa(d), by alpha and by beta, from e^(-beta d) and e^(-alpha d), without
// another exponential. The series of phi2(x) and phi2(-x) have their even and odd parts in common.
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

// Of step_response(d) by beta: -d^2 e^(-x) phi2(x) with x = beta d.
template <class Real>
inline Real step_response_by_beta(Real d, const Neuron<Real>& n) {
  const Real x = n.beta * d;
  if (!(x < Real(0.5))) return -d * d * ((Real(1) - (Real(1) + x) * exp_of(-x)) / (x * x));
  Real term = Real(0.5), sum = Real(0.5);
  for (int k = 3; k < 20; ++k) {
    term *= x / Real(k);
    sum += term;
  }
  return -d * d * (sum * exp_of(-x));
}

// The parameters whose derivatives every arrival adds to, the rates; those of V and I along a free
// flight in all; and those that only a spike with another before it depends on.
inline constexpr NeuronParameter rate_parameters[] = {NeuronParameter::tau_syn,
                                                      NeuronParameter::tau_mem};
inline constexpr int n_rates = 2;
constexpr bool is_rate(NeuronParameter p) {
  return p == NeuronParameter::tau_syn || p == NeuronParameter::tau_mem;
}
constexpr bool acts_in_flight(NeuronParameter p) {
  return is_rate(p) || p == NeuronParameter::bias || p == NeuronParameter::capacitance;
}
constexpr bool acts_at_release(NeuronParameter p) {
  return p == NeuronParameter::t_refractory || p == NeuronParameter::v_reset;
}

// The derivative by a parameter that acts at a spike, from lV just before it.
template <class Real>
inline Real by_spike(NeuronParameter p, Real lv) {
  return p == NeuronParameter::threshold ? -lv : Real(0);
}
// By one that acts at a release, from lV just after it.
template <class Real>
inline Real by_release(NeuronParameter p, Real lv, Real release_slope) {
  switch (p) {
    case NeuronParameter::t_refractory: return by_release(lv, release_slope);
    case NeuronParameter::v_reset: return lv;
    default: return Real(0);
  }
}

// A free flight of length d, up to a spike. I has its own moment, the release after that spike:
// `further` from the start, where `left` of it is left.
template <class Real>
struct FreeFlight {
  Membrane<Real> start;
  Real d;
  Decay<Real> e;  // over d
  Real further, left;
};

// What V at the end of a flight and I at its own moment gain by a parameter that acts in flight, to
// be multiplied by `flight_unit`: for a rate the derivative by that rate, for bias and capacitance
// by the drive.
template <class Real>
struct FlightTerm {
  Real v, i;
};
template <class Real>
inline FlightTerm<Real> arrival_term(NeuronParameter p, Real weight, const FreeFlight<Real>& f,
                                     const Neuron<Real>& n) {
  switch (p) {
    case NeuronParameter::tau_mem:
      return {n.inv_c * weight * kappa_by_rates(f.d, f.e, n).beta, Real(0)};
    case NeuronParameter::tau_syn:
      return {n.inv_c * weight * kappa_by_rates(f.d, f.e, n).alpha, -(f.further * f.left * weight)};
    default: return {Real(0), Real(0)};
  }
}
template <class Real>
inline FlightTerm<Real> flight_term(NeuronParameter p, const FreeFlight<Real>& f,
                                    const Neuron<Real>& n) {
  FlightTerm<Real> term = arrival_term(p, f.start.i, f, n);
  switch (p) {
    case NeuronParameter::tau_mem:
      term.v = -f.d * f.e.mem * f.start.v + n.drive * step_response_by_beta(f.d, n) + term.v;
      break;
    case NeuronParameter::bias: term.v = step_response(f.d, n); break;
    case NeuronParameter::capacitance: term.v = n.threshold - f.e.mem * f.start.v; break;
    default: break;
  }
  return term;
}
template <class Real>
inline Real flight_unit(NeuronParameter p, const Neuron<Real>& n) {
  switch (p) {
    case NeuronParameter::tau_mem: return -n.beta * n.beta;
    case NeuronParameter::tau_syn: return -n.alpha * n.alpha;
    case NeuronParameter::bias: return n.inv_c;
    default: return -n.inv_c;
  }
}

SNNFP_ISA_END
