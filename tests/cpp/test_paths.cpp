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

std::string simulator_of(const Network<double>& net, const Input<double>& input, double until) {
  const auto plan = detail::make_plan(net, {});
  const auto& offsets = input[0].offsets;
  const detail::InputSpikes<double> spikes{input[0].times.data(), input[0].units.data(), 0,
                                           offsets[1]};
  const detail::SampleInput<double> sample{0, &spikes, nullptr, nullptr};
  detail::RunLimits limits{};
  limits.until = until;
  if (detail::SweepSimulator<double>::suits(plan)) return "sweep";
  return detail::WindowSimulator<double>::suits(plan, sample, limits) ? "windows" : "queue";
}

}  // namespace

TEST_CASE("random networks reach the simulator that they are made for") {
  for (unsigned seed = 0; seed < 24; ++seed)
    for (const bool recurrent : {false, true}) {
      CAPTURE(seed);
      CAPTURE(recurrent);
      const RandomCase dense = random_case(seed, recurrent, 2, true);
      CHECK(simulator_of(dense.network, dense.input, dense.until) == "sweep");
      const RandomCase windows = random_case(seed, recurrent, 2, false, true);
      CHECK(simulator_of(windows.network, windows.input, windows.until) == "windows");
      const RandomCase any = random_case(seed, recurrent, 2);
      CHECK(simulator_of(any.network, any.input, any.until) == "queue");
    }
}

TEST_CASE("the same synapses, as each simulator takes them") {
  for (const double loop : {0.5, 0.0}) {
    const std::vector<Size> offsets{0, 3, 6, 9};
    const std::vector<Id> targets{0, 1, 2, 0, 1, 2, 0, 1, 2};
    const Input<double> input{{{0.5, 0.75, 1.0}, {0, 1, 2}, {0, 3}}};
    const auto with = [&](const auto& connect) {
      Network<double> net;
      const auto x = net.add_input("x", 3);
      const auto h = net.add_population("h", 3, {});
      connect(net, x, h, 0.25);
      connect(net, h, h, loop);
      return simulator_of(net, input, 4.0);
    };
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_dense(a, b, std::vector<double>(9, 0.5), delay);
          }) == "sweep");
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_sparse(a, b, offsets, targets, std::vector<double>(9, 0.5), delay);
          }) == (loop > 0 ? "windows" : "queue"));
    CHECK(with([&](auto& net, auto a, auto b, double delay) {
            net.connect_sparse(a, b, offsets, targets, std::vector<double>(9, 0.5),
                               std::vector<double>(9, delay));
          }) == "queue");
  }
}

TEST_CASE("instruction sets that this processor lacks are named") {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512})
    if (resolve_isa(isa) != isa)
      MESSAGE("not tested: this processor has no " << std::string(isa_name(isa)));
  CHECK(resolve_isa(Isa::portable) == Isa::portable);
  CHECK(isas_here().back() == resolve_isa(Isa::best));
}
