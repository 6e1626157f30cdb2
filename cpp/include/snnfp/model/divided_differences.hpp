#pragma once
// Divided differences of e^x at 0 and -x, x >= 0, with nodes repeated: positive, and in full
// precision however small x is. On numbers and on packs of them. MATH.md E16.

#include "snnfp/detail/exponential.hpp"

SNNFP_ISA_BEGIN

// 1/n!, from 1/0! on.
struct InverseFactorials {
  double of[28];
  constexpr InverseFactorials() : of{} {
    double factorial = 1;
    for (int n = 0; n < 28; factorial *= ++n) of[n] = 1 / factorial;
  }
};
inline constexpr InverseFactorials inverse_factorial;

// 1/k! + x/(k + 1)! + x^2/(k + 2)! + ..., for |x| <= 2: even and odd powers side by side.
template <int k, class T>
SNNFP_INLINE T exponential_tail(T x) {
  constexpr int terms = sizeof(Scalar<T>) == 8 ? 24 : 14;
  const auto coefficient = [](int n) { return T(Scalar<T>(inverse_factorial.of[n])); };
  const T x2 = x * x;
  T even = coefficient(k + terms - 2), odd = coefficient(k + terms - 1);
  for (int n = terms - 4; n >= 0; n -= 2) {
    even = fma(even, x2, coefficient(k + n));
    odd = fma(odd, x2, coefficient(k + n + 1));
  }
  return fma(odd, x, even);
}

// By the nodes: those of "2" are 0, 0, -x and 0, -x, -x; those of "3" 0, 0, 0, -x and so on.
template <class T>
struct DividedDifferences {
  using Real = Scalar<T>;
  T x, decay;                 // e^-x
  T series;                   // x where it is small, else 2
  decltype(T() < T()) close;  // where closed forms would lose digits
  T zero_x;                   // of 0, -x

  SNNFP_INLINE explicit DividedDifferences(T at)
      : x(at), series(smaller(at, T(Real(2)))), close(at < T(Real(2))) {
    const ExponentialParts<T> e = exponential_parts(-at);
    decay = e.exp();
    zero_x = select(at > T(Real(0)), -e.expm1() / at, T(Real(1)));
  }

  SNNFP_INLINE T nodes_0x() const { return zero_x; }
  SNNFP_INLINE T nodes_00x() const {
    return either([&] { return exponential_tail<2>(-series); },
                  [&] { return (T(Real(1)) - zero_x) / x; });
  }
  SNNFP_INLINE T nodes_0xx() const {
    return either([&] { return decay * exponential_tail<2>(series); },
                  [&] { return (zero_x - decay) / x; });
  }
  SNNFP_INLINE T nodes_000x() const {
    return either([&] { return exponential_tail<3>(-series); },
                  [&] { return (T(Real(0.5)) - nodes_00x()) / x; });
  }
  SNNFP_INLINE T nodes_0xxx() const {
    return either([&] { return decay * exponential_tail<3>(series); },
                  [&] { return (nodes_0xx() - T(Real(0.5)) * decay) / x; });
  }
  // With y = x/2: e^-y (y cosh y - sinh y) / (2 y^3).
  SNNFP_INLINE T nodes_00xx() const {
    const auto near = [&] {
      const T y = T(Real(0.5)) * series, y2 = y * y;
      T sum(Real(0));
      for (int m = 10; m >= 1; --m)
        sum = fma(sum, y2, T(Real(m * inverse_factorial.of[2 * m + 1])));
      return exp_of(-y) * sum;
    };
    return either(near, [&] { return (nodes_00x() - nodes_0xx()) / x; });
  }

 private:
  // A pack takes both where its lanes differ.
  template <class Near, class Far>
  SNNFP_INLINE T either(const Near& near, const Far& far) const {
    if (!any(!close)) return near();
    if (!any(close)) return far();
    return select(close, near(), far());
  }
};

SNNFP_ISA_END
