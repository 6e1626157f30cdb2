#pragma once
// The arrivals of a window, handed out to the lanes of the neurons that they reach.

#include <algorithm>
#include <limits>

#include "snnfp/detail/arrival_lists.hpp"
#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/impl/arrival_calendar.hpp"

SNNFP_ISA_BEGIN

// Owns the lists of what each lane receives. Lanes go in blocks whose lists stay in the cache: only
// those of the block that is visited hold anything, each in the order of the queue. Rows in which
// the targets ascend are read piece by piece, block after block; other rows, and rows of which a
// block gets little, are laid out for all blocks beforehand. Cost: O(1) a delivery.
template <class Real>
class WindowLists {
 public:
  explicit WindowLists(const Plan<Real>& plan) : plan_(plan), lane_(plan.n_neurons) {}

  // The populations [begin, end) have the lanes 0, 1, ..., one population's after the other's.
  void start(const Id* begin, const Id* end) {
    n_lanes_ = 0;
    ascend_ = true;
    row_ = std::numeric_limits<Size>::max();
    for (const Id* p = begin; p != end; ++p) {
      const Id* const neurons = plan_.population_offsets.data() + *p;
      for (Id j = neurons[0]; j < neurons[1]; ++j) lane_[j] = static_cast<Id>(n_lanes_++);
      for (const Id q : plan_.into_population.data()[*p]) {
        const ProjectionPlan<Real>& projection = plan_.projections.data()[q];
        if (projection.connectivity != Connectivity::sparse) continue;
        ascend_ &= projection.targets_ascend;
        row_ = std::min(row_, projection.synapses() / projection.n_source);
      }
    }
    lists_.set_lanes(n_lanes_);
    order_.resize(n_lanes_);
    n_blocks_ = 0;
  }
  Size lanes() const { return n_lanes_; }
  const Id* lane_of_neuron() const { return lane_.data(); }
  Id lane_of(const ProjectionPlan<Real>& p, Id unit, Size k) const {
    return lane_[p.target_of(unit, k)];
  }

  // What the visits of the last call deliver.
  Size delivered() const { return delivered_; }
  // In a visit, those of the lanes visited: see ArrivalLists.
  const Real* pairs() const { return lists_.pairs(); }
  Id begin(Size lane) const { return lists_.begin(lane); }
  const Id* order() const { return order_.data(); }

  // Calls visit(first, end) for block after block of lanes: they have what arrives in the window.
  // What is done of a sparse row is taken off its arrival.
  template <class Visit>
  void each_block(Vector<Arrival<Real>>& window, PacedWatch& watch, const Visit& visit) {
    if (n_blocks_ == 0 || room_ != lists_.room()) set_blocks();
    delivered_ = 0;
    for (const Arrival<Real>& a : window) delivered_ += a.end - a.begin;
    const bool beforehand = n_blocks_ > 1 && (!ascend_ || row_ < 8 * n_blocks_);
    if (beforehand) {
      fill_buckets(window, watch);
    } else {
      list_arrivals(window);
    }
    for (Size b = 0; b < n_blocks_; ++b) {
      const Size first = b << block_bits_, end = std::min(n_lanes_, (b + 1) << block_bits_);
      lists_.clear(first, end);
      if (beforehand) {
        empty_bucket(b, window);
      } else {
        hand_out(window, of_block_[b], first, end, watch);
      }
      lists_.finish(first, end, order_.data());
      visit(first, end);
    }
  }

  // Calls visit(0, lanes()) where delays differ: each lane's arrivals, those `due` and those of the
  // window, are put in order by themselves.
  template <class Visit>
  void all_lanes(const Vector<Arrival<Real>>& window, Vector<SynapseArrival<Real>>& due,
                 PacedWatch& watch, const Visit& visit) {
    for (const Arrival<Real>& a : window) {
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      const Id unit = a.sender - p.source_first;
      const bool whole_row = p.connectivity == Connectivity::dense;
      for (Size k = a.begin; k < a.end; ++k)
        if (whole_row || p.weight[k] != Real(0))
          due.push_back(
              {a.time, p.weight[k], a.begin, a.sender, a.projection, lane_of(p, unit, k)});
    }
    delivered_ = static_cast<Size>(due.size());
    watch.did(delivered_);
    lists_.clear(0, n_lanes_);
    sorter_.sort(due, n_lanes_,
                 [this](Size lane, Real time, Real weight) { lists_.put(lane, time, weight); });
    lists_.finish(0, n_lanes_, order_.data());
    visit(0, n_lanes_);
  }

 private:
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

  // Which arrivals of the window reach a block.
  void list_arrivals(const Vector<Arrival<Real>>& window) {
    for (Size b = 0; b < n_blocks_; ++b) of_block_[b].clear();
    for (std::size_t m = 0; m < window.size(); ++m) {
      const Arrival<Real>& a = window[m];
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      Size first = lane_[p.target_first], final = first + p.n_target - 1;
      if (p.connectivity == Connectivity::one_to_one) first = final = first + a.begin;
      for (Size b = first >> block_bits_; b <= final >> block_bits_; ++b)
        of_block_[b].push_back(static_cast<Id>(m));
    }
  }

  // These arrivals to the lists of the lanes [first, end).
  void hand_out(Vector<Arrival<Real>>& window, const Vector<Id>& arrivals, Size first, Size end,
                PacedWatch& watch) {
    constexpr std::size_t ahead = 16;
    for (std::size_t m = 0; m < arrivals.size(); ++m) {
      if (m + ahead < arrivals.size()) {
        const Arrival<Real>& a = window[arrivals[m + ahead]];
        const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
        __builtin_prefetch(p.weight + a.begin);
        if (p.connectivity == Connectivity::sparse) __builtin_prefetch(p.targets + a.begin);
      }
      watch.did(end - first);
      hand_out(window[arrivals[m]], first, end);
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

  void fill_buckets(const Vector<Arrival<Real>>& window, PacedWatch& watch) {
    for (Size b = 0; b < n_blocks_; ++b) buckets_[b].clear();
    Bucket* const buckets = buckets_.data();
    const int bits = block_bits_;
    for (Id m = 0; m < static_cast<Id>(window.size()); ++m) {
      const Arrival<Real>& a = window[m];
      watch.did(a.end - a.begin);
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
  void empty_bucket(Size b, const Vector<Arrival<Real>>& window) {
    const Delivery* const end = buckets_[b].next;
    for (const Delivery* d = buckets_[b].memory.data(); d != end; ++d)
      lists_.put(d->lane, window[d->arrival].time, d->weight);
  }

  const Plan<Real>& plan_;
  Vector<Id> lane_;  // of each neuron
  Size n_lanes_ = 0;
  ArrivalLists<Real> lists_;
  Vector<Id> order_;  // of the lanes visited
  Size delivered_ = 0;
  int block_bits_ = 0;
  Size n_blocks_ = 0, room_ = 0;
  bool ascend_ = false;          // targets in all sparse rows
  Size row_ = 0;                 // synapses of a sparse row, where they are fewest
  Vector<Vector<Id>> of_block_;  // arrivals of each block, as positions in the window
  Vector<Bucket> buckets_;
  ArrivalSorter<Real> sorter_;
};

SNNFP_ISA_END
