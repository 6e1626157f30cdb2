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

// When V is highest within a flight of length d, 0 < t <= d, if it turns there; infinity if it has
// no maximum there, or surely none above `lid`.
template <class Real>
inline Real top_between(Membrane<Real> s, Membrane<Real> end, Real d, Real lid,
                        const Neuron<Real>& n) {
  // It rises, and I > 0 takes it down again.
  const Real v1 = slope(s, n), current = n.inv_c * s.i;
  if (!(v1 > Real(0)) || !(n.alpha * current > Real(0))) return never<Real>;
  // It rises all the way, or stays too low below its tangent.
  if (slope(end, n) > Real(0) || fma(v1, d, s.v) <= lid) return never<Real>;
  // At the latest where the flight ends: rounding must not put it behind that.
  return smaller(crossing::extremum(s, v1, current, n), d);
}

// Of a unit of weight / C, and its derivatives by the time of the arrival and by the rates 1/tau.
template <class T>
struct Response {
  T value, by_time, by_syn, by_mem;
};

// Of a unit of bias / C, and of V at the start; each with its derivative by 1/tau_mem.
template <class Real>
struct OwnResponse {
  Real drive, drive_by_mem, start, start_by_mem;
};

// int_0^d kappa(u) du of the rates `slow` and `slow` + `difference`, by itself and by either rate.
// Sums of positive terms at any ratio of the rates, equal and vanishing ones included.
template <class T>
struct KappaIntegral {
  using Real = Scalar<T>;
  T value, by_slow, by_fast;

  SNNFP_INLINE KappaIntegral(T d, const DividedDifferences<T>& q, const DividedDifferences<T>& x,
                             bool rates)
      : by_slow(Real(0)), by_fast(Real(0)) {
    const T both = q.x + x.x, rest = x.x * q.decay;
    const auto some = both > T(Real(0));
    const auto mean = [&](T of_q, T of_x, Real limit) {
      return select(some, fma(q.x, of_q, rest * of_x) / both, T(limit));
    };
    value = d * d * mean(q.nodes_0xx(), x.nodes_00x(), Real(0.5));
    if (!rates) return;
    const Real third = Real(1) / Real(6);
    const T slow_twice = mean(q.nodes_0xxx(), x.nodes_000x(), third);
    const T fast_twice = mean(slow_twice, x.nodes_00xx(), third);
    const T cube = -(d * d * d);
    by_slow = cube * slow_twice;
    by_fast = cube * fast_twice;
  }
};

// V at a time.
struct VoltageResponse {
  // To an arrival a time d before.
  template <class T>
  static SNNFP_INLINE Response<T> of_arrival(T, T d, const Neuron<T>& n, bool rates) {
    const Decay<T> e = decay(d, n);
    Response<T> r{e.kappa, fma(n.alpha, e.kappa, -e.mem), T(Scalar<T>(0)), T(Scalar<T>(0))};
    if (rates) {
      const KappaByRates<T> by = kappa_by_rates(d, e, n);
      r.by_syn = by.alpha;
      r.by_mem = by.beta;
    }
    return r;
  }
  // A `span` after the start.
  template <class Real>
  static OwnResponse<Real> own(Real span, const Neuron<Real>& n) {
    const Real left = exp_of(-n.beta * span);
    return {step_response(span, n), step_response_by_beta(span, n), left, -span * left};
  }
};

// The integral of e^(-rate t) V up to a time.
template <class Real>
struct IntegralResponse {
  Real rate;

  // To an arrival at `time`, d before the end.
  template <class T>
  SNNFP_INLINE Response<T> of_arrival(T time, T d, const Neuron<T>& n, bool rates) const {
    const auto slow_syn = n.alpha < n.beta;
    const DividedDifferences<T> q((T(rate) + smaller(n.alpha, n.beta)) * d), x(n.difference * d);
    const KappaIntegral<T> k(d, q, x, rates);
    const T weight = exp_of(-(T(rate) * time));
    const T kappa = d * q.decay * x.nodes_0x();
    return {weight * k.value, -(weight * fma(T(rate), k.value, kappa)),
            weight * select(slow_syn, k.by_slow, k.by_fast),
            weight * select(slow_syn, k.by_fast, k.by_slow)};
  }
  OwnResponse<Real> own(Real span, const Neuron<Real>& n) const {
    // The bias is a current without decay.
    const DividedDifferences<Real> q(rate * span), x(n.beta * span), start((rate + n.beta) * span);
    const KappaIntegral<Real> k(span, q, x, true);
    return {k.value, k.by_fast, span * start.nodes_0x(), -(span * span * start.nodes_0xx())};
  }
};

SNNFP_ISA_END
