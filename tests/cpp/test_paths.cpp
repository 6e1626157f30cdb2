// Which simulator and which instruction sets the other tests reach: they compare results only.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "isas.hpp"
#include "random_network.hpp"
#include "snnfp/impl/engine.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/impl/simulate.hpp"

using namespace snnfp;

namespace {

std::string solvers_of(const Network<double>& net, const Input<double>& input, double until) {
  const auto plan = detail::make_plan(net, {});
  const std::vector<double> spikes(input.size(),
                                   double(input[0].times.size()) / input[0].samples());
  std::string solvers;
  for (Size c = 0; c < plan.n_components(); ++c)
    solvers += (c > 0 ? " " : "") +
               std::string(solver_name(detail::choose_solver(plan, c, spikes, until)));
  return solvers;
}

}  // namespace

TEST_CASE("random networks reach the solvers that they are made for") {
  for (unsigned seed = 0; seed < 24; ++seed)
    for (const bool recurrent : {false, true}) {
      CAPTURE(seed);
      CAPTURE(recurrent);
      const RandomCase dense = random_case(seed, recurrent, 2, true);
      CHECK(solvers_of(dense.network, dense.input, dense.until) ==
            (recurrent ? "loop" : "layer layer"));
      const RandomCase windows = random_case(seed, recurrent, 2, false, true);
      CHECK(solvers_of(windows.network, windows.input, windows.until) ==
            (recurrent ? "windows" : "layer layer"));
      const RandomCase any = random_case(seed, recurrent, 2);
      CHECK(solvers_of(any.network, any.input, any.until) == (recurrent ? "queue" : "layer layer"));
    }
}

TEST_CASE("a record says what ran") {
  const RandomCase c = random_case(1, false, 2, true);
  for (const Isa isa : isas_here())
    for (const Engine engine : {Engine::automatic, Engine::queue}) {
      SimulateOptions<double> options;
      options.until = c.until;
      options.isa = isa;
      options.engine = engine;
      const Record<double> record = simulate(c.network, c.input, options);
      CHECK(record.isa == isa);
      REQUIRE(record.ran.size() == 2);
      for (Id p = 0; p < 2; ++p) {
        CHECK(record.ran[p].populations == std::vector<Id>{p});
        CHECK(record.ran[p].solver == (engine == Engine::queue ? Solver::queue : Solver::layer));
      }
    }
}

TEST_CASE("the same synapses, as each simulator takes them") {
  for (const double loop : {0.5, 0.0}) {
    const std::vector<Size> offsets{0, 3, 6, 8};
    const std::vector<Id> targets{0, 1, 2, 0, 1, 2, 0, 1};
    const Input<double> input{{{0.5, 0.75, 1.0}, {0, 1, 2}, {0, 3}}};
    const auto with = [&](const auto& connect) {
      Network<double> net;
      const auto x = net.add_input("x", 3);
      const auto h = net.add_population("h", 3, {});
      connect(net, x, h, 0.25);
      connect(net, h, h, loop);
      return solvers_of(net, input, 4.0);
    };
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_dense(a, b, std::vector<double>(9, 0.5), delay);
          }) == "loop");
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_sparse(a, b, offsets, targets, std::vector<double>(8, 0.5), delay);
          }) == (loop > 0 ? "windows" : "queue"));
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_sparse(a, b, offsets, targets, std::vector<double>(8, 0.5),
                               std::vector<double>(8, delay));
          }) == (loop > 0 ? "windows" : "queue"));
  }
}

TEST_CASE("instruction sets that this processor lacks are named") {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512})
    if (resolve_isa(isa) != isa)
      MESSAGE("not tested: this processor has no " << std::string(isa_name(isa)));
  CHECK(resolve_isa(Isa::portable) == Isa::portable);
  CHECK(isas_here().back() == resolve_isa(Isa::best));
}
