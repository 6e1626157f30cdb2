// e^x and e^x - 1 against long double: below 1 ulp, and 0 rather than denormal far out.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

#include "snnfp/detail/exponential.hpp"

using snnfp::detail::exponential_parts;

namespace {

template <class Real>
Real ulps(Real got, long double expected) {
  const Real e = static_cast<Real>(expected);
  const Real ulp = std::nextafter(std::abs(e), std::numeric_limits<Real>::infinity()) - std::abs(e);
  return static_cast<Real>(std::abs((static_cast<long double>(got) - expected) / ulp));
}

template <class Real>
void check_range(Real low, Real high) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<Real> uniform(low, high);
  Real worst_exp = 0, worst_expm1 = 0;
  for (int k = 0; k < 200000; ++k) {
    const Real x = uniform(random);
    const auto parts = exponential_parts(x);
    worst_exp = std::max(worst_exp, ulps(parts.exp(), std::exp(static_cast<long double>(x))));
    worst_expm1 =
        std::max(worst_expm1, ulps(parts.expm1(), std::expm1(static_cast<long double>(x))));
  }
  CHECK(worst_exp < Real(1.01));
  CHECK(worst_expm1 < Real(1.6));
}

}  // namespace

TEST_CASE("exponentials are accurate near zero, at ordinary and at far arguments") {
  check_range<double>(-1e-8, 0.0);
  check_range<double>(-1.0, 0.0);
  check_range<double>(-700.0, 0.0);
  check_range<float>(-1e-3f, 0.0f);
  check_range<float>(-1.0f, 0.0f);
  check_range<float>(-80.0f, 0.0f);
}

TEST_CASE("the rough logarithm keeps to its part of 2^-20") {
  const auto worst = [](auto zero) {
    using Real = decltype(zero);
    long double most = 0;
    for (int k = 1; k <= 100000; ++k)
      for (const Real far : {Real(63.0 / 64.0), Real(1e-3), Real(1e-12)}) {
        const Real y = far * static_cast<Real>(k) / Real(100000);
        const long double exact = -std::log1p(-static_cast<long double>(y));
        const long double got = snnfp::detail::rough_log_of_rest(y);
        most = std::max(most, std::abs(got / exact - 1));
      }
    return most;
  };
  CHECK(worst(0.0) < 0x1p-20L);
  CHECK(worst(0.0f) < 0x1p-18L);
  CHECK(snnfp::detail::rough_log_of_rest(0.0) == 0.0);
}

TEST_CASE("the ends: 1 at 0, and 0 instead of a denormal number") {
  CHECK(exponential_parts(0.0).exp() == 1.0);
  CHECK(exponential_parts(0.0).expm1() == 0.0);
  CHECK(exponential_parts(-1e4).exp() == 0.0);
  CHECK(exponential_parts(-1e4).expm1() == -1.0);
  CHECK(exponential_parts(-std::numeric_limits<double>::infinity()).exp() == 0.0);
  CHECK(exponential_parts(-707.9).exp() >= std::numeric_limits<double>::min());
  CHECK(exponential_parts(-1e3f).exp() == 0.0f);
}
