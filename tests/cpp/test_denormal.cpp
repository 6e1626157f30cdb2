// Denormal states move to the bits of denormal arithmetic, without it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "same_record.hpp"
#include "snnfp/model/denormal.hpp"
#include "snnfp/simulate.hpp"

using snnfp::detail::Denormal;

namespace {

template <class Real>
bool same_bits(Real a, Real b) {
  return std::memcmp(&a, &b, sizeof(Real)) == 0;
}

template <class Real>
void check_rounding() {
  std::mt19937_64 random(1);
  const Real least = std::numeric_limits<Real>::min();
  std::uniform_real_distribution<Real> factor(-2, 2), size(-12, 30), part(0, 1);
  const auto value = [&] {
    if (part(random) < Real(0.1)) return std::copysign(Real(0), factor(random));
    // Normal or denormal, with few or all of its places.
    const Real x = factor(random) * least * std::exp2(size(random)) * std::exp2(-size(random));
    const Real few = std::floor(factor(random) * 9) * std::numeric_limits<Real>::denorm_min();
    return part(random) < Real(0.3) ? few : x;
  };
  int denormal = 0, wrong = 0, cancelled = 0;
  for (int k = 0; k < 1000000; ++k) {
    const Real a = part(random) < Real(0.1) ? std::floor(factor(random) * 2) / 2 : factor(random);
    const Real b = value();
    const Real c =
        part(random) < Real(0.2) ? -a * b * (part(random) < Real(0.5) ? 1 : Real(1.001)) : value();
    const Real plain = snnfp::detail::fma(a, b, c), up = Denormal<Real>::up;
    const Real got = Denormal<Real>::rounded(a, b * up, c * up) * Denormal<Real>::down;
    denormal += std::fpclassify(plain) == FP_SUBNORMAL;
    cancelled += std::abs(c) >= least && std::abs(plain) < least;
    wrong += !same_bits(got, plain);
  }
  CHECK(wrong == 0);
  CHECK(denormal > 100000);
  CHECK(cancelled > 1000);
}

template <class Real>
void check_decay(double alpha, double beta) {
  snnfp::detail::NeuronConstants<Real> c;
  const double slow = std::min(alpha, beta), ratio = std::max(alpha, beta) - slow;
  const auto all = {std::pair(&c.alpha, alpha), {&c.beta, beta},
                    {&c.difference, ratio},     {&c.inv_difference, ratio == 0 ? 0 : 1 / ratio},
                    {&c.inv_c, 0.37},           {&c.drive, 0.0},
                    {&c.threshold, 1.0},        {&c.v_reset, 0.0},
                    {&c.t_refractory, 0.0},     {&c.kappa_max, 1.0}};
  for (const auto& [to, x] : all) to->assign(1, static_cast<Real>(x));
  const snnfp::detail::Neuron<Real> n(c, 0);
  std::mt19937_64 random(2);
  std::uniform_real_distribution<Real> span(0, 1);
  for (const Real first : {Real(0.3), Real(-0.3)}) {
    snnfp::detail::Membrane<Real> plain{Real(0.2), first}, raised{};
    bool is_denormal = false;
    int wrong = 0, denormal = 0;
    for (int k = 0; k < 20000; ++k) {
      const Real d = k == 0 ? -Real(0.95) * std::log(std::numeric_limits<Real>::min())
                            : span(random) * (k < 10000 ? Real(0.04) : Real(0.4));
      plain = propagate(plain, d, n);
      if (is_denormal) {
        raised = Denormal<Real>::moved(raised, d, n);
      } else if (Denormal<Real>::suits(plain, n)) {
        raised = Denormal<Real>::raised(plain);
        is_denormal = true;
      }
      if (!is_denormal) continue;
      const auto now = Denormal<Real>::lowered(raised);
      wrong += !same_bits(now.v, plain.v) || !same_bits(now.i, plain.i);
      denormal += std::fpclassify(plain.i) == FP_SUBNORMAL;
    }
    CHECK(wrong == 0);
    CHECK(denormal > 5000);
  }
}

template <class Real>
void check_records() {
  using namespace snnfp;
  Size late = 0;
  for (unsigned seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<Real> part(0, 1);
    const Id n = 6;
    Network<Real> net;
    Lif<Real> lif;
    lif.tau_mem = seed % 3 == 0 ? Real(1) : 1 + 9 * part(random);
    lif.tau_syn = 1;
    lif.t_refractory = seed % 2 == 0 ? Real(0) : Real(0.3);
    const auto x = net.add_input("x", 4);
    const auto h = net.add_population("h", n, lif);
    std::vector<Real> weight(4 * n, Real(0)), loop(n * n);
    for (Id k = 0; k < 3 * n; ++k) weight[k] = (6 * part(random) - 2);
    weight[3 * n] = Real(0.01);  // the others only move on
    for (Real& w : loop) w = part(random) - Real(0.6);
    net.connect_dense(x, h, weight);
    if (seed % 4 < 2) net.connect_dense(h, h, loop, Real(0.5));
    const Real far = -std::log(std::numeric_limits<Real>::min());
    std::vector<std::pair<Real, Id>> events;
    for (int k = 0; k < 300; ++k) events.push_back({far * (Real(0.9) + part(random)), 3});
    for (const Real begin : {Real(0), far, Real(1.05) * far, Real(1.1) * far, Real(1.5) * far})
      for (Id source = 0; source < 3; ++source)
        events.push_back({begin + 2 * part(random), source});
    std::sort(events.begin(), events.end());
    std::vector<Real> times;
    std::vector<Id> units;
    for (const auto& [time, source] : events) {
      times.push_back(time);
      units.push_back(source);
    }
    const Input<Real> input{{times, units, {0, static_cast<Size>(events.size())}}};
    SimulateOptions<Real> options;
    options.until = 2 * far;
    const auto record = simulate(net, input, options);
    options.engine = Engine::queue;
    CAPTURE(seed);
    check_same(record, simulate(net, input, options));
    for (const Real t : record.times) late += t > far;
  }
  CHECK(late > 100);
}

// What a probe tells of neuron 0, which only the first of two arrivals reaches.
template <class Real>
void check_probe() {
  using namespace snnfp;
  Network<Real> net;
  const auto x = net.add_input("x", 2);
  net.connect_dense(x, net.add_population("h", 2, {}), {Real(0.5), Real(0), Real(0), Real(0.5)});
  const Real far = Real(0.98) * -std::log(std::numeric_limits<Real>::min());
  const auto record = simulate<Real>(net, {single_sample<Real>({{Real(0), 0}, {far, 1}})});
  for (const Real after : {Real(0), Real(1), Real(3)}) {
    const long double t = far + after, current = std::exp(-t) / 2, voltage = t * current;
    const ProbeResult<Real> told = probe<Real>(record, {{0}, {far + after}}, {});
    // Some of these are denormal, of few places.
    const long double least = 8 * std::numeric_limits<Real>::denorm_min();
    CHECK(std::abs(told.voltage[0] - voltage) <= 1e-3L * voltage + least);
    CHECK(std::abs(told.current[0] - current) <= 1e-3L * current + least);
  }
}

}  // namespace

TEST_CASE("a probe in a long silence") {
  check_probe<double>();
  check_probe<float>();
}

TEST_CASE("records after long silence are those of every other engine") {
  check_records<double>();
  check_records<float>();
}

TEST_CASE("a denormal sum of a product has the bits of the denormal one") {
  check_rounding<double>();
  check_rounding<float>();
}

TEST_CASE("a membrane that fades away keeps the bits it would have had") {
  check_decay<double>(1.0, 0.9);
  check_decay<double>(0.9, 1.0);
  check_decay<double>(1.0, 1.0);
  check_decay<double>(1.0, 0.0);
  check_decay<double>(1.0, 0.01);
  check_decay<float>(1.0, 0.9);
  check_decay<float>(1.0, 0.05);
}
