#pragma once
// Divided differences of e^x at 0 and -x, x >= 0, with nodes repeated: positive, and in full
// precision however small x is. MATH.md E16.

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

// 1/k! + x/(k + 1)! + x^2/(k + 2)! + ..., for |x| <= 2.
template <int k, class Real>
inline Real exponential_tail(Real x) {
  constexpr int terms = sizeof(Real) == 8 ? 24 : 15;
  Real sum = Real(inverse_factorial.of[k + terms - 1]);
  for (int n = k + terms - 2; n >= k; --n) sum = fma(sum, x, Real(inverse_factorial.of[n]));
  return sum;
}

// By the nodes: those of "2" are 0, 0, -x and 0, -x, -x; those of "3" 0, 0, 0, -x and so on.
template <class Real>
struct DividedDifferences {
  Real x, decay;  // e^-x
  bool close;     // where closed forms would lose digits

  explicit DividedDifferences(Real at) : x(at), decay(exp_of(-at)), close(at < Real(2)) {}

  Real nodes_0x() const { return x > Real(0) ? -exponential_parts(-x).expm1() / x : Real(1); }
  Real nodes_00x() const { return close ? exponential_tail<2>(-x) : (Real(1) - nodes_0x()) / x; }
  Real nodes_0xx() const {
    return close ? decay * exponential_tail<2>(x) : (nodes_0x() - decay) / x;
  }
  Real nodes_000x() const {
    return close ? exponential_tail<3>(-x) : (Real(0.5) - nodes_00x()) / x;
  }
  Real nodes_0xxx() const {
    return close ? decay * exponential_tail<3>(x) : (nodes_0xx() - Real(0.5) * decay) / x;
  }
  // With y = x/2: e^-y (y cosh y - sinh y) / (2 y^3).
  Real nodes_00xx() const {
    if (!close) return (nodes_00x() - nodes_0xx()) / x;
    const Real y = Real(0.5) * x, y2 = y * y;
    Real sum = Real(0);
    for (int m = 10; m >= 1; --m) sum = fma(sum, y2, Real(m * inverse_factorial.of[2 * m + 1]));
    return exp_of(-y) * sum;
  }
};

SNNFP_ISA_END
