#pragma once
// The adjoint together with its explicit derivatives by the rates, carried backwards from what lies
// ahead: a few multiplications a step, however many arrivals there are on the way. MATH.md E7, E12.

#include "snnfp/model/derivatives.hpp"

SNNFP_ISA_BEGIN

// E12 over a time d and its explicit derivatives.
template <class T>
struct RateDecay {
  Decay<T> e;
  T mem_by_beta, syn_by_alpha;
  KappaByRates<T> by;

  static constexpr int n_values = 7;
  template <class Use>
  SNNFP_INLINE void each(Use use) const {
    e.each(use);
    use(3, mem_by_beta);
    use(4, syn_by_alpha);
    use(5, by.alpha);
    use(6, by.beta);
  }
  template <class Get>
  static SNNFP_INLINE RateDecay make(Get get) {
    return {Decay<T>::make(get), get(3), get(4), {get(5), get(6)}};
  }
  SNNFP_INLINE T least() const { return e.least(); }
};
template <class T>
SNNFP_INLINE RateDecay<T> rate_decay(T d, const Neuron<T>& n) {
  const Decay<T> e = decay(d, n);
  return {e, -d * e.mem, -d * e.syn, kappa_by_rates(d, e, n)};
}
// Over no time.
template <class T>
SNNFP_INLINE RateDecay<T> no_rate_decay() {
  return {no_decay<T>(), T(0), T(0), {T(0), T(0)}};
}

// lV / C, lI and their explicit derivatives.
template <class T>
struct RateAdjoint {
  MembraneAdjoint<T> a;
  T i_by_alpha, v_by_beta, i_by_beta;

  static constexpr int n_values = 5;
  template <class Use>
  SNNFP_INLINE void each(Use use) const {
    use(0, a.v);
    use(1, a.i);
    use(2, i_by_alpha);
    use(3, v_by_beta);
    use(4, i_by_beta);
  }
  template <class Get>
  static SNNFP_INLINE RateAdjoint make(Get get) {
    return {{get(0), get(1)}, get(2), get(3), get(4)};
  }
};
// Where a is the adjoint just before a spike, or at a release; lI's own moment is `later` by so
// much.
template <class T>
SNNFP_INLINE RateAdjoint<T> rate_adjoint(const MembraneAdjoint<T>& a, T later) {
  return {a, -later * a.i, T(0), T(0)};
}
template <class T>
SNNFP_INLINE RateAdjoint<T> adjoint_step(const RateAdjoint<T>& a, const RateDecay<T>& e) {
  return {adjoint_step(a.a, e.e),
          fma(e.by.alpha, a.a.v, fma(e.syn_by_alpha, a.a.i, e.e.syn * a.i_by_alpha)),
          fma(e.mem_by_beta, a.a.v, e.e.mem * a.v_by_beta),
          fma(e.by.beta, a.a.v, fma(e.e.kappa, a.v_by_beta, e.e.syn * a.i_by_beta))};
}
// What a step takes to a.
template <class T>
SNNFP_INLINE RateAdjoint<T> adjoint_step_forth(const RateAdjoint<T>& a, const RateDecay<T>& e) {
  const T v = a.a.v / e.e.mem, i = fma(-e.e.kappa, v, a.a.i) / e.e.syn;
  const T v_by_beta = fma(-e.mem_by_beta, v, a.v_by_beta) / e.e.mem;
  return {{v, i},
          fma(-e.by.alpha, v, fma(-e.syn_by_alpha, i, a.i_by_alpha)) / e.e.syn,
          v_by_beta,
          fma(-e.by.beta, v, fma(-e.e.kappa, v_by_beta, a.i_by_beta)) / e.e.syn};
}
// Over one time and then another.
template <class T>
SNNFP_INLINE RateDecay<T> joined(const RateDecay<T>& a, const RateDecay<T>& b) {
  return {joined(a.e, b.e),
          fma(b.e.mem, a.mem_by_beta, b.mem_by_beta * a.e.mem),
          fma(b.e.syn, a.syn_by_alpha, b.syn_by_alpha * a.e.syn),
          {fma(b.e.syn, a.by.alpha, fma(b.syn_by_alpha, a.e.kappa, b.by.alpha * a.e.mem)),
           fma(b.e.syn, a.by.beta, fma(b.e.kappa, a.mem_by_beta, b.by.beta * a.e.mem))}};
}

// What an arrival of weight 1 adds to the derivative by rate r (of rate_parameters), a step e
// before a, to be multiplied by flight_unit: that of lI there.
template <int r, class T>
SNNFP_INLINE T by_rate(const RateAdjoint<T>& a, const RateDecay<T>& e) {
  static_assert(r >= 0 && r < n_rates);
  const RateAdjoint<T> there = adjoint_step(a, e);
  return r == 0 ? there.i_by_alpha : there.i_by_beta;
}

SNNFP_ISA_END
