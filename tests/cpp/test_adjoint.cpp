// The adjoint's paths, component by component and projection by projection, against the same
// equations in plain numbers.
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "all_parameters.hpp"
#include "isas.hpp"
#include "mixed_network.hpp"
#include "plain_adjoint.hpp"
#include "snnfp/detail/adjoint.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/impl/reverse_pull.hpp"

using namespace snnfp;

namespace {

template <class Real>
std::vector<Adjoint> adjoints_of(const Record<Real>& record) {
  std::vector<Adjoint> found;
  for (Id c = 0; c + 1 < Id(record.plan->component_offsets.size()); ++c)
    found.push_back(detail::adjoint_of(*record.plan, c));
  return found;
}

// Each array against the largest in it; both zero where nothing depends on it.
template <class Real>
void check_close(const Record<Real>& record, const std::vector<Parameter>& wrt,
                 const std::vector<Real>& found, const std::vector<Real>& wanted) {
  const double tolerance = sizeof(Real) == 8 ? 1e-11 : 5e-4;
  const Layout columns = layout(record, wrt);
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    double largest = 0;
    for (Size c = columns.offsets[k]; c < columns.offsets[k + 1]; ++c)
      largest = std::max(largest, std::abs(double(wanted[c])));
    CAPTURE(k);
    for (Size c = columns.offsets[k]; c < columns.offsets[k + 1]; ++c)
      REQUIRE(std::abs(double(found[c]) - double(wanted[c])) <= tolerance * largest);
  }
}

template <class Real>
std::vector<Real> waves(Size n, Size end) {
  std::vector<Real> u(static_cast<std::size_t>(n), Real(0));
  for (Size k = 0; k < end; ++k) u[k] = Real(std::sin(1.7 * double(k) + 0.3));
  return u;
}

}  // namespace

TEST_CASE("which adjoint a component takes depends on what it feeds back to itself alone") {
  const auto adjoints = [](const auto& connect) {
    Network<double> net;
    const auto x = net.add_input("x", 2);
    const auto a = net.add_population("a", 3, {}), b = net.add_population("b", 3, {});
    net.connect_dense(x, a, std::vector<double>(6, 0.5));
    net.connect_dense(a, b, std::vector<double>(9, 0.5));
    connect(net, x, a, b);
    const auto plan = detail::make_plan(net, {});
    std::vector<Adjoint> found;
    for (Id c = 0; c + 1 < Id(plan.component_offsets.size()); ++c)
      found.push_back(detail::adjoint_of(plan, c));
    return found;
  };
  using Found = std::vector<Adjoint>;
  const std::vector<Size> offsets{0, 1, 1, 1};
  const std::vector<Id> targets{0};
  const std::vector<double> one{0.5}, nine(9, 0.1), delays(9, 0.5);
  CHECK(adjoints([](auto&, auto, auto, auto) {}) == Found{Adjoint::layer, Adjoint::layer});
  // What comes from outside is no matter.
  CHECK(adjoints([&](auto& net, auto x, auto a, auto b) {
          net.connect_sparse(a, b, offsets, targets, one);
          net.connect_one_to_one(a, b, one);
          net.connect_dense(a, b, nine, delays);
          net.connect_dense(x, b, std::vector<double>(6, 0.1), std::vector<double>(6, 0.5));
        }) == Found{Adjoint::layer, Adjoint::layer});
  CHECK(adjoints([&](auto& net, auto, auto, auto b) { net.connect_dense(b, b, nine, 0.5); }) ==
        Found{Adjoint::layer, Adjoint::loop});
  CHECK(adjoints([&](auto& net, auto, auto a, auto) { net.connect_one_to_one(a, a, one, 0.5); }) ==
        Found{Adjoint::loop, Adjoint::layer});
  CHECK(adjoints([&](auto& net, auto, auto, auto b) { net.connect_dense(b, b, nine, delays); }) ==
        Found{Adjoint::layer, Adjoint::loop});
  CHECK(adjoints([&](auto& net, auto, auto a, auto b) {
          net.connect_sparse(b, a, offsets, targets, one, 0.5);
        }) == Found{Adjoint::loop});
  CHECK(adjoints([&](auto& net, auto, auto a, auto b) { net.connect_dense(b, a, nine, 0.5); }) ==
        Found{Adjoint::loop});
}

TEST_CASE("each projection takes the kernel that itself allows") {
  using Kernel = detail::ReversePull<double>::Kernel;
  const Id n_in = 40;
  const auto kernel = [&](const Lif<double>& lif, Id n, const auto& connect, bool inside = false) {
    Network<double> net;
    const auto x = net.add_input("x", n_in);
    const auto a = net.add_population("a", n, lif), b = net.add_population("b", n_in, {});
    net.connect_dense(x, a, std::vector<double>(std::size_t(n_in * n), 0.4));
    connect(net, inside ? b : x, a);
    net.connect_one_to_one(x, b, 4.0);
    std::vector<std::pair<double, Id>> spikes;
    for (int k = 0; k < 200; ++k) spikes.push_back({0.05 * k, Id(k % n_in)});
    const auto record = simulate<double>(net, {single_sample(spikes)}, {});
    REQUIRE(record.spikes() >= n);
    const Layout columns = layout<double>(record, {{Parameter::Kind::weight, 1}});
    const detail::ColumnMap<double> map(record, columns);
    const detail::Batch<double> batch(record);
    std::vector<double> gradient(std::size_t(columns.size()));
    const std::vector<double> u = waves<double>(record.spikes(), record.spikes());
    double* no_times = nullptr;
    detail::ReverseSample<double> sample(*record.plan, map.get());
    sample.gradient = gradient.data();
    sample.input_times = &no_times;
    sample.take(batch.inputs[0], batch.spikes[0], u.data());
    detail::PopulationAdjoint<double> target(*record.plan, 0);
    target.collect(sample, false).solve_all(sample, true);
    detail::ReversePull<double> pull(*record.plan, record.plan->projections[1]);
    pull.start(sample, target, true, true);
    return pull.kernel();
  };
  Lif<double> shared, own;
  std::vector<double> taus;
  for (Id k = 0; k < 20; ++k) taus.push_back(1 + 0.1 * k);
  own.tau_mem = taus;
  const auto dense = [&](auto& net, auto x, auto a) {
    net.connect_dense(x, a, std::vector<double>(n_in * 20, 0.1), 0.5);
  };
  CHECK(kernel(shared, 20, dense) == Kernel::lanes);
  CHECK(kernel(shared, 20, dense, true) == Kernel::lanes);
  CHECK(kernel(own, 20, dense) == Kernel::lanes);
  const auto delays = [&](auto& net, auto x, auto a) {
    net.connect_dense(x, a, std::vector<double>(n_in * 20, 0.1),
                      std::vector<double>(n_in * 20, 0.5));
  };
  CHECK(kernel(shared, 20, delays) == Kernel::rows);
  const auto few = [&](auto& net, auto x, auto a) {
    net.connect_dense(x, a, std::vector<double>(n_in * 3, 0.1), 0.5);
  };
  CHECK(kernel(shared, 3, few, true) == Kernel::few);
  CHECK(kernel(shared, 3, few) == Kernel::lanes);
  // `each` synapses from every source unit.
  const auto sparse = [&](Id each, Id n) {
    return [=](auto& net, auto x, auto a) {
      std::vector<Size> offsets{0};
      std::vector<Id> targets;
      for (Id i = 0; i < n_in; ++i) {
        for (Id j = 0; j < each; ++j) targets.push_back((i + j) % n);
        offsets.push_back(Size(targets.size()));
      }
      net.connect_sparse(x, a, offsets, targets, std::vector<double>(targets.size(), 0.1), 0.5);
    };
  };
  CHECK(kernel(shared, 20, sparse(20, 20)) == Kernel::lanes);
  CHECK(kernel(shared, 20, sparse(2, 20)) == Kernel::lanes);
  CHECK(kernel(own, 20, sparse(20, 20)) == Kernel::rows);
  // Few synapses to very many neurons are cheaper one by one.
  CHECK(kernel(shared, 4000, sparse(1, 4000)) == Kernel::rows);
}

TEST_CASE_TEMPLATE("mixed graphs give what the plain adjoint gives", Real, float, double) {
  std::map<Adjoint, int> reached;
  Size spikes = 0;
  for (unsigned seed = 0; seed < 80; ++seed) {
    CAPTURE(seed);
    const MixedNetwork<Real> network(seed);
    const MixedCase<Real>& c = network.get();
    const auto record = simulate(c.network, c.input, c.options);
    spikes += record.spikes();
    for (const Adjoint a : adjoints_of(record)) ++reached[a];
    // Every third time nothing depends on the later half.
    const auto u = waves<Real>(record.spikes(), record.spikes() / (seed % 3 ? 1 : 2));
    const std::vector<Parameter> all = all_parameters(c.network);
    std::vector<Parameter> weights, some;
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (all[k].kind == Parameter::Kind::weight) weights.push_back(all[k]);
      if ((k * 7 + seed) % 3 == 0) some.push_back(all[k]);
    }
    const auto of_all = vjp<Real>(record, u, all);
    for (const auto& wrt : {all, weights, some}) {
      const auto found = vjp<Real>(record, u, wrt);
      // The same bits whatever else is asked for.
      const Layout columns = layout(record, wrt), all_columns = layout(record, all);
      std::size_t at = 0;
      for (std::size_t k = 0; k < wrt.size(); ++k, ++at) {
        while (all[at].kind != wrt[k].kind || all[at].index != wrt[k].index ||
               all[at].neuron != wrt[k].neuron)
          ++at;
        REQUIRE(std::equal(found.begin() + columns.offsets[k],
                           found.begin() + columns.offsets[k + 1],
                           of_all.begin() + all_columns.offsets[at]));
      }
      check_close(record, wrt, found, plain::gradient<Real>(record, u, wrt));
      for (const Isa isa : isas_here())
        for (const int n_threads : {1, 2}) {
          ExecutionOptions e;
          e.isa = isa;
          e.n_threads = n_threads;
          REQUIRE(vjp<Real>(record, u, wrt, e) == found);
        }
    }
  }
  CHECK(spikes > 20000);
  CHECK(reached[Adjoint::layer] > 40);
  CHECK(reached[Adjoint::loop] > 30);
}

TEST_CASE("spikes kept in a refractory time end it, in every adjoint") {
  Size early = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const MixedNetwork<double> network(seed);
    const MixedCase<double>& c = network.get();
    const auto record = simulate(c.network, c.input, c.options);
    // One more after every fourth, soon enough to be in many a refractory time.
    std::vector<double> times;
    std::vector<Id> neurons;
    std::vector<Size> offsets{0};
    for (Size s = 0; s < record.samples(); ++s) {
      std::vector<std::pair<double, Id>> spikes;
      for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k) {
        spikes.push_back({record.times[k], record.neurons[k]});
        if (k % 4 == 0 && record.times[k] < 7.9)
          spikes.push_back({record.times[k] + 0.07, record.neurons[k]});
      }
      std::sort(spikes.begin(), spikes.end());
      for (const auto& [time, neuron] : spikes) {
        times.push_back(time);
        neurons.push_back(neuron);
      }
      offsets.push_back(static_cast<Size>(times.size()));
    }
    const auto kept = record_from_spikes<double>(c.network, c.input, {times, neurons, offsets},
                                                 std::numeric_limits<double>::infinity(), c.options,
                                                 OnFault::keep);
    for (const ImpossibleSpike& f : kept.faults.impossible)
      early += f.reason == ImpossibleSpike::Reason::refractory;
    const auto wrt = all_parameters(c.network);
    const auto u = waves<double>(kept.spikes(), kept.spikes());
    check_close(kept, wrt, vjp<double>(kept, u, wrt), plain::gradient<double>(kept, u, wrt));
  }
  CHECK(early > 1000);
}
