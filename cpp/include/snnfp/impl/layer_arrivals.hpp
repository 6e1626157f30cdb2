#pragma once
// All that arrives at one population that feeds nothing back, sample by sample, known before it
// runs.
//
// A row reaches every neuron: the weights of a dense projection from one unit. With one delay, or
// one a source unit, it arrives everywhere at once, and the population's neurons share its time.
// Neurons that receive something on their own (sparse, one to one, a delay a target or a synapse)
// have tables of their own, which OwnTables makes of what is here. Where nothing comes but rows
// with a delay a target, each neuron shares the times at which they were sent, and is late by its
// own.

#include <algorithm>
#include <limits>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/time_sort.hpp"

SNNFP_ISA_BEGIN

// Owns what was sent to the population in all samples added, and the order of the queue among it:
// in every sample rows ascend in time, and each neuron's single arrivals are in the order in which
// it receives them, but for the sorting by time that delays of one's own leave to OwnTables.
template <class Real>
class LayerArrivals {
 public:
  // One spike through one projection.
  struct Sent {
    Real time;          // of its arrival, or of the spike where its synapses differ in delay
    const Real* row;    // dense: its weights
    const Real* delay;  // where its synapses differ; dense: those of the row
    const ProjectionPlan<Real>* projection;
    Id sender, unit;
  };
  // An arrival at one neuron. In one piece: written in the order of senders, a neuron's all go to
  // one place.
  struct Single {
    Real time, weight;
    Id sent;  // of all_sent(), what it belongs to
  };
  struct Sample {
    Size begin = 0, end = 0;  // of all_sent()
    Size first_row = 0, end_row = 0;
    Size neurons = 0;  // of first_single_, where there are single arrivals
    bool rows = false, singles = false;
    bool delays_differ = false;  // within some row: every pack has its own arrivals
    bool in_order = false;       // each lane's arrivals are, but for what rounding makes of them
    bool late = false;
  };

  explicit LayerArrivals(const Plan<Real>& plan) : plan_(plan) {}

  // Forgets all samples; those that follow are of this population.
  void begin(Id population) {
    rows_alone_ = true;
    only_of_targets_ = plan_.into_population.data()[population].size() == 1;
    for (const Id q : plan_.into_population.data()[population]) {
      const ProjectionPlan<Real>& in = plan_.projections.data()[q];
      const bool dense = in.connectivity == Connectivity::dense;
      rows_alone_ &= dense && in.arrives_at_once();
      only_of_targets_ &= dense && in.delay_per == DelayPer::target;
    }
    size_ = plan_.population_offsets.data()[population + 1] -
            plan_.population_offsets.data()[population];
    forget();
  }

  // The same for a population of `size`, of which rows will be given.
  void begin_rows(Size size) {
    rows_alone_ = true;
    size_ = size;
    forget();
  }
  // A sample of `count` rows in their order; time(k) and row(k) give their times and weights.
  template <class Time, class Row>
  void add_rows(Size count, const Time& time, const Row& row) {
    Sample s;
    s.first_row = rows();
    for (Size k = 0; k < count; ++k) add_row(time(k), row(k));
    s.end_row = rows();
    samples_.push_back(s);
  }

  void add_sample(const ComponentSample<Real>& sample) {
    Sample s;
    s.begin = static_cast<Size>(sent_.size());
    s.first_row = rows();
    if (rows_alone_) {
      if (plan_.into_population.data()[*sample.begin].size() != 1 || !add_in_order(sample)) {
        row_time_.resize(s.first_row);
        row_.resize(s.first_row);
        add_sorted(sample);
      }
    } else {
      runs_.clear();
      sample.each_sent([&](const SentSpikes<Real>& sent) {
        runs_.push_back(static_cast<Size>(sent_.size()));
        add_sent(sent, sample.until, s);
      });
      s.end = static_cast<Size>(sent_.size());
      s.in_order = s.delays_differ && only_of_targets_;
      put_in_order(s);
      if (s.in_order) share_times(s);
      if (s.singles) add_singles(s, sample.until);
      longest_ = std::max(longest_, s.end - s.begin);
    }
    s.end_row = rows();
    samples_.push_back(s);
  }

  Size samples() const { return static_cast<Size>(samples_.size()); }
  // What was sent in all samples: a measure of their memory.
  Size sent() const { return rows() + static_cast<Size>(sent_.size() + singles_.size() / 2); }
  // Whether no neuron has arrivals of its own.
  bool rows_alone() const { return rows_alone_; }

  // The rows that arrive everywhere at once, in the order of the queue; those of a sample are
  // [first_row(sample), end_row(sample)).
  Size rows() const { return static_cast<Size>(row_time_.size()); }
  Size first_row(Size sample) const { return samples_[sample].first_row; }
  Size end_row(Size sample) const { return samples_[sample].end_row; }
  const Real* row_times() const { return row_time_.data(); }
  const Real* const* row_weights() const { return row_.data(); }

  // In one sample: a measure of the tables of packs.
  Size longest() const { return longest_; }

  // Whether the rows of a sample have the times at which they were sent, and arrive later by the
  // delay of each neuron. Then all neurons receive them in this order, and each of them.
  bool late(Size sample) const { return samples_[sample].late; }
  const Real* delays() const { return delays_; }  // of the neurons
  // How many of them arrive at a neuron up to `until`.
  Id arrive(Size sample, Size neuron, Real until) const {
    const Sample& s = samples_[sample];
    const Real* const first = row_time_.data() + s.first_row;
    const Real delay = delays_[neuron];
    return static_cast<Id>(
        std::partition_point(first, row_time_.data() + s.end_row,
                             [&](const Real& sent) { return sent + delay <= until; }) -
        first);
  }

  // Whether a pack of neurons has arrivals of its own in a sample.
  bool own(Size sample, Size pack) const {
    if (rows_alone_) return false;
    const Sample& s = samples_[sample];
    if (s.delays_differ) return true;
    return s.singles && first_single(s, pack * width) < first_single(s, (pack + 1) * width);
  }

  // What these are made of. The spikes of a sample are sent [begin, end).
  const Sample& sample(Size s) const { return samples_[s]; }
  const Sent* all_sent() const { return sent_.data(); }
  Size neurons() const { return size_; }
  // Single arrivals of a neuron are [first_single(s, neuron), first_single(s, neuron + 1)).
  Size first_single(const Sample& s, Size neuron) const {
    return first_single_[s.neurons + std::min(neuron, size_)];
  }
  const Single* singles() const { return singles_.data(); }

  static bool by_sender(const Sent& a, const Sent& b) {
    return a.sender != b.sender ? a.sender < b.sender : a.projection->index < b.projection->index;
  }

 private:
  static constexpr int width = Pack<Real>::width;

  void forget() {
    longest_ = 0;
    row_time_.clear();
    row_.clear();
    sent_.clear();
    singles_.clear();
    samples_.clear();
    first_single_.clear();
  }

  void add_row(Real time, const Real* row) {
    row_time_.push_back(time);
    row_.push_back(row);
  }
  // The arrivals of one projection are those of its source, delayed; false where two meet.
  bool add_in_order(const ComponentSample<Real>& sample) {
    Real last = -Real(1);
    bool in_order = true;
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& q = *sent.projection;
      const unsigned char* const silent = q.silent_row.data();
      for (Size k = 0; k < sent.count && in_order; ++k) {
        const Id unit = sent.unit(k);
        const Real arrival = sent.time(k) + q.row_delay(unit);
        if (silent[unit] || !(arrival <= sample.until)) continue;
        in_order = arrival > last;
        last = arrival;
        add_row(arrival, q.weight + Size(unit) * q.n_target);
      }
    });
    return in_order;
  }
  void add_sorted(const ComponentSample<Real>& sample) {
    sorted_.clear();
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& q = *sent.projection;
      for (Size k = 0; k < sent.count; ++k) {
        const Id unit = sent.unit(k);
        const Real arrival = sent.time(k) + q.row_delay(unit);
        if (!sent.silent(k) && arrival <= sample.until)
          sorted_.push_back(
              {arrival, q.source_first + unit, q.index, q.row_begin(unit), q.row_end(unit)});
      }
    });
    sorter_of_rows_.sort(sorted_);
    for (const Arrival<Real>& a : sorted_)
      add_row(a.time, plan_.projections.data()[a.projection].weight + a.begin);
  }

  // By arrival, or, where that is different for each synapse, so that sorting each neuron's
  // arrivals by time leaves the others in their order. What one projection sends is mostly in
  // order: runs_.
  void put_in_order(const Sample& s) {
    const auto first = sent_.begin() + s.begin;
    if (s.in_order) {
      if (!std::is_sorted(first, sent_.end(), by_arrival))
        std::sort(first, sent_.end(), by_arrival);
      return;
    }
    if (s.delays_differ) {
      std::sort(first, sent_.end(), by_sender);
      return;
    }
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      const auto begin = sent_.begin() + runs_[r];
      const auto end = r + 1 < runs_.size() ? sent_.begin() + runs_[r + 1] : sent_.end();
      if (!std::is_sorted(begin, end, by_arrival)) std::sort(begin, end, by_arrival);
      if (begin != first && begin != end && by_arrival(*begin, *(begin - 1)))
        std::inplace_merge(first, begin, end, by_arrival);
    }
    for (auto one = first; one != sent_.end(); ++one)
      if (one->row) add_row(one->time, one->row);
  }

  // Rows of one projection with a delay a target, in order: shares the times at which they were
  // sent, unless rounding could let two of them arrive at once, in the order of their senders then,
  // or some neuron does not receive one.
  void share_times(Sample& s) {
    const ProjectionPlan<Real>& q = *sent_[s.begin].projection;
    const Real latest = sent_[s.end - 1].time + q.longest_delay;
    const Real rounding = 2 * std::numeric_limits<Real>::epsilon() * latest;
    bool distinct = !q.some_zero;
    for (Size e = s.begin + 1; e < s.end && distinct; ++e) {
      const Real gap = sent_[e].time - sent_[e - 1].time;
      distinct = gap == Real(0) || gap > rounding;
    }
    if (!distinct) return;
    for (Size e = s.begin; e < s.end; ++e) add_row(sent_[e].time, sent_[e].row);
    sent_.resize(s.begin);
    delays_ = q.row_delays(0);
    s.end = s.begin;
    s.late = true;
    s.in_order = s.delays_differ = s.rows = false;
  }

  static bool by_arrival(const Sent& a, const Sent& b) {
    return a.time != b.time ? a.time < b.time : by_sender(a, b);
  }

  void add_sent(const SentSpikes<Real>& sent, Real until, Sample& s) {
    const ProjectionPlan<Real>& q = *sent.projection;
    const bool dense = q.connectivity == Connectivity::dense;
    for (Size k = 0; k < sent.count; ++k) {
      const Id unit = sent.unit(k);
      const Size begin = q.row_begin(unit), end = q.row_end(unit);
      if (sent.silent(k) || begin == end) continue;
      Sent one{sent.time(k), dense ? q.weight + begin : nullptr, nullptr, &q, q.source_first + unit,
               unit};
      if (q.arrives_at_once()) {
        one.time = one.time + q.row_delay(unit);
        if (!(one.time <= until)) continue;
      } else if (!(one.time <= until)) {
        continue;
      } else {
        one.delay = q.row_delays(unit);
        s.delays_differ = true;
      }
      s.rows |= dense;
      s.singles |= !dense;
      sent_.push_back(one);
    }
  }

  // Calls put(neuron, time, weight, e) for the synapses of what is not dense, e-th of sent_; those
  // of each neuron in the order of the queue.
  template <class Put>
  void each_single(const Sample& s, Real until, const Put& put) const {
    for (Size e = s.begin, next; e < s.end; e = next) {
      const Sent& sent = sent_[e];
      next = e + 1;
      if (sent.row) continue;
      const ProjectionPlan<Real>& q = *sent.projection;
      const Size begin = q.row_begin(sent.unit), end = q.row_end(sent.unit);
      const Real* const weight = q.weight;
      const Id* const targets = q.connectivity == Connectivity::one_to_one ? nullptr : q.targets;
      if (!sent.delay) {
        for (Size k = begin; k < end; ++k)
          if (weight[k] != Real(0)) put(targets ? targets[k] : sent.unit, sent.time, weight[k], e);
        continue;
      }
      // All spikes of one synapse come before those of the next.
      while (next < s.end && !by_sender(sent, sent_[next])) ++next;
      for (Size k = begin; k < end; ++k) {
        const Id target = targets ? targets[k] : sent.unit;
        const Real delay = q.delay_of(sent.unit, k);
        for (Size g = e; g < next && weight[k] != Real(0); ++g) {
          const Real time = sent_[g].time + delay;
          if (time <= until) put(target, time, weight[k], e);
        }
      }
    }
  }

  void add_singles(Sample& s, Real until) {
    const Size base = static_cast<Size>(singles_.size());
    s.neurons = static_cast<Size>(first_single_.size());
    first_single_.resize(s.neurons + size_ + 1, Size(0));
    Size* const first = &first_single_[s.neurons];
    each_single(s, until, [=](Id neuron, Real, Real, Size) { ++first[neuron + 1]; });
    first[0] = base;
    for (Size j = 0; j < size_; ++j) first[j + 1] += first[j];
    singles_.resize(first[size_]);
    place_.assign(first, first + size_);
    Size* const place = place_.data();
    Single* const singles = singles_.data();
    each_single(s, until, [=](Id neuron, Real time, Real weight, Size e) {
      singles[place[neuron]++] = {time, weight, static_cast<Id>(e)};
    });
  }

  const Plan<Real>& plan_;
  Size size_ = 0, longest_ = 0;
  bool rows_alone_ = true;
  bool only_of_targets_ = false;  // all that arrives is dense, with a delay a target neuron
  const Real* delays_ = nullptr;  // theirs, where times are shared
  Vector<Real> row_time_;
  Vector<const Real*> row_;
  Vector<Arrival<Real>> sorted_;
  TimeSorter<Arrival<Real>> sorter_of_rows_;
  Vector<Size> runs_;            // of sent_, while a sample is put in order
  Vector<Sent> sent_;            // where there is more than rows
  UnsetVector<Single> singles_;  // by sample and neuron
  Vector<Sample> samples_;
  Vector<Size> first_single_;  // of each neuron, of samples with single arrivals
  Vector<Size> place_;
};

SNNFP_ISA_END
