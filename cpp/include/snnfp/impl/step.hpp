#pragma once
// The inner loops of a step (O1 to O5). Plain operations on one element after the other, so that
// they have the same bits however many go side by side.

#include <limits>

#include "snnfp/detail/pack.hpp"
#include "snnfp/detail/step_table.hpp"

#define SNNFP_RESTRICT __restrict__

SNNFP_ISA_BEGIN

template <class Real>
struct StepFunctions {
  // Denormal moments say nothing, and would cost a hundred times what others do in every step from
  // the last gradient on.
  static SNNFP_INLINE Real flushed(Real x) {
    return size_of(x) < std::numeric_limits<Real>::min() ? Real(0) : x;
  }

  static void adam(const AdamNumbers<Real>& given, Size n, const Real* SNNFP_RESTRICT parameter,
                   const Real* SNNFP_RESTRICT gradient, Real* SNNFP_RESTRICT mean,
                   Real* SNNFP_RESTRICT square, Real* SNNFP_RESTRICT next) {
    const AdamNumbers<Real> c = given;
    for (Size i = 0; i < n; ++i) {
      const Real g = gradient[i] * c.scale;
      const Real m = flushed(mean[i] * c.keep1 + g * c.take1);
      const Real s = flushed(square[i] * c.keep2 + g * g * c.take2);
      mean[i] = m;
      square[i] = s;
      next[i] = parameter[i] * c.stays - m / (sqrt_of(s) / c.correction + c.eps) * c.rate;
    }
  }

  static void sgd(const SgdNumbers<Real>& given, Size n, const Real* SNNFP_RESTRICT parameter,
                  const Real* SNNFP_RESTRICT gradient, Real* SNNFP_RESTRICT velocity,
                  Real* SNNFP_RESTRICT next) {
    const SgdNumbers<Real> c = given;
    if (!velocity) {
      for (Size i = 0; i < n; ++i)
        next[i] = parameter[i] * c.stays - gradient[i] * c.scale * c.rate;
      return;
    }
    for (Size i = 0; i < n; ++i) {
      const Real g = gradient[i] * c.scale;
      const Real v = flushed(velocity[i] * c.momentum + g);
      velocity[i] = v;
      next[i] = parameter[i] * c.stays - (c.nesterov ? g + v * c.momentum : v) * c.rate;
    }
  }

  static void thaw(Size n, const std::uint8_t* SNNFP_RESTRICT frozen,
                   const Real* SNNFP_RESTRICT values, Real* SNNFP_RESTRICT thawed) {
    for (Size i = 0; i < n; ++i) thawed[i] = frozen[i] ? Real(0) : values[i];
  }
  static void keep(Size n, const std::uint8_t* SNNFP_RESTRICT frozen,
                   const Real* SNNFP_RESTRICT parameter, Real* SNNFP_RESTRICT next) {
    for (Size i = 0; i < n; ++i) next[i] = frozen[i] ? parameter[i] : next[i];
  }
  static void raise(Size n, const Real* SNNFP_RESTRICT low, Size stride,
                    Real* SNNFP_RESTRICT next) {
    if (stride == 0) {
      const Real one = *low;
      for (Size i = 0; i < n; ++i) next[i] = next[i] < one ? one : next[i];
    } else {
      for (Size i = 0; i < n; ++i) next[i] = next[i] < low[i] ? low[i] : next[i];
    }
  }
  static void lower(Size n, const Real* SNNFP_RESTRICT high, Size stride,
                    Real* SNNFP_RESTRICT next) {
    if (stride == 0) {
      const Real one = *high;
      for (Size i = 0; i < n; ++i) next[i] = next[i] > one ? one : next[i];
    } else {
      for (Size i = 0; i < n; ++i) next[i] = next[i] > high[i] ? high[i] : next[i];
    }
  }
  static void blend(Size n, Real part, const Real* SNNFP_RESTRICT next,
                    const Real* SNNFP_RESTRICT average, Real* SNNFP_RESTRICT blended) {
    for (Size i = 0; i < n; ++i) blended[i] = average[i] + (next[i] - average[i]) * part;
  }

  // Looks at so many at once; mostly the first of them say no.
  static bool zero(Size n, const Real* values) {
    constexpr Size together = 32;
    Size i = 0;
    for (; i + together <= n; i += together) {
      bool some = false;
      for (Size k = 0; k < together; ++k) some |= values[i + k] != Real(0);
      if (some) return false;
    }
    for (; i < n; ++i)
      if (values[i] != Real(0)) return false;
    return true;
  }

  // In a fixed number of sums, so that as many are added at once as the processor can.
  static double squares(Size n, const Real* values) {
    constexpr Size lanes = 32;
    double sums[lanes] = {};
    Size i = 0;
    for (; i + lanes <= n; i += lanes)
      for (Size k = 0; k < lanes; ++k) sums[k] += double(values[i + k]) * double(values[i + k]);
    for (Size k = 0; i + k < n; ++k) sums[k] += double(values[i + k]) * double(values[i + k]);
    for (Size half = lanes / 2; half > 0; half /= 2)
      for (Size k = 0; k < half; ++k) sums[k] += sums[k + half];
    return sums[0];
  }

  static constexpr StepTable<Real> table = {adam,  sgd,   thaw, keep,   raise,
                                            lower, blend, zero, squares};
};

SNNFP_ISA_END

#undef SNNFP_RESTRICT
