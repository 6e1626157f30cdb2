#pragma once
// The spikes of one sample while it runs.

#include <algorithm>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

// The order of a record.
struct InOrder {
  template <class Real>
  bool operator()(const Spike<Real>& a, const Spike<Real>& b) const {
    return a.time != b.time ? a.time < b.time : a.neuron < b.neuron;
  }
};

template <class Real>
class SpikeList {
 public:
  void clear() { spikes_.clear(); }
  void reserve(Size n) { spikes_.reserve(static_cast<std::size_t>(n)); }
  void push_back(Real time, Id neuron, Real slope) {
    spikes_.push_back({time, slope, Real(0), neuron});
  }
  void set_release_current(Size k, Real current) { spikes_[k].release_current = current; }
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
  // Merges the spikes of another list in; both are in order.
  void merge(const SpikeList& other) {
    Size a = size(), b = other.size(), to = a + b;
    spikes_.resize(to);
    while (b > 0) {
      const bool mine = a > 0 && InOrder()(other.spikes_[b - 1], spikes_[a - 1]);
      spikes_[--to] = mine ? spikes_[--a] : other.spikes_[--b];
    }
  }

 private:
  Vector<Spike<Real>> spikes_;
};

SNNFP_ISA_END
