#pragma once
// All that arrives at one population that feeds nothing back, sample by sample, known before it runs.
//
// Rows reach every neuron: those of dense projections. Where they have one delay they arrive
// everywhere at once, and the population's neurons share their times. Neurons that hear something on
// their own (sparse, one to one, a delay a synapse) have tables of their own, a pack of neurons at a
// time: each lane its arrivals, in the order of the queue.

#include <algorithm>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/lane_sort.hpp"

SNNFP_ISA_BEGIN

// What a pack of neurons receives: interval a of lane l ends at time[a * width + l], with an arrival
// of weight[a * width + l], or at the horizon from interval last[l] on.
template <class Real>
struct OwnArrivals {
  Vector<Real> time, weight;
  Id intervals = 0;
  Id last[Pack<Real>::width];
};

template <class Real>
class LayerArrivals {
 public:
  explicit LayerArrivals(const Plan<Real>& plan) : plan_(plan) {}

  // Forgets all samples; those that follow are of this population.
  void begin(Id population) {
    size_ = plan_.population_offsets.data()[population + 1] -
            plan_.population_offsets.data()[population];
    n_packs_ = (size_ + width - 1) / width;
    longest_ = 0;
    sent_.clear();
    singles_.clear();
    samples_.clear();
    first_single_.clear();
  }

  void add_sample(const ComponentSample<Real>& sample) {
    Sample s;
    s.begin = static_cast<Size>(sent_.size());
    sample.each_sent([&](const SentSpikes<Real>& sent) { add_sent(sent, sample.until, s); });
    // In the order of the queue: by arrival, or, where that is different for each synapse, so that
    // sorting each neuron's arrivals by time leaves the others in their order.
    const auto first = sent_.begin() + s.begin;
    if (s.delays_differ) {
      std::sort(first, sent_.end(), by_sender);
    } else if (!std::is_sorted(first, sent_.end(), by_arrival)) {
      std::sort(first, sent_.end(), by_arrival);
    }
    s.end = static_cast<Size>(sent_.size());
    longest_ = std::max(longest_, s.end - s.begin);
    if (s.singles) add_singles(s, sample.until);
    samples_.push_back(s);
  }

  Size samples() const { return static_cast<Size>(samples_.size()); }
  // What was sent in all samples: a measure of their memory.
  Size sent() const { return static_cast<Size>(sent_.size()); }

  // In one sample: a measure of the tables of packs.
  Size longest() const { return longest_; }

  // Whether a pack of neurons has arrivals of its own in a sample.
  bool own(Size sample, Size pack) const {
    const Sample& s = samples_[sample];
    if (s.delays_differ) return true;
    return s.singles && first_single_[s.packs + pack] < first_single_[s.packs + pack + 1];
  }
  // Whether all have.
  bool all_own(Size sample) const { return samples_[sample].delays_differ; }

  // Calls visit(time, row) for what reaches all neurons at once, in order.
  template <class Visit>
  void each_row(Size sample, const Visit& visit) const {
    for (Size e = samples_[sample].begin; e < samples_[sample].end; ++e)
      if (sent_[e].row) visit(sent_[e].time, sent_[e].row);
  }

  // Fills the table of a pack of neurons that has its own arrivals.
  void build(Size sample, Size pack, Real until, OwnArrivals<Real>& to) {
    const Sample& s = samples_[sample];
    const bool sorts = s.delays_differ;
    Vector<Real>& time = sorts ? time_ : to.time;
    Vector<Real>& weight = sorts ? weight_ : to.weight;
    const Size n = s.rows ? merge(s, pack, until, time, weight) : gather(s, pack, time, weight);
    Size longest = 0;
    std::fill_n(to.last, width, Id(0));
    if (sorts) {
      make_room(to.time, n + 1);
      make_room(to.weight, n + 1);
      sorter_.sort(time_.data(), weight_.data(), n, to.time.data(), to.weight.data());
    } else if (s.rows) {
      close_gaps(n, to);
    }
    for (Size r = 0; r < n; ++r) {
      const unsigned arrive = bits_of(P::load(&to.time[r * width]) < P(never<Real>));
      if (arrive == 0) break;
      longest = r + 1;
      for (unsigned m = arrive; m != 0; m &= m - 1) ++to.last[__builtin_ctz(m)];
    }
    make_room(to.time, longest + 1);
    make_room(to.weight, longest + 1);
    // The horizon, at which those wait that have come through.
    for (Size r = 0; r <= longest; ++r) {
      const P t = r < longest ? P::load(&to.time[r * width]) : P(never<Real>);
      const auto arrives = t < P(never<Real>);
      select(arrives, t, P(until)).store(&to.time[r * width]);
      if (r == longest) P(Real(0)).store(&to.weight[r * width]);
    }
    to.intervals = static_cast<Id>(longest + 1);
  }

 private:
  using P = Pack<Real>;
  static constexpr int width = P::width;

  // One spike through one projection.
  struct Sent {
    Real time;              // of its arrival, or of the spike where each synapse has its own delay
    const Real* row;        // dense: its weights
    const Real* delay;      // where each synapse has its own: those of its row
    const ProjectionPlan<Real>* projection;
    Id sender, unit;
  };
  // One synapse of a spike sent, where it does not reach all neurons.
  struct Single {
    Real time, weight;
    Id neuron, sent;
  };
  struct Sample {
    Size begin = 0, end = 0;     // of sent_
    Size packs = 0;              // of first_single_, where there are single arrivals
    bool rows = false, singles = false;
    bool delays_differ = false;  // of dense synapses: every pack has its own arrivals
  };

  static bool by_arrival(const Sent& a, const Sent& b) {
    return a.time != b.time ? a.time < b.time : by_sender(a, b);
  }
  static bool by_sender(const Sent& a, const Sent& b) {
    return a.sender != b.sender ? a.sender < b.sender : a.projection->index < b.projection->index;
  }

  void add_sent(const SentSpikes<Real>& sent, Real until, Sample& s) {
    const ProjectionPlan<Real>& q = *sent.projection;
    const bool dense = q.connectivity == Connectivity::dense;
    for (Size k = 0; k < sent.count; ++k) {
      const Id unit = sent.unit(k);
      const Size begin = q.row_begin(unit), end = q.row_end(unit);
      if (sent.silent(k) || begin == end) continue;
      Sent one{sent.time(k), dense ? q.weight + begin : nullptr, nullptr, &q,
               q.source_first + unit, unit};
      if (q.shared_delay) {
        one.time = one.time + q.delay[0];
        if (!(one.time <= until)) continue;
      } else {
        one.delay = q.delay + begin;
        s.delays_differ = true;
      }
      s.rows |= dense;
      s.singles |= !dense;
      sent_.push_back(one);
    }
  }

  // The synapses of what is not dense, by pack and in the order of sent_.
  void add_singles(Sample& s, Real until) {
    const Size base = static_cast<Size>(singles_.size());
    s.packs = static_cast<Size>(first_single_.size());
    first_single_.resize(s.packs + n_packs_ + 1, Size(0));
    Size* const first = &first_single_[s.packs];
    scratch_.clear();
    for (Size e = s.begin, next; e < s.end; e = next) {
      const Sent& sent = sent_[e];
      next = e + 1;
      if (sent.row) continue;
      const ProjectionPlan<Real>& q = *sent.projection;
      // Where each synapse has its own delay, all spikes of one synapse come before those of the next.
      if (sent.delay)
        while (next < s.end && !by_sender(sent, sent_[next])) ++next;
      const Size begin = q.row_begin(sent.unit), end = q.row_end(sent.unit);
      const bool one = q.connectivity == Connectivity::one_to_one;
      for (Size k = begin; k < end; ++k) {
        if (q.weight[k] == Real(0)) continue;
        const Id neuron = one ? sent.unit : q.targets[k];
        for (Size g = e; g < next; ++g) {
          const Real time = sent.delay ? sent_[g].time + sent.delay[k - begin] : sent.time;
          if (!(time <= until)) continue;
          scratch_.push_back({time, q.weight[k], neuron, static_cast<Id>(e)});
          ++first[neuron / width + 1];
        }
      }
    }
    first[0] = base;
    for (Size pack = 0; pack < n_packs_; ++pack) first[pack + 1] += first[pack];
    singles_.resize(base + static_cast<Size>(scratch_.size()));
    place_.assign(first, first + n_packs_);
    for (const Single& one : scratch_) singles_[place_[one.neuron / width]++] = one;
  }

  static void make_room(Vector<Real>& v, Size rows) {
    if (static_cast<Size>(v.size()) < rows * width) v.resize(rows * width);
  }

  // Lanes with single arrivals alone: each its own, one behind the other. Returns how many rows.
  Size gather(const Sample& s, Size pack, Vector<Real>& time, Vector<Real>& weight) const {
    const Size begin = first_single_[s.packs + pack], end = first_single_[s.packs + pack + 1];
    const Id first = static_cast<Id>(pack * width);
    Size count[width] = {};
    for (Size k = begin; k < end; ++k) ++count[singles_[k].neuron - first];
    const Size n = *std::max_element(count, count + width);
    make_room(time, n + 1);
    make_room(weight, n + 1);
    for (int l = 0; l < width; ++l)
      for (Size r = count[l]; r < n; ++r) nothing(time, weight, r, l);
    std::fill_n(count, width, Size(0));
    for (Size k = begin; k < end; ++k) {
      const Single& one = singles_[k];
      const int l = static_cast<int>(one.neuron - first);
      const Size at = count[l]++ * width + l;
      time[at] = one.time;
      weight[at] = one.weight;
    }
    return n;
  }

  // Rows, and between them, in their order, single arrivals in rows of their own.
  Size merge(const Sample& s, Size pack, Real until, Vector<Real>& time,
             Vector<Real>& weight) const {
    Size k = 0, end = 0, n = 0;
    if (s.singles) {
      k = first_single_[s.packs + pack];
      end = first_single_[s.packs + pack + 1];
    }
    make_room(time, s.end - s.begin + end - k + 1);
    make_room(weight, s.end - s.begin + end - k + 1);
    const Size column = pack * width, rest = size_ - column;
    const P zero(Real(0)), nowhere(never<Real>);
    for (Size e = s.begin; e < s.end; ++e) {
      const Sent& sent = sent_[e];
      if (sent.row) {
        const P w = load_up_to(sent.row + column, rest);
        P t(sent.time);
        if (sent.delay) {
          t = t + load_up_to(sent.delay + column, rest);
          t = select((w == zero) | !(t <= P(until)), nowhere, t);
        }
        t.store(&time[n * width]);
        w.store(&weight[n * width]);
        ++n;
        continue;
      }
      while (k < end && singles_[k].sent == static_cast<Id>(e)) {
        nowhere.store(&time[n * width]);
        zero.store(&weight[n * width]);
        // One a lane; a second synapse onto the same neuron comes after it.
        for (unsigned taken = 0; k < end && singles_[k].sent == static_cast<Id>(e); ++k) {
          const Size l = singles_[k].neuron - column;
          if (taken >> l & 1) break;
          taken |= 1u << l;
          time[n * width + l] = singles_[k].time;
          weight[n * width + l] = singles_[k].weight;
        }
        ++n;
      }
    }
    return n;
  }

  static void nothing(Vector<Real>& time, Vector<Real>& weight, Size row, int lane) {
    time[row * width + lane] = never<Real>;
    weight[row * width + lane] = Real(0);
  }

  // Lanes without a single arrival in a row take what comes after it.
  static void close_gaps(Size n, OwnArrivals<Real>& to) {
    Size count[width] = {};
    for (Size r = 0; r < n; ++r)
      for (int l = 0; l < width; ++l) {
        const Real time = to.time[r * width + l];
        const Size at = count[l] * width + l;
        count[l] += time < never<Real>;
        to.time[at] = time;
        to.weight[at] = to.weight[r * width + l];
      }
    for (int l = 0; l < width; ++l)
      for (Size r = count[l]; r < n; ++r) nothing(to.time, to.weight, r, l);
  }

  const Plan<Real>& plan_;
  Size size_ = 0, n_packs_ = 0, longest_ = 0;
  Vector<Sent> sent_;
  Vector<Single> singles_, scratch_;
  Vector<Sample> samples_;
  Vector<Size> first_single_;  // of each pack, of samples with single arrivals
  Vector<Size> place_;
  Vector<Real> time_, weight_;  // of a pack, before it is sorted
  LaneSorter<Real> sorter_;
};

SNNFP_ISA_END
