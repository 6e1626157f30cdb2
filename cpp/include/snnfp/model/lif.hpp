#pragma once
// How a leaky integrate-and-fire neuron moves between events, on numbers and on packs of them.
// MATH.md E2, E3, E5.

#include <limits>

#include "snnfp/detail/exponential.hpp"
#include "snnfp/model/constants.hpp"

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

  static constexpr int n_values = 3;
  template <class Use>
  SNNFP_INLINE void each(Use use) const {
    use(0, mem);
    use(1, syn);
    use(2, kappa);
  }
  template <class Get>
  static SNNFP_INLINE Decay make(Get get) {
    return {get(0), get(1), get(2)};
  }
  SNNFP_INLINE T current_left() const { return syn; }  // what is left of I
  // The smaller of the two exponentials.
  SNNFP_INLINE T least() const { return smaller(mem, syn); }
};
// Over no time.
template <class T>
SNNFP_INLINE Decay<T> no_decay() {
  return {T(1), T(1), T(0)};
}

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

// What is left of I after a time d, where nothing else is asked for. Simulations, whose bits must
// agree, take it from `decay`.
template <class T>
SNNFP_INLINE T left_of_current(T d, const Neuron<T>& n) {
  return exp_of(-n.alpha * d);
}

// The response of V to a unit of bias / C: (1 - e^(-beta d)) / beta, d without leak.
template <class T>
SNNFP_INLINE T step_response(T d, const Neuron<T>& n) {
  return select(n.beta > T(0), -exponential_parts(-n.beta * d).expm1() / n.beta, d);
}
// And to the neuron's own bias; exactly 0 without one.
template <class T>
SNNFP_INLINE T driven_by(T response, const Neuron<T>& n) {
  return select(n.drive == T(0), T(0), n.drive * response);
}

// The state of one neuron.
template <class T>
struct Membrane {
  T v, i;
};

// E2. One order of operations for every simulator in the library: their records agree to the bit.
template <class T>
SNNFP_INLINE Membrane<T> propagate(Membrane<T> s, const Decay<T>& e, T driven, const Neuron<T>& n) {
  return {fma(e.mem, s.v, fma(e.kappa * n.inv_c, s.i, driven)), e.syn * s.i};
}

template <class T>
SNNFP_INLINE Membrane<T> propagate(Membrane<T> s, T d, const Neuron<T>& n) {
  T driven(0);
  if (any(!(n.drive == T(0)))) driven = driven_by(step_response(d, n), n);
  return propagate(s, decay(d, n), driven, n);
}

// The response of V to I alone, and the same motion from it where no bias drives V, with the same
// bits: some processors are slow at products that turn denormal, and not at sums.
template <class T>
SNNFP_INLINE T response_to_current(const Decay<T>& e, const Neuron<T>& n) {
  return e.kappa * n.inv_c;
}
template <class T>
SNNFP_INLINE Membrane<T> propagate_undriven(Membrane<T> s, const Decay<T>& e, T response) {
  return {fma(e.mem, s.v, fma(response, s.i, T(0))), fma(e.syn, s.i, T(Scalar<T>(-0.0)))};
}

// I a time d later, by the same operations.
template <class T>
SNNFP_INLINE T propagate_current(T i, T d, const Neuron<T>& n) {
  return decay(d, n).syn * i;
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

SNNFP_ISA_END
