// The record: the same for every engine, instruction set and number of threads, and the same again
// when its spikes are fed back as a recording.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "isas.hpp"
#include "random_network.hpp"
#include "same_record.hpp"
#include "snnfp/detail/plan.hpp"

using namespace snnfp;

TEST_CASE("every engine, instruction set and thread count leaves the same bits") {
  Size spikes = 0;
  for (unsigned seed = 0; seed < 160; ++seed) {
    // Graphs for the queue, for layers, for loops and for windows.
    const RandomCase c =
        random_case(seed, (seed / 2) % 2, 3 + seed % 40, seed >= 40 && seed < 120, seed >= 120);
    SimulateOptions<double> options;
    options.until = c.until;
    options.engine = Engine::queue;
    options.isa = Isa::portable;
    options.n_threads = 1;
    const auto reference = simulate(c.network, c.input, options);
    spikes += reference.spikes();
    for (Engine engine : {Engine::queue, Engine::automatic})
      for (Isa isa : isas_here())
        for (int n_threads : {1, 3}) {
          options.engine = engine;
          options.isa = isa;
          options.n_threads = n_threads;
          CAPTURE(seed);
          CAPTURE(int(engine));
          CAPTURE(isa_name(isa));
          check_same(reference, simulate(c.network, c.input, options));
        }
  }
  CHECK(spikes > 2000);
}

TEST_CASE("a recording of the record's own spikes gives the record back") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const RandomCase c = random_case(seed, seed % 2);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto record = simulate(c.network, c.input, options);
    const auto again = record_from_spikes(
        c.network, c.input, {record.times, record.neurons, record.offsets}, 1e-12, options);
    CHECK(again.times == record.times);
    REQUIRE(again.residuals.size() == record.times.size());
    for (Size k = 0; k < record.spikes(); ++k) {
      CHECK(again.slopes[k] == doctest::Approx(record.slopes[k]).epsilon(1e-10));
      CHECK(again.release_currents[k] ==
            doctest::Approx(record.release_currents[k]).epsilon(1e-10));
    }
  }
}

TEST_CASE("an arrival at the last moment before a spike loses none") {
  // V is rounded to the threshold there, or beyond, for some of these.
  std::mt19937 random(1);
  std::uniform_real_distribution<double> weight(3, 9);
  for (int k = 0; k < 200; ++k) {
    Network<double> net;
    const auto x = net.add_input("x", 2);
    Lif<double> once;
    once.t_refractory = INFINITY;
    net.connect_dense(x, net.add_population("h", 1, once), {weight(random), 1e-30});
    const double f = simulate<double>(net, {single_sample<double>({{0.0, 0}})}).times.at(0);
    double last = f;
    for (int ulps = 1; ulps <= 4; ++ulps) {
      last = std::nextafter(last, 0.0);
      const Input<double> input = {single_sample<double>({{0.0, 0}, {last, 1}})};
      for (Engine engine : {Engine::queue, Engine::automatic}) {
        SimulateOptions<double> options;
        options.engine = engine;
        const auto record = simulate(net, input, options);
        CAPTURE(k);
        CAPTURE(ulps);
        REQUIRE(record.spikes() == 1);
        CHECK(record.times[0] == doctest::Approx(f).epsilon(1e-14));
      }
    }
  }
}

TEST_CASE("runaway firing is an error that names the neuron") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  const auto h = net.add_population("h", 3, {});
  net.connect_dense(x, h, {0.0, 1e6, 0.0});
  SimulateOptions<double> options;
  options.spike_limit = 500;
  try {
    simulate(net, {single_sample<double>({{0.0, 0}})}, options);
    FAIL("no error");
  } catch (const EventLimitError& e) {
    CHECK(e.population == "h");
    CHECK(e.neuron == 1);
    CHECK(e.count == 501);
  }
}

TEST_CASE("populations are grouped into components, sources first") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  const auto a = net.add_population("a", 1, {});
  const auto b = net.add_population("b", 1, {});
  const auto c = net.add_population("c", 1, {});
  const auto d = net.add_population("d", 1, {});
  net.connect_dense(x, d, {1.0});
  net.connect_dense(d, b, {1.0});
  net.connect_dense(b, a, {1.0});
  net.connect_dense(a, b, {1.0});
  net.connect_dense(a, c, {1.0});
  const auto plan = detail::make_plan(net);
  CHECK(plan.components == std::vector<Id>{3, 0, 1, 2});
  CHECK(plan.component_offsets == std::vector<Id>{0, 1, 3, 4});
}

TEST_CASE("poll stops the work with what it throws") {
  struct Stop {};
  const RandomCase c = random_case(1, true, 50);
  for (int n_threads : {1, 2}) {
    SimulateOptions<double> options;
    options.until = c.until;
    options.n_threads = n_threads;
    options.poll = [] { throw Stop(); };
    CHECK_THROWS_AS(simulate(c.network, c.input, options), Stop);
  }
}

TEST_CASE(
    "a neuron that hears a thousand times more than the others, in windows and in the queue") {
  using namespace snnfp;
  const Id n = 400;
  Network<double> net;
  Lif<double> lif;
  lif.tau_mem = 3.0;
  const auto x = net.add_input("x", n);
  const auto h = net.add_population("h", n, lif);
  net.connect_one_to_one(x, h, {1.5}, {0.2});
  // Everyone to neuron 0, and to the next.
  std::vector<Size> offsets{0};
  std::vector<Id> targets;
  for (Id i = 0; i < n; ++i) {
    targets.push_back(0);
    targets.push_back((i + 1) % n);
    offsets.push_back(Size(targets.size()));
  }
  net.connect_sparse(h, h, offsets, targets, {0.02}, {0.5});
  std::vector<std::pair<double, Id>> spikes;
  std::mt19937 random(5);
  for (int k = 0; k < 20000; ++k)
    spikes.push_back({std::uniform_real_distribution<double>(0, 40)(random), Id(random() % n)});
  SimulateOptions<double> options;
  options.until = 50;
  const Input<double> input{single_sample<double>(spikes)};
  const auto windows = simulate(net, input, options);
  options.engine = Engine::queue;
  REQUIRE(windows.spikes() > 10000);
  check_same(simulate(net, input, options), windows);
}

TEST_CASE(
    "windows of several blocks of neurons: rows in order, in no order, short ones, dense ones") {
  const Id n_a = 5000, n_b = 4000, n_hub = 3;
  for (const Size row : {40, 4})
    for (const bool in_order : {true, false}) {
      std::mt19937 random(7);
      const auto uniform = [&](double a, double b) {
        return std::uniform_real_distribution<double>(a, b)(random);
      };
      Network<double> net;
      Lif<double> lif;
      lif.tau_mem = 3.0;
      const auto x = net.add_input("x", n_a);
      const auto hub = net.add_population("hub", n_hub, lif);
      const auto b = net.add_population("b", n_b, lif);
      lif.t_refractory = 0.3;
      const auto a = net.add_population("a", n_a, lif);
      const auto sparse = [&](Source from, Id n_from, Source to, Id n_to, double most,
                              double delay) {
        std::vector<Size> offsets{0};
        std::vector<Id> targets;
        std::vector<double> weight;
        for (Id i = 0; i < n_from; ++i) {
          for (Size k = 0; k < row; ++k) {
            targets.push_back(Id(random() % unsigned(n_to)));
            weight.push_back(k % 7 ? uniform(-most / 2, most) / double(row) : 0.0);
          }
          if (in_order) std::sort(targets.end() - row, targets.end());
          offsets.push_back(Size(targets.size()));
        }
        net.connect_sparse(from, to, offsets, targets, weight, delay);
      };
      std::vector<double> weight;
      for (Id k = 0; k < n_hub * n_b; ++k) weight.push_back(uniform(-0.02, 0.05));
      net.connect_one_to_one(x, a, 1.9);
      net.connect_dense(hub, b, weight, 0.25);
      sparse(a, n_a, b, n_b, 2.0, 0.5);
      sparse(b, n_b, a, n_a, 2.0, 0.4);
      sparse(a, n_a, hub, n_hub, 0.02, 0.7);
      std::vector<std::pair<double, Id>> spikes;
      for (int k = 0; k < 20000; ++k)
        spikes.push_back({uniform(0, 5), Id(random() % unsigned(n_a))});
      const Input<double> input{single_sample<double>(spikes)};
      SimulateOptions<double> options;
      options.until = 6;
      options.engine = Engine::queue;
      const auto queue = simulate(net, input, options);
      CAPTURE(row);
      CAPTURE(in_order);
      REQUIRE(queue.spikes() > 5000);
      REQUIRE(std::count_if(queue.neurons.begin(), queue.neurons.end(),
                            [&](Id j) { return j < n_hub; }) > 5);
      options.engine = Engine::automatic;
      for (const Isa isa : isas_here()) {
        options.isa = isa;
        check_same(queue, simulate(net, input, options));
      }
    }
}
