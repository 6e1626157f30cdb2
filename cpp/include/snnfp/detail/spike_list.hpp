#pragma once
// The spikes of one sample while it runs.

#include <algorithm>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class SpikeList {
 public:
  void reserve(Size n) {
    times_.reserve(n);
    neurons_.reserve(n);
    slopes_.reserve(n);
    release_currents_.reserve(n);
  }
  void push_back(Real time, Id neuron, Real slope) {
    times_.push_back(time);
    neurons_.push_back(neuron);
    slopes_.push_back(slope);
    release_currents_.push_back(Real(0));
  }
  void set_release_current(Size k, Real current) { release_currents_[k] = current; }
  void clear() {
    times_.clear();
    neurons_.clear();
    slopes_.clear();
    release_currents_.clear();
  }
  // Merges the spikes of another list in; both are in order.
  void merge(const SpikeList& other) {
    Size a = size(), b = other.size(), to = a + b;
    times_.resize(to);
    neurons_.resize(to);
    slopes_.resize(to);
    release_currents_.resize(to);
    while (b > 0) {
      --to;
      const bool mine = a > 0 && (times_[a - 1] != other.times_[b - 1]
                                      ? times_[a - 1] > other.times_[b - 1]
                                      : neurons_[a - 1] > other.neurons_[b - 1]);
      const SpikeList& from = mine ? *this : other;
      const Size k = mine ? --a : --b;
      times_[to] = from.times_[k];
      neurons_[to] = from.neurons_[k];
      slopes_[to] = from.slopes_[k];
      release_currents_[to] = from.release_currents_[k];
    }
  }
  // Puts the spikes from `begin` on in order by (time, neuron); false where they were.
  bool sort_from(Size begin) {
    const Size n = size() - begin;
    bool sorted = true;
    for (Size k = begin + 1; k < begin + n && sorted; ++k) sorted = before(k - 1, k);
    if (sorted) return false;
    struct Spike {
      Real time;
      Id neuron;
      Real slope, release_current;
      bool operator<(const Spike& o) const {
        return time != o.time ? time < o.time : neuron < o.neuron;
      }
    };
    Vector<Spike> spikes(n);
    for (Size k = 0; k < n; ++k) {
      const Size m = begin + k;
      spikes[k] = {times_[m], neurons_[m], slopes_[m], release_currents_[m]};
    }
    std::sort(spikes.begin(), spikes.end());
    for (Size k = 0; k < n; ++k) {
      const Size m = begin + k;
      times_[m] = spikes[k].time;
      neurons_[m] = spikes[k].neuron;
      slopes_[m] = spikes[k].slope;
      release_currents_[m] = spikes[k].release_current;
    }
    return true;
  }
  Size size() const { return static_cast<Size>(times_.size()); }
  Real time(Size k) const { return times_[k]; }
  Id neuron(Size k) const { return neurons_[k]; }
  SampleSpikes<Real> view() const {
    return {size(), times_.data(), neurons_.data(), slopes_.data(), release_currents_.data()};
  }

 private:
  bool before(Size a, Size b) const {
    return times_[a] != times_[b] ? times_[a] < times_[b] : neurons_[a] < neurons_[b];
  }

  Vector<Real> times_;
  Vector<Id> neurons_;
  Vector<Real> slopes_;
  Vector<Real> release_currents_;
};

SNNFP_ISA_END
