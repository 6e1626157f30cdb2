// Three witnesses: forward against reverse, <J v, u> = <v, J' u>, and central differences.
#include <doctest/doctest.h>

#include <cmath>

#include "all_parameters.hpp"
#include "isas.hpp"
#include "random_network.hpp"

using namespace snnfp;

namespace {

double largest(const std::vector<double>& x) {
  double m = 0;
  for (double v : x) m = std::max(m, std::abs(v));
  return m;
}

std::vector<double> normal(Size n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> draw;
  std::vector<double> x;
  for (Size k = 0; k < n; ++k) x.push_back(draw(random));
  return x;
}

}  // namespace

TEST_CASE("forward propagation and the adjoint are equal to round-off") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const RandomCase c = random_case(seed, seed % 2);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto record = simulate(c.network, c.input, options);
    const auto wrt = all_parameters(c.network);
    const auto u = normal(record.spikes(), seed);
    const auto reverse = vjp<double>(record, u, wrt);
    const auto forward = forward_gradient<double>(record, u, wrt);
    const double scale = largest(reverse);
    CAPTURE(seed);
    for (std::size_t k = 0; k < reverse.size(); ++k)
      REQUIRE(std::abs(forward[k] - reverse[k]) <= 1e-12 * scale);

    const auto v = normal(Size(reverse.size()), seed + 1000);
    const auto along = jvp<double>(record, wrt, v);
    double left = 0, right = 0, size = 0;
    for (std::size_t k = 0; k < u.size(); ++k) left += u[k] * along[k];
    for (std::size_t k = 0; k < v.size(); ++k) {
      right += v[k] * reverse[k];
      size += std::abs(v[k] * reverse[k]);
    }
    CHECK(std::abs(left - right) <= 1e-12 * size);

    // A Jacobian contracts to the same, from any split of its columns.
    std::vector<Size> rows;
    for (Size k = record.spikes(); k-- > 0;) rows.push_back(k);
    const Size columns = Size(reverse.size()), split = columns / 3;
    std::vector<double> sum(columns, 0.0);
    for (const auto& [begin, end] : {std::pair<Size, Size>{0, split}, {split, columns}}) {
      std::vector<double> block(rows.size() * (end - begin));
      jacobian<double>(record, rows, wrt, begin, end, Span<double>(block.data(), block.size()));
      for (std::size_t i = 0; i < rows.size(); ++i)
        for (Size k = begin; k < end; ++k)
          sum[k] += u[rows[i]] * block[i * (end - begin) + k - begin];
    }
    for (Size k = 0; k < columns; ++k) REQUIRE(std::abs(sum[k] - reverse[k]) <= 1e-12 * scale);
  }
}

TEST_CASE("the reverse sweep of dense graphs gives what the general adjoint gives") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const RandomCase c = random_case(seed, (seed / 2) % 2, 3, true);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto record = simulate(c.network, c.input, options);
    const auto u = normal(record.spikes(), seed);
    // Derivatives by time constants keep the sweep away.
    const auto wrt = all_parameters(c.network);
    std::vector<Parameter> without;
    for (const Parameter& p : wrt)
      if (p.kind != Parameter::Kind::neuron ||
          (p.neuron != NeuronParameter::tau_mem && p.neuron != NeuronParameter::tau_syn))
        without.push_back(p);
    const auto general = vjp<double>(record, u, wrt), swept = vjp<double>(record, u, without);
    const Layout from = layout(record, wrt), to = layout(record, without);
    const double scale = largest(general);
    std::size_t at = 0;
    CAPTURE(seed);
    for (std::size_t k = 0; k < wrt.size(); ++k) {
      if (at == without.size() || wrt[k].kind != without[at].kind ||
          wrt[k].index != without[at].index || wrt[k].neuron != without[at].neuron)
        continue;
      for (Size e = 0; e < to.offsets[at + 1] - to.offsets[at]; ++e)
        REQUIRE(std::abs(swept[to.offsets[at] + e] - general[from.offsets[k] + e]) <=
                1e-12 * scale);
      ++at;
    }
    CHECK(at == without.size());
    ExecutionOptions e;
    for (Isa isa : isas_here())
      for (int n_threads : {1, 3}) {
        e.isa = isa;
        e.n_threads = n_threads;
        CHECK(vjp<double>(record, u, without, e) == swept);
      }
  }
}

TEST_CASE("large input weights, which the adjoint leaves for a second pass") {
  using namespace snnfp;
  std::mt19937 random(3);
  const auto many = [&](Size n, double a, double b) {
    std::vector<double> x;
    for (Size k = 0; k < n; ++k) x.push_back(std::uniform_real_distribution<double>(a, b)(random));
    return x;
  };
  for (const double refractory : {0.0, 0.4}) {
    const Id n_in = 60, n = 203;
    Network<double> net;
    Lif<double> lif;
    lif.tau_mem = many(n, 1, 4);
    lif.t_refractory = refractory;
    lif.bias = 0.05;
    const auto x = net.add_input("x", n_in);
    const auto a = net.add_population("a", n, lif);
    const auto b = net.add_population("b", 4, {});
    net.connect_dense(x, a, many(n_in * n, -0.1, 0.4), 0.1);
    net.connect_dense(a, a, many(n * n, -0.02, 0.02), 0.3);
    net.connect_dense(a, b, many(n * 4, 0, 0.05));
    std::vector<double> times = many(2 * n_in, 0, 5);
    std::sort(times.begin(), times.begin() + n_in);
    std::sort(times.begin() + n_in, times.end());
    std::vector<Id> units;
    for (int k = 0; k < 2 * n_in; ++k) units.push_back(static_cast<Id>(random() % n_in));
    SimulateOptions<double> options;
    options.until = 8;
    const auto record = simulate(net, {{times, units, {0, n_in, 2 * n_in}}}, options);
    REQUIRE(record.spikes() > 500);
    const auto u = normal(record.spikes(), 4);
    const std::vector<Parameter> wrt{{Parameter::Kind::weight, 2},
                                     {Parameter::Kind::weight, 0},
                                     {Parameter::Kind::neuron, 0, NeuronParameter::bias},
                                     {Parameter::Kind::weight, 1}};
    std::vector<Parameter> general = wrt;
    general.push_back({Parameter::Kind::neuron, 0, NeuronParameter::tau_mem});
    const auto swept = vjp<double>(record, u, wrt), plain = vjp<double>(record, u, general);
    const double scale = largest(swept);
    for (std::size_t k = 0; k < swept.size(); ++k)
      REQUIRE(std::abs(swept[k] - plain[k]) <= 1e-12 * scale);
    for (Isa isa : isas_here())
      for (int n_threads : {1, 2, 3, 8}) {
        ExecutionOptions e;
        e.isa = isa;
        e.n_threads = n_threads;
        CHECK(vjp<double>(record, u, wrt, e) == swept);
      }
  }
}

TEST_CASE_TEMPLATE("few neurons and many, held and free, in a graph without loops", Real, float,
                   double) {
  std::mt19937 random(11);
  const auto many = [&](Size n, double a, double b) {
    std::vector<Real> x;
    for (Size k = 0; k < n; ++k)
      x.push_back(Real(std::uniform_real_distribution<double>(a, b)(random)));
    return x;
  };
  for (const bool mixed : {false, true})
    for (const double refractory : {0.0, 0.3}) {
      CAPTURE(mixed);
      CAPTURE(refractory);
      const Id sizes[] = {37, 3, 6, 20};
      Network<Real> net;
      const auto x = net.add_input("x", 5);
      std::vector<Source> layers;
      for (const Id n : sizes) {
        Lif<Real> lif;
        lif.tau_mem = mixed ? Array<Real>(many(n, 1, 4)) : Array<Real>(Real(2));
        lif.capacitance = mixed ? Array<Real>(many(n, 0.8, 1.2)) : Array<Real>(Real(1));
        lif.t_refractory = Real(refractory);
        lif.bias = Real(0.02);
        layers.push_back(net.add_population("p" + std::to_string(n), n, lif));
      }
      net.connect_dense(x, layers[0], many(5 * 37, 0, 0.9), Real(0.1));
      net.connect_dense(layers[0], layers[1], many(37 * 3, 0, 0.1));
      net.connect_dense(x, layers[1], many(5 * 3, 0, 0.3));
      net.connect_dense(layers[0], layers[2], many(37 * 6, 0, 0.1), Real(0.2));
      net.connect_dense(layers[1], layers[3], many(3 * 20, 0, 0.6));
      net.connect_dense(layers[2], layers[3], many(6 * 20, 0, 0.3));
      const Size each = 40;
      std::vector<Real> times = many(2 * each, 0, 8);
      std::sort(times.begin(), times.begin() + each);
      std::sort(times.begin() + each, times.end());
      std::vector<Id> units;
      for (Size k = 0; k < 2 * each; ++k) units.push_back(static_cast<Id>(random() % 5));
      SimulateOptions<Real> options;
      options.until = Real(10);
      const auto record = simulate(net, {{times, units, {0, each, 2 * each}}}, options);
      for (const Id population : {0, 1, 2, 3}) {
        const Id begin = record.population_offsets[population];
        REQUIRE(std::count_if(record.neurons.begin(), record.neurons.end(), [&](Id j) {
                  return j >= begin && j < begin + sizes[population];
                }) > 4 * sizes[population]);
      }
      // Only some spikes count, so that some have no adjoint.
      std::vector<Real> u(record.times.size(), Real(0));
      for (std::size_t k = 0; k < u.size() / 2; k += 3) u[k] = Real(std::sin(double(k)));
      std::vector<Parameter> wrt, general;
      for (const Parameter& p : all_parameters(net)) {
        general.push_back(p);
        if (p.kind != Parameter::Kind::neuron ||
            (p.neuron != NeuronParameter::tau_mem && p.neuron != NeuronParameter::tau_syn))
          wrt.push_back(p);
      }
      const auto swept = vjp<Real>(record, u, wrt), plain = vjp<Real>(record, u, general);
      const Layout to = layout(record, wrt), from = layout(record, general);
      std::size_t at = 0;
      for (std::size_t k = 0; k < general.size(); ++k) {
        if (at == wrt.size() || general[k].kind != wrt[at].kind ||
            general[k].index != wrt[at].index || general[k].neuron != wrt[at].neuron)
          continue;
        double scale = 0;
        for (Size e = from.offsets[k]; e < from.offsets[k + 1]; ++e)
          scale = std::max(scale, std::abs(double(plain[e])));
        for (Size e = 0; e < to.offsets[at + 1] - to.offsets[at]; ++e)
          REQUIRE(std::abs(double(swept[to.offsets[at] + e]) - plain[from.offsets[k] + e]) <=
                  (sizeof(Real) == 8 ? 1e-12 : 1e-4) * scale);
        ++at;
      }
      CHECK(at == wrt.size());
      ExecutionOptions e;
      for (Isa isa : isas_here())
        for (int n_threads : {1, 2, 3}) {
          e.isa = isa;
          e.n_threads = n_threads;
          CHECK(vjp<Real>(record, u, wrt, e) == swept);
        }
    }
}

TEST_CASE("every instruction set and thread count gives the same gradient bits") {
  const RandomCase c = random_case(7, true, 9);
  SimulateOptions<double> options;
  options.until = c.until;
  const auto record = simulate(c.network, c.input, options);
  const auto wrt = all_parameters(c.network);
  const auto u = normal(record.spikes(), 5);
  ExecutionOptions one;
  one.n_threads = 1;
  one.isa = Isa::portable;
  const auto reverse = vjp<double>(record, u, wrt, one);
  const auto forward = forward_gradient<double>(record, u, wrt, one);
  for (Isa isa : isas_here())
    for (int n_threads : {1, 2, 3, 8}) {
      ExecutionOptions e;
      e.isa = isa;
      e.n_threads = n_threads;
      CHECK(vjp<double>(record, u, wrt, e) == reverse);
      CHECK(forward_gradient<double>(record, u, wrt, e) == forward);
    }
}

TEST_CASE("a Jacobian has the same bits for every instruction set, thread count and split") {
  for (unsigned seed : {7u, 12u}) {
    const RandomCase c = random_case(seed, true, 3);
    SimulateOptions<double> options;
    options.until = c.until;
    const auto record = simulate(c.network, c.input, options);
    const auto wrt = all_parameters(c.network);
    const Size columns = layout(record, wrt).size();
    REQUIRE(columns > 3 * 32);
    // Any order, and one twice.
    std::vector<Size> rows{0, record.spikes() - 1, -1, 0};
    for (Size k = 0; k < record.spikes(); k += 2) rows.push_back(k);
    const auto part = [&](Size begin, Size end, const ExecutionOptions& e) {
      std::vector<double> out(rows.size() * (end - begin), std::nan(""));
      jacobian<double>(record, rows, wrt, begin, end, Span<double>(out.data(), Size(out.size())),
                       e);
      return out;
    };
    ExecutionOptions one;
    one.n_threads = 1;
    one.isa = Isa::portable;
    const auto whole = part(0, columns, one);
    for (Size k = 0; k < columns; ++k) REQUIRE(whole[2 * columns + k] == 0.0);
    for (Isa isa : isas_here())
      for (int n_threads : {1, 2, 7}) {
        ExecutionOptions e;
        e.isa = isa;
        e.n_threads = n_threads;
        CHECK(part(0, columns, e) == whole);
        CHECK(part(5, 5, e).empty());
        // By itself, and with what the ranges have in common worked out once.
        Jacobian<double> jacobian(record, rows, wrt, e);
        REQUIRE(jacobian.columns() == columns);
        for (const auto& [begin, end] : {std::pair<Size, Size>{3, 4}, {30, 70}, {31, columns}}) {
          const auto some = part(begin, end, e);
          std::vector<double> again(some.size(), std::nan(""));
          jacobian.solve(begin, end, Span<double>(again.data(), Size(again.size())));
          CHECK(again == some);
          bool same = true;
          for (std::size_t i = 0; i < rows.size(); ++i)
            for (Size k = begin; k < end; ++k)
              same &= some[i * (end - begin) + k - begin] == whole[i * columns + k];
          CHECK(same);
        }
      }
    // Each parameter array alone: what is not upstream of it is left out.
    for (std::size_t k = 0; k < wrt.size(); ++k) {
      const Size from = layout(record, wrt).offsets[k],
                 n = layout(record, wrt).offsets[k + 1] - from;
      std::vector<double> alone(rows.size() * n);
      jacobian<double>(record, rows, {wrt[k]}, 0, n,
                       Span<double>(alone.data(), Size(alone.size())));
      bool same = true;
      for (std::size_t i = 0; i < rows.size(); ++i)
        for (Size q = 0; q < n; ++q) same &= alone[i * n + q] == whole[i * columns + from + q];
      CHECK(same);
    }
  }
}

TEST_CASE("forward propagation of a dense recurrent network, in double and in float") {
  // Long rows: most terms are shared by two spikes. Some synapses have no weight.
  const auto check = [](auto zero, double tolerance) {
    using Real = decltype(zero);
    std::mt19937 random(3);
    std::normal_distribution<double> draw;
    Network<Real> net;
    Lif<Real> lif;
    lif.tau_mem = Real(20);
    lif.tau_syn = Real(5);
    lif.t_refractory = Real(2);
    lif.capacitance = Real(20);
    const Id n_in = 12, n = 20;
    const auto x = net.add_input("x", n_in);
    const auto a = net.add_population("a", n, lif);
    std::vector<Real> w, u;
    for (int k = 0; k < n_in * n; ++k) w.push_back(Real(1.0 + 0.3 * draw(random)));
    for (int k = 0; k < n * n; ++k) u.push_back(k % 5 ? Real(0.3 * draw(random)) : Real(0));
    net.connect_dense(x, a, w, Real(1));
    net.connect_dense(a, a, u, Real(1));
    std::vector<std::pair<Real, Id>> spikes;
    for (int k = 0; k < 150; ++k) spikes.push_back({Real(k * 1.3), Id(random() % n_in)});
    SimulateOptions<Real> options;
    options.until = Real(200);
    const auto record = simulate<Real>(net, {single_sample(spikes)}, options);
    REQUIRE(record.spikes() > 200);
    const std::vector<Parameter> wrt{{Parameter::Kind::weight, 0},
                                     {Parameter::Kind::weight, 1},
                                     {Parameter::Kind::delay, 1},
                                     {Parameter::Kind::neuron, 0, NeuronParameter::tau_syn},
                                     {Parameter::Kind::neuron, 0, NeuronParameter::t_refractory}};
    std::vector<Real> u_k;
    for (Size k = 0; k < record.spikes(); ++k) u_k.push_back(Real(draw(random)));
    const auto reverse = vjp<Real>(record, u_k, wrt);
    const auto forward = forward_gradient<Real>(record, u_k, wrt);
    double size = 0, error = 0;
    for (std::size_t k = 0; k < reverse.size(); ++k) {
      size = std::max(size, std::abs(double(reverse[k])));
      error = std::max(error, std::abs(double(forward[k]) - double(reverse[k])));
    }
    CHECK(error <= tolerance * size);
    ExecutionOptions portable;
    portable.isa = Isa::portable;
    CHECK(forward_gradient<Real>(record, u_k, wrt, portable) == forward);
    CHECK(jvp<Real>(record, wrt, reverse, portable) == jvp<Real>(record, wrt, reverse));
  };
  check(0.0, 1e-11);
  check(0.0f, 1e-3);
}

TEST_CASE("central differences of the whole simulation by weight converge to the gradient") {
  const RandomCase c = random_case(11, true, 1);
  SimulateOptions<double> options;
  options.until = 6;
  const auto record = simulate(c.network, c.input, options);
  const auto u = normal(record.spikes(), 9);
  const auto loss = [&](const Record<double>& r) {
    double sum = 0;
    for (Size k = 0; k < r.spikes(); ++k) sum += u[k] * r.times[k];
    return sum;
  };
  const auto gradient = vjp<double>(record, u, {{Parameter::Kind::weight, 0}});
  int checked = 0;
  for (std::size_t k = 0; k < gradient.size(); ++k) {
    double difference = 0;
    bool same = true;
    for (double h : {1e-6, -1e-6}) {
      auto net = c.network;
      const auto& w = c.network.projections()[0].weight;
      std::vector<double> moved(w.begin(), w.end());
      moved[k] += h;
      net.set_weight(0, moved);
      const auto r = simulate(net, c.input, options);
      same &= r.neurons == record.neurons;
      if (same) difference += loss(r) / (2 * h);
    }
    if (!same) continue;
    ++checked;
    CHECK(gradient[k] == doctest::Approx(difference).epsilon(1e-5).scale(largest(gradient)));
  }
  CHECK(checked > 15);
}

TEST_CASE("wrong sizes and repeats are named") {
  const RandomCase c = random_case(1, false);
  SimulateOptions<double> options;
  options.until = c.until;
  const auto record = simulate(c.network, c.input, options);
  const std::vector<double> wrong(record.spikes() + 1);
  CHECK_THROWS_WITH_AS(vjp<double>(record, wrong, {}), doctest::Contains("one a spike"),
                       InvalidArgument);
  const std::vector<double> right(record.spikes());
  CHECK_THROWS_AS(
      vjp<double>(record, right, {{Parameter::Kind::weight, 0}, {Parameter::Kind::weight, 0}}),
      InvalidArgument);
  CHECK_THROWS_AS(vjp<double>(record, right, {{Parameter::Kind::weight, 99}}), InvalidArgument);
  const std::vector<Parameter> weights{{Parameter::Kind::weight, 0}};
  CHECK_THROWS_WITH_AS(Jacobian<double>(record, std::vector<Size>{0, -2}, weights),
                       doctest::Contains("spike 1 of the rows is -2"), InvalidArgument);
  Jacobian<double> j(record, std::vector<Size>{0}, weights);
  std::vector<double> out(1);
  CHECK_THROWS_WITH_AS(j.solve(0, 2, Span<double>(out.data(), 1)), doctest::Contains("expected 2"),
                       InvalidArgument);
  CHECK_THROWS_AS(j.solve(0, j.columns() + 1, Span<double>(out.data(), 1)), InvalidArgument);
}
