// Targets that hear the same units, as the channels at one place of a convolution: found where they
// are, and simulated together to the same bits as the queue.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "isas.hpp"
#include "random_network.hpp"
#include "same_record.hpp"
#include "snnfp/detail/plan.hpp"

using namespace snnfp;

namespace {

struct Kernel {
  Id channels_in, channels, places, width;  // one dimension, no padding
};

// A convolution along a line: unit (i, x) and neuron (o, x), channel by channel.
template <class Real>
Network<Real> convolution(const Kernel& k, Lif<Real> lif, unsigned seed, Delay<Real> delay,
                          bool a_zero = false) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> draw(-0.5, 2.0);
  const Id out = k.places - k.width + 1;
  std::vector<Real> values;
  for (Id w = 0; w < k.channels * k.channels_in * k.width; ++w)
    values.push_back(Real(draw(random)));
  if (a_zero) values[1] = 0;
  std::vector<Size> offsets{0};
  std::vector<Id> targets, of;
  for (Id i = 0; i < k.channels_in; ++i)
    for (Id x = 0; x < k.places; ++x) {
      for (Id o = 0; o < k.channels; ++o)
        for (Id y = std::max<Id>(0, x - k.width + 1); y <= std::min<Id>(x, out - 1); ++y) {
          targets.push_back(o * out + y);
          of.push_back((o * k.channels_in + i) * k.width + x - y);
        }
      offsets.push_back(Size(targets.size()));
    }
  Network<Real> net;
  const auto x = net.add_input("x", k.channels_in * k.places);
  const auto h = net.add_population("h", k.channels * out, std::move(lif));
  net.connect_sparse(x, h, offsets, targets, Weight<Real>::shared(values, of), std::move(delay));
  const auto y = net.add_population("y", 2, {Real(3), Real(1)});
  net.connect_dense(h, y, Real(0.2));
  return net;
}

// Times on a grid now and then, so that some are equal.
template <class Real>
Input<Real> spikes(Id units, unsigned seed, Size samples = 5) {
  std::mt19937 random(seed);
  std::vector<Real> times;
  std::vector<Id> who;
  std::vector<Size> offsets{0};
  for (Size s = 0; s < samples; ++s) {
    std::vector<std::pair<Real, Id>> sample;
    for (Id i = 0; i < units; ++i)
      for (unsigned n = random() % 3; n > 0; --n)
        sample.push_back({s % 2 ? Real(random() % 64) / 16 : Real(random() % 4000) / 1000, i});
    std::sort(sample.begin(), sample.end());
    for (const auto& [time, unit] : sample) {
      times.push_back(time);
      who.push_back(unit);
    }
    offsets.push_back(Size(times.size()));
  }
  return {{times, who, offsets}};
}

template <class Real>
Lif<Real> neuron(unsigned kind) {
  Lif<Real> lif{Real(4), kind % 4 ? Real(2) : Real(4)};
  lif.t_refractory = kind % 3 == 0 ? Real(0) : kind % 3 == 1 ? Real(0.7) : Real(INFINITY);
  lif.bias = kind % 5 ? Real(0) : Real(0.1);
  lif.v_reset = kind % 7 ? Real(0) : Real(-1);
  return lif;
}

template <class Real>
void compare(const Network<Real>& net, const Input<Real>& input, SimulateOptions<Real> options,
             bool in_blocks) {
  options.engine = Engine::automatic;
  const auto record = simulate(net, input, options);
  CHECK(record.ran[0].solver == Solver::layer);
  CHECK(bool(record.plan->hears_blocks[0]) == in_blocks);
  options.engine = Engine::queue;
  check_same(record, simulate(net, input, options));
  CHECK(record.spikes() > 50);
}

}  // namespace

TEST_CASE("blocks: the same bits as the queue") {
  for (unsigned seed = 0; seed < 24; ++seed) {
    CAPTURE(seed);
    const Kernel k{Id(1 + seed % 3), Id(4 + seed % 15), Id(5 + seed % 4), Id(1 + seed % 3)};
    Delay<double> delay = 0.25;
    if (seed % 2) {
      std::vector<double> late;
      for (Id i = 0; i < k.channels_in * k.places; ++i) late.push_back(0.125 * (i % 5));
      delay = Delay<double>::per_source(late);
    }
    SimulateOptions<double> options;
    options.until = 7;
    options.n_threads = 1 + seed % 2;
    if (seed % 3 == 1) options.stop_after = {1};
    const auto input = spikes<double>(k.channels_in * k.places, seed);
    for (const Isa isa : isas_here()) {
      options.isa = isa;
      compare(convolution<double>(k, neuron<double>(seed), seed, delay), input, options, true);
    }
    SimulateOptions<float> single;
    single.until = 7;
    compare(convolution<float>(k, neuron<float>(seed), seed, 0.25f),
            spikes<float>(k.channels_in * k.places, seed), single, true);
  }
}

TEST_CASE("blocks: where they do not do") {
  const Kernel k{2, 6, 6, 3};
  const auto input = spikes<double>(12, 3);
  SimulateOptions<double> options;
  options.until = 7;
  // An initial state is known to the layer as a whole.
  options.initial.voltage = std::vector<double>(26, 0.5);
  compare(convolution<double>(k, {4.0, 2.0}, 1, 0.25), input, options, true);
  options.initial = {};
  // A weight of 0 is no arrival. Neurons that differ, delays that do.
  compare(convolution<double>(k, {4.0, 2.0}, 1, 0.25, true), input, options, false);
  std::vector<double> thresholds(24, 1.0);
  thresholds[17] = 1.25;
  Lif<double> lif{4.0, 2.0};
  lif.threshold = thresholds;
  compare(convolution<double>(k, lif, 1, 0.25), input, options, false);
  std::vector<double> late;
  for (int w = 0; w < 36; ++w) late.push_back(0.1 * (w % 4));
  compare(convolution<double>(k, {4.0, 2.0}, 1, Delay<double>::per_weight(late)), input, options,
          false);
  // Fewer than four channels.
  compare(convolution<double>({2, 3, 9, 3}, {4.0, 2.0}, 1, 0.25), spikes<double>(18, 3), options,
          false);
}

TEST_CASE("blocks: pairs in any order, twice, and by chance") {
  const auto found = [](std::vector<Size> offsets, std::vector<Id> targets) {
    Network<double> net;
    const auto x = net.add_input("x", Id(offsets.size()) - 1);
    const auto h = net.add_population("h", 8, {2.0, 1.0});
    net.connect_sparse(x, h, std::move(offsets), std::move(targets), 1.0);
    return net.graph()->projections[0].blocks;
  };
  const auto blocks = found({0, 4, 8}, {6, 0, 4, 2, 7, 1, 3, 5});
  REQUIRE(blocks);
  CHECK(blocks->members == std::vector<Id>{0, 2, 4, 6, 1, 3, 5, 7});
  CHECK(blocks->synapse == std::vector<Id>{1, 3, 2, 0, 5, 6, 7, 4});
  CHECK(blocks->block == std::vector<Id>{0, 1});
  CHECK_FALSE(found({0, 4, 8}, {0, 2, 4, 6, 1, 3, 5, 5}));               // one twice, one left out
  CHECK_FALSE(found({0, 8, 12}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7}));  // each of a block twice
  CHECK_FALSE(found({0, 3, 8}, {0, 2, 4, 1, 3, 5, 6, 7}));  // blocks of three and of five
  CHECK(found({0, 4, 4}, {0, 2, 4, 6}));                    // the others hear nothing
}

TEST_CASE("blocks: errors name the neuron that it is") {
  const Kernel k{1, 5, 6, 2};
  const auto net = convolution<double>(k, {4.0, 2.0}, 2, 0.0);
  const auto input = spikes<double>(6, 5);
  const auto told = [&](Engine engine) {
    SimulateOptions<double> options;
    options.until = 7;
    options.spike_limit = 1;
    options.engine = engine;
    try {
      simulate(net, input, options);
    } catch (const EventLimitError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  CHECK(told(Engine::automatic) != "nothing");
  CHECK(told(Engine::automatic) == told(Engine::queue));
}
