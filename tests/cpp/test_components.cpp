// Graphs of everything at once, component by component, beside the event queue: the same bits, and
// the solvers that were to run.
#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "beside_queue.hpp"

using namespace snnfp;

namespace {

template <class Real>
class RandomGraph {
 public:
  explicit RandomGraph(unsigned seed) : random_(seed) {
    const auto x = network.add_input("x", 9);
    std::vector<std::pair<Source, Id>> sources{{x, 9}};
    for (int p = 0; p < 3; ++p) {
      const Id n = 1 + random_() % 21;
      const Source population = network.add_population("p" + std::to_string(p), n, lif(n));
      for (const auto& [source, n_source] : sources)
        for (Size k = random_() % 3; k > 0; --k) connect(source, n_source, population, n);
      if (random_() % 6 == 0)
        network.connect_sparse(population, population, offsets(n, n), std::vector<Id>(n, 0),
                               many(n, -0.3, 0.2), Real(0.5));
      sources.push_back({population, n});
    }
    const Size samples = 1 + random_() % 5;
    std::vector<Real> times;
    std::vector<Id> units;
    std::vector<Size> ends{0};
    for (Size s = 0; s < samples; ++s) {
      std::vector<Real> t = many(random_() % 40, 0, 8);
      if (random_() % 2)
        for (Real& v : t) v = std::floor(4 * v) / 4;  // ties
      std::sort(t.begin(), t.end());
      times.insert(times.end(), t.begin(), t.end());
      for (std::size_t k = 0; k < t.size(); ++k) units.push_back(static_cast<Id>(random_() % 9));
      ends.push_back(static_cast<Size>(times.size()));
    }
    input = {{times, units, ends}};
  }

  Network<Real> network;
  Input<Real> input;

 private:
  std::vector<Real> many(Size n, double a, double b) {
    std::vector<Real> x;
    for (Size k = 0; k < n; ++k)
      x.push_back(static_cast<Real>(std::uniform_real_distribution<double>(a, b)(random_)));
    return x;
  }
  static std::vector<Size> offsets(Id n_source, Size synapses) {
    std::vector<Size> o;
    for (Id i = 0; i <= n_source; ++i) o.push_back(synapses * i / n_source);
    return o;
  }
  Lif<Real> lif(Id n) {
    Lif<Real> p;
    const unsigned kind = random_() % 5;
    p.tau_mem = kind == 1 ? Array<Real>(many(n, 1, 4)) : Array<Real>(Real(2));
    p.tau_syn = kind == 2 ? Array<Real>(many(n, 0.5, 3)) : Array<Real>(Real(kind == 3 ? 2 : 1));
    if (kind == 4) p.threshold = many(n, 0.7, 1.2);
    if (random_() % 3 == 0) p.bias = many(n, -0.1, 0.2);
    p.t_refractory = std::vector<Real>{Real(0), Real(0.5), Real(20)}[random_() % 3];
    return p;
  }
  // One delay, or one a synapse, a source unit or a target, some of them equal.
  Delay<Real> delays(Size synapses, Size n_source, Size n_target) {
    const auto several = [&](Size n) {
      std::vector<Real> d = many(n, 0, 2);
      if (random_() % 2)
        for (Real& v : d) v = std::floor(2 * v) / 2;
      return d;
    };
    switch (random_() % 6) {
      case 0: return several(synapses);
      case 1: return Delay<Real>::per_source(several(n_source));
      case 2: return Delay<Real>::per_target(several(n_target));
      default: return Real(random_() % 2);
    }
  }
  void connect(Source source, Id n_source, Source target, Id n) {
    const Size all = Size(n_source) * n;
    switch (random_() % 4) {
      case 0: {
        std::vector<Real> w = many(all, -0.3, 1);
        for (Real& v : w)
          if (random_() % 8 == 0) v = Real(0);
        network.connect_dense(source, target, w, delays(all, n_source, n));
        break;
      }
      case 1:
        if (n_source == n)
          network.connect_one_to_one(source, target, many(n, -0.2, 1.5), delays(n, n, n));
        break;
      default: {
        // Unordered, with several synapses between the same neurons.
        const Size synapses = 1 + random_() % (2 * all);
        std::vector<Id> targets;
        for (Size k = 0; k < synapses; ++k) targets.push_back(static_cast<Id>(random_() % n));
        network.connect_sparse(source, target, offsets(n_source, synapses), targets,
                               many(synapses, -0.4, 1), delays(synapses, n_source, n));
      }
    }
  }

  std::mt19937 random_;
};

template <class Real>
void check_graphs(unsigned seeds) {
  Size spikes = 0;
  std::set<std::string> solvers;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    CAPTURE(seed);
    const RandomGraph<Real> graph(seed);
    SimulateOptions<Real> options;
    options.until = Real(10);
    options.n_threads = 1;
    options.spike_limit = 2000;
    if (seed % 4 == 3) options.stop_after = {2};
    const auto visit = [&](const Record<Real>& record) {
      for (const ComponentRun& c : record.ran) {
        CHECK(c.populations.size() == 1);
        solvers.insert(solver_name(c.solver));
      }
    };
    spikes += check_beside_queue(graph.network, graph.input, options, visit).spikes();
  }
  CHECK(spikes > 10000);
  for (const char* solver : {"layer", "windows", "queue"}) CHECK(solvers.count(solver) == 1);
}

}  // namespace

TEST_CASE("graphs of dense, sparse and one-to-one projections with any delays, double") {
  check_graphs<double>(150);
}

TEST_CASE("graphs of dense, sparse and one-to-one projections with any delays, float") {
  check_graphs<float>(60);
}

TEST_CASE("only its own projections decide on a component's solver") {
  const auto ran = [](const auto& more) {
    Network<double> net;
    const auto x = net.add_input("x", 4);
    const auto h = net.add_population("h", 6, {});
    const auto y = net.add_population("y", 3, {});
    net.connect_dense(x, h, std::vector<double>(24, 0.7));
    net.connect_dense(h, h, std::vector<double>(36, -0.1), 0.5);
    net.connect_dense(h, y, std::vector<double>(18, 0.5));
    more(net, x, h, y);
    SimulateOptions<double> options;
    options.until = 5;
    std::string text;
    for (const ComponentRun& c :
         simulate(net, Input<double>{{{0.5, 1.0}, {0, 1}, {0, 2}}}, options).ran)
      text += std::string(text.empty() ? "" : " ") + solver_name(c.solver);
    return text;
  };
  CHECK(ran([](auto&, auto, auto, auto) {}) == "loop layer");
  CHECK(ran([](auto& net, auto x, auto, auto y) {
          net.connect_sparse(x, y, {0, 1, 1, 1, 1}, {0}, {0.5});
        }) == "loop layer");
  CHECK(ran([](auto& net, auto, auto, auto y) {
          net.connect_one_to_one(y, y, {-0.1, -0.1, -0.1}, 1.0);
        }) == "loop windows");
  CHECK(ran([](auto& net, auto, auto, auto y) {
          net.connect_one_to_one(y, y, {-0.1, -0.1, -0.1}, {1.0, 1.5, 0.5});
        }) == "loop windows");
  CHECK(ran([](auto& net, auto, auto, auto y) {
          net.connect_one_to_one(y, y, {-0.1, -0.1, -0.1}, {1.0, 0.0, 0.5});
        }) == "loop queue");
  CHECK(ran([](auto& net, auto, auto h, auto) {
          net.connect_one_to_one(h, h, std::vector<double>(6, -0.1), 1.0);
        }) == "windows layer");
  // A sparse projection that reaches everything is a dense one.
  CHECK(ran([](auto& net, auto, auto h, auto) {
          std::vector<Size> offsets;
          std::vector<Id> targets;
          for (Id i = 0; i <= 6; ++i) offsets.push_back(6 * i);
          for (Id k = 0; k < 36; ++k) targets.push_back(k % 6);
          net.connect_sparse(h, h, offsets, targets, std::vector<double>(36, -0.1), 1.0);
        }) == "loop layer");
}
