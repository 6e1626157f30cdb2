// The spike limit's exact count, whichever loops run; and numbers of threads that cannot be meant.
#include <algorithm>
#include <climits>
#include <optional>
#include <string>
#include <vector>

#include "isas.hpp"
#include "random_network.hpp"
#include "same_record.hpp"
#include "snnfp/detail/parallel.hpp"
#include "snnfp/snnfp.hpp"

using namespace snnfp;

namespace {

struct Excess {
  Size sample;
  std::string population;
  Id neuron;
  double time;
  Size count;
};

// The first spike beyond the limit of the first sample that has one, in a record made without.
std::optional<Excess> first_excess(const Record<double>& r, Size limit) {
  for (Size s = 0; s < r.samples(); ++s) {
    std::vector<Size> counts(r.population_offsets.back());
    for (Size k = r.offsets[s]; k < r.offsets[s + 1]; ++k) {
      const Id j = r.neurons[k];
      if (++counts[j] <= limit) continue;
      const Id p = j < r.population_offsets[1] ? 0 : 1;
      return Excess{s, r.network.populations()[p].name, j - r.population_offsets[p], r.times[k],
                    limit + 1};
    }
  }
  return std::nullopt;
}

Size most_spikes(const Record<double>& r) {
  Size most = 0;
  for (Size s = 0; s < r.samples(); ++s) {
    std::vector<Size> counts(r.population_offsets.back());
    for (Size k = r.offsets[s]; k < r.offsets[s + 1]; ++k)
      most = std::max(most, ++counts[r.neurons[k]]);
  }
  return most;
}

template <class Work>
bool refused(Work work) {
  try {
    work();
  } catch (const InvalidArgument& error) {
    return std::string(error.what()).find("n_threads is ") == 0;
  }
  return false;
}

}  // namespace

TEST_CASE("exactly spike_limit spikes pass; one more is the same error in all engines") {
  Size samples_later = 0, second_population = 0, checked = 0;
  for (unsigned seed = 0; seed < 96; ++seed) {
    // Graphs for the queue, for layers and loops, and for windows; some samples end early.
    const RandomCase c =
        random_case(seed, (seed / 2) % 2, 1 + seed % 7, seed % 3 == 0, seed % 3 == 1);
    SimulateOptions<double> options;
    options.until = c.until;
    options.n_threads = 1;
    if (seed % 4 == 3) options.stop_after = {1};
    const auto whole = simulate(c.network, c.input, options);
    const Size most = most_spikes(whole);
    for (const Size limit : {most, most - 1, most / 2, Size(1)}) {
      if (limit < 1) continue;
      const std::optional<Excess> expected = first_excess(whole, limit);
      REQUIRE(expected.has_value() == (limit < most));
      if (expected) {
        ++checked;
        samples_later += expected->sample > 0;
        second_population += expected->population == "b";
      }
      options.spike_limit = limit;
      for (Engine engine : {Engine::queue, Engine::automatic})
        for (Isa isa : isas_here())
          for (int n_threads : {1, 3}) {
            options.engine = engine;
            options.isa = isa;
            options.n_threads = n_threads;
            CAPTURE(seed);
            CAPTURE(limit);
            CAPTURE(int(engine));
            CAPTURE(isa_name(isa));
            try {
              check_same(whole, simulate(c.network, c.input, options));
              CHECK(!expected);
            } catch (const EventLimitError& error) {
              REQUIRE(expected);
              CHECK(error.sample == expected->sample);
              CHECK(error.population == expected->population);
              CHECK(error.neuron == expected->neuron);
              CHECK(error.time == expected->time);
              CHECK(error.count == expected->count);
            }
          }
    }
  }
  CHECK(checked > 150);
  CHECK(samples_later > 10);
  CHECK(second_population > 10);
}

TEST_CASE("the spike limit is of a neuron in a sample, not of all") {
  Network<double> net;
  const auto x = net.add_input("x", 1);
  Lif<double> lif;
  lif.bias = 2.0;  // fires on its own, all alike
  net.connect_dense(x, net.add_population("h", 5, lif), {0.0});
  SimulateOptions<double> options;
  options.until = 20.0;
  const Input<double> input{{std::vector<double>{}, std::vector<Id>{}, std::vector<Size>{0, 0, 0}}};
  const auto free = simulate(net, input, options);
  const Size each = free.spikes() / 10;
  REQUIRE(each * 10 == free.spikes());
  REQUIRE(each > 5);
  options.spike_limit = each;
  check_same(free, simulate(net, input, options));
  options.spike_limit = each - 1;
  try {
    simulate(net, input, options);
    FAIL("no error");
  } catch (const EventLimitError& error) {
    CHECK(error.sample == 0);
    CHECK(error.neuron == 0);
    CHECK(error.count == each);
    CHECK(std::string(error.what()).find("more than spike_limit = " + std::to_string(each - 1)) !=
          std::string::npos);
  }
  options.spike_limit = 0;
  CHECK_THROWS_AS(simulate(net, input, options), InvalidArgument);
}

TEST_CASE("a number of threads that cannot be meant is refused by every call") {
  const RandomCase c = random_case(3, true);
  SimulateOptions<double> options;
  options.until = c.until;
  const auto record = simulate(c.network, c.input, options);
  const RecordedSpikes<double> recorded{record.times, record.neurons, record.offsets};
  const std::vector<double> ones(record.times.size(), 1.0);
  const std::vector<Parameter> wrt{{Parameter::Kind::weight, 0}};
  const Span<const double> cotangents{ones.data(), Size(ones.size())};
  const Size rows[] = {0, 1};
  std::vector<double> out(2 * 28), tangents(28, 1.0);
  for (const int n_threads : {-1, -2, INT_MIN, 4097, INT_MAX}) {
    CAPTURE(n_threads);
    options.n_threads = n_threads;
    CHECK(refused([&] { simulate(c.network, c.input, options); }));
    CHECK(refused([&] { record_from_spikes(c.network, c.input, recorded, 1e-6, options); }));
    CHECK(refused([&] { probe(record, {{0}, {1.0}}, options); }));
    CHECK(refused([&] { vjp(record, cotangents, wrt, options); }));
    CHECK(refused([&] { forward_gradient(record, cotangents, wrt, options); }));
    CHECK(refused([&] { jvp(record, wrt, {tangents.data(), 28}, options); }));
    CHECK(refused([&] { jacobian(record, {rows, 2}, wrt, 0, 28, {out.data(), 56}, options); }));
    CHECK(refused([&] { Jacobian<double>(record, {rows, 2}, wrt, options); }));
    CHECK(refused([&] { detail::thread_count(n_threads); }));
  }
  for (const int n_threads : {0, 1, 3}) {
    options.n_threads = n_threads;
    check_same(record, simulate(c.network, c.input, options));
  }
  CHECK(detail::thread_count(4096) == 4096);
  CHECK(detail::thread_count(0) == detail::default_threads());
}
