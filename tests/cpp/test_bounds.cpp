// Every bound and filter that may say "no spike" against a search without bounds: V in long double
// on a grid of all times, the highest point refined. At any ratio of time constants, any scale, in
// both precisions, for spikes just over threshold and just not.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

#include "isas.hpp"
#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/model/denormal.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;
using detail::any;

namespace {

using Long = long double;

struct Trace {
  Long alpha, beta, inv_c, drive, v, i;

  Long at(Long d) const {
    const Long slow = std::min(alpha, beta), difference = std::abs(alpha - beta);
    const Long kappa =
        std::exp(-slow * d) * (difference == 0 ? d : -std::expm1(-difference * d) / difference);
    const Long step = beta > 0 ? -std::expm1(-beta * d) / beta : d;
    return v * std::exp(-beta * d) + i * inv_c * kappa + drive * step;
  }

  // The highest V in (0, end].
  Long highest(Long end) const {
    const Long fast = std::max(alpha, beta), slow = std::min(alpha, beta);
    const Long last = std::min(end, slow > 0 ? 200 / slow : 1e6L / fast);
    constexpr int per_decade = 12;
    const Long first = std::min(1e-9L / fast, last);
    const int n = 1 + static_cast<int>(std::ceil(per_decade * std::log10(last / first)));
    const auto time = [&](int k) {
      return std::min(last, first * std::pow(10.0L, Long(k) / per_decade));
    };
    int best = n;
    Long top = at(last);
    for (int k = 0; k < n; ++k)
      if (const Long x = at(time(k)); x > top) {
        top = x;
        best = k;
      }
    Long low = best > 0 ? time(best - 1) : 0, high = time(best + 1);
    for (int k = 0; k < 80; ++k) {
      const Long a = low + (high - low) * 0.382L, b = low + (high - low) * 0.618L;
      if (at(a) < at(b)) {
        low = a;
      } else {
        high = b;
      }
    }
    return std::max(top, at(std::min((low + high) / 2, end)));
  }
};

template <class Real>
struct Case {
  detail::NeuronConstants<Real> constants;
  detail::Membrane<Real> state;
  Trace trace;
  Long top;        // the highest V there is
  Long threshold;  // near it
  Long noise;      // what rounding can do to V

  bool crosses() const { return top > threshold + noise; }
  bool stays() const { return top < threshold - noise; }
};

// A neuron whose V tops out a part of 1e-15 ... 0.1 above or below its threshold. Ratios of time
// constants from 1e-20 to 1e20, units of time and voltage from 2^-span to 2^span.
template <class Real>
bool draw(std::mt19937_64& random, int span, Case<Real>& c) {
  std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
  const auto power = [&](double most) { return std::pow(10.0, most * sign(random)); };
  const Real time = std::ldexp(Real(1), static_cast<int>(span * sign(random)));
  const Real voltage = std::ldexp(Real(1), static_cast<int>(span * sign(random)));
  const int kind = static_cast<int>(8 * unit(random));
  Lif<Real> lif;
  Real tau = std::exp(Real(sign(random)));
  Real other = static_cast<Real>(tau * std::pow(10.0, (kind < 4 ? 20 : 1) * unit(random)));
  if (kind == 5) other = tau;
  if (kind == 6) other = std::nextafter(tau, Real(2));
  if (kind == 7) other = std::numeric_limits<Real>::infinity();
  lif.tau_mem = Real((unit(random) < 0.5 ? tau : other) * time);
  lif.tau_syn = Real(lif.tau_mem[0] == tau * time ? other * time : tau * time);
  lif.capacitance = Real(std::exp(sign(random)));
  const double per_time = 1.0 / tau;
  // The state in units of the fast time constant: alone, against a bias, or with it.
  const double strength = unit(random) < 0.5 ? 1 : power(8);
  double i = strength * per_time, v = 0, drive = 0;
  if (unit(random) < 0.5) v = sign(random) * (unit(random) < 0.5 ? 1 : power(4));
  if (unit(random) < 0.4) drive = sign(random) * per_time * (unit(random) < 0.5 ? 1 : power(10));
  if (unit(random) < 0.2) i = -i;
  if (drive > 0 && std::isinf(lif.tau_mem[0])) drive = 0;  // crosses any threshold in the end
  lif.bias = Real(Real(drive) / time * voltage * lif.capacitance[0]);
  c.constants = {};
  lif.threshold = Real(1);
  c.constants.append(lif, 0, false);
  const Real inv_c = c.constants.inv_c[0];
  c.state = {Real(v) * voltage, Real(i) / time * voltage / inv_c};
  c.trace = {c.constants.alpha[0], c.constants.beta[0], inv_c,
             c.constants.drive[0], c.state.v,           c.state.i};
  c.top = c.trace.highest(std::numeric_limits<Long>::infinity());
  const Long apart =
      std::pow(10.0L, Long(-15 * unit(random) - 0.5)) * (unit(random) < 0.5 ? 1 : -1);
  const Real threshold = static_cast<Real>(c.top - apart * std::abs(c.top));
  if (!(threshold > c.state.v) || !std::isfinite(threshold)) return false;
  c.constants.threshold[0] = threshold;
  c.threshold = threshold;
  const Long push = std::max<Long>(0, c.trace.i * inv_c) * Long(c.constants.kappa_max[0]);
  const Long pull = c.trace.beta > 0 ? std::abs(c.trace.drive / c.trace.beta) : 0;
  c.noise = 256 * std::numeric_limits<Real>::epsilon() *
            (std::abs(c.trace.v) + std::abs(c.threshold) + (push < 1e300L ? push : 0) + pull);
  c.constants.pad();
  return true;
}

template <class Real>
void check_bounds(int trials, int span) {
  using P = detail::Pack<Real>;
  constexpr Real infinite = std::numeric_limits<Real>::infinity();
  std::mt19937_64 random(11);
  std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
  int crossing = 0, staying = 0, close = 0, steep = 0, said_no = 0;
  for (int k = 0; k < trials; ++k) {
    Case<Real> c;
    if (!draw(random, span, c)) continue;
    const detail::Neuron<Real> n(c.constants, 0);
    const detail::Membrane<Real> s = c.state;
    CAPTURE(k);
    CAPTURE(n.alpha);
    CAPTURE(n.beta);
    CAPTURE(n.drive);
    CAPTURE(n.threshold);
    CAPTURE(s.v);
    CAPTURE(s.i * n.inv_c);
    CAPTURE(c.top / c.threshold - 1);
    const Real d = detail::next_crossing(s, n);
    const Real slowly = detail::crossing_by_cases(s, n);
    if (c.crosses()) {
      ++crossing;
      close += c.top < c.threshold * 1.001L;
      steep += n.alpha > 1e6 * n.beta || n.beta > 1e6 * n.alpha;
      CHECK(d < infinite);
      CHECK(slowly < infinite);
      CHECK(!detail::stays_below(s, n));
      for (const Real x : {d, slowly}) {
        if (!(x < infinite)) continue;
        // Time has rounding too.
        const Long v = c.trace.at(x), blur = 4 * std::numeric_limits<Real>::epsilon() * x;
        const Long rise =
            std::max(std::abs(c.trace.at(x + blur) - v), std::abs(c.trace.at(x - blur) - v));
        CHECK(std::abs(v - c.threshold) <= c.noise + rise);
        CHECK(c.trace.highest(x * (1 - 1e-4L)) <= c.threshold + c.noise);
      }
    } else if (c.stays()) {
      ++staying;
      CHECK(d == infinite);
      CHECK(slowly == infinite);
    }
    // Over a span of any length; and up to the crossing, to the last bit.
    const Real fast = std::max(n.alpha, n.beta);
    for (int m = 0; m < 4; ++m) {
      const Real length =
          m == 0 && d < infinite ? d : static_cast<Real>(std::pow(10.0, 10 * sign(random))) / fast;
      if (!(length < infinite) || !(length > 0)) continue;
      const Real from = m < 2 ? Real(0) : length * static_cast<Real>(unit(random));
      const Real until = from + length, took = until - from;
      const detail::Membrane<Real> end = detail::propagate(s, took, n);
      const auto room = detail::margin(took, until, n);
      const bool sure = c.trace.highest(took) > c.threshold + c.noise || took == d;
      const detail::TangentBound<Real> bound(took, until, n);
      const bool no = detail::no_crossing(s, end, took, room, n);
      said_no += no;
      if (!sure) continue;
      CHECK(!no);
      CHECK(!detail::plainly_below(s, end, took, room, n));
      CHECK(!bound.clears(s, end));
      const detail::Membrane<P> pack{P(s.v), P(s.i)}, pack_end{P(end.v), P(end.i)};
      const detail::Neuron<P> packed(c.constants, 0);
      CHECK(!any(detail::no_crossing(pack, pack_end, P(took),
                                     detail::margin(P(took), P(until), packed), packed)));
    }
    detail::Plan<Real> plan;
    plan.neurons = c.constants;
    for (const bool filter : {false, true}) {
      detail::CrossingBatch<Real> batch(plan);
      batch.add(0, 0, s, Real(0), infinite);
      batch.solve(true, filter);
      CHECK(batch.crossing(0) == d);
      if (!(d < infinite)) continue;
      batch.clear();
      batch.add(0, 0, s, Real(0), d);
      batch.solve(false, filter);
      CHECK(batch.crossing(0) == d);
      batch.move_to_horizon(true);
      CHECK(!batch.shut(0));
    }
    if (detail::Denormal<Real>::suits(s, n)) CHECK(!c.crosses());
  }
  CHECK(crossing > trials / 20);
  CHECK(staying > trials / 20);
  CHECK(close > trials / 50);
  CHECK(steep > trials / 50);
  CHECK(said_no > trials / 5);
}

}  // namespace

TEST_CASE("no bound hides a crossing, at any ratio of time constants") {
  check_bounds<double>(3000, 0);
  check_bounds<float>(3000, 0);
}

TEST_CASE("no bound hides a crossing, at any scale") {
  check_bounds<double>(2000, 290);
  check_bounds<float>(2000, 24);
}

namespace {

enum class Graph { layer, loop, sparse };

// Neurons that hear one spike each at time 0 and many faint ones after it, whose V tops out just
// above threshold (every second one) or just below.
template <class Real>
struct Crowd {
  static constexpr Id n = 24;
  Network<Real> net;
  Input<Real> input;
  Real until;

  Crowd(Graph graph, bool alike, double ratio, double apart, std::mt19937_64& random) {
    std::uniform_real_distribution<double> unit(0, 1), sign(-1, 1);
    std::vector<Real> tau_mem, tau_syn, threshold, bias, weight;
    for (Id j = 0; j < n; ++j) {
      const Real factor = static_cast<Real>(std::pow(ratio, alike ? 1 : unit(random)));
      tau_mem.push_back(ratio < 1 ? 1 / factor : 1);
      tau_syn.push_back(ratio < 1 ? 1 : factor);
      // Inhibited, and brought to threshold by a bias where the synapse is not too slow to see it.
      const bool inhibited = !alike && j % 5 == 0 && factor < 1000 && factor > 0.01;
      bias.push_back(Real(inhibited ? std::exp(sign(random)) / tau_mem[j] : 0));
      const double part = (j % 2 == 0 ? 1 : -1) * apart * std::exp(sign(random));
      Trace trace{1 / Long(tau_syn[j]), 1 / Long(tau_mem[j]), 1, bias[j], 0, 1};
      if (inhibited) {
        weight.push_back(static_cast<Real>(-std::exp(sign(random))));
        threshold.push_back(static_cast<Real>(Long(bias[j]) * tau_mem[j] * (1 - part)));
      } else {
        const Long top = trace.highest(std::numeric_limits<Long>::infinity());
        threshold.push_back(alike ? Real(1) : static_cast<Real>(std::exp(sign(random))));
        weight.push_back(static_cast<Real>(threshold[j] / top * (1 + part)));
      }
    }
    Lif<Real> lif;
    lif.t_refractory = std::numeric_limits<Real>::infinity();
    if (alike) {
      lif.tau_mem = tau_mem[0];
      lif.tau_syn = tau_syn[0];
    } else {
      lif.tau_mem = tau_mem;
      lif.tau_syn = tau_syn;
      lif.threshold = threshold;
      lif.bias = bias;
    }
    const auto x = net.add_input("x", 2);
    const auto h = net.add_population("h", n, lif);
    for (Id j = 0; j < n; ++j) weight.push_back(std::numeric_limits<Real>::min());
    if (graph == Graph::sparse) {
      std::vector<Id> targets;
      for (Id j = 0; j < 2 * n; ++j) targets.push_back(j % n);
      net.connect_sparse(x, h, {0, n, 2 * n}, targets, weight);
    } else {
      net.connect_dense(x, h, weight);
    }
    if (graph == Graph::loop) net.connect_dense(h, h, Real(0), Real(1));
    std::vector<Real> times{0};
    std::vector<Id> units{0};
    for (int k = 1; k < 100; ++k) {
      times.push_back(static_cast<Real>(0.37 * k));
      units.push_back(1);
    }
    input = {{times, units, {0, 100}}};
    until = Real(1e5);
  }
};

template <class Real>
void check_engines(double closest) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int k = 0; k < 24; ++k) {
    const double ratio = std::pow(10.0, k % 3 == 0 ? 2 * unit(random) : 40 * unit(random) - 20);
    const double apart = closest * std::pow(10.0, 3 * unit(random));
    for (const Graph graph : {Graph::layer, Graph::loop, Graph::sparse}) {
      const Crowd<Real> crowd(graph, k % 2 == 0, ratio, apart, random);
      for (const Isa isa : isas_here())
        for (const Engine engine : {Engine::automatic, Engine::queue}) {
          SimulateOptions<Real> options;
          options.isa = isa;
          options.engine = engine;
          options.until = crowd.until;
          options.n_threads = 1;
          const Record<Real> record = simulate(crowd.net, crowd.input, options);
          CAPTURE(int(graph));
          CAPTURE(isa_name(isa));
          CAPTURE(ratio);
          CAPTURE(apart);
          std::vector<Id> fired(record.neurons), expected;
          std::sort(fired.begin(), fired.end());
          for (Id j = 0; j < crowd.n; j += 2) expected.push_back(j);
          CHECK(fired == expected);
        }
    }
  }
}

}  // namespace

TEST_CASE(
    "every simulator and instruction set finds the spikes just over threshold, and no other") {
  check_engines<double>(1e-11);
  check_engines<float>(1e-4);
}

TEST_CASE("a touch is no spike") {
  // V = 2 w (y - y^2) with y = e^(-d/2) has its top, w/2, at y = 1/2.
  for (const Graph graph : {Graph::layer, Graph::loop, Graph::sparse}) {
    Network<double> net;
    Lif<double> lif;
    lif.tau_mem = 2.0;
    const auto x = net.add_input("x", 1);
    const auto h = net.add_population("h", 3, lif);
    const Array<double> weight{2.0, 2.0 * (1 - 1e-15), 2.0 * (1 + 1e-9)};
    if (graph == Graph::sparse) {
      net.connect_sparse(x, h, {0, 3}, {0, 1, 2}, weight);
    } else {
      net.connect_dense(x, h, weight);
    }
    if (graph == Graph::loop) net.connect_dense(h, h, 0.0, 1.0);
    const Input<double> input{single_sample<double>({{1.0, 0}})};
    for (const Engine engine : {Engine::automatic, Engine::queue}) {
      SimulateOptions<double> options;
      options.engine = engine;
      options.until = 50;
      CAPTURE(int(graph));
      CHECK(simulate(net, input, options).neurons == std::vector<Id>{2});
    }
  }
}
