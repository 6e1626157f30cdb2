// Loops in windows as long as their shortest delay, and layers in one, beside the event queue: the
// same bits.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <string>

#include "beside_queue.hpp"
#include "snnfp/impl/gradient.hpp"
#include "snnfp/impl/loop_windows.hpp"

using namespace snnfp;

namespace {

template <class Real>
class RandomLoops {
 public:
  // `rows`: dense projections with one delay or one a source unit, and else everything.
  RandomLoops(unsigned seed, bool rows) : random_(seed), rows_(rows) {
    const auto x = network.add_input("x", 6);
    const Id n = 1 + whole(3);
    same_ = whole(2);
    std::vector<std::pair<Source, Id>> populations;
    for (Id p = 0; p < n; ++p) {
      const Id size = 1 + whole(60);
      populations.push_back(
          {network.add_population("p" + std::to_string(p), size, lif(size)), size});
    }
    for (Id p = 0; p < n; ++p) {
      connect(x, 6, populations[p], 1.6, Real(whole(2)) / 2);
      // A ring, so that all of it is one component.
      const auto& [from, size] = populations[(p + 1) % n];
      connect(from, size, populations[p], 0.5, Real(1 + whole(3)) / 2);
      if (whole(2)) connect(populations[p].first, populations[p].second, populations[p], 0.4, 1);
    }
    const Size samples = 1 + whole(9);
    std::vector<Real> times;
    std::vector<Id> units;
    std::vector<Size> ends{0};
    const Real last = whole(3) == 0 ? Real(6) : Real(20);
    for (Size s = 0; s < samples; ++s) {
      std::vector<Real> t = many(150 + whole(50), 0, last);
      if (whole(2))
        for (Real& v : t) v = std::floor(4 * v) / 4;  // ties
      std::sort(t.begin(), t.end());
      times.insert(times.end(), t.begin(), t.end());
      for (std::size_t k = 0; k < t.size(); ++k) units.push_back(whole(6));
      ends.push_back(static_cast<Size>(times.size()));
    }
    input = {{times, units, ends}};
  }

  Network<Real> network;
  Input<Real> input;

 private:
  Id whole(Id n) { return static_cast<Id>(random_() % n); }
  std::vector<Real> many(Size n, double a, double b) {
    std::vector<Real> x;
    for (Size k = 0; k < n; ++k)
      x.push_back(static_cast<Real>(std::uniform_real_distribution<double>(a, b)(random_)));
    return x;
  }
  Lif<Real> lif(Id n) {
    Lif<Real> p;
    p.tau_mem = same_ ? Real(2) : many(1, 1, 4)[0];
    p.tau_syn = Real(1);
    switch (whole(5)) {
      case 0: p.tau_mem = many(n, 1, 4); break;
      case 1: p.threshold = many(n, 0.7, 1.2); break;
      case 2: p.bias = many(n, -0.1, 0.6); break;
      default: break;
    }
    p.v_reset = Real(whole(2)) / -4;
    const Real infinite = std::numeric_limits<Real>::infinity();
    const std::vector<Real> times{Real(0), Real(0.25), Real(1), Real(3), infinite};
    p.t_refractory = times[whole(5)];
    if (whole(4) == 0) p.t_refractory = many(n, 0, 1);
    return p;
  }
  void connect(Source from, Id n_from, const std::pair<Source, Id>& to, double scale, Real delay) {
    std::vector<Real> w = many(Size(n_from) * to.second, -0.3 * scale, 0.5 * scale);
    for (Real& v : w)
      if (n_from > 6) v *= Real(4.0 / n_from);
    if (whole(3) == 0) std::fill_n(w.begin(), to.second, Real(0));  // a silent row
    if (rows_ && whole(2)) {
      // What a population sends arrives in another order than it was sent.
      const Delay<Real> each = Delay<Real>::per_source(delays(n_from, delay));
      network.connect_dense(from, to.first, w, each);
      return;
    }
    const Id kind = rows_ ? 0 : whole(4);
    if (kind < 2) {
      const Size n = static_cast<Size>(w.size());
      network.connect_dense(from, to.first, w,
                            kind == 0 ? Array<Real>(delay) : Array<Real>(delays(n, delay)));
      return;
    }
    // Unordered, with several synapses between the same neurons.
    const Size n = Size(n_from) * (1 + whole(to.second));
    std::vector<Size> offsets;
    for (Id i = 0; i <= n_from; ++i) offsets.push_back(n / n_from * i);
    std::vector<Id> targets;
    for (Size k = 0; k < n; ++k) targets.push_back(whole(to.second));
    network.connect_sparse(from, to.first, offsets, targets,
                           many(n, -0.3 * scale, 0.6 * scale * std::min(1.0, 6.0 / n_from)),
                           kind == 2 ? Array<Real>(delay) : Array<Real>(delays(n, delay)));
  }
  // One a synapse, from `shortest` on, some of them equal.
  std::vector<Real> delays(Size n, Real shortest) {
    std::vector<Real> d = many(n, 0, 3);
    if (whole(2))
      for (Real& v : d) v = std::floor(2 * v) / 2;
    for (Real& v : d) v += shortest;
    return d;
  }

  std::mt19937 random_;
  const bool rows_;
  bool same_ = false;
};

template <class Real>
void ran_in_windows(const Record<Real>& record) {
  REQUIRE(record.ran.size() == 1);
  CHECK(record.ran[0].solver == Solver::windows);
}

template <class Real>
void check_loops(unsigned seeds, bool rows) {
  Size spikes = 0, silent_gaps = 0;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    CAPTURE(seed);
    const RandomLoops<Real> loops(seed, rows);
    SimulateOptions<Real> options;
    options.until = Real(seed % 3 == 0 ? 20.25 : 30);
    options.n_threads = 1;
    options.spike_limit = 4000;
    if (seed % 4 == 3) options.stop_after = {0};
    const Record<Real> reference =
        check_beside_queue(loops.network, loops.input, options, ran_in_windows<Real>);
    spikes += reference.spikes();
    for (Size k = 1; k < reference.spikes(); ++k)
      silent_gaps += reference.times[k] > reference.times[k - 1] + Real(2.5);
  }
  CHECK(spikes > 10000);
  CHECK(silent_gaps > 10);
}

// 30 neurons that excite each other.
Network<double> ring(double delay, double weight) {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  Lif<double> p;
  p.t_refractory = 0.125;
  const auto h = net.add_population("h", 30, p);
  net.connect_dense(x, h, std::vector<double>(30, 2.0), 0.0);
  net.connect_dense(h, h, std::vector<double>(900, weight), delay);
  return net;
}
Input<double> every(double step, double until) {
  std::vector<double> times;
  for (double t = 0; t <= until; t += step) times.push_back(t);
  const Size n = static_cast<Size>(times.size());
  return {{times, std::vector<Id>(n, 0), std::vector<Size>{0, n}}};
}

// Two populations that feed nothing back, hear much and come out of refractory times.
template <class Real>
void check_layers(unsigned seeds) {
  Size spikes = 0;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto draw = [&](double a, double b) {
      return static_cast<Real>(std::uniform_real_distribution<double>(a, b)(random));
    };
    const auto many = [&](Size n, double a, double b) {
      std::vector<Real> x;
      for (Size k = 0; k < n; ++k) x.push_back(draw(a, b));
      return x;
    };
    const auto choice = [&](Id n) { return static_cast<Id>(random() % n); };
    Network<Real> net;
    const Id n_inputs = 20;
    const auto x = net.add_input("x", n_inputs);
    Source from = x;
    Id n_from = n_inputs;
    for (const char* name : {"h", "y"}) {
      const Id n = 1 + choice(70);
      Lif<Real> p;
      p.tau_mem = 2;
      p.t_refractory = std::vector<Real>{Real(0.25), Real(1), Real(3)}[choice(3)];
      switch (choice(5)) {
        case 0: p.tau_mem = many(n, 1, 4); break;
        case 1: p.bias = many(n, -0.1, 0.6); break;
        case 2: p.v_reset = many(n, -0.5, 0.2); break;
        case 3: p.t_refractory = many(n, 0.01, 1); break;
        default: break;
      }
      const auto to = net.add_population(name, n, p);
      for (const auto& [source, size] : {std::pair{x, n_inputs}, std::pair{from, n_from}}) {
        const std::vector<Real> weight = many(Size(size) * n, -0.3, 0.6);
        if (choice(2)) {
          net.connect_dense(source, to, weight, Real(choice(3)) / 2);
        } else {
          net.connect_dense(source, to, weight, Delay<Real>::per_source(many(size, 0, 2)));
        }
      }
      from = to;
      n_from = n;
    }
    std::vector<Real> times;
    std::vector<Id> units;
    std::vector<Size> offsets{0};
    for (int sample = 0; sample < 3; ++sample) {
      std::vector<Real> own = many(150, 0, 24);
      if (seed % 2)  // several at once
        for (Real& t : own) t = std::floor(2 * t) / 2;
      std::sort(own.begin(), own.end());
      times.insert(times.end(), own.begin(), own.end());
      for (int k = 0; k < 150; ++k) units.push_back(choice(n_inputs));
      offsets.push_back(static_cast<Size>(times.size()));
    }
    SimulateOptions<Real> options;
    options.until = Real(seed % 3 == 0 ? 20.25 : 30);
    options.n_threads = 1;
    if (seed % 4 == 3) options.stop_after = {1};
    const Record<Real> reference =
        check_beside_queue(net, {{times, units, offsets}}, options, [](const Record<Real>& record) {
          REQUIRE(record.ran.size() == 2);
          for (const ComponentRun& ran : record.ran) CHECK(ran.solver == Solver::windows);
        });
    spikes += reference.spikes();
  }
  CHECK(spikes > 10000);
}

}  // namespace

TEST_CASE("dense loops in windows, double") { check_loops<double>(120, true); }
TEST_CASE("dense loops in windows, float") { check_loops<float>(60, true); }
TEST_CASE("loops of any connectivity with any delays in windows, double") {
  check_loops<double>(120, false);
}
TEST_CASE("loops of any connectivity with any delays in windows, float") {
  check_loops<float>(60, false);
}

TEST_CASE("layers with refractory times in windows, double") { check_layers<double>(60); }
TEST_CASE("layers with refractory times in windows, float") { check_layers<float>(40); }

TEST_CASE("arrivals that pile up on their way are judged by the queue") {
  std::vector<double> delays;
  for (int k = 0; k < 10000; ++k) delays.push_back(0.5 + k % 97 * 0.25);
  Network<double> net;
  const auto x = net.add_input("x", 1);
  const auto h = net.add_population("h", 100, {});
  net.connect_dense(x, h, std::vector<double>(100, 2.0), 0.0);
  net.connect_dense(h, h, std::vector<double>(10000, 1.0), delays);
  SimulateOptions<double> options;
  options.until = 40;
  options.spike_limit = 2000;
  const auto error = [&](Engine engine) {
    return limit_error(net, every(0.125, 40), options, engine);
  };
  CHECK(error(Engine::automatic) == error(Engine::queue));
  CHECK(error(Engine::queue).find("on their way in loops whose synapses have their own delays") !=
        std::string::npos);
  net.set_delay(
      1, Delay<double>::per_target(std::vector<double>(delays.begin(), delays.begin() + 100)));
  CHECK(error(Engine::automatic) == error(Engine::queue));
  CHECK(error(Engine::queue).find("loops whose target neurons have their own delays") !=
        std::string::npos);
}

TEST_CASE("windows are for loops that receive several arrivals within the shortest delay") {
  const auto ran = [](const Network<double>& net, const Input<double>& input, double until) {
    SimulateOptions<double> options;
    options.until = until;
    return std::string(solver_name(simulate(net, input, options).ran[0].solver));
  };
  CHECK(ran(ring(1.0, 0.01), every(0.25, 10), 10) == "windows");
  CHECK(ran(ring(1.0, 0.01), every(1.0, 10), 10) == "loop");
  CHECK(ran(ring(0.0, 0.01), every(0.25, 10), 10) == "loop");
  // Where the clock cannot tell the end of a window from its beginning.
  CHECK(ran(ring(0x1p-48, 0.01), every(0x1p-52, 0x1p-44), 0x1p-44) == "windows");
  CHECK(ran(ring(0x1p-48, 0.01), every(0x1p-52, 0x1p-44), 10) == "loop");
  // Without an end nothing says when the last window is.
  CHECK(ran(ring(1.0, 0.01), every(0.25, 10), std::numeric_limits<double>::infinity()) == "loop");
}

TEST_CASE("a spike beyond the limit in a window is the first in time") {
  SimulateOptions<double> options;
  options.until = 40;
  options.spike_limit = 20;
  const auto error = [&](Engine engine) {
    return limit_error(ring(1.0, 5.0), every(0.25, 40), options, engine);
  };
  CHECK(error(Engine::automatic) == error(Engine::queue));
  CHECK(error(Engine::queue) != "");
}

TEST_CASE("a spike beyond the limit, found before an earlier one of another population") {
  // Arrivals reach `a` until late in a window and `b` early in it, so that only `b` is searched
  // beyond its last arrival.
  Size errors = 0, of_a = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto between = [&](double low, double high) {
      return std::uniform_real_distribution<double>(low, high)(random);
    };
    Network<double> net;
    const auto early = net.add_input("early", 1), late = net.add_input("late", 1);
    Lif<double> lif;
    lif.tau_mem = 0.5;
    lif.tau_syn = 2.0;
    lif.t_refractory = 0.02;
    const auto a = net.add_population("a", 1, lif), b = net.add_population("b", 1, lif);
    net.connect_dense(late, a, between(4, 8));
    net.connect_dense(early, b, between(6, 13));
    net.connect_dense(a, b, 0.0, 1.0);
    net.connect_dense(b, a, 0.0, 1.0);
    const Input<double> input{{{0.1, 0.2, 0.3}, {0, 0, 0}, {0, 3}},
                              {{0.1, 0.2, 0.3, 0.4, 0.6}, {0, 0, 0, 0, 0}, {0, 5}}};
    SimulateOptions<double> options;
    options.until = 1.25;
    options.spike_limit = 4 + Size(random() % 20);
    const std::string error = limit_error(net, input, options, Engine::queue);
    CHECK(limit_error(net, input, options, Engine::automatic) == error);
    errors += error != "";
    of_a += error.find("population a") != std::string::npos;
    options.spike_limit = 10000;
    ran_in_windows(simulate(net, input, options));
  }
  CHECK(errors > 100);
  CHECK(of_a > 20);
  CHECK(of_a + 20 < errors);
}

TEST_CASE("windows in which no group waits are left by an interrupt") {
  // An arrival a quarter of a window, all of them far too weak.
  Network<double> net = ring(1.0, 1e-9);
  net.set_weight(0, 1e-9);
  SimulateOptions<double> options;
  options.until = 20000;
  const Input<double> input = every(0.25, 20000);
  Size polls = 0;
  options.poll = [&] { ++polls; };
  const Record<double> record = simulate(net, input, options);
  ran_in_windows(record);
  CHECK(record.spikes() == 0);
  CHECK(polls > 20000 / 1024);
  struct Stop {};
  const Size whole = polls;
  polls = 0;
  options.poll = [&] {
    if (++polls == whole / 2) throw Stop();
  };
  CHECK_THROWS_AS(simulate(net, input, options), Stop);
}

TEST_CASE("loops in windows after a run that was interrupted") {
  const Network<double> net = ring(1.0, 0.05);
  SimulateOptions<double> options;
  options.until = 20;
  const Record<double> record = simulate(net, every(0.125, 20), options);
  ran_in_windows(record);
  REQUIRE(record.spikes() > 100);
  const detail::Plan<double>& plan = *record.plan;
  const detail::Batch<double> batch(record);
  const detail::RunLimits limits{options.until, options.spike_limit, nullptr, 0};
  struct Stop {};
  bool stops = true;
  const std::function<void()> poll = [&] {
    if (stops) throw Stop();
  };
  std::optional<detail::Interrupt> interrupt(std::in_place, poll);
  detail::LoopWindows<double> windows(plan, limits, *interrupt);
  detail::SpikeList<double> spikes;
  CHECK_THROWS_AS(windows.run(0, batch.inputs.data(), 1, &spikes, 1, options.until), Stop);
  stops = false;
  interrupt.emplace(poll);
  spikes.clear();
  windows.run(0, batch.inputs.data(), 1, &spikes, 1, options.until);
  REQUIRE(spikes.size() == record.spikes());
  for (Size k = 0; k < spikes.size(); ++k) CHECK(spikes[k].time == record.times[k]);
}

TEST_CASE("a loop without a synapse, under arrivals that have delays of their own") {
  for (const double shortest : {0.0, 0.5}) {
    Network<double> net;
    const auto x = net.add_input("x", 1);
    const auto h = net.add_population("h", 3, {});
    net.connect_dense(x, h, {2.0, 3.0, 4.0},
                      std::vector<double>{shortest, 2 * shortest, 40 * shortest});
    net.connect_sparse(h, h, {0, 0, 0, 0}, {}, std::vector<double>(), std::vector<double>());
    SimulateOptions<double> options;
    options.until = 40;
    const Record<double> reference =
        check_beside_queue(net, every(0.25, 30), options, ran_in_windows<double>);
    CHECK(reference.spikes() > 10);
  }
}
