#pragma once
// The one neuron model: how a leaky integrate-and-fire neuron moves between events, and the
// coefficients with which sensitivities flow. MATH.md E2, E3, E7. The next spike: crossing.hpp.

#include "snnfp/detail/exponential.hpp"
#include "snnfp/detail/plan.hpp"

SNNFP_ISA_BEGIN

// The constants of one neuron.
template <class Real>
struct Neuron {
  Real alpha, beta, difference, inv_difference, inv_c, drive, threshold, v_reset, t_refractory,
      kappa_max;

  Neuron(const NeuronConstants<Real>& c, Id j)
      : alpha(c.alpha.data()[j]),
        beta(c.beta.data()[j]),
        difference(c.difference.data()[j]),
        inv_difference(c.inv_difference.data()[j]),
        inv_c(c.inv_c.data()[j]),
        drive(c.drive.data()[j]),
        threshold(c.threshold.data()[j]),
        v_reset(c.v_reset.data()[j]),
        t_refractory(c.t_refractory.data()[j]),
        kappa_max(c.kappa_max.data()[j]) {}
};

// e^(-beta d), e^(-alpha d) and kappa(d), full precision at any ratio of time constants: the
// difference of the exponentials is taken through expm1, and its limit at alpha == beta is coded
// beside it.
template <class Real>
struct Decay {
  Real mem, syn, kappa;
};

template <class Real>
inline Decay<Real> decay(Real d, Real alpha, Real beta, Real difference, Real inv_difference) {
  const Real slow = exp_of(-(alpha < beta ? alpha : beta) * d);
  const ExponentialParts<Real> ratio = exponential_parts(-difference * d);
  const Real fast = slow * ratio.exp();
  const Real kappa = difference == Real(0) ? d * slow : slow * (-ratio.expm1() * inv_difference);
  return {alpha < beta ? fast : slow, alpha < beta ? slow : fast, kappa};
}

template <class Real>
inline Decay<Real> decay(Real d, const Neuron<Real>& n) {
  return decay(d, n.alpha, n.beta, n.difference, n.inv_difference);
}

// The response of V to a unit of bias / C: (1 - e^(-beta d)) / beta, d without leak.
template <class Real>
inline Real step_response(Real d, Real beta) {
  return beta > Real(0) ? -exponential_parts(-beta * d).expm1() / beta : d;
}

// The state of one neuron.
template <class Real>
struct Membrane {
  Real v, i;
};

// E2. One order of operations for every simulator in the library: their records agree to the bit.
template <class Real>
inline Membrane<Real> propagate(Membrane<Real> s, const Decay<Real>& e, Real inv_c, Real driven) {
  return {fma(e.mem, s.v, fma(e.kappa * inv_c, s.i, driven)), e.syn * s.i};
}

template <class Real>
inline Membrane<Real> propagate(Membrane<Real> s, Real d, const Neuron<Real>& n) {
  const Real driven = n.drive == Real(0) ? Real(0) : n.drive * step_response(d, n.beta);
  return propagate(s, decay(d, n), n.inv_c, driven);
}

// V' of a free membrane.
template <class Real>
inline Real slope(Membrane<Real> s, const Neuron<Real>& n) {
  return fma(-n.beta, s.v, fma(n.inv_c, s.i, n.drive));
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
template <class Real>
inline Real step_response_by_beta(Real d, const Neuron<Real>& n) {
  return -d * d * scaled_phi2(n.beta * d, n.beta * d);
}

SNNFP_ISA_END
