#pragma once
// The spikes of one sample while it runs.

#include <algorithm>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/time_sort.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/crossing.hpp"

SNNFP_ISA_BEGIN

// The order of a record.
struct InOrder {
  template <class Real>
  bool operator()(const Spike<Real>& a, const Spike<Real>& b) const {
    return a.time != b.time ? a.time < b.time : a.neuron < b.neuron;
  }
};

// Of the spikes beyond the limit that are found side by side, the first in time, which the queue
// would come to.
template <class Real>
class FirstExcess {
 public:
  void see(Size sample, Id neuron, Real time, Size count) {
    if (time > time_ || (time == time_ && neuron > neuron_)) return;
    sample_ = sample;
    neuron_ = neuron;
    time_ = time;
    count_ = count;
  }
  Real time() const { return time_; }
  void raise(const PlanGraph<Real>& plan) const {
    if (time_ < never<Real>) throw_spike_limit(plan, sample_, neuron_, time_, count_);
  }

 private:
  Size sample_ = 0, count_ = 0;
  Id neuron_ = 0;
  Real time_ = never<Real>;
};

template <class Real>
using SpikeSorter = TimeSorter<Spike<Real>, InOrder>;

template <class Real>
class SpikeList {
 public:
  void clear() { spikes_.clear(); }
  void reserve(Size n) { spikes_.reserve(static_cast<std::size_t>(n)); }
  void push_back(Real time, Id neuron, Real slope, Real release_current = Real(0)) {
    spikes_.emplace_back(time, slope, release_current, neuron);
  }
  void push_back(const Spike<Real>& spike) { spikes_.push_back(spike); }
  void set_release_current(Size k, Real current) { spikes_[k].release_current = current; }
  // As if the simulation had ended at `time`.
  void end_at(Real time, const Real* t_refractory) {
    while (!spikes_.empty() && spikes_.back().time > time) spikes_.pop_back();
    for (Spike<Real>& s : spikes_)
      if (s.time + t_refractory[s.neuron] > time) s.release_current = Real(0);
  }
  Size size() const { return static_cast<Size>(spikes_.size()); }
  const Spike<Real>& operator[](Size k) const { return spikes_[k]; }
  const Spike<Real>* data() const { return spikes_.data(); }

  // Puts the spikes from `begin` on in order; false where they were.
  bool sort_from(Size begin) {
    const auto first = spikes_.begin() + begin;
    if (std::is_sorted(first, spikes_.end(), InOrder())) return false;
    std::sort(first, spikes_.end(), InOrder());
    return true;
  }
  // Puts all in order.
  void sort(SpikeSorter<Real>& sorter) { sorter.sort(spikes_); }

 private:
  Vector<Spike<Real>> spikes_;
};

// Hands over the spikes of one sample from several lists, each in order.
template <class Real>
void write_merged(const SpikeList<Real>* lists, Size n, SpikeSink<Real>& sink) {
  Size total = 0;
  for (Size l = 0; l < n; ++l) total += lists[l].size();
  Spike<Real>* const all = sink.next(total);
  Size filled = 0;
  for (const SpikeList<Real>* list = lists; list < lists + n; ++list) {
    Size a = filled, b = list->size();
    filled += b;
    for (Size to = filled; a > 0 && b > 0;)
      all[--to] = InOrder()((*list)[b - 1], all[a - 1]) ? all[--a] : (*list)[--b];
    std::copy_n(list->data(), b, all);
  }
}

SNNFP_ISA_END
