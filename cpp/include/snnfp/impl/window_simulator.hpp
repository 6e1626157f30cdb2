#pragma once
// A component of any connectivity and any delays, none of zero within it: within
// its shortest delay no neuron hears of another, so every neuron is advanced alone through its own
// sorted arrivals, many side by side, and nothing predicted is ever thrown away. The neurons go in
// blocks whose arrivals stay in the cache. The same record as the queue's, to the bit.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/arrival_lists.hpp"
#include "snnfp/detail/component.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/independent_neurons.hpp"
#include "snnfp/impl/arrival_calendar.hpp"
#include "snnfp/impl/queue_simulator.hpp"
#include "snnfp/impl/solver.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class WindowSimulator {
 public:
  WindowSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        watch_(interrupt, limits.worker),
        neurons_(plan, limits.spike_limit),
        lane_(plan.n_neurons),
        most_on_their_way_(QueueSimulator<Real, false>::most_pending(plan, limits)) {}

  // False: too many arrivals are on their way, which the queue is to judge.
  bool run(const ComponentSample<Real>& sample) {
    s_ = &sample;
    spikes_ = sample.spikes;
    until_ = sample.until;
    return run_component(sample.begin, sample.end);
  }

 private:
  static constexpr Real shortest_step = Real(0x1p-6);  // of the longest

  bool run_component(const Id* begin, const Id* end) {
    SampleEnd<Real>& sample_end = s_->sample_end;
    start_lanes(begin, end);
    // Of a window: the shortest delay within the component.
    const Real longest = read_delays(begin, end);
    collect_outside();
    // What is known beforehand goes in portions too, so that memory does not grow with the run.
    const Real span = last_outside_;
    const Real portion =
        span * (Real(24) * static_cast<Real>(n_lanes_) / std::max(Real(1), outside_deliveries_));
    const Real longest_step =
        span > Real(0) ? std::min(longest, std::max(portion, span * Real(1e-6))) : longest;
    Real step = longest_step;
    pending_.clear();
    if (own_delays_) calendar_.begin(longest, until_, longest_delay_);
    for (Real start = Real(0);;) {
      watch_.did(n_lanes_);
      Real stop = std::max(start + step, std::nextafter(start, never<Real>));
      const bool nothing_left = pending_.empty() && calendar_.empty() && outside_ends();
      const bool last = !(stop <= until_) || (!(longest < never<Real>) && nothing_left);
      if (last) stop = never<Real>;
      window_.clear();
      for (Outside& source : outside_) {
        const Size from = static_cast<Size>(window_.size());
        source.take(*this, stop, window_);
        put_in_order(from);
      }
      const Size of_outside = static_cast<Size>(window_.size());
      std::size_t stay = 0;
      for (const Arrival<Real>& a : pending_) {
        if (a.time < stop && a.time <= until_) {
          window_.push_back(a);
        } else {
          pending_[stay++] = a;
        }
      }
      pending_.resize(stay);
      put_in_order(of_outside);
      for (const Id* p = begin; p != end; ++p) before_[*p - *begin] = spikes_[*p].size();
      taken_ = 0;
      advance_blocks(stop, last);
      neurons_.check_limit();
      for (const Id* p = begin; p != end; ++p) {
        SpikeList<Real>& list = spikes_[*p];
        const Size from = before_[*p - *begin];
        if (list.size() == from) continue;
        if (list.sort_from(from)) neurons_.follow(list, from, lane_.data());
        if (sample_end.wanted()) sample_end.see(list, from);
        send(*p, from);
        if (on_their_way_ > most_on_their_way_) return false;
      }
      on_their_way_ -= taken_;
      if (last) return true;
      if (sample_end.wanted()) {
        until_ = std::min(until_, sample_end.time());
        if (std::nextafter(stop, -never<Real>) > until_) return true;
      }
      start = stop;
      // A neuron's arrivals are to be some 16: more leave the cache, fewer are not worth the start.
      const Real ratio = static_cast<Real>(16 * n_lanes_) / static_cast<Real>(delivered_ + 1);
      const Real most = outside_ends() ? longest : longest_step;
      step = std::clamp(step * std::min(Real(2), ratio), longest_step * shortest_step, most);
    }
  }

  void start_lanes(const Id* begin, const Id* end) {
    neurons_.clear();
    n_lanes_ = 0;
    identical_ = true;
    const NeuronConstants<Real>& c = plan_.neurons;
    const Id one = plan_.population_offsets.data()[*begin];
    Id highest = *begin;
    for (const Id* p = begin; p != end; ++p) {
      highest = std::max(highest, *p);
      for (Id j = plan_.population_offsets.data()[*p]; j < plan_.population_offsets.data()[*p + 1];
           ++j) {
        identical_ &= c.same_motion(j, one);
        lane_[j] =
            static_cast<Id>(neurons_.add(j, s_->input.sample,
                                         {s_->input.voltage ? s_->input.voltage[j] : Real(0),
                                          s_->input.current ? s_->input.current[j] : Real(0)},
                                         &spikes_[*p]));
        ++n_lanes_;
      }
    }
    before_.resize(highest - *begin + 1);
    ascend_ = true;
    row_ = std::numeric_limits<Size>::max();
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan_.into_population.data()[*p]) {
        const ProjectionPlan<Real>& projection = plan_.projections.data()[q];
        if (projection.connectivity != Connectivity::sparse) continue;
        ascend_ &= projection.targets_ascend;
        row_ = std::min(row_, projection.synapses() / projection.n_source);
      }
    lists_.set_lanes(n_lanes_);
    order_.resize(n_lanes_);
    n_blocks_ = 0;
  }

  // Where delays differ between synapses, and the shortest one within the component.
  Real read_delays(const Id* begin, const Id* end) {
    own_delays_ = false;
    on_their_way_ = 0;
    longest_delay_ = Real(0);
    Real shortest = never<Real>;
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan_.into_population.data()[*p]) {
        const ProjectionPlan<Real>& in = plan_.projections.data()[q];
        if (in.synapses() == 0) continue;
        if (in.within_component) shortest = std::min(shortest, shortest_delay(in));
        if (in.arrives_at_once()) continue;
        own_delays_ = true;
        longest_delay_ =
            std::max(longest_delay_, in.delay_per == DelayPer::synapse
                                         ? *std::max_element(in.delay, in.delay + in.synapses())
                                         : in.longest_delay);
      }
    return shortest;
  }

  // What one projection from outside sends, and how far it has been read.
  struct Outside : SentSpikes<Real> {
    Size next = 0;
    Real delay;  // the shortest

    explicit Outside(const SentSpikes<Real>& sent)
        : SentSpikes<Real>(sent), delay(shortest_delay(*sent.projection)) {}
    // What may arrive before `stop`, to the window; of that, what does not, to those pending.
    void take(WindowSimulator& simulator, Real stop, Vector<Arrival<Real>>& to) {
      const ProjectionPlan<Real>& p = *this->projection;
      for (; next < this->count && this->time(next) + delay < stop; ++next) {
        const bool within = this->time(next) + p.row_delay(this->unit(next)) < stop;
        simulator.keep(p, this->unit(next), this->time(next), within ? to : simulator.pending_);
      }
    }
  };

  void collect_outside() {
    outside_.clear();
    outside_deliveries_ = last_outside_ = Real(0);
    s_->each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& projection = *sent.projection;
      if (sent.count == 0 || projection.synapses() == 0) return;
      outside_.emplace_back(sent);
      outside_deliveries_ += static_cast<Real>(sent.count) *
                             static_cast<Real>(projection.synapses()) /
                             static_cast<Real>(projection.n_source);
      last_outside_ =
          std::max(last_outside_, sent.time(sent.count - 1) + (projection.arrives_at_once()
                                                                   ? projection.longest_delay
                                                                   : outside_.back().delay));
    });
  }
  bool outside_ends() const {
    return std::all_of(outside_.begin(), outside_.end(),
                       [](const Outside& source) { return source.next == source.count; });
  }

  void keep(const ProjectionPlan<Real>& p, Id unit, Real time, Vector<Arrival<Real>>& to) {
    // A row of zeros changes nothing, not even rounding.
    if (!p.silent_row.empty() && p.silent_row.data()[unit]) return;
    const Size begin = p.row_begin(unit), end = p.row_end(unit);
    if (!p.arrives_at_once()) return keep_synapses(p, unit, time, begin, end);
    const Real arrival = time + p.row_delay(unit);
    if (begin < end && arrival <= until_)
      to.push_back({arrival, p.source_first + unit, p.index, begin, end});
  }

  void keep_synapses(const ProjectionPlan<Real>& p, Id unit, Real time, Size begin, Size end) {
    watch_.did(end - begin);
    const Id sender = p.source_first + unit;
    const Size before = calendar_.size();
    for (Size k = begin; k < end; ++k) {
      const Real arrival = time + p.delay_of(unit, k);
      if (p.weight[k] != Real(0) && arrival <= until_)
        calendar_.add({arrival, p.weight[k], k, sender, p.index, lane_of(p, unit, k)});
    }
    if (p.within_component) on_their_way_ += calendar_.size() - before;
  }
  Id lane_of(const ProjectionPlan<Real>& p, Id unit, Size k) const {
    return lane_[p.target_of(unit, k)];
  }

  // Merges what was added to the window from `from` on with what is in order before it.
  void put_in_order(Size from) {
    const auto middle = window_.begin() + from;
    if (!std::is_sorted(middle, window_.end())) std::sort(middle, window_.end());
    if (from > 0 && middle != window_.end() && *middle < *(middle - 1))
      std::inplace_merge(window_.begin(), middle, window_.end());
  }

  // Spikes of a population from `from` on, to where they arrive within the component.
  void send(Id population, Size from) {
    const SpikeList<Real>& list = spikes_[population];
    const Id first = plan_.population_offsets.data()[population];
    for (const Id q : plan_.from_population.data()[population]) {
      const ProjectionPlan<Real>& p = plan_.projections.data()[q];
      if (!p.within_component) continue;
      for (Size k = from; k < list.size(); ++k)
        keep(p, list[k].neuron - first, list[k].time, pending_);
    }
  }

  // Blocks of a power of two of lanes, whose lists stay in a second-level cache together.
  void set_blocks() {
    constexpr Size block_room = (Size(1) << 19) / Size(2 * sizeof(Real));
    room_ = lists_.room();
    block_bits_ = 3;
    while ((room_ << block_bits_) < block_room * n_lanes_ && (n_lanes_ >> block_bits_) > 0)
      ++block_bits_;
    n_blocks_ = ((n_lanes_ - 1) >> block_bits_) + 1;
    if (static_cast<Size>(of_block_.size()) < n_blocks_) of_block_.resize(n_blocks_);
    if (static_cast<Size>(buckets_.size()) < n_blocks_) buckets_.resize(n_blocks_);
  }

  // Advances all lanes through the window, block by block. Rows in which the targets ascend are
  // read piece by piece; other rows, and rows of which a block gets little, are laid out for all
  // blocks beforehand.
  void advance_blocks(Real stop, bool last) {
    const Real limit = last ? until_ : std::nextafter(stop, -never<Real>);
    if (own_delays_) return advance_all(stop, limit, last);
    if (n_blocks_ == 0 || room_ != lists_.room()) set_blocks();
    delivered_ = 0;
    for (const Arrival<Real>& a : window_) delivered_ += a.end - a.begin;
    const bool beforehand = n_blocks_ > 1 && (!ascend_ || row_ < 8 * n_blocks_);
    if (beforehand) {
      fill_buckets();
    } else {
      list_arrivals();
    }
    for (Size b = 0; b < n_blocks_; ++b) {
      const Size first = b << block_bits_, end = std::min(n_lanes_, (b + 1) << block_bits_);
      lists_.clear(first, end);
      if (beforehand) {
        empty_bucket(b);
      } else {
        hand_out(of_block_[b], first, end);
      }
      lists_.finish(first, end, order_.data());
      for (Size k = first; k < end; ++k) neurons_.set_arrivals(k, lists_.begin(k));
      neurons_.advance(lists_.pairs(), order_.data(), end - first, limit, last, identical_, watch_);
    }
  }

  // Where delays differ each lane's arrivals are put in order by themselves.
  void advance_all(Real stop, Real limit, bool last) {
    due_.clear();
    calendar_.take(stop, due_);
    for (const SynapseArrival<Real>& a : due_)
      taken_ += plan_.projections.data()[a.projection].within_component;
    for (const Arrival<Real>& a : window_) {
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      const Id unit = a.sender - p.source_first;
      const bool whole_row = p.connectivity == Connectivity::dense;
      for (Size k = a.begin; k < a.end; ++k)
        if (whole_row || p.weight[k] != Real(0))
          due_.push_back(
              {a.time, p.weight[k], a.begin, a.sender, a.projection, lane_of(p, unit, k)});
    }
    delivered_ = static_cast<Size>(due_.size());
    watch_.did(delivered_);
    lists_.clear(0, n_lanes_);
    sorter_.sort(due_, n_lanes_,
                 [this](Size lane, Real time, Real weight) { lists_.put(lane, time, weight); });
    lists_.finish(0, n_lanes_, order_.data());
    for (Size k = 0; k < n_lanes_; ++k) neurons_.set_arrivals(k, lists_.begin(k));
    neurons_.advance(lists_.pairs(), order_.data(), n_lanes_, limit, last, identical_, watch_);
  }

  // Which arrivals of the window reach a block.
  void list_arrivals() {
    for (Size b = 0; b < n_blocks_; ++b) of_block_[b].clear();
    for (std::size_t m = 0; m < window_.size(); ++m) {
      const Arrival<Real>& a = window_[m];
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      Size first = lane_[p.target_first], final = first + p.n_target - 1;
      if (p.connectivity == Connectivity::one_to_one) first = final = first + a.begin;
      for (Size b = first >> block_bits_; b <= final >> block_bits_; ++b)
        of_block_[b].push_back(static_cast<Id>(m));
    }
  }

  // These arrivals to the lists of the lanes [first, end).
  void hand_out(const Vector<Id>& arrivals, Size first, Size end) {
    constexpr std::size_t ahead = 16;
    for (std::size_t m = 0; m < arrivals.size(); ++m) {
      if (m + ahead < arrivals.size()) {
        const Arrival<Real>& a = window_[arrivals[m + ahead]];
        const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
        __builtin_prefetch(p.weight + a.begin);
        if (p.connectivity == Connectivity::sparse) __builtin_prefetch(p.targets + a.begin);
      }
      watch_.did(end - first);
      hand_out(window_[arrivals[m]], first, end);
    }
  }

  // What is done of a sparse row is taken off the arrival.
  void hand_out(Arrival<Real>& a, Size first, Size end) {
    const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
    const Size base = lane_[p.target_first];  // a population's lanes follow each other
    const Real* const w = p.weight;
    const Real time = a.time;
    switch (p.connectivity) {
      case Connectivity::dense: {
        const Size stop = std::min(end, base + p.n_target);
        for (Size k = std::max(first, base); k < stop; ++k)
          lists_.put(k, time, w[a.begin + k - base]);
        break;
      }
      case Connectivity::one_to_one:
        if (w[a.begin] != Real(0)) lists_.put(base + a.begin, time, w[a.begin]);
        break;
      default: {
        const Id* const targets = p.targets;
        const Size stop = n_blocks_ > 1 ? end - base : n_lanes_, row_end = a.end;
        Size m = a.begin;
        for (; m < row_end; ++m) {
          const Size target = targets[m];
          if (target >= stop) break;
          if (w[m] != Real(0)) lists_.put(base + target, time, w[m]);
        }
        a.begin = m;
      }
    }
  }

  struct Delivery {
    Id lane, arrival;
    Real weight;
  };
  // What a block receives in the window, in order.
  struct Bucket {
    Vector<Delivery> memory;
    Delivery* next = nullptr;
    Delivery* end = nullptr;
    void clear() { next = memory.data(); }
    void put(Size lane, Id arrival, Real weight) {
      if (next == end) grow();
      *next++ = {static_cast<Id>(lane), arrival, weight};
    }
    void grow() {
      const std::size_t size = memory.size();
      memory.resize(std::max<std::size_t>(1024, 2 * size));
      next = memory.data() + size;
      end = memory.data() + memory.size();
    }
  };

  void fill_buckets() {
    for (Size b = 0; b < n_blocks_; ++b) buckets_[b].clear();
    Bucket* const buckets = buckets_.data();
    const int bits = block_bits_;
    for (Id m = 0; m < static_cast<Id>(window_.size()); ++m) {
      const Arrival<Real>& a = window_[m];
      watch_.did(a.end - a.begin);
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      const Size base = lane_[p.target_first];
      const Real* const w = p.weight;
      const Id* const targets = p.targets;
      const bool whole_row = p.connectivity == Connectivity::dense;
      const Size shift = whole_row ? base - a.begin : base;
      for (Size k = a.begin, end = a.end; k < end; ++k) {
        if (w[k] == Real(0) && !whole_row) continue;
        const Size lane = p.connectivity == Connectivity::sparse ? base + targets[k] : shift + k;
        buckets[lane >> bits].put(lane, m, w[k]);
      }
    }
  }
  void empty_bucket(Size b) {
    const Delivery* const end = buckets_[b].next;
    for (const Delivery* d = buckets_[b].memory.data(); d != end; ++d)
      lists_.put(d->lane, window_[d->arrival].time, d->weight);
  }

  const Plan<Real>& plan_;
  PacedWatch watch_;
  const ComponentSample<Real>* s_ = nullptr;
  Real until_ = Real(0);

  IndependentNeurons<Real> neurons_;
  Vector<Id> lane_;  // of each neuron
  Size n_lanes_ = 0;
  bool identical_ = false;
  SpikeList<Real>* spikes_ = nullptr;  // of each population
  Vector<Size> before_;
  Vector<Outside> outside_;
  Real outside_deliveries_ = Real(0), last_outside_ = Real(0);
  Vector<Arrival<Real>> pending_, window_;
  // Where delays differ between synapses.
  bool own_delays_ = false;
  Real longest_delay_ = Real(0);
  ArrivalCalendar<Real> calendar_;
  Vector<SynapseArrival<Real>> due_;
  ArrivalSorter<Real> sorter_;
  Size on_their_way_ = 0;  // within loops, those that arrive in the window among them
  Size taken_ = 0;         // these
  const Size most_on_their_way_;
  ArrivalLists<Real> lists_;
  Vector<Id> order_;  // of the lanes of a block
  int block_bits_ = 0;
  Size n_blocks_ = 0, room_ = 0;
  bool ascend_ = false;          // targets in all sparse rows
  Size row_ = 0;                 // synapses of a sparse row, where they are fewest
  Size delivered_ = 0;           // in the window
  Vector<Vector<Id>> of_block_;  // arrivals of each block, as positions in window_
  Vector<Bucket> buckets_;
};

SNNFP_ISA_END
