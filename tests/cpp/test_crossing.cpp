// The crossing solver against a fine scan of the closed form in long double: the first crossing,
// none missed, none made up, at every ratio of time constants and sign of state and bias.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "snnfp/detail/lanes.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/model/crossing.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

struct Trial {
  long double alpha, beta, drive, threshold, v, i;

  long double at(long double d) const {
    const long double x = (alpha - beta) * d;
    const long double kappa =
        x == 0 ? d * std::exp(-alpha * d) : -std::exp(-beta * d) * std::expm1(-x) / (alpha - beta);
    const long double step = beta > 0 ? -std::expm1(-beta * d) / beta : d;
    return v * std::exp(-beta * d) + i * kappa + drive * step;
  }
};

detail::NeuronConstants<double> constants(const Trial& t) {
  detail::NeuronConstants<double> c;
  Lif<double> lif;
  lif.tau_syn = static_cast<double>(1 / t.alpha);
  lif.tau_mem = static_cast<double>(1 / t.beta);
  lif.threshold = static_cast<double>(t.threshold);
  lif.v_reset = static_cast<double>(t.threshold) - 1;
  lif.bias = static_cast<double>(t.drive);
  c.append(lif, 0, false);
  return c;
}

}  // namespace

TEST_CASE("the first crossing, and no other") {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
  int crossings = 0, none = 0;
  for (int k = 0; k < 4000; ++k) {
    Trial t;
    t.beta = k % 11 == 0 ? 0 : std::exp(2 * sign(random));
    const double ratios[] = {1, 1 + 1e-15, 1 - 1e-12, 1 + 1e-8, 1.001, 2, 0.5, 4, 30};
    t.alpha =
        k % 7 == 0 ? std::exp(2 * sign(random)) : (t.beta > 0 ? t.beta : 1.0L) * ratios[k % 9];
    t.threshold = 1;
    t.drive = k % 3 == 0 ? 2 * sign(random) : 0;
    t.v = 1 - 2 * unit(random) * unit(random);
    t.i = 6 * sign(random);
    const auto c = constants(t);
    t.alpha = c.alpha[0];
    t.beta = c.beta[0];
    t.drive = c.drive[0];
    const detail::Neuron<double> n(c, 0);
    const detail::Membrane<double> s{static_cast<double>(t.v), static_cast<double>(t.i)};
    t.v = s.v;
    t.i = s.i;
    const double d = detail::next_crossing(s, n);
    const double bound = detail::crossing_time(c, 0, s, 0.0);
    CHECK(bound == d);
    // V before the crossing stays below threshold: scan a grid that ends there (or far out).
    const bool found = d < INFINITY;
    const long double end = found ? static_cast<long double>(d) * (1 - 1e-9L) : 60;
    long double highest = -INFINITY;
    for (int q = 1; q <= 4000; ++q) {
      const long double x = static_cast<long double>(q) / 4000;
      highest = std::max(highest, t.at(end * x * x));
    }
    CAPTURE(k);
    CHECK(highest < 1 + 1e-12L);
    if (found) {
      ++crossings;
      CHECK(std::abs(static_cast<double>(t.at(d) - 1)) < 1e-14);
    } else {
      ++none;
    }
  }
  CHECK(crossings > 800);
  CHECK(none > 800);
}

TEST_CASE("the ceiling lies above V, and is V where one time constant is twice the other") {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
  int ceilings = 0, same = 0, topped = 0, none = 0;
  for (int k = 0; k < 4000; ++k) {
    Trial t;
    const double ratios[] = {1, 1 + 1e-12, 1.5, 2, 0.5, 4, 30, 0.7, 0.1};
    t.beta = k % 13 == 0 ? 0 : std::exp(2 * sign(random));
    t.alpha = (t.beta > 0 ? t.beta : 1.0L) * ratios[k % 9];
    t.threshold = 1;
    t.drive = k % 4 == 0 ? sign(random) : 0;
    t.v = 1 - 2 * unit(random) * unit(random);
    t.i = 6 * static_cast<double>(t.alpha) * unit(random);
    const auto c = constants(t);
    t.alpha = c.alpha[0];
    t.beta = c.beta[0];
    t.drive = c.drive[0];
    const detail::Neuron<double> n(c, 0);
    const detail::Membrane<double> s{static_cast<double>(t.v), static_cast<double>(t.i)};
    t.v = s.v;
    t.i = s.i;
    const double v1 = detail::slope(s, n), d = detail::next_crossing(s, n);
    const auto curve = detail::ceiling(v1, s.i, n);
    if (!(v1 > 0) || !detail::is_ceiling(curve, v1, s.i, n)) continue;
    ++ceilings;
    const long double r = curve.rate, rise = v1 / r, bend = curve.bend / (2 * r * r);
    CAPTURE(k);
    const bool twice = t.alpha == 2 * t.beta || t.beta == 2 * t.alpha;
    same += twice;
    for (int q = 1; q <= 400; ++q) {
      const long double x = 0.025L * q / r, y = -std::expm1(-r * x);
      const long double above = t.v + y * (rise + bend * y) - t.at(x);
      const long double size = 1 + std::abs(t.v) + std::abs(rise) + std::abs(bend);
      CHECK(above > -1e-15L * size);
      if (twice) CHECK(above < 1e-15L * size);
    }
    const double from = detail::crossing::newton_start(s, n);
    if (from == INFINITY) {
      ++topped;
      CHECK(d == INFINITY);
    } else {
      CHECK(from <= d);
      if (twice && d < INFINITY && from < 4 / static_cast<double>(r)) CHECK(from > d * (1 - 1e-5));
    }
    none += twice && d == INFINITY && from < INFINITY && !(t.drive != 0);
  }
  CHECK(ceilings > 2000);
  CHECK(same > 400);
  CHECK(topped > 200);
  CHECK(none == 0);
}

TEST_CASE("the bound that identical neurons share lets no crossing through") {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
  int cleared = 0, crossings = 0;
  for (int k = 0; k < 200000; ++k) {
    Trial t;
    t.beta = k % 11 == 0 ? 0 : std::exp(2 * sign(random));
    t.alpha = k % 7 == 0 ? t.beta : std::exp(2 * sign(random));
    t.threshold = 1;
    t.drive = k % 3 == 0 ? 2 * sign(random) : 0;
    const auto c = constants(t);
    const detail::Neuron<double> n(c, 0);
    const detail::Membrane<double> s{k % 5 == 0 ? 1 - 1e-9 * unit(random) : 1 - 2 * unit(random),
                                     6 * sign(random) * unit(random)};
    // Up to the crossing, to the last bit, where that is closer.
    const double d = detail::next_crossing(s, n);
    const double span = std::min(std::exp(4 * sign(random) - 2), d);
    const detail::TangentBound<double> bound(span, span + 10 * unit(random), n);
    const bool clears = bound.clears(s, detail::propagate(s, span, n));
    CAPTURE(k);
    if (span == d) {
      ++crossings;
      CHECK(!clears);
    }
    cleared += clears;
  }
  CHECK(crossings > 20000);
  CHECK(cleared > 40000);
}

TEST_CASE("near tangency: finite, accurate, and touching is not a spike") {
  // tau_mem = 2, tau_syn = 1: V peaks at w / 4 ... at e^(-t/2) = 1/2.
  detail::NeuronConstants<double> c;
  Lif<double> lif;
  lif.tau_mem = 2.0;
  c.append(lif, 0, false);
  const detail::Neuron<double> n(c, 0);
  const double critical = 2.0;  // kappa_max = 1/2
  CHECK(detail::next_crossing<double>({0.0, critical}, n) == INFINITY);
  CHECK(detail::next_crossing<double>({0.0, critical * (1 - 1e-12)}, n) == INFINITY);
  for (double e = 1e-1; e > 1e-13; e /= 10) {
    // V(t) = w (y - y^2) 2/... with y = e^(-t/2): w 2 (y - y^2) = 1 has y = (1 + sqrt(1 - 2/w))/2.
    const double w = critical * (1 + e);
    const long double y = (1 + std::sqrt(1 - 2.0L / static_cast<long double>(w))) / 2;
    const double expected = static_cast<double>(-2 * std::log(y));
    const double d = detail::next_crossing<double>({0.0, w}, n);
    CAPTURE(e);
    CHECK(std::abs(d - expected) < 1e-15 / std::sqrt(e));
  }
}
