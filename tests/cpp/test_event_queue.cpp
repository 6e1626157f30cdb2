// The total order of events, and the indexed heap against a sorted list.
#include <doctest/doctest.h>

#include <random>
#include <set>

#include "snnfp/detail/event_queue.hpp"

using namespace snnfp;
using detail::Arrival;

TEST_CASE("arrivals come by time, sender, projection, synapse, wherever they were put") {
  std::vector<Arrival<double>> all;
  for (double time : {1.0, 2.0, 0.5})
    for (Id sender : {3, 0})
      for (Id projection : {1, 0})
        for (Size begin : {5, 2}) all.push_back({time, sender, projection, begin, begin + 1});
  detail::ArrivalQueue<double> queue;
  for (std::size_t k = 0; k < all.size(); ++k)
    if (k % 2) queue.add_known(all[k]);
  queue.sort_known();
  for (std::size_t k = 0; k < all.size(); ++k)
    if (k % 2 == 0) queue.push(all[k]);
  std::sort(all.begin(), all.end());
  for (const auto& expected : all) {
    REQUIRE(!queue.empty());
    CHECK(!(queue.top() < expected));
    CHECK(!(expected < queue.top()));
    queue.pop();
  }
  CHECK(queue.empty());
}

TEST_CASE("neurons' own events: earliest first, crossings before releases, then by neuron") {
  using Queue = detail::NeuronQueue<double>;
  Queue queue(50);
  using Key = std::tuple<double, int, Id>;
  std::vector<Key> now(50, Key{-1, 0, 0});
  std::set<Key> expected;
  std::mt19937 random(1);
  for (int step = 0; step < 20000; ++step) {
    const Id j = random() % 50;
    if (std::get<0>(now[j]) >= 0) expected.erase(now[j]);
    if (random() % 3) {
      const double time = static_cast<double>(random() % 40);
      const int kind = random() % 2;
      queue.set(j, time, Queue::Kind(kind));
      now[j] = {time, kind, j};
      expected.insert(now[j]);
    } else {
      queue.remove(j);
      now[j] = {-1, 0, 0};
    }
    REQUIRE(queue.empty() == expected.empty());
    if (!queue.empty()) REQUIRE(queue.top() == std::get<2>(*expected.begin()));
  }
}
