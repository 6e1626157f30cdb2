// What do the queue's operations cost: an arrival pushed and popped, a neuron's next event moved?
#include <random>
#include <vector>

#include "machine.hpp"
#include "snnfp/detail/event_queue.hpp"

namespace {

using namespace snnfp;

// A queue that stays `size` long: the first is popped, another pushed a random time later.
void arrivals(benchmark::State& state) {
  if (!bench::runs_header_code()) return state.SkipWithError("needs AVX2");
  const int size = int(state.range(0));
  std::mt19937 random(1);
  std::uniform_real_distribution<double> gap(0, 1);
  detail::ArrivalQueue<double> queue;
  std::vector<double> gaps;
  for (int k = 0; k < 4096; ++k) gaps.push_back(gap(random));
  for (int k = 0; k < size; ++k) queue.push({gap(random), Id(k), 0, 0, 1});
  double last = 0;
  bool ordered = true;
  for (auto _ : state)
    for (const double g : gaps) {
      detail::Arrival<double> first = queue.top();
      queue.pop();
      ordered &= first.time >= last;
      last = first.time;
      first.time += g;
      queue.push(first);
    }
  int left = 0;
  for (; !queue.empty(); queue.pop(), ++left) {
    ordered &= queue.top().time >= last;
    last = queue.top().time;
  }
  if (!ordered || left != size) return state.SkipWithError("arrivals out of order or lost");
  bench::rate(state, "operations", 2.0 * double(gaps.size()));
}

// The neuron whose event comes first gets another; of every four others one is moved.
void neurons(benchmark::State& state) {
  if (!bench::runs_header_code()) return state.SkipWithError("needs AVX2");
  using Queue = detail::NeuronQueue<double>;
  const Id n = Id(state.range(0));
  std::mt19937 random(1);
  std::uniform_real_distribution<double> gap(0.1, 1);
  Queue queue(n);
  for (Id j = 0; j < n; ++j) queue.set(j, gap(random), Queue::Kind::crossing);
  std::vector<double> gaps;
  std::vector<Id> others;
  for (int k = 0; k < 4096; ++k) {
    gaps.push_back(gap(random));
    others.push_back(k % 4 ? Id(-1) : Id(random() % n));
  }
  double last = 0;
  bool ordered = true;
  for (auto _ : state)
    for (std::size_t k = 0; k < gaps.size(); ++k) {
      const Id j = queue.top();
      const double now = queue.time(j);
      ordered &= now >= last;
      last = now;
      queue.set(j, now + gaps[k], Queue::Kind::crossing);
      if (others[k] >= 0) queue.set(others[k], now + gaps[k], Queue::Kind::crossing);
    }
  Id left = 0;
  for (; !queue.empty(); queue.remove(queue.top()), ++left) {
    ordered &= queue.time(queue.top()) >= last;
    last = queue.time(queue.top());
  }
  if (!ordered || left != n) return state.SkipWithError("neurons out of order or lost");
  bench::rate(state, "operations", 1.25 * double(gaps.size()));
}

BENCHMARK(arrivals)->RangeMultiplier(16)->Range(16, 65536);
BENCHMARK(neurons)->RangeMultiplier(16)->Range(16, 65536);

}  // namespace
