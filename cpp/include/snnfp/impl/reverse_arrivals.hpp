#pragma once
// What comes to a population through a projection without delays a synapse, seen backwards in time:
// the neurons' adjoints go from arrival to arrival, each changed at the last arrival before a spike
// of its neuron and at the last one while it is held. Between two changes nothing but E12 happens,
// to all alike: where each target has its own delay too, if its clock is late by that.

#include <algorithm>

#include "snnfp/detail/time_sort.hpp"
#include "snnfp/impl/reverse_spikes.hpp"

SNNFP_ISA_BEGIN

// From arrival `end` - 1 back, a neuron's adjoint is what leads to a spike, or to the release that
// a pair of spikes has between them.
struct AdjointChange {
  Size end;
  Id unit;
  Id spike;  // or -1 - pair
};

// Finds the changes a few at a time, from the last to the first, so that they stay in the nearest
// cache: a record may be long. The times of spikes are enough for it; their adjoints may follow.
template <class Real, class Model = LifModel>
class ReverseArrivals {
 public:
  static constexpr int block = 64;

  explicit ReverseArrivals(const PlanOf<Model, Real>& plan) : c_(plan.neurons) {}

  // Returns how many arrivals some spike comes after. Where each target has its own delay, `time`
  // is when they were sent: seen from a neuron whose clock is late by its delay, when they arrive.
  Size start(const SpikeAdjoints<Real, Model>& spikes,
             const typename ReverseSample<Real, Model>::Sent& sent, const ProjectionPlan<Real>& q) {
    spikes_ = &spikes;
    at_ = filled_ = 0;
    spike_ = spikes.count();
    if (spike_ == 0) return count_ = 0;
    if (q.delay_per == DelayPer::source) {
      put_in_order(sent, q);
    } else {
      times_ = sent.times;
      units_ = sent.units;
      place_ = nullptr;
      delay_ = q.delay_per == DelayPer::target ? Real(0) : q.row_delay(0);
    }
    delays_ = q.delay_per == DelayPer::target ? q.row_delays(0) + spikes.begin() : nullptr;
    // Of all spikes of the population: where a part of its neurons begins must not depend on the
    // part, or the bits of a gradient would depend on how many there are.
    const Real latest = spikes.latest();
    count_ = std::lower_bound(times_, times_ + sent.count, latest,
                              [&](Real t, Real bound) { return t + delay_ < bound; }) -
             times_;
    if (delays_) {
      sort_all(count_);
      return count_;
    }
    before_spike_ = before_release_ = count_;
    last_ = count_ > 0 ? time(count_ - 1) : -never<Real>;
    pair_ = 0;
    n_pairs_ = spikes.traits().held ? spikes.n_pairs() : 0;
    held_.clear();
    if (n_pairs_ > 0 && !spikes.releases_in_order()) sort_held();
    next_spike();
    next_held();
    return count_;
  }

  const SpikeAdjoints<Real, Model>& spikes() const { return *spikes_; }
  Size count() const { return count_; }
  Real time(Size a) const { return times_[a] + delay_; }
  Id unit(Size a) const { return units_[a]; }                  // that sent it
  Size place(Size a) const { return place_ ? place_[a] : a; }  // among what was sent

  // Whether some neuron's adjoint changes at arrival `end` - 1, the next to be looked at; `fill` is
  // told when there are new ones in the block.
  template <class Fill>
  bool changes_at(Size end, Fill fill) {
    if (at_ == filled_) {
      refill();
      if (filled_ > 0) fill();
    }
    return at_ < filled_ && change_[at_].end == end;
  }
  // Those in the block, and the one that is next. Of one neuron at one arrival the last counts.
  int filled() const { return filled_; }
  const AdjointChange& change(int x) const { return change_[x]; }
  int take() { return at_++; }
  // The end of the arrivals at which the next one is; 0: there are no more.
  template <class Fill>
  Size next_end(Fill fill) {
    changes_at(0, fill);
    return at_ < filled_ ? change_[at_].end : 0;
  }
  // How long each change's arrival is before its spike or release, but for the delay of the target.
  Real ahead(const AdjointChange& c) const {
    const Real to =
        c.spike >= 0 ? spikes_->time(c.spike) : spikes_->release(spikes_->pair(-1 - c.spike).spike);
    return to - time(c.end - 1);
  }

  // Calls use(b, spans, neurons) for packs of the block's changes.
  template <class Use>
  void over_block(Use use) const {
    Real spans[block];
    Id neuron[block];
    const bool identical = spikes_->traits().identical;
    const Id first = spikes_->first();
    const int end = static_cast<int>(padded<Real>(filled_));
    for (int x = 0; x < end; ++x) spans[x] = x < filled_ ? ahead(change_[x]) : Real(0);
    for (int x = 0; delays_ && x < filled_; ++x) spans[x] -= delays_[change_[x].unit];
    if (!identical)
      for (int x = 0; x < end; ++x) neuron[x] = first + (x < filled_ ? change_[x].unit : 0);
    const NeuronOf<Model, P> all(c_, first);
    for (int b = 0; b < end; b += P::width)
      use(b, P::load(spans + b), identical ? all : NeuronOf<Model, P>::gather(c_, neuron + b));
  }

  // Calls use(b, spans) for packs of the times from arrivals `begin` ... `end` - 1 back to the ones
  // before them; b counts from `begin`. At most a block.
  template <class Use>
  void over_steps(Size begin, Size end, Use use) const {
    Real spans[block];
    const Size n = end - begin;
    for (Size k = 0; k < padded<Real>(n); ++k) {
      const Size a = begin + k;
      spans[k] = k < n && a > 0 ? time(a) - time(a - 1) : Real(0);
    }
    for (Size b = 0; b < n; b += P::width) use(b, P::load(spans + b));
  }

 private:
  using P = Pack<Real>;

  // At a target that has its own delay.
  Real time_at(Size a, Id unit) const { return times_[a] + delays_[unit]; }

  // Where each target has its own delay: its spikes and releases by how many arrivals it has before
  // them, all put in order beforehand. Gone through by when they are seen from clocks that are late
  // by the delays, that number falls, but for rounding.
  [[gnu::noinline]] void sort_all(Size sent) {
    held_.clear();
    own_.clear();
    pair_ = n_pairs_ = spike_ = before_spike_ = 0;
    for (Size e = 0; e < spikes_->count(); ++e)
      own_.push_back({spikes_->time(e) - delays_[spikes_->unit(e)], static_cast<Id>(e)});
    if (spikes_->traits().held)
      for (Size c = 0; c < spikes_->n_pairs(); ++c)
        if (const Size e = spikes_->pair(c).spike; spikes_->last_held(e) >= spikes_->time(e))
          own_.push_back(
              {spikes_->last_held(e) - delays_[spikes_->unit(e)], static_cast<Id>(-1 - c)});
    sorter_.sort(own_);
    Size end = sent;
    for (Size k = Size(own_.size()); k-- > 0;) {
      const Id change = own_[k].place;
      const Size e = change >= 0 ? change : spikes_->pair(-1 - change).spike;
      const Id unit = spikes_->unit(e);
      // Arrivals at the moment of a release come before it, at that of a spike after it.
      const Real until = change >= 0 ? spikes_->time(e) : spikes_->last_held(e);
      const auto counts = [&](Size a) {
        return change >= 0 ? time_at(a, unit) < until : time_at(a, unit) <= until;
      };
      while (end < sent && counts(end)) ++end;
      while (end > 0 && !counts(end - 1)) --end;
      if (end > 0 && (change >= 0 || time_at(end - 1, unit) >= spikes_->time(e)))
        held_.push_back({end, unit, change});
    }
    if (!std::is_sorted(held_.begin(), held_.end(), before))
      std::sort(held_.begin(), held_.end(), before);
    next_held();
  }

  // Where each source unit has its own delay.
  [[gnu::noinline]] void put_in_order(const typename ReverseSample<Real, Model>::Sent& sent,
                                      const ProjectionPlan<Real>& q) {
    own_.resize(sent.count);
    for (Size k = 0; k < sent.count; ++k)
      own_[k] = {sent.times[k] + q.row_delay(sent.units[k]), static_cast<Id>(k)};
    sorter_.sort(own_);
    make_room(own_time_, sent.count);
    make_room(own_unit_, sent.count);
    make_room(own_place_, sent.count);
    for (Size a = 0; a < sent.count; ++a) {
      own_time_[a] = own_[a].time;
      own_place_[a] = own_[a].place;
      own_unit_[a] = sent.units[own_[a].place];
    }
    times_ = own_time_.data();
    units_ = own_unit_.data();
    place_ = own_place_.data();
    delay_ = Real(0);
  }

  // Invariant: spike_ is the next spike to change something and before_spike_ the number of
  // arrivals before it, those at its moment not among them, the last of them at last_; or there is
  // none and before_spike_ is 0.
  void next_spike() {
    if (--spike_ < 0) before_spike_ = 0;
    if (before_spike_ == 0) return;
    for (const Real t = spikes_->time(spike_); last_ >= t;)
      last_ = --before_spike_ > 0 ? time(before_spike_ - 1) : -never<Real>;
  }
  // The same of the next release that something arrived ahead of while the neuron was held;
  // arrivals at the moment of a release come before it.
  void next_held() {
    if (!held_.empty()) {
      before_release_ = pair_ < Size(held_.size()) ? held_[pair_].end : 0;
      return;
    }
    for (; pair_ < n_pairs_; ++pair_)
      if (arrives_held(pair_)) return;
    before_release_ = 0;
  }
  // Whether something does, for a pair of spikes; before_release_ is not far from where it was.
  bool arrives_held(Size pair) {
    const Size e = spikes_->pair(pair).spike;
    const Real last = spikes_->last_held(e);
    while (before_release_ < count_ && time(before_release_) <= last) ++before_release_;
    while (before_release_ > 0 && time(before_release_ - 1) > last) --before_release_;
    return before_release_ > 0 && time(before_release_ - 1) >= spikes_->time(e);
  }
  // Where refractory times differ, releases are not in the order of spikes.
  void sort_held() {
    for (Size c = 0; c < n_pairs_; ++c)
      if (arrives_held(c))
        held_.push_back(
            {before_release_, spikes_->unit(spikes_->pair(c).spike), static_cast<Id>(-1 - c)});
    if (held_.empty()) n_pairs_ = 0;
    std::sort(held_.begin(), held_.end(), before);
  }
  // At one arrival spikes come first, latest first, then releases: the last of one neuron counts.
  static bool before(const AdjointChange& a, const AdjointChange& b) {
    return a.end != b.end ? a.end > b.end : a.spike > b.spike;
  }

  void refill() {
    at_ = filled_ = 0;
    while (filled_ < block && (before_spike_ > 0 || before_release_ > 0)) {
      AdjointChange& to = change_[filled_++];
      if (before_spike_ >= before_release_) {
        to.end = before_spike_;
        to.unit = spikes_->unit(spike_);
        to.spike = static_cast<Id>(spike_);
        next_spike();
        continue;
      }
      if (held_.empty()) {
        to = {before_release_, spikes_->unit(spikes_->pair(pair_).spike),
              static_cast<Id>(-1 - pair_)};
      } else {
        to = held_[pair_];
      }
      ++pair_;
      next_held();
    }
  }

  const typename Model::template Constants<Real>& c_;
  const SpikeAdjoints<Real, Model>* spikes_ = nullptr;
  const Real* times_ = nullptr;
  const Id *units_ = nullptr, *place_ = nullptr;
  Real delay_ = Real(0);
  const Real* delays_ = nullptr;  // of each target, where they have their own
  // Those put in order: when they arrive, and their places among what was sent.
  struct Own {
    Real time;
    Id place;
    friend bool operator<(const Own& a, const Own& b) {
      return a.time != b.time ? a.time < b.time : a.place < b.place;
    }
  };
  Vector<Own> own_;
  TimeSorter<Own> sorter_;
  Scratch<Real> own_time_;
  Scratch<Id> own_unit_, own_place_;
  Size count_ = 0;

  Size spike_ = 0, before_spike_ = 0;
  Real last_ = Real(0);
  Size pair_ = 0, n_pairs_ = 0, before_release_ = 0;  // pair_: in held_ where that is not empty
  Vector<AdjointChange> held_;                        // changes that were put in order beforehand

  AdjointChange change_[block];
  int at_ = 0, filled_ = 0;
};

// The changes with the adjoint of the neuron at the arrival.
template <class Real, class Model = LifModel>
class AdjointEntries {
 public:
  explicit AdjointEntries(const PlanOf<Model, Real>& plan) : arrivals_(plan) {}
  ReverseArrivals<Real, Model>& arrivals() { return arrivals_; }
  bool changes_at(Size end) {
    return arrivals_.changes_at(end, [&] { fill(); });
  }
  Size next_end() {
    return arrivals_.next_end([&] { fill(); });
  }
  struct Entry {
    Id unit;
    AdjointOf<Model, Real> a;
  };
  Entry take() {
    const int x = arrivals_.take();
    const AdjointChange& c = arrivals_.change(x);
    const SpikeAdjoints<Real, Model>& spikes = arrivals_.spikes();
    const StepOf<Model, Real> step = step_.template get<Real>(x);
    using Adjoint = AdjointOf<Model, Real>;
    return {c.unit, adjoint_step(c.spike >= 0 ? Adjoint{spikes.lv(c.spike), spikes.li(c.spike)}
                                              : Adjoint::held(spikes.pair(-1 - c.spike).li),
                                 step)};
  }

 private:
  using P = Pack<Real>;
  void fill() {
    arrivals_.over_block([&](int b, P span, const NeuronOf<Model, P>& n) {
      step_.store(b, decay_to_arrival(span, n));
    });
  }

  static constexpr int block = ReverseArrivals<Real, Model>::block;
  ReverseArrivals<Real, Model> arrivals_;
  StructOfArrays<Model::template Step, Real[block]> step_;  // of each change
};

SNNFP_ISA_END
