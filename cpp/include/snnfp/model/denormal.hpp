#pragma once
// States so small that arithmetic on them meets denormal numbers, which is several times slower:
// kept times a power of two and moved by the same operations with the same roundings, so they come
// back with the bits they would have had.

#include <cmath>
#include <limits>

#include "snnfp/model/lif.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct Denormal {
  static constexpr bool is_double = sizeof(Real) == 8;
  static constexpr Real up = is_double ? Real(0x1p200) : Real(0x1p60f);
  static constexpr Real down = is_double ? Real(0x1p-200) : Real(0x1p-60f);
  // Below this, products with the constants of a neuron may be denormal.
  static constexpr Real edge = std::numeric_limits<Real>::min() * (is_double ? 0x1p40f : 0x1p20f);

  static bool is_denormal(Real x) { return size_of(x) < edge && x != Real(0); }
  // Whether a free neuron's state is better kept this way: I is that small or gone, and V, small or
  // not, far below threshold, where such an I never brings it.
  static bool may_suit(Membrane<Real> s) {
    return is_denormal(s.i) || (s.i == Real(0) && is_denormal(s.v));
  }
  static bool suits(Membrane<Real> s, const Neuron<Real>& n) {
    return may_suit(s) && n.drive == Real(0) && size_of(s.v) < Real(0.5) * n.threshold &&
           n.threshold < down / edge && n.inv_c * n.kappa_max * edge < Real(0.25) * n.threshold;
  }
  static Membrane<Real> raised(Membrane<Real> s) { return {s.v * up, s.i * up}; }
  static Membrane<Real> lowered(Membrane<Real> s) { return {s.v * down, s.i * down}; }

  // What propagate(lowered(s), d, n) is, raised.
  static Membrane<Real> moved(Membrane<Real> s, Real d, const Neuron<Real>& n) {
    const Decay<Real> e = decay(d, n);
    return {rounded(e.mem, s.v, rounded(e.kappa * n.inv_c, s.i, Real(0))),
            rounded(e.syn, s.i, Real(-0.0))};  // a product keeps its sign at 0
  }

  // What fma(a, lowered b, lowered c) is, raised: below the smallest normal number results have a
  // fixed last place, which adding that number and taking it off again rounds to.
  static Real rounded(Real a, Real b, Real c) {
    constexpr Real normal = std::numeric_limits<Real>::min() * up;
    const Real r = fma(a, b, c);
    if (size_of(r) >= normal) return r;
    if (size_of(c) >= normal) return fma(a, b * down, c * down) * up;
    const Real shift = std::copysign(normal, r);
    return std::copysign(fma(a, b, c + shift) - shift, r);
  }
};

SNNFP_ISA_END
