#pragma once
// e^x and e^x - 1 for x <= 0 as straight-line code: the compiler vectorises it, and the same
// operations in the same order give the same bits in a vector's body, in its tail and alone.
// Below 1 ulp (tests/cpp/test_exponential.cpp).

#include <cmath>
#include <cstdint>
#include <cstring>

#include "snnfp/detail/isa.hpp"

SNNFP_ISA_BEGIN

inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double sqrt_of(double x) { return __builtin_sqrt(x); }
inline float sqrt_of(float x) { return __builtin_sqrtf(x); }

// e^x = scale + scale p with p = e^r - 1 for the reduced argument |r| <= ln(2)/2.
template <class Real>
struct ExponentialParts {
  Real scale, p;
  Real exp() const { return fma(scale, p, scale); }
  Real expm1() const { return fma(scale, p, scale - Real(1)); }
};

// Taylor coefficients 1/n!: exact by construction, and one term more than a minimax fit needs.
inline ExponentialParts<double> exponential_parts(double x) {
  constexpr double log2_e = 0x1.71547652b82fep+0;
  constexpr double ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  constexpr double round = 0x1.8p52;
  const bool vanishes = x < -708.0;
  const double y = vanishes ? -708.0 : x;
  const double shifted = fma(y, log2_e, round);
  const double k = shifted - round;
  double r = fma(k, -ln2_high, y);
  r = fma(k, -ln2_low, r);
  // In pairs and pairs of pairs: a third of the waiting of one long chain.
  const double r2 = r * r, r4 = r2 * r2;
  const double a = fma(1.0 / 6.0, r, 0.5), b = fma(1.0 / 120.0, r, 1.0 / 24.0);
  const double c = fma(1.0 / 5040.0, r, 1.0 / 720.0), e = fma(1.0 / 362880.0, r, 1.0 / 40320.0);
  const double f = fma(1.0 / 39916800.0, r, 1.0 / 3628800.0);
  const double g = fma(1.0 / 6227020800.0, r, 1.0 / 479001600.0);
  const double low = fma(b, r2, a), middle = fma(e, r2, c), high = fma(g, r2, f);
  const double q = fma(fma(high, r4, middle), r4, low);
  const double p = fma(r2, q, r);
  std::int64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) * (std::int64_t(1) << 52);
  double scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return {vanishes ? 0.0 : scale, p};
}

inline ExponentialParts<float> exponential_parts(float x) {
  constexpr float log2_e = 0x1.715476p+0f;
  constexpr float ln2_high = 0x1.62e430p-1f, ln2_low = -0x1.05c610p-29f;
  constexpr float round = 0x1.8p23f;
  const bool vanishes = x < -87.0f;
  const float y = vanishes ? -87.0f : x;
  const float shifted = fma(y, log2_e, round);
  const float k = shifted - round;
  float r = fma(k, -ln2_high, y);
  r = fma(k, -ln2_low, r);
  float q = 1.0f / 5040.0f;
  q = fma(q, r, 1.0f / 720.0f);
  q = fma(q, r, 1.0f / 120.0f);
  q = fma(q, r, 1.0f / 24.0f);
  q = fma(q, r, 1.0f / 6.0f);
  q = fma(q, r, 0.5f);
  const float p = fma(r * r, q, r);
  std::int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = static_cast<std::int32_t>((static_cast<std::uint32_t>(bits) + 127u) << 23);
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return {vanishes ? 0.0f : scale, p};
}

// e^x for x <= 0; exactly 0 below the smallest normal number, so that no state turns denormal.
template <class Real>
inline Real exp_of(Real x) {
  return exponential_parts(x).exp();
}

SNNFP_ISA_END
