#pragma once
// The vector loop over the neurons of a population: from one arrival to the next, and which of them
// might cross in between.

#include <limits>

#include "snnfp/detail/lif.hpp"

SNNFP_ISA_BEGIN

// Pointers to the constants of a population's neurons.
template <class Real>
struct Lanes {
  const Real *alpha, *beta, *difference, *inv_difference, *inv_c, *drive, *threshold, *kappa_max;
  Size count;
  bool uniform;  // one pair of time constants: exponentials are shared
  bool driven;   // some bias is not 0

  Lanes(const NeuronConstants<Real>& c, Id first, Id n)
      : alpha(c.alpha.data() + first),
        beta(c.beta.data() + first),
        difference(c.difference.data() + first),
        inv_difference(c.inv_difference.data() + first),
        inv_c(c.inv_c.data() + first),
        drive(c.drive.data() + first),
        threshold(c.threshold.data() + first),
        kappa_max(c.kappa_max.data() + first),
        count(n),
        uniform(true),
        driven(false) {
    for (Id j = 0; j < n; ++j) {
      uniform &= alpha[j] == alpha[0] && beta[j] == beta[0];
      driven |= drive[j] != Real(0);
    }
  }
};

// Whether V can be shown not to cross between a state and the one a time d later. False costs a
// call of the solver, nothing else: the margins keep "true" on the safe side of rounding.
template <class Real>
inline bool no_crossing(Real v, Real i, Real v_end, Real i_end, Real d, Real beta, Real inv_c,
                        Real drive, Real threshold, Real kappa_max) {
  constexpr Real slack = 64 * std::numeric_limits<Real>::epsilon();
  const Real current = inv_c * i;
  const Real v1 = fma(-beta, v, current + drive);
  const Real v1_end = fma(-beta, v_end, fma(inv_c, i_end, drive));
  const Real positive_v = v > Real(0) ? v : Real(0);
  const Real positive_i = current > Real(0) ? current : Real(0);
  const Real size = (v < Real(0) ? -v : v) + (threshold < Real(0) ? -threshold : threshold) +
                    positive_i * (d < kappa_max ? d : kappa_max);
  const Real below = threshold - slack * size;
  // The bound of stays_below; the tangent at the start, above a concave V; and a V that is
  // largest at one of the ends.
  const bool bounded = (drive <= Real(0)) & (fma(positive_i, kappa_max, positive_v) < below);
  const bool tangent = (i > Real(0)) & (v1 > Real(0)) & (fma(d, v1, v) < below);
  const bool ends = (v_end < below) & ((i <= Real(0)) | (v1 <= Real(0)) | (v1_end >= Real(0)));
  return bounded | tangent | ends;
}

// Moves all lanes by d into (v_end, i_end); open[j] is 1 where the solver has to look.
// Returns whether any is.
template <class Real>
inline bool move_lanes(const Lanes<Real>& n, Real d, const Real* __restrict v,
                       const Real* __restrict i, Real* __restrict v_end, Real* __restrict i_end,
                       Real* __restrict open) {
  const Size count = n.count;
  Real any = Real(0);
  if (n.uniform && !n.driven) {
    const Decay<Real> e =
        decay(d, n.alpha[0], n.beta[0], n.difference[0], n.inv_difference[0]);
    const Real beta = n.beta[0], kappa_max = n.kappa_max[0];
#pragma GCC ivdep
    for (Size j = 0; j < count; ++j) {
      const Real v1 = fma(e.mem, v[j], fma(e.kappa * n.inv_c[j], i[j], Real(0)));
      const Real i1 = e.syn * i[j];
      v_end[j] = v1;
      i_end[j] = i1;
      const Real looks = no_crossing(v[j], i[j], v1, i1, d, beta, n.inv_c[j], Real(0),
                                     n.threshold[j], kappa_max)
                             ? Real(0)
                             : Real(1);
      open[j] = looks;
      any = looks > any ? looks : any;
    }
  } else {
#pragma GCC ivdep
    for (Size j = 0; j < count; ++j) {
      const Decay<Real> e =
          decay(d, n.alpha[j], n.beta[j], n.difference[j], n.inv_difference[j]);
      const Real driven =
          n.drive[j] == Real(0) ? Real(0) : n.drive[j] * step_response(d, n.beta[j]);
      const Real v1 = fma(e.mem, v[j], fma(e.kappa * n.inv_c[j], i[j], driven));
      const Real i1 = e.syn * i[j];
      v_end[j] = v1;
      i_end[j] = i1;
      const Real looks = no_crossing(v[j], i[j], v1, i1, d, n.beta[j], n.inv_c[j], n.drive[j],
                                     n.threshold[j], n.kappa_max[j])
                             ? Real(0)
                             : Real(1);
      open[j] = looks;
      any = looks > any ? looks : any;
    }
  }
  return any != Real(0);
}

SNNFP_ISA_END
