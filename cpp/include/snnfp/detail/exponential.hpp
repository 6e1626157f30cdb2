#pragma once
// e^x and e^x - 1 for x <= 0 as straight-line code, on numbers and on packs of them: the same
// operations in the same order give the same bits in a vector's body, in its tail and alone.
// Below 1 ulp (tests/cpp/test_exponential.cpp).

#include "snnfp/detail/pack.hpp"

SNNFP_ISA_BEGIN

// e^x = scale + scale p with p = e^r - 1 for the reduced argument |r| <= ln(2)/2.
template <class T>
struct ExponentialParts {
  T scale, p;
  T exp() const { return fma(scale, p, scale); }
  T expm1() const { return fma(scale, p, scale - T(1)); }
};

// Taylor coefficients 1/n!: exact by construction, and one term more than a minimax fit needs.
template <class T>
SNNFP_INLINE ExponentialParts<T> exponential_parts_double(T x) {
  constexpr double log2_e = 0x1.71547652b82fep+0;
  constexpr double ln2_high = 0x1.62e42fefa39efp-1, ln2_low = 0x1.abc9e3b39803fp-56;
  constexpr double round = 0x1.8p52;
  const auto vanishes = x < T(-708.0);
  const T y = select(vanishes, T(-708.0), x);
  const T shifted = fma(y, T(log2_e), T(round));
  const T k = shifted - T(round);
  const T r = fma(k, T(-ln2_low), fma(k, T(-ln2_high), y));
  // In pairs and pairs of pairs: a third of the waiting of one long chain.
  const T r2 = r * r, r4 = r2 * r2;
  const T a = fma(T(1.0 / 6.0), r, T(0.5));
  const T b = fma(T(1.0 / 120.0), r, T(1.0 / 24.0));
  const T c = fma(T(1.0 / 5040.0), r, T(1.0 / 720.0));
  const T d = fma(T(1.0 / 362880.0), r, T(1.0 / 40320.0));
  const T e = fma(T(1.0 / 39916800.0), r, T(1.0 / 3628800.0));
  const T f = fma(T(1.0 / 6227020800.0), r, T(1.0 / 479001600.0));
  const T low = fma(b, r2, a), middle = fma(d, r2, c), high = fma(f, r2, e);
  const T p = fma(r2, fma(fma(high, r4, middle), r4, low), r);
  return {select(vanishes, T(0.0), scale_from_bits(shifted)), p};
}

template <class T>
SNNFP_INLINE ExponentialParts<T> exponential_parts_float(T x) {
  constexpr float log2_e = 0x1.715476p+0f;
  constexpr float ln2_high = 0x1.62e430p-1f, ln2_low = -0x1.05c610p-29f;
  constexpr float round = 0x1.8p23f;
  const auto vanishes = x < T(-87.0f);
  const T y = select(vanishes, T(-87.0f), x);
  const T shifted = fma(y, T(log2_e), T(round));
  const T k = shifted - T(round);
  const T r = fma(k, T(-ln2_low), fma(k, T(-ln2_high), y));
  T q = fma(T(1.0f / 5040.0f), r, T(1.0f / 720.0f));
  q = fma(q, r, T(1.0f / 120.0f));
  q = fma(q, r, T(1.0f / 24.0f));
  q = fma(q, r, T(1.0f / 6.0f));
  q = fma(q, r, T(0.5f));
  const T p = fma(r * r, q, r);
  return {select(vanishes, T(0.0f), scale_from_bits(shifted)), p};
}

template <class T>
SNNFP_INLINE ExponentialParts<T> exponential_parts(T x) {
  if constexpr (sizeof(Scalar<T>) == 8) {
    return exponential_parts_double(x);
  } else {
    return exponential_parts_float(x);
  }
}

// -ln(1 - y) for 0 <= y <= 63/64, to a part of 2^-20.
template <class T>
SNNFP_INLINE T rough_log_of_rest(T y) {
  constexpr Scalar<T> round = sizeof(Scalar<T>) == 8 ? Scalar<T>(0x1.8p52) : Scalar<T>(0x1.8p23);
  const T x = T(1) - y;
  const T k = exponent_of(x * T(Scalar<T>(4.0 / 3.0)));
  const T m = x * scale_from_bits(T(round) - k);  // 3/4 <= m < 3/2
  const T f = select(k == T(0), -y, m - T(1));
  const T s = f / (T(2) + f), s2 = s * s;  // ln(1 + f) = 2 artanh(s)
  const T tail =
      fma(s2, fma(s2, T(Scalar<T>(1.0 / 7.0)), T(Scalar<T>(1.0 / 5.0))), T(Scalar<T>(1.0 / 3.0)));
  return -fma(k, T(Scalar<T>(0x1.62e42fefa39efp-1)), fma(s * s2, T(2) * tail, T(2) * s));
}

// e^x for x <= 0; exactly 0 below the smallest normal number, so that no state turns denormal.
template <class T>
SNNFP_INLINE T exp_of(T x) {
  return exponential_parts(x).exp();
}

SNNFP_ISA_END
