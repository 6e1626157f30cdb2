#pragma once
// What a readout's V, and the integral of V, owe to one arrival, to the bias and to the state at
// the start, with their derivatives. MATH.md E16.

#include "snnfp/model/crossing.hpp"
#include "snnfp/model/derivatives.hpp"
#include "snnfp/model/divided_differences.hpp"

SNNFP_ISA_BEGIN

// 1 / C of a neuron.
template <class Real>
inline Real per_charge(const NeuronConstants<Real>& c, Id j) {
  return c.inv_c.data()[j];
}

// When V is highest within a flight of length d, of which it is the maximum; infinity if it has
// none there, or surely none above `lid`.
template <class Real>
inline Real top_between(Membrane<Real> s, Membrane<Real> end, Real d, Real lid,
                        const Neuron<Real>& n) {
  // It rises, and I > 0 takes it down again.
  const Real v1 = slope(s, n), current = n.inv_c * s.i;
  if (!(v1 > Real(0)) || !(n.alpha * current > Real(0))) return never<Real>;
  // It rises all the way, or stays too low below its tangent.
  if (slope(end, n) > Real(0) || fma(v1, d, s.v) <= lid) return never<Real>;
  return crossing::extremum(s, v1, current, n);
}

// Of a unit of weight / C, and its derivatives by the time of the arrival and by the rates 1/tau.
template <class Real>
struct Response {
  Real value, by_time, by_syn, by_mem;
};

// Of a unit of bias / C, and of V at the start; each with its derivative by 1/tau_mem.
template <class Real>
struct OwnResponse {
  Real drive, drive_by_mem, start, start_by_mem;
};

// int_0^d kappa(u) du of the rates `slow` and `slow` + `difference`, by itself and by either rate.
// Sums of positive terms at any ratio of the rates, equal and vanishing ones included.
template <class Real>
struct KappaIntegral {
  Real value, by_slow, by_fast;

  KappaIntegral(Real d, Real slow, Real difference, bool rates) : by_slow(0), by_fast(0) {
    const DividedDifferences<Real> q(slow * d), x(difference * d);
    const Real both = q.x + x.x, rest = x.x * q.decay;
    const bool none = !(both > Real(0));
    const Real second = none ? Real(0.5) : fma(q.x, q.nodes_0xx(), rest * x.nodes_00x()) / both;
    value = d * d * second;
    if (!rates) return;
    const Real third = Real(1) / Real(6);
    const Real slow_twice = none ? third : fma(q.x, q.nodes_0xxx(), rest * x.nodes_000x()) / both;
    const Real fast_twice = none ? third : fma(q.x, slow_twice, rest * x.nodes_00xx()) / both;
    by_slow = -d * d * d * slow_twice;
    by_fast = -d * d * d * fast_twice;
  }
};

// V at a time, a `span` after the start.
struct VoltageResponse {
  template <class Real>
  static Response<Real> of_arrival(Real, Real d, const Neuron<Real>& n, bool rates) {
    const Decay<Real> e = decay(d, n);
    Response<Real> r{e.kappa, fma(n.alpha, e.kappa, -e.mem), Real(0), Real(0)};
    if (rates) {
      const KappaByRates<Real> by = kappa_by_rates(d, e, n);
      r.by_syn = by.alpha;
      r.by_mem = by.beta;
    }
    return r;
  }
  template <class Real>
  static OwnResponse<Real> own(Real span, const Neuron<Real>& n) {
    const Real left = exp_of(-n.beta * span);
    return {step_response(span, n), step_response_by_beta(span, n), left, -span * left};
  }
};

// The integral of e^(-rate t) V up to a time; `arrival` is when that was.
template <class Real>
struct IntegralResponse {
  Real rate;

  Response<Real> of_arrival(Real arrival, Real d, const Neuron<Real>& n, bool rates) const {
    const bool slow_syn = n.alpha < n.beta;
    const Real slow = rate + smaller(n.alpha, n.beta);
    const KappaIntegral<Real> k(d, slow, n.difference, rates);
    const Real weight = exp_of(-rate * arrival);
    const Real kappa =
        d * exp_of(-slow * d) * DividedDifferences<Real>(n.difference * d).nodes_0x();
    return {weight * k.value, -weight * fma(rate, k.value, kappa),
            weight * (slow_syn ? k.by_slow : k.by_fast),
            weight * (slow_syn ? k.by_fast : k.by_slow)};
  }
  OwnResponse<Real> own(Real span, const Neuron<Real>& n) const {
    // The bias is a current without decay.
    const KappaIntegral<Real> k(span, rate, n.beta, true);
    const DividedDifferences<Real> start((rate + n.beta) * span);
    return {k.value, k.by_fast, span * start.nodes_0x(), -span * span * start.nodes_0xx()};
  }
};

SNNFP_ISA_END
