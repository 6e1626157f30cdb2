#pragma once
// The global event queue: a total order over everything that happens in one sample.
// At one time: crossings, then arrivals by (sender, projection, synapse), then releases. Without a
// refractory time a release is part of its crossing.

#include <algorithm>

#include "snnfp/detail/isa.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

// The synapses [begin, end) of one sender carry one of its spikes to their targets at `time`.
template <class Real>
struct Arrival {
  Real time;
  Id sender;
  Id projection;
  Size begin, end;

  friend bool operator<(const Arrival& a, const Arrival& b) {
    if (a.time != b.time) return a.time < b.time;
    if (a.sender != b.sender) return a.sender < b.sender;
    if (a.projection != b.projection) return a.projection < b.projection;
    return a.begin < b.begin;
  }
};

// Arrivals known beforehand (sorted once) and those that spikes add on the way (a heap).
template <class Real>
class ArrivalQueue {
 public:
  void add_known(const Arrival<Real>& a) { known_.push_back(a); }
  void sort_known() {
    if (!std::is_sorted(known_.begin(), known_.end())) std::sort(known_.begin(), known_.end());
  }
  const Vector<Arrival<Real>>& known() const { return known_; }
  void clear() {
    known_.clear();
    heap_.clear();
    next_ = 0;
  }
  void push(const Arrival<Real>& a) {
    heap_.push_back(a);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  bool empty() const { return next_ == known_.size() && heap_.empty(); }
  // Those that spikes have added.
  Size on_the_way() const { return static_cast<Size>(heap_.size()); }
  const Arrival<Real>& top() const { return known_first() ? known_[next_] : heap_.front(); }
  void pop() {
    if (known_first()) {
      ++next_;
      return;
    }
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }

 private:
  static bool later(const Arrival<Real>& a, const Arrival<Real>& b) { return b < a; }
  bool known_first() const {
    return heap_.empty() || (next_ < known_.size() && known_[next_] < heap_.front());
  }

  Vector<Arrival<Real>> known_;
  Vector<Arrival<Real>> heap_;
  typename Vector<Arrival<Real>>::size_type next_ = 0;
};

// At most one event of its own a neuron (a crossing or a release), changed in place.
template <class Real>
class NeuronQueue {
 public:
  enum class Kind : unsigned char { crossing, release };

  explicit NeuronQueue(Id n_neurons)
      : time_(n_neurons), kind_(n_neurons), place_(n_neurons, Id(-1)) {}

  bool empty() const { return heap_.empty(); }
  Id top() const { return heap_.front(); }
  Real time(Id j) const { return time_[j]; }
  Kind kind(Id j) const { return kind_[j]; }
  bool holds(Id j) const { return place_[j] >= 0; }

  void set(Id j, Real time, Kind kind) {
    time_[j] = time;
    kind_[j] = kind;
    if (place_[j] < 0) {
      place_[j] = static_cast<Id>(heap_.size());
      heap_.push_back(j);
    }
    down(up(place_[j]));
  }
  void remove(Id j) {
    const Id hole = place_[j];
    if (hole < 0) return;
    place_[j] = -1;
    const Id last = heap_.back();
    heap_.pop_back();
    if (last == j) return;
    put(hole, last);
    down(up(hole));
  }

 private:
  bool before(Id a, Id b) const {
    if (time_[a] != time_[b]) return time_[a] < time_[b];
    if (kind_[a] != kind_[b]) return kind_[a] < kind_[b];
    return a < b;
  }
  void put(Id place, Id j) {
    heap_[place] = j;
    place_[j] = place;
  }
  Id up(Id place) {
    const Id j = heap_[place];
    while (place > 0) {
      const Id parent = (place - 1) / 4;
      if (!before(j, heap_[parent])) break;
      put(place, heap_[parent]);
      place = parent;
    }
    put(place, j);
    return place;
  }
  void down(Id place) {
    const Id j = heap_[place];
    const Id size = static_cast<Id>(heap_.size());
    for (;;) {
      const Id first = 4 * place + 1;
      if (first >= size) break;
      Id best = first;
      for (Id c = first + 1; c < first + 4 && c < size; ++c)
        if (before(heap_[c], heap_[best])) best = c;
      if (!before(heap_[best], j)) break;
      put(place, heap_[best]);
      place = best;
    }
    put(place, j);
  }

  Vector<Real> time_;
  Vector<Kind> kind_;
  Vector<Id> place_;
  Vector<Id> heap_;
};

SNNFP_ISA_END
