#pragma once
// How derivatives flow through a neuron, each rule once, on numbers and on packs of them: E12-E14,
// backwards in time. Forward propagation (E9, E10) has its coefficients from here too: the row of a
// spike is the adjoint of that spike's time alone.

#include "snnfp/model/lif.hpp"

SNNFP_ISA_BEGIN

// The adjoint of a neuron's state at one moment: lV / C, as an arrival needs it, and lI.
template <class T>
struct MembraneAdjoint {
  T v, i;

  // While the neuron is held: V begins anew at the release ahead, so lI alone is left.
  static SNNFP_INLINE MembraneAdjoint held(T li) { return {T(0), li}; }

  static constexpr int n_values = 2;
  template <class Use>
  SNNFP_INLINE void each(Use use) const {
    use(0, v);
    use(1, i);
  }
  template <class Get>
  static SNNFP_INLINE MembraneAdjoint make(Get get) {
    return {get(0), get(1)};
  }
  friend MembraneAdjoint fma(T w, const MembraneAdjoint& a, const MembraneAdjoint& sum) {
    return {fma(w, a.v, sum.v), fma(w, a.i, sum.i)};
  }
};

// E12, where e is decay(d): the adjoint a time d before. The same combination takes lV itself and
// lI, with the coefficients of `decay_of_adjoint`.
template <class T>
SNNFP_INLINE MembraneAdjoint<T> adjoint_step(const MembraneAdjoint<T>& a, const Decay<T>& e) {
  return {e.mem * a.v, fma(e.kappa, a.v, e.syn * a.i)};
}
template <class T>
SNNFP_INLINE Decay<T> decay_of_adjoint(const Decay<T>& e, const Neuron<T>& n) {
  return {e.mem, e.syn, e.kappa * n.inv_c};
}
// From lV and lI to lV / C and lI, d before.
template <class T>
SNNFP_INLINE Decay<T> decay_to_arrival(T d, const Neuron<T>& n) {
  const Decay<T> e = decay(d, n);
  return {e.mem * n.inv_c, e.syn, e.kappa * n.inv_c};
}
// While the neuron is held: lI where so much of I is `left` until li's moment.
template <class T>
SNNFP_INLINE T held_step(T li, T left) {
  return left * li;
}

// Over one time and then, further back, another; and what undoes a step.
template <class T>
SNNFP_INLINE Decay<T> joined(const Decay<T>& a, const Decay<T>& b) {
  return {b.mem * a.mem, b.syn * a.syn, fma(b.syn, a.kappa, b.kappa * a.mem)};
}
template <class T>
struct InverseDecay {
  T mem, syn, kappa;
  explicit InverseDecay(const Decay<T>& e)
      : mem(T(1) / e.mem), syn(T(1) / e.syn), kappa(-e.kappa) {}
};
template <class T>
SNNFP_INLINE MembraneAdjoint<T> adjoint_step(const MembraneAdjoint<T>& a,
                                             const InverseDecay<T>& e) {
  const T v = a.v * e.mem;
  return {v, fma(e.kappa, v, a.i) * e.syn};
}

// E13. What an arrival owes where the adjoint is a: by its weight, and by its time for each unit of
// weight. While the neuron is held a.v is 0.
template <class T>
SNNFP_INLINE T by_weight(const MembraneAdjoint<T>& a) {
  return a.i;
}
template <class T>
SNNFP_INLINE T by_time(const MembraneAdjoint<T>& a, const Neuron<T>& n) {
  return fma(n.alpha, a.i, -a.v);
}

// E14: lV just before a spike; 0 where nothing depends on it, however flat V crosses.
template <class T>
SNNFP_INLINE T spike_adjoint(T mu, T slope) {
  return select(mu == T(0), T(0), -(mu / slope));
}
// The adjoint there.
template <class T>
SNNFP_INLINE MembraneAdjoint<T> adjoint_before(T lv, T li, const Neuron<T>& n) {
  return {lv * n.inv_c, li};
}
// V'(r+) of a neuron released with current i.
template <class Real>
SNNFP_INLINE Real release_slope(const Neuron<Real>& n, Real i) {
  return slope(Membrane<Real>{n.v_reset, i}, n);
}
// By the time of the spike before, given lV just after its release.
template <class Real>
SNNFP_INLINE Real by_release(Real lv, Real release_slope) {
  return -(release_slope * lv);
}

// E8, one-sided: what an arrival of weight w at the moment of a release, d before the next spike,
// adds to V'(f-) T_f by its time.
template <class Real>
inline Real by_time_at_release(Real w, Real d, const Neuron<Real>& n) {
  return w * n.inv_c * exp_of(-n.beta * d);
}

SNNFP_ISA_END
