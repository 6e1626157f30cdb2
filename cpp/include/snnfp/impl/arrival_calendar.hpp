#pragma once
// Arrivals on their way where those of a row differ in time: kept by spans of time until the
// window that they fall into, then put in order, each neuron's by themselves.

#include <algorithm>
#include <limits>

#include "snnfp/detail/vector.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

// One spike through synapse k; through a row with one delay, k is its first.
template <class Real>
struct SynapseArrival {
  Real time, weight;
  Size k;
  Id sender, projection;
  Id lane;

  // The order of the queue.
  friend bool operator<(const SynapseArrival& a, const SynapseArrival& b) {
    if (a.time != b.time) return a.time < b.time;
    if (a.sender != b.sender) return a.sender < b.sender;
    return a.projection != b.projection ? a.projection < b.projection : a.k < b.k;
  }
};

// Cost: adding and taking one are O(1), where windows are about as long as a span.
template <class Real>
class ArrivalCalendar {
 public:
  // All that is added arrives less than `longest` and a window after the end of what was taken.
  void begin(Real window, Real until, Real longest) {
    constexpr Size most_spans = 4096;
    // Where no synapse closes the loop there is no end to the window.
    const Real step = window < std::numeric_limits<Real>::infinity() ? window : Real(0);
    const Real reach = std::min(longest, until) + Real(2) * step;
    // Their numbers are to stay whole numbers, however short the delays.
    const Real span =
        std::max({step, reach / static_cast<Real>(most_spans), until * Real(0x1p-40)});
    per_time_ = span > Real(0) ? Real(1) / span : Real(0);
    for (Vector<SynapseArrival<Real>>& s : spans_) s.clear();
    spans_.resize(static_cast<std::size_t>(reach * per_time_) + 4);
    first_ = 0;
    size_ = 0;
  }
  bool empty() const { return size_ == 0; }
  Size size() const { return size_; }

  void add(const SynapseArrival<Real>& a) {
    spans_[span_of(a.time) % spans_.size()].push_back(a);
    ++size_;
  }

  // Moves what arrives before `stop` to the end of `to`.
  void take(Real stop, Vector<SynapseArrival<Real>>& to) {
    const std::size_t before = to.size(), last = last_before(stop);
    for (std::size_t s = first_; s <= last && size_ > 0; ++s) {
      Vector<SynapseArrival<Real>>& span = spans_[s % spans_.size()];
      std::size_t stay = 0;
      for (const SynapseArrival<Real>& a : span) {
        if (a.time < stop) {
          to.push_back(a);
        } else {
          span[stay++] = a;
        }
      }
      span.resize(stay);
    }
    if (stop < std::numeric_limits<Real>::infinity()) first_ = span_of(stop);
    size_ -= static_cast<Size>(to.size() - before);
  }

 private:
  std::size_t span_of(Real time) const { return static_cast<std::size_t>(time * per_time_); }

  // Of the spans that what arrives before `stop` may be in.
  std::size_t last_before(Real stop) const {
    const std::size_t end = first_ + spans_.size() - 1;
    return stop * per_time_ < static_cast<Real>(end) ? span_of(stop) : end;
  }

  Vector<Vector<SynapseArrival<Real>>> spans_;  // one after the other, and round again
  std::size_t first_ = 0;                       // the span that was taken up to
  Real per_time_ = Real(0);
  Size size_ = 0;
};

// Puts arrivals in order by lane, those of each in the order of the queue. Stable: the synapses of
// a row stay as they are.
template <class Real>
class ArrivalSorter {
 public:
  // Calls put(lane, time, weight) for all of `arrivals` in order.
  template <class Put>
  void sort(const Vector<SynapseArrival<Real>>& arrivals, Size lanes, const Put& put) {
    end_.assign(lanes + 1, 0);
    for (const SynapseArrival<Real>& a : arrivals) ++end_[a.lane + 1];
    for (Size k = 0; k < lanes; ++k) end_[k + 1] += end_[k];
    dealt_.resize(arrivals.size());
    for (const SynapseArrival<Real>& a : arrivals) dealt_[end_[a.lane]++] = a;
    Size begin = 0;
    for (Size lane = 0; lane < lanes; begin = end_[lane++]) {
      order_.resize(end_[lane] - begin);
      for (Size k = begin; k < end_[lane]; ++k) {
        order_[k - begin].time = dealt_[k].time;
        order_[k - begin].at = k;
      }
      sort_order();
      for (const Key& key : order_) put(lane, key.time, dealt_[key.at].weight);
    }
  }

 private:
  struct Key {
    Real time;
    Size at;
  };

  void sort_order() {
    const auto before = [this](const Key& a, const Key& b) {
      return a.time != b.time ? a.time < b.time : dealt_[a.at] < dealt_[b.at];
    };
    if (order_.size() > 64) {
      std::stable_sort(order_.begin(), order_.end(), before);
      return;
    }
    Key* const keys = order_.data();
    for (std::size_t k = 1; k < order_.size(); ++k) {
      const Real time = keys[k].time;
      const Size at = keys[k].at;
      std::size_t to = k;
      for (; to > 0; --to) {
        const Key& last = keys[to - 1];
        if (!(time < last.time || (time == last.time && dealt_[at] < dealt_[last.at]))) break;
        keys[to] = last;
      }
      keys[to].time = time;
      keys[to].at = at;
    }
  }

  Vector<SynapseArrival<Real>> dealt_;
  Vector<Size> end_;
  Vector<Key> order_;
};

SNNFP_ISA_END
