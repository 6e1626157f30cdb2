// Weights and delays that synapses share: the network is the one in which each synapse has its own,
// and a derivative is the sum over the synapses that share.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "all_parameters.hpp"
#include "isas.hpp"
#include "random_network.hpp"

using namespace snnfp;

namespace {

template <class Real>
struct Pair {
  Network<Real> shared, apart;
  Input<Real> input;
};

template <class To, class From>
Array<To> converted(const Array<From>& values) {
  return Array<To>(std::vector<To>(values.begin(), values.end()));
}

template <class Real>
void connect_like(Network<Real>& net, const Projection<double>& q, Weight<Real> weight,
                  Delay<Real> delay) {
  const Source target{Source::Kind::population, q.target};
  if (q.connectivity == Connectivity::dense) {
    net.connect_dense(q.source, target, std::move(weight), std::move(delay), q.name);
  } else if (q.connectivity == Connectivity::one_to_one) {
    net.connect_one_to_one(q.source, target, std::move(weight), std::move(delay), q.name);
  } else {
    net.connect_sparse(q.source, target, q.row_offsets, q.targets, std::move(weight),
                       std::move(delay), q.name);
  }
}

// A random network whose synapses share weights at random, some of which nobody has, while some
// synapses are not there; the delays of every other projection go with the weights.
template <class Real>
Pair<Real> random_pair(unsigned seed, bool recurrent) {
  const RandomCase c = random_case(seed, recurrent, 3);
  std::mt19937 random(seed + 77);
  Pair<Real> pair;
  for (Network<Real>* net : {&pair.shared, &pair.apart}) {
    for (const InputGroup& g : c.network.inputs()) net->add_input(g.name, g.size);
    for (const Population<double>& p : c.network.populations()) {
      Lif<Real> lif;
      for (int q = 0; q < n_neuron_parameters; ++q)
        lif[NeuronParameter(q)] = converted<Real>(p.parameters[NeuronParameter(q)]);
      net->add_population(p.name, p.size, lif);
    }
  }
  const auto& projections = c.network.projections();
  for (std::size_t index = 0; index < projections.size(); ++index) {
    const Projection<double>& q = projections[index];
    const Size synapses = c.network.synapse_count(Id(index)), n = std::max<Size>(2, synapses / 2);
    std::vector<Id> of;
    for (Size k = 0; k < synapses; ++k) of.push_back(Id(random() % (n + 1)) - 1);
    std::vector<Real> values, late, each, each_late;
    for (Size w = 0; w < n; ++w) {
      values.push_back(Real(q.weight[w % synapses]));
      late.push_back(w % 3 ? Real(0.05) * Real(random() % 30) : Real(0));
    }
    for (const Id w : of) {
      each.push_back(w < 0 ? Real(0) : values[w]);
      each_late.push_back(w < 0 ? Real(0) : late[w]);
    }
    Delay<Real> delay;
    delay.per = q.delay.per;
    delay.values = converted<Real>(q.delay.values);
    const bool per_weight = (index + seed) % 2 == 0;
    connect_like<Real>(pair.shared, q, Weight<Real>::shared(values, of),
                       per_weight ? Delay<Real>::per_weight(late) : delay);
    connect_like<Real>(pair.apart, q, each, per_weight ? Delay<Real>(each_late) : delay);
  }
  for (const SpikeBatch<double>& b : c.input)
    pair.input.push_back({converted<Real>(b.times), b.units, b.offsets});
  return pair;
}

// The sums over synapses, written down once more; `counted` says how many shared values there were.
template <class Real>
std::vector<Real> summed(const Record<Real>& shared, const Record<Real>& apart,
                         const std::vector<Parameter>& wrt, const std::vector<Real>& each,
                         int& counted) {
  const Layout to = layout(shared, wrt), from = layout(apart, wrt);
  std::vector<Real> result;
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    const Size n = to.offsets[k + 1] - to.offsets[k], m = from.offsets[k + 1] - from.offsets[k];
    const Parameter& p = wrt[k];
    const bool synaptic = p.kind == Parameter::Kind::weight || p.kind == Parameter::Kind::delay;
    const Projection<Real>* q = synaptic ? &shared.network.projections()[p.index] : nullptr;
    const bool sums = q && (p.kind == Parameter::Kind::weight || q->delay.per == DelayPer::weight);
    if (!sums) REQUIRE(n == m);
    for (Size w = 0; w < n; ++w) {
      double sum = sums ? 0.0 : double(each[from.offsets[k] + w]);
      for (Size s = 0; sums && s < m; ++s)
        if (q->weight_of[s] == w) sum += double(each[from.offsets[k] + s]);
      result.push_back(Real(sum));
      counted += sums;
    }
  }
  return result;
}

template <class Real>
void compare(unsigned seed, Isa isa, int n_threads, int& counted) {
  const Pair<Real> pair = random_pair<Real>(seed, seed % 2);
  CAPTURE(seed);
  SimulateOptions<Real> options;
  options.until = Real(12);
  options.isa = isa;
  options.n_threads = n_threads;
  const auto shared = simulate(pair.shared, pair.input, options);
  const auto apart = simulate(pair.apart, pair.input, options);
  REQUIRE(shared.times == apart.times);
  REQUIRE(shared.neurons == apart.neurons);
  REQUIRE(shared.spikes() > 20);
  const auto wrt = all_parameters(pair.shared);
  std::mt19937 random(seed);
  std::vector<Real> u;
  for (Size k = 0; k < shared.spikes(); ++k) u.push_back(Real(random() % 100) / 50 - 1);

  const auto reverse = vjp<Real>(shared, u, wrt, options);
  const auto expected = summed(shared, apart, wrt, vjp<Real>(apart, u, wrt, options), counted);
  REQUIRE(reverse == expected);  // the same bits

  const Real near = std::is_same_v<Real, double> ? Real(1e-12) : Real(2e-4);
  Real scale = 0;
  for (const Real g : reverse) scale = std::max(scale, std::abs(g));
  const auto forward = forward_gradient<Real>(shared, u, wrt, options);
  for (std::size_t k = 0; k < reverse.size(); ++k)
    REQUIRE(std::abs(forward[k] - reverse[k]) <= near * scale);

  // Of the rows of all spikes, and along a direction.
  const Size columns = Size(reverse.size());
  std::vector<Size> rows;
  for (Size k = 0; k < shared.spikes(); ++k) rows.push_back(k);
  std::vector<Real> matrix(static_cast<std::size_t>(columns * shared.spikes())), direction;
  jacobian<Real>(shared, rows, wrt, 0, columns, Span<Real>(matrix.data(), Size(matrix.size())),
                 options);
  for (Size c = 0; c < columns; ++c) direction.push_back(Real(random() % 100) / 50 - 1);
  const auto along = jvp<Real>(shared, wrt, direction, options);
  std::vector<Real> by_rows(reverse.size(), Real(0));
  for (Size k = 0; k < shared.spikes(); ++k) {
    Real sum = 0, size = 0;
    for (Size c = 0; c < columns; ++c) {
      sum += matrix[k * columns + c] * direction[c];
      size += std::abs(matrix[k * columns + c]);
      by_rows[c] += u[k] * matrix[k * columns + c];
    }
    REQUIRE(std::abs(sum - along[k]) <= near * size);
  }
  for (Size c = 0; c < columns; ++c) REQUIRE(std::abs(by_rows[c] - reverse[c]) <= near * scale);
}

}  // namespace

TEST_CASE("shared weights: the same spikes, and sums over the synapses that share") {
  int counted = 0;
  for (unsigned seed = 0; seed < 24; ++seed) compare<double>(seed, Isa::best, 1, counted);
  for (const Isa isa : isas_here()) compare<double>(31, isa, 1, counted);
  compare<double>(32, Isa::best, 3, counted);
  for (unsigned seed = 40; seed < 46; ++seed) compare<float>(seed, Isa::best, 1, counted);
  CHECK(counted > 1500);
}

TEST_CASE("shared weights: by central differences") {
  for (unsigned seed : {2u, 5u}) {
    const Pair<double> pair = random_pair<double>(seed, seed % 2);
    SimulateOptions<double> options;
    options.until = 12;
    const auto record = simulate(pair.shared, pair.input, options);
    std::vector<double> u;
    for (Size k = 0; k < record.spikes(); ++k) u.push_back(std::cos(double(k)));
    int seen = 0;
    for (Id q = 0; q < Id(pair.shared.projections().size()); ++q) {
      const auto gradient = vjp<double>(record, u, {{Parameter::Kind::weight, q}});
      REQUIRE(Size(gradient.size()) == pair.shared.weight_count(q));
      double scale = 0;
      for (double g : gradient) scale = std::max(scale, std::abs(g));
      const Array<double> before = pair.shared.projections()[q].weight;
      for (Size w = 0; w < before.size(); ++w) {
        bool same = true;
        const auto loss = [&](double by) {
          Network<double> moved = pair.shared;
          std::vector<double> values(before.begin(), before.end());
          values[w] += by;
          moved.set_weight(q, std::move(values));
          const auto r = simulate(moved, pair.input, options);
          same &= r.neurons == record.neurons;
          double sum = 0;
          for (Size k = 0; same && k < r.spikes(); ++k)
            sum += u[k] * (r.times[k] - record.times[k]);
          return sum;
        };
        const auto slope = [&](double h) { return (loss(h) - loss(-h)) / (2 * h); };
        const double h = 1e-6, difference = (4 * slope(h) - slope(2 * h)) / 3;
        if (!same) continue;
        CHECK(std::abs(difference - gradient[w]) <= 1e-7 * std::max(1.0, scale));
        ++seen;
      }
    }
    CHECK(seen >= 20);
  }
}

TEST_CASE("shared weights of a large matrix from an input, whose gradient is a second pass") {
  const Id n_in = 96, n = 128;  // 12288 synapses
  Network<double> shared, apart;
  std::vector<Id> of;
  std::vector<double> values, each;
  for (int w = 0; w < 40; ++w) values.push_back(0.02 * w);
  for (Size k = 0; k < Size(n_in) * n; ++k) of.push_back(Id(k * 7 % 41) - 1);
  for (const Id w : of) each.push_back(w < 0 ? 0.0 : values[w]);
  for (Network<double>* net : {&shared, &apart}) {
    const auto x = net->add_input("x", n_in);
    const auto h = net->add_population("h", n, {4.0, 2.0});
    net->connect_dense(x, h, net == &shared ? Weight<double>::shared(values, of) : each, 0.3);
  }
  SpikeBatch<double> batch;
  std::vector<std::pair<double, Id>> spikes;
  for (Id i = 0; i < n_in; ++i) spikes.push_back({0.03 * i, i});
  const Input<double> input{single_sample(std::move(spikes))};
  SimulateOptions<double> options;
  options.until = 10;
  const auto a = simulate(shared, input, options), b = simulate(apart, input, options);
  REQUIRE(a.times == b.times);
  const std::vector<double> u(a.times.size(), 1.0);
  int counted = 0;
  for (const std::vector<Parameter>& wrt :
       {std::vector<Parameter>{{Parameter::Kind::weight, 0}},
        {{Parameter::Kind::delay, 0}, {Parameter::Kind::weight, 0}}})
    CHECK(vjp<double>(a, u, wrt) == summed(a, b, wrt, vjp<double>(b, u, wrt), counted));
  CHECK(counted == 80);
}

TEST_CASE("shared weights: what cannot be meant, and what is kept") {
  Network<double> net;
  const auto x = net.add_input("x", 2);
  const auto h = net.add_population("h", 2, {2.0, 1.0});
  const auto refused = [&](Weight<double> weight, Delay<double> delay, const char* text) {
    CHECK_THROWS_WITH_AS(net.connect_dense(x, h, std::move(weight), std::move(delay)), text,
                         InvalidArgument);
  };
  using W = Weight<double>;
  refused(W::shared({1.0, 2.0}, {0, 1, 2, 0}), 0.0,
          "x_to_h: weight_of[2] is 2, expected 0 <= weight < 2, or -1 for a synapse that is not "
          "there");
  refused(W::shared({1.0}, {0, 0, 0, -2}), 0.0,
          "x_to_h: weight_of[3] is -2, expected 0 <= weight < 1, or -1 for a synapse that is not "
          "there");
  refused(W::shared({1.0, 2.0}, {0, 1}), 0.0,
          "x_to_h: weight_of has 2 values, expected 4 (one a synapse)");
  refused(W::shared({1.0, NAN}, {0, 0, 0, 0}), 0.0,
          "x_to_h.weight[1] is nan, expected a finite number");
  refused(W::shared({1.0, 2.0}, {0, 1, 1, 0}), Delay<double>::per_weight({1.0, 2.0, 3.0}),
          "x_to_h.delay has 3 values, expected 2 (one weight)");
  CHECK(net.projections().empty());

  const Id p = net.connect_dense(x, h, W::shared({4.0, 5.0}, {0, 1, -1, 0}),
                                 Delay<double>::per_weight({0.5, 0.25}));
  CHECK(net.weight_count(p) == 2);
  CHECK(net.synapse_count(p) == 4);
  CHECK_THROWS_WITH_AS(net.set_weight(p, {1.0, 2.0, 3.0, 4.0}),
                       "x_to_h.weight has 4 values, expected 1 or 2 (one weight)", InvalidArgument);
  const auto spikes = single_sample<double>({{0.1, 0}, {0.1, 1}});
  SimulateOptions<double> options;
  options.until = 3;
  const auto before = simulate<double>(net, {spikes}, options);
  const Network<double> copy = net;
  net.set_weight(p, 6.0);
  net.set_delay(p, Delay<double>::per_weight({0.75, 0.5}));
  CHECK(net.projections()[p].synapse_delay[3] == 0.75);
  net.set_delay(p, 0.75);
  CHECK(net.projections()[p].delay.per == DelayPer::projection);
  CHECK(net.projections()[p].weight.size() == 2);
  const auto& each = net.projections()[p].synapse_weight;
  CHECK(std::vector<double>(each.begin(), each.end()) == std::vector<double>{6, 6, 0, 6});
  CHECK(simulate<double>(copy, {spikes}, options).times == before.times);
  CHECK(simulate<double>(net, {spikes}, options).times != before.times);
  CHECK(before.network.projections()[p].weight[1] == 5.0);

  // A number out of proportion is named as the weight that it is.
  net.set_weight(p, {1.0, 1e300});
  CHECK_THROWS_WITH_AS(simulate<double>(net, {spikes}, options),
                       doctest::Contains("x_to_h.weight[1] is"), InvalidArgument);
}
