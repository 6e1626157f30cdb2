#pragma once
// Samples of a graph with one delay a projection and none of zero within a loop, of any connectivity:
// within the shortest delay of a loop no neuron hears of another, so every neuron is advanced alone
// through its own sorted arrivals, many side by side, and nothing predicted is ever thrown away. The
// neurons go in blocks whose arrivals stay in the cache. The same record as the queue's, to the bit.

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/strands.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class WindowSimulator {
 public:
  // Whether the graph allows it and windows are long enough to be worth while: most neurons hear
  // something in each.
  static bool suits(const Plan<Real>& plan, const SampleInput<Real>& input, const RunLimits& limits) {
    for (const ProjectionPlan<Real>& p : plan.projections)
      if (!p.shared_delay || (p.within_component && !(p.delay[0] > Real(0)))) return false;
    const Real window = shortest_loop_delay(plan);
    if (!(window < never<Real>)) return true;
    if (!(limits.until < never<double>) || !(Real(limits.until) + window > Real(limits.until)))
      return false;
    double deliveries = plan.n_neurons;
    for (std::size_t g = 0; g < plan.from_input.size(); ++g)
      for (const Id q : plan.from_input[g]) {
        const ProjectionPlan<Real>& p = plan.projections[q];
        deliveries += double(input.groups[g].count) * double(p.synapses()) / p.n_source;
      }
    return deliveries * double(window) > limits.until * plan.n_neurons / 16;
  }

  WindowSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        limits_(limits),
        interrupt_(interrupt),
        until_(static_cast<Real>(limits.until)),
        strands_(plan, limits.spike_limit),
        lane_(plan.n_neurons),
        spikes_(plan.population_offsets.size() - 1) {}

  void run(const SampleInput<Real>* inputs, Size samples, SpikeSink<Real>& sink) {
    for (Size s = 0; s < samples; ++s) {
      input_ = &inputs[s];
      for (SpikeList<Real>& list : spikes_) list.clear();
      for (std::size_t c = 0; c + 1 < plan_.component_offsets.size(); ++c)
        if (!run_component(plan_.components.data() + plan_.component_offsets.data()[c],
                           plan_.components.data() + plan_.component_offsets.data()[c + 1]))
          return;
      ordered_.clear();
      for (const SpikeList<Real>& list : spikes_) ordered_.merge(list);
      sink.write(ordered_.data(), ordered_.size(), nullptr);
    }
  }

 private:
  static Real shortest_loop_delay(const Plan<Real>& plan) {
    Real shortest = never<Real>;
    for (const ProjectionPlan<Real>& p : plan.projections)
      if (p.within_component) shortest = std::min(shortest, p.delay[0]);
    return shortest;
  }

  bool run_component(const Id* begin, const Id* end) {
    start_lanes(begin, end);
    collect_outside(begin, end);
    Real longest = never<Real>;
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan_.from_population.data()[*p])
        if (plan_.projections.data()[q].within_component)
          longest = std::min(longest, plan_.projections.data()[q].delay[0]);
    // What is known beforehand goes in portions too, so that memory does not grow with the run.
    const Real span = last_outside_;
    const Real portion = span * (Real(24) * static_cast<Real>(n_lanes_) /
                                 std::max(Real(1), outside_deliveries_));
    const Real step = span > Real(0) ? std::min(longest, std::max(portion, span * Real(1e-6)))
                                     : longest;
    pending_.clear();
    for (Real start = Real(0);;) {
      if (interrupt_.check(limits_.worker)) return false;
      Real stop = start + step;
      const bool nothing_left = pending_.empty() && outside_ends();
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
      advance_blocks(last ? until_ : std::nextafter(stop, -never<Real>), last);
      for (const Id* p = begin; p != end; ++p) {
        SpikeList<Real>& list = spikes_[*p];
        const Size from = before_[*p - *begin];
        if (list.size() == from) continue;
        if (list.sort_from(from)) strands_.follow(list, from, lane_.data());
        send(*p, from);
      }
      if (last) return true;
      start = stop;
    }
  }

  void start_lanes(const Id* begin, const Id* end) {
    strands_.clear();
    n_lanes_ = 0;
    identical_ = true;
    const NeuronConstants<Real>& c = plan_.neurons;
    const Id one = plan_.population_offsets.data()[*begin];
    Id highest = *begin;
    for (const Id* p = begin; p != end; ++p) {
      highest = std::max(highest, *p);
      for (Id j = plan_.population_offsets.data()[*p]; j < plan_.population_offsets.data()[*p + 1];
           ++j) {
        for (const std::vector<Real>* x : {&c.alpha, &c.beta, &c.inv_c, &c.drive, &c.threshold})
          identical_ &= x->data()[j] == x->data()[one];
        lane_[j] = static_cast<Id>(strands_.add(j, input_->sample,
                                                {input_->voltage ? input_->voltage[j] : Real(0),
                                                 input_->current ? input_->current[j] : Real(0)},
                                                &spikes_[*p]));
        ++n_lanes_;
      }
    }
    before_.resize(highest - *begin + 1);
    in_blocks_ = true;
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan_.into_population.data()[*p]) {
        const ProjectionPlan<Real>& projection = plan_.projections.data()[q];
        in_blocks_ &= projection.connectivity != Connectivity::sparse || projection.targets_ascend;
      }
    rooms_.assign(n_lanes_, 8);
    lists_.resize(n_lanes_);
    lanes_.resize(n_lanes_);
    set_blocks();
  }

  // One projection from outside the component, and how far it has been read.
  struct Outside {
    const ProjectionPlan<Real>* projection;
    const InputSpikes<Real>* input;  // or
    const SpikeList<Real>* spikes;
    Id first;  // neuron of the sending population
    Size count, next;

    Real time(Size k) const { return input ? input->times[k] : (*spikes)[k].time; }
    Id unit(Size k) const { return input ? input->units[k] : (*spikes)[k].neuron - first; }
    void take(const WindowSimulator& simulator, Real stop, Vector<Arrival<Real>>& to) {
      const Real delay = projection->delay[0];
      for (; next < count && time(next) + delay < stop; ++next)
        simulator.keep(*projection, unit(next), time(next), to);
    }
  };

  void collect_outside(const Id* begin, const Id* end) {
    outside_.clear();
    outside_deliveries_ = last_outside_ = Real(0);
    for (const Id* p = begin; p != end; ++p)
      for (const Id q : plan_.into_population.data()[*p]) {
        const ProjectionPlan<Real>& projection = plan_.projections.data()[q];
        if (projection.within_component) continue;
        Outside source{&projection, nullptr, nullptr, 0, 0, 0};
        if (projection.from_input >= 0) {
          source.input = &input_->groups[projection.from_input];
          source.count = source.input->count;
        } else {
          source.spikes = &spikes_[projection.from_population];
          source.first = plan_.population_offsets.data()[projection.from_population];
          source.count = source.spikes->size();
        }
        if (source.count == 0) continue;
        outside_.push_back(source);
        outside_deliveries_ += static_cast<Real>(source.count) *
                               static_cast<Real>(projection.synapses()) /
                               static_cast<Real>(projection.n_source);
        last_outside_ = std::max(last_outside_, source.time(source.count - 1) + projection.delay[0]);
      }
  }
  bool outside_ends() const {
    return std::all_of(outside_.begin(), outside_.end(),
                       [](const Outside& source) { return source.next == source.count; });
  }

  void keep(const ProjectionPlan<Real>& p, Id unit, Real time, Vector<Arrival<Real>>& to) const {
    // A row of zeros changes nothing, not even rounding.
    if (!p.silent_row.empty() && p.silent_row.data()[unit]) return;
    const Size begin = p.row_begin(unit), end = p.row_end(unit);
    const Real arrival = time + p.delay[0];
    if (begin < end && arrival <= until_)
      to.push_back({arrival, p.source_first + unit, p.index, begin, end});
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
      for (Size k = from; k < list.size(); ++k) keep(p, list[k].neuron - first, list[k].time, pending_);
    }
  }

  // Lanes whose lists take about this many arrivals together stay in a second-level cache.
  static constexpr Size block_room = (Size(1) << 19) / Size(2 * sizeof(Real));

  void set_blocks() {
    block_of_.resize(n_lanes_);
    block_begin_.clear();
    Size room = block_room;
    for (Size k = 0; k < n_lanes_; ++k) {
      if (room >= block_room && (in_blocks_ || k == 0)) {
        block_begin_.push_back(k);
        room = 0;
      }
      room += rooms_[k];
      block_of_[k] = static_cast<Id>(block_begin_.size()) - 1;
    }
    block_begin_.push_back(n_lanes_);
    block_arrivals_.resize(block_begin_.size() - 1);
    rooms_grew_ = false;
  }

  // Advances all lanes through the window.
  void advance_blocks(Real limit, bool last) {
    if (rooms_grew_) set_blocks();
    for (Vector<Id>& list : block_arrivals_) list.clear();
    for (std::size_t m = 0; m < window_.size(); ++m) {
      const Arrival<Real>& a = window_[m];
      const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
      Id first = lane_[p.target_first], final = first + p.n_target - 1;
      if (p.connectivity == Connectivity::one_to_one) first = final = first + static_cast<Id>(a.begin);
      for (Id b = block_of_[first]; b <= block_of_[final]; ++b)
        block_arrivals_[b].push_back(static_cast<Id>(m));
    }
    for (Size b = 0; b + 1 < static_cast<Size>(block_begin_.size()); ++b) {
      const Size first = block_begin_[b], end = block_begin_[b + 1];
      clear_lists(first, end);
      const Vector<Id>& arrivals = block_arrivals_[b];
      for (std::size_t m = 0; m < arrivals.size(); ++m) {
        if (m + ahead < arrivals.size()) fetch(window_[arrivals[m + ahead]], end - first);
        hand_out(window_[arrivals[m]], first, end);
      }
      finish_lists(first, end);
      strands_.advance(pairs_.data(), lanes_.data(), end - first, limit, last, identical_);
    }
  }

  // The list of a lane: its arrivals' times and weights by turns, from pairs_[begin] on.
  struct List {
    Id begin, next, end;
  };

  void clear_lists(Size first, Size end) {
    Size total = 0;
    for (Size k = first; k < end; ++k) {
      lists_[k].begin = lists_[k].next = static_cast<Id>(total);
      total += 2 * Size(rooms_[k]);
      lists_[k].end = static_cast<Id>(total - 2);  // room for the end mark
    }
    used_ = total;
    take_pairs();
  }

  // Twice the room for the list of lane k, at the end of what is used. Lists keep the room they once
  // needed, each its own: a neuron that hears much costs the others no memory.
  void grow_list(Size k) {
    List& list = lists_[k];
    const Id size = list.next - list.begin, begin = static_cast<Id>(used_);
    rooms_[k] *= 2;
    rooms_grew_ = true;
    used_ += 2 * Size(rooms_[k]);
    take_pairs();
    std::copy_n(pairs_.begin() + list.begin, size, pairs_.begin() + begin);
    list = {begin, begin + size, static_cast<Id>(used_ - 2)};
  }

  void take_pairs() {
    if (used_ > Size(std::numeric_limits<Id>::max()) / 2) throw std::bad_alloc();
    if (used_ > static_cast<Size>(pairs_.size())) pairs_.resize(used_ + used_ / 4);
  }

  void put(Size k, Real time, Real weight) {
    List& list = lists_[k];
    if (list.next == list.end) grow_list(k);
    Real* const to = &pairs_[list.next];
    to[0] = time;
    to[1] = weight;
    list.next += 2;
  }

  // Asks memory for the synapses of a sparse row that reach the next `lanes` lanes.
  void fetch(const Arrival<Real>& a, Size lanes) const {
    const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
    if (p.connectivity != Connectivity::sparse) return;
    const Size left = a.end - a.begin;
    const Size n = std::min<Size>(left, left * lanes / p.n_target);
    for (Size m = 0; m <= n; m += 16) __builtin_prefetch(p.targets + a.begin + m);
    for (Size m = 0; m <= n; m += 64 / Size(sizeof(Real))) __builtin_prefetch(p.weight + a.begin + m);
  }
  static constexpr std::size_t ahead = 32;

  // An arrival to the lists of the lanes [first, end) that it reaches; what is done of a sparse row
  // is taken off it.
  void hand_out(Arrival<Real>& a, Size first, Size end) {
    const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
    const Size base = lane_[p.target_first];  // a population's lanes follow each other
    const Real* const w = p.weight;
    switch (p.connectivity) {
      case Connectivity::dense: {
        const Size stop = std::min(end, base + p.n_target);
        for (Size k = std::max(first, base); k < stop; ++k) put(k, a.time, w[a.begin + k - base]);
        break;
      }
      case Connectivity::one_to_one:
        if (w[a.begin] != Real(0)) put(base + a.begin, a.time, w[a.begin]);
        break;
      default: {
        const Size stop = in_blocks_ ? end - base : std::numeric_limits<Size>::max();
        const Id* const targets = p.targets;
        const Real time = a.time;
        const Size row_end = a.end;
        List* const lists = &lists_[base];
        Real* pairs = pairs_.data();
        Size m = a.begin;
        for (; m < row_end; ++m) {
          const Size target = targets[m];
          if (target >= stop) break;
          if (w[m] == Real(0)) continue;
          List& list = lists[target];
          if (list.next == list.end) {
            grow_list(base + target);
            pairs = pairs_.data();
          }
          Real* const to = pairs + list.next;
          to[0] = time;
          to[1] = w[m];
          list.next += 2;
        }
        a.begin = m;
      }
    }
  }

  // End marks, and the lanes in order of the length of their lists: lanes that go side by side come
  // to their ends together.
  void finish_lists(Size first, Size end) {
    constexpr Id longest = 255;
    Id count[longest + 2] = {};
    const auto length = [&](Size k) {
      return std::min(longest, (lists_[k].next - lists_[k].begin) / 2);
    };
    for (Size k = first; k < end; ++k) {
      pairs_[lists_[k].next] = never<Real>;
      pairs_[lists_[k].next + 1] = Real(0);
      strands_.set_arrivals(k, lists_[k].begin, 0);
      ++count[length(k) + 1];
    }
    for (Id n = 0; n < longest; ++n) count[n + 1] += count[n];
    for (Size k = first; k < end; ++k) lanes_[count[length(k)]++] = static_cast<Id>(k);
  }

  const Plan<Real>& plan_;
  const RunLimits& limits_;
  Interrupt& interrupt_;
  const Real until_;
  const SampleInput<Real>* input_ = nullptr;

  Strands<Real> strands_;
  Vector<Id> lane_;  // of each neuron
  Size n_lanes_ = 0;
  bool identical_ = false;
  Vector<SpikeList<Real>> spikes_;  // of each population
  Vector<Size> before_;
  SpikeList<Real> ordered_;
  Vector<Outside> outside_;
  Real outside_deliveries_ = Real(0), last_outside_ = Real(0);
  Vector<Arrival<Real>> pending_, window_;
  bool in_blocks_ = false, rooms_grew_ = false;
  Vector<Size> block_begin_;
  Vector<Vector<Id>> block_arrivals_;  // of each block, as positions in window_
  Vector<Id> block_of_, rooms_, lanes_;
  Vector<List> lists_;
  Vector<Real> pairs_;
  Size used_ = 0;  // of pairs_
};

SNNFP_ISA_END
