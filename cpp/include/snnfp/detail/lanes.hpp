#pragma once
// The vector loop over the neurons of a population: from one arrival to the next, and which of them
// might cross in between.

#include <limits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "snnfp/detail/lif.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

// Neurons side by side in the widest vector; arrays are padded to a multiple of it.
template <class Real>
constexpr int lane_width = 64 / int(sizeof(Real));

template <class Real>
constexpr Size padded(Size n) {
  return (n + lane_width<Real> - 1) / lane_width<Real> * lane_width<Real>;
}

// Pointers to the constants of a population's neurons.
template <class Real>
struct Lanes {
  const Real *alpha, *beta, *difference, *inv_difference, *inv_c, *drive, *threshold, *kappa_max;
  Size count;
  bool uniform;    // one pair of time constants: exponentials are shared
  bool driven;     // some bias is not 0
  bool identical;  // nothing differs

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
        driven(false),
        identical(true) {
    for (Id j = 0; j < n; ++j) {
      uniform &= alpha[j] == alpha[0] && beta[j] == beta[0];
      driven |= drive[j] != Real(0);
      identical &= uniform && inv_c[j] == inv_c[0] && drive[j] == drive[0] &&
                   threshold[j] == threshold[0];
    }
  }
};

// Whether V can be shown not to cross between a state and the one a time d later. False costs a
// call of the solver, nothing else: the margins keep "true" on the safe side of rounding.
template <class Real>
inline bool no_crossing(Real v, Real i, Real v_end, Real i_end, Real d, Real alpha, Real beta,
                        Real inv_c, Real drive, Real threshold, Real kappa_max) {
  constexpr Real slack = 64 * std::numeric_limits<Real>::epsilon();
  const Real current = inv_c * i;
  const Real v1 = fma(-beta, v, current + drive);
  const Real current_end = inv_c * i_end;
  const Real v1_end = fma(-beta, v_end, current_end + drive);
  const Real positive_v = v > Real(0) ? v : Real(0);
  const Real positive_i = current > Real(0) ? current : Real(0);
  const Real size = (v < Real(0) ? -v : v) + (threshold < Real(0) ? -threshold : threshold) +
                    positive_i * (d < kappa_max ? d : kappa_max);
  const Real below = threshold - slack * size;
  // The bound of stays_below; a V that is largest at one of the ends; and, where V is concave (up to
  // the end, if it still is there), the tangent at the start and where it meets that at the end.
  const bool bounded = (drive <= Real(0)) & (fma(positive_i, kappa_max, positive_v) < below);
  const bool ends = (v_end < below) & ((i <= Real(0)) | (v1 <= Real(0)) | (v1_end >= Real(0)));
  const bool concave = (i > Real(0)) & (v1 > Real(0));
  const bool tangent = fma(d, v1, v) < below;
  const Real turn = v1 - v1_end;
  const Real meets = v1 * (v_end - fma(v1_end, d, v));
  const bool bends = fma(beta, v1_end, alpha * current_end) > Real(0);
  const bool between = (v_end < below) & (v1_end < Real(0)) & bends & (meets < turn * (below - v));
  return bounded | ends | (concave & (tangent | between));
}

// Moves all lanes by d into (v_end, i_end); open[j] is 1 where the solver has to look.
// Returns whether any is. Arrays are padded; what is past `count` is never open.
template <class Real>
inline bool move_lanes(const Lanes<Real>& n, Real d, const Real* __restrict v,
                       const Real* __restrict i, Real* __restrict v_end, Real* __restrict i_end,
                       Real* __restrict open) {
  const Size count = n.count;
  Real any = Real(0);
  if (n.uniform) {
    const Decay<Real> e =
        decay(d, n.alpha[0], n.beta[0], n.difference[0], n.inv_difference[0]);
    const Real response = n.driven ? step_response(d, n.beta[0]) : Real(0);
    const Real alpha = n.alpha[0], beta = n.beta[0], kappa_max = n.kappa_max[0];
#pragma GCC ivdep
    for (Size j = 0; j < count; ++j) {
      const Real driven = n.drive[j] == Real(0) ? Real(0) : n.drive[j] * response;
      const Real v1 = fma(e.mem, v[j], fma(e.kappa * n.inv_c[j], i[j], driven));
      const Real i1 = e.syn * i[j];
      v_end[j] = v1;
      i_end[j] = i1;
      const Real looks = no_crossing(v[j], i[j], v1, i1, d, alpha, beta, n.inv_c[j],
                                     n.drive[j], n.threshold[j], kappa_max)
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
      const Real looks = no_crossing(v[j], i[j], v1, i1, d, n.alpha[j], n.beta[j], n.inv_c[j],
                                     n.drive[j], n.threshold[j], n.kappa_max[j])
                             ? Real(0)
                             : Real(1);
      open[j] = looks;
      any = looks > any ? looks : any;
    }
  }
  return any != Real(0);
}

// Calls visit(j) for every j < count with flags[j] != 0, in order. Padded, and 0 past `count`.
template <class Visit>
inline void each_set(const double* flags, Size count, Visit visit) {
#if defined(__AVX512F__)
  for (Size j = 0; j < count; j += 8)
    for (unsigned m = _mm512_test_epi64_mask(_mm512_loadu_si512(flags + j),
                                             _mm512_loadu_si512(flags + j));
         m != 0; m &= m - 1)
      visit(j + __builtin_ctz(m));
#elif defined(__AVX2__)
  for (Size j = 0; j < count; j += 4)
    for (unsigned m = 15 & _mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(flags + j),
                                                            _mm256_setzero_pd(), _CMP_NEQ_UQ));
         m != 0; m &= m - 1)
      visit(j + __builtin_ctz(m));
#else
  for (Size j = 0; j < count; ++j)
    if (flags[j] != 0) visit(j);
#endif
}
template <class Visit>
inline void each_set(const float* flags, Size count, Visit visit) {
#if defined(__AVX512F__)
  for (Size j = 0; j < count; j += 16)
    for (unsigned m = _mm512_test_epi32_mask(_mm512_loadu_si512(flags + j),
                                             _mm512_loadu_si512(flags + j));
         m != 0; m &= m - 1)
      visit(j + __builtin_ctz(m));
#elif defined(__AVX2__)
  for (Size j = 0; j < count; j += 8)
    for (unsigned m = 255 & _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(flags + j),
                                                             _mm256_setzero_ps(), _CMP_NEQ_UQ));
         m != 0; m &= m - 1)
      visit(j + __builtin_ctz(m));
#else
  for (Size j = 0; j < count; ++j)
    if (flags[j] != 0) visit(j);
#endif
}

SNNFP_ISA_END
