// Constants at any ratio of rates; what is too large, too small or too late to calculate with is
// refused by name.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <random>
#include <string>

#include "same_record.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

// alpha, beta and the largest kappa, from mpmath with 400 digits; rates that both precisions hold.
struct Largest {
  double alpha, beta;
  long double kappa;
};
const Largest both[] = {
    {0x3p-66, 5, 0.19999999999999999992L},     {0x3p-60, 5, 0.19999999999999999562L},
    {0x3p-54, 5, 0.19999999999999974726L},     {0x3p-48, 5, 0.19999999999998559791L},
    {0x3p-42, 5, 0.19999999999919174096L},     {0x3p-36, 5, 0.19999999995553378693L},
    {0x3p-30, 5, 0.1999999976189537802L},      {0x3p-24, 5, 0.19999987735972418794L},
    {0x3p-18, 5, 0.19999405488056872739L},     {0x3p-12, 5, 0.19974147918278480301L},
    {0x3p-6, 5, 0.19135388976311018136L},      {0x3p0, 5, 0.092951600308978005244L},
    {0x3p6, 5, 0.0047242946229331807908L},     {0x3p12, 5, 0.000081121996986893383275L},
    {0x3p18, 5, 1.2714690218001384622e-6L},    {0x3p24, 5, 1.9868183099338040013e-8L},
    {0x3p30, 5, 3.104408484311542575e-10L},    {0x3p36, 5, 4.8506384065801200698e-12L},
    {0x3p42, 5, 7.5791225146922544578e-14L},   {0x3p48, 5, 1.1842378929332705918e-15L},
    {0x3p54, 5, 1.8503717077085879137e-17L},   {0x3p60, 5, 2.891205793294678319e-19L},
    {0x3p66, 5, 4.5175090520229351371e-21L},   {1 + 0x1p-10, 1, 0.3676999148013700038L},
    {1, 1 + 0x1p-10, 0.3676999148013700038L},  {1 + 0x1p-20, 1, 0.36787926575295261911L},
    {1, 1 + 0x1p-20, 0.36787926575295261911L}, {3, 3, 0.12262648039048077387L},
};
const Largest only_double[] = {
    {1 + 0x1p-50, 1, 0.36787944117144215822L},
    {0x1p664, 0x1p-664, 1.306420176630260372e-200L},
    {0x1p-664, 0x1p664, 1.306420176630260372e-200L},
    {0x1p-1000, 0x1p-990, 1.0393291010614894888e+298L},
};

template <class Real>
void check_largest(const Largest& x) {
  const Real kappa = detail::largest_kappa(Real(x.alpha), Real(x.beta));
  CAPTURE(x.alpha);
  CAPTURE(x.beta);
  CHECK(std::abs(kappa / x.kappa - 1) < 2 * std::numeric_limits<Real>::epsilon());
}

std::string message(const std::function<void()>& call) {
  try {
    call();
  } catch (const InvalidArgument& e) {
    return e.what();
  }
  return "";
}

bool names(const std::string& text, std::initializer_list<const char*> words) {
  for (const char* word : words)
    if (text.find(word) == std::string::npos) {
      MESSAGE("no \"", word, "\" in: ", text);
      return false;
    }
  return true;
}

enum class Graph { layer, loop, sparse };

template <class Real>
Network<Real> one_neuron(Lif<Real> lif, Real weight, Graph graph = Graph::layer) {
  Network<Real> net;
  const auto x = net.add_input("x", 1);
  const auto h = net.add_population("h", 1, lif);
  if (graph == Graph::sparse) {
    net.connect_sparse(x, h, {0, 1}, {0}, weight);
  } else {
    net.connect_dense(x, h, weight);
  }
  if (graph == Graph::loop) net.connect_dense(h, h, Real(0), Real(1));
  return net;
}

template <class Real>
Record<Real> run(const Network<Real>& net, Real time, Engine engine = Engine::automatic) {
  SimulateOptions<Real> options;
  options.engine = engine;
  return simulate(net, Input<Real>{single_sample<Real>({{time, 0}})}, options);
}

template <class Real>
void check_clock(Real resolved, Real unresolved) {
  Lif<Real> lif;
  lif.tau_mem = Real(2);
  lif.t_refractory = std::numeric_limits<Real>::infinity();
  for (const Graph graph : {Graph::layer, Graph::loop, Graph::sparse})
    for (const Engine engine : {Engine::automatic, Engine::queue}) {
      const Network<Real> net = one_neuron<Real>(lif, 3, graph);
      const Record<Real> record = run(net, resolved, engine);
      CHECK(record.spikes() == 1);
      CHECK(record.times[0] == std::nextafter(resolved, 2 * resolved));
      CHECK(record.slopes[0] > Real(0));
      const std::string text = message([&] { run(net, unresolved, engine); });
      CHECK(names(text, {"neuron 0 of population h", "sample 0", "tau_mem = 2", "tau_syn = 1"}));
      // A weight that leaves V below threshold raises nothing.
      CHECK(run(one_neuron<Real>(lif, 1, graph), unresolved, engine).spikes() == 0);
    }
}

}  // namespace

TEST_CASE("the largest response to a current, at any ratio of rates") {
  for (const Largest& x : both) {
    check_largest<double>(x);
    check_largest<float>(x);
  }
  for (const Largest& x : only_double) check_largest<double>(x);
  CHECK(detail::largest_kappa(0.0, 0.0) == INFINITY);
  CHECK(detail::largest_kappa(0.0, 4.0) == 0.25);
  CHECK(detail::largest_kappa(4.0f, 0.0f) == 0.25f);
}

TEST_CASE("a clock coarser than the time constants is an error, a spike it shows is kept") {
  check_clock<float>(8388608.0f, 16777216.0f);
  check_clock<double>(4503599627370496.0, 9007199254740992.0);
}

TEST_CASE("the earliest spike that the clock hides is named, of whatever sample and engine") {
  Lif<float> lif;
  lif.tau_mem = 2.0f;
  Network<float> net;
  const auto x = net.add_input("x", 2);
  const auto h = net.add_population("h", 40, lif);
  std::vector<float> weight(80, 0.0f);
  weight[40 + 33] = weight[7] = 3.0f;
  net.connect_dense(x, h, weight);
  const Input<float> input{{{1.0f, 3.4e7f, 3.4e7f, 3.6e7f}, {0, 1, 1, 0}, {0, 1, 2, 4}}};
  for (const Engine engine : {Engine::automatic, Engine::queue}) {
    SimulateOptions<float> options;
    options.engine = engine;
    options.n_threads = 2;
    const std::string text = message([&] { simulate(net, input, options); });
    CHECK(names(text, {"neuron 33 of population h", "sample 1", "time 34000004"}));
  }
}

TEST_CASE("several spikes within one step of the clock are an error too") {
  Lif<float> lif;
  lif.tau_mem = 50.0f;
  lif.tau_syn = 1.5f;
  CHECK(names(message([&] { run(one_neuron<float>(lif, 1e6f), 16777216.0f); }),
              {"neuron 0 of population h", "2 apart"}));
}

TEST_CASE("touches near the clock's resolution are no spikes and no errors") {
  int spikes = 0, silent = 0;
  for (const Graph graph : {Graph::layer, Graph::loop, Graph::sparse}) {
    Lif<double> lif;
    lif.tau_mem = 2.0;
    for (int k = -20; k < 60; ++k) {
      const auto net = one_neuron<double>(lif, 2 + k * 0x1p-50, graph);
      for (const double time : {0.0, 1.0, 1e6, 3e7, 6e7, 1.4e8, 3e8, 6e8, 1e9}) {
        const Record<double> record = run(net, time);
        check_same(record, run(net, time, Engine::queue));
        for (const double slope : record.slopes) CHECK(slope > 0);
        (record.spikes() > 0 ? spikes : silent) += 1;
      }
    }
  }
  CHECK(spikes > 100);
  CHECK(silent > 200);
}

TEST_CASE("scaling by powers of two keeps the bits, up to the limits") {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> part(0, 1);
  for (const int e : {-300, -100, -20, 20, 100, 300}) {
    std::vector<double> weight(20);
    for (double& w : weight) w = 3 * part(random) - 1;
    const auto build = [&](double voltage, double time) {
      Lif<double> lif;
      lif.tau_mem = 2 * time;
      lif.tau_syn = 0.7 * time;
      lif.threshold = 0.3 * voltage;
      lif.bias = 0.16 * voltage / time;
      std::vector<double> w(weight);
      for (double& x : w) x *= voltage / time;
      Network<double> net;
      net.connect_dense(net.add_input("x", 5), net.add_population("h", 4, lif), w);
      return net;
    };
    const auto record = [&](double voltage, double time) {
      std::vector<double> times;
      std::vector<Id> units;
      for (int k = 0; k < 15; ++k) {
        times.push_back(0.4 * k * time);
        units.push_back(k % 5);
      }
      SimulateOptions<double> options;
      options.until = 12 * time;
      return simulate(build(voltage, time), {{times, units, {0, 15}}}, options);
    };
    const double unit = std::ldexp(1.0, e);
    const Record<double> plain = record(1, 1), scaled = record(unit, 1), slow = record(1, unit);
    CHECK(plain.spikes() > 10);
    CHECK(scaled.times == plain.times);
    CHECK(scaled.neurons == plain.neurons);
    CHECK(slow.spikes() == plain.spikes());
    for (Size k = 0; k < std::min(slow.spikes(), plain.spikes()); ++k)
      CHECK(slow.times[k] == plain.times[k] * unit);
  }
}

TEST_CASE("what is out of range is refused by name") {
  const auto with = [](auto set) {
    Lif<double> lif;
    set(lif);
    return message([&] { run(one_neuron<double>(lif, 3), 1.0); });
  };
  CHECK(names(with([](auto& l) { l.tau_mem = 3e-310; }), {"h.tau_mem[0]", "e-310"}));
  CHECK(names(with([](auto& l) { l.tau_syn = 3e-200; }), {"h.tau_syn[0]", "e-200"}));
  CHECK(names(with([](auto& l) { l.capacitance = 3e-320; }), {"h.capacitance[0]", "e-320"}));
  CHECK(names(with([](auto& l) { l.capacitance = 3e280; }), {"h.capacitance[0]", "e+280"}));
  CHECK(names(with([](auto& l) { l.tau_mem = l.tau_syn = 3e200; }), {"h.tau_", "e+200"}));
  CHECK(with([](auto& l) { l.tau_mem = 3e200; }) == "");
  CHECK(names(with([](auto& l) { l.threshold = 3e280; }), {"h.threshold[0]", "e+280"}));
  CHECK(names(with([](auto& l) { l.threshold = 3e-280; }), {"h.threshold[0]", "e-280"}));
  CHECK(names(with([](auto& l) { l.threshold = 5e-324; }), {"h.threshold[0]", "e-324"}));
  CHECK(names(with([](auto& l) { l.v_reset = -3e280; }), {"h.v_reset[0]", "e+280"}));
  CHECK(names(with([](auto& l) { l.bias = -3e200; }), {"h.bias[0]", "e+200"}));
  Lif<double> once;
  once.t_refractory = INFINITY;
  Network<double> net = one_neuron<double>(once, 3e155);
  CHECK(names(message([&] { run(net, 1.0); }), {"x_to_h.weight[0]", "e+155"}));
  net.set_weight(0, Array<double>(1e150));
  CHECK(run(net, 0.0).times[0] == doctest::Approx(1e-150));
  net.set_weight(0, Array<double>(-3e155));
  CHECK(names(message([&] { run(net, 1.0); }), {"x_to_h.weight[0]", "-3", "e+155"}));
  CHECK(names(message([&] { run(one_neuron<float>({}, 1e20f), 1.0f); }), {"x_to_h.weight[0]"}));
  SimulateOptions<double> options;
  options.until = 1;
  const Input<double> input{single_sample<double>({{0.5, 0}})};
  net.set_weight(0, Array<double>(1.0));
  options.initial.current = -3e155;
  CHECK(names(message([&] { simulate(net, input, options); }),
              {"initial current", "neuron 0", "e+155"}));
  options.initial = {};
  options.initial.voltage = -3e155;
  CHECK(names(message([&] { simulate(net, input, options); }),
              {"initial voltage", "neuron 0", "e+155"}));
}
