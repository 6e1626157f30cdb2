#pragma once
// A component of any connectivity and any delays, none of zero within it: within its shortest delay
// no neuron hears of another, so every neuron is advanced alone through its own sorted arrivals,
// many side by side, and nothing predicted is ever thrown away. The same record as the queue's, to
// the bit.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/independent_neurons.hpp"
#include "snnfp/impl/arrival_calendar.hpp"
#include "snnfp/impl/queue_simulator.hpp"
#include "snnfp/impl/solver.hpp"
#include "snnfp/impl/window_lists.hpp"

SNNFP_ISA_BEGIN

// Owns the windows and what is on its way: before each of them every spike up to its start is
// known, in order and sent, and what arrives from then on is in `pending_`, in `calendar_` or still
// to be read from outside.
template <class Real>
class WindowSimulator {
 public:
  WindowSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        watch_(interrupt, limits.worker),
        neurons_(plan, limits.spike_limit),
        lists_(plan),
        most_on_their_way_(QueueSimulator<Real, false>::most_pending(plan, limits)) {}

  // False: too many arrivals are on their way, which the queue is to judge.
  bool run(const ComponentSample<Real>& sample) {
    s_ = &sample;
    spikes_ = sample.spikes;
    until_ = sample.until;
    return run_component(sample.begin, sample.end);
  }

 private:
  bool run_component(const Id* begin, const Id* end) {
    SampleEnd<Real>& sample_end = s_->sample_end;
    start_lanes(begin, end);
    const Size n_lanes = lists_.lanes();
    // Of a window: the shortest delay within the component.
    const Real longest = read_delays(begin, end);
    collect_outside();
    // What is known beforehand goes in portions too, so that memory does not grow with the run.
    const Real span = last_outside_;
    const Real portion =
        span * (Real(24) * static_cast<Real>(n_lanes) / std::max(Real(1), outside_deliveries_));
    const Real longest_step =
        span > Real(0) ? std::min(longest, std::max(portion, span * Real(1e-6))) : longest;
    Real step = longest_step;
    pending_.clear();
    if (own_delays_) calendar_.begin(longest, until_, longest_delay_);
    for (Real start = Real(0);;) {
      watch_.did(n_lanes);
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
      advance(stop, last);
      neurons_.check_limit();
      for (const Id* p = begin; p != end; ++p) {
        SpikeList<Real>& list = spikes_[*p];
        const Size from = before_[*p - *begin];
        if (list.size() == from) continue;
        if (list.sort_from(from)) neurons_.follow(list, from, lists_.lane_of_neuron());
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
      const Real ratio =
          static_cast<Real>(16 * n_lanes) / static_cast<Real>(lists_.delivered() + 1);
      const Real most = outside_ends() ? longest : longest_step;
      step = std::clamp(step * std::min(Real(2), ratio), longest_step * shortest_step<Real>, most);
    }
  }

  void start_lanes(const Id* begin, const Id* end) {
    neurons_.clear();
    identical_ = true;
    const NeuronConstants<Real>& c = plan_.neurons;
    const Id one = plan_.population_offsets.data()[*begin];
    Id highest = *begin;
    for (const Id* p = begin; p != end; ++p) {
      highest = std::max(highest, *p);
      for (Id j = plan_.population_offsets.data()[*p]; j < plan_.population_offsets.data()[*p + 1];
           ++j) {
        identical_ &= c.same_motion(j, one);
        neurons_.add(j, s_->input.sample,
                     {s_->input.voltage ? s_->input.voltage[j] : Real(0),
                      s_->input.current ? s_->input.current[j] : Real(0)},
                     &spikes_[*p]);
      }
    }
    before_.resize(highest - *begin + 1);
    lists_.start(begin, end);
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
        calendar_.add({arrival, p.weight[k], k, sender, p.index, lists_.lane_of(p, unit, k)});
    }
    if (p.within_component) on_their_way_ += calendar_.size() - before;
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

  // Advances all lanes through the window.
  void advance(Real stop, bool last) {
    const Real limit = last ? until_ : std::nextafter(stop, -never<Real>);
    const auto go_through = [&](Size first, Size end) {
      for (Size k = first; k < end; ++k) neurons_.set_arrivals(k, lists_.begin(k));
      neurons_.advance(lists_.pairs(), lists_.order(), end - first, limit, last, identical_,
                       watch_);
    };
    if (!own_delays_) return lists_.each_block(window_, watch_, go_through);
    due_.clear();
    calendar_.take(stop, due_);
    for (const SynapseArrival<Real>& a : due_)
      taken_ += plan_.projections.data()[a.projection].within_component;
    lists_.all_lanes(window_, due_, watch_, go_through);
  }

  const Plan<Real>& plan_;
  PacedWatch watch_;
  const ComponentSample<Real>* s_ = nullptr;
  Real until_ = Real(0);

  IndependentNeurons<Real> neurons_;
  WindowLists<Real> lists_;
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
  Size on_their_way_ = 0;  // within loops, those that arrive in the window among them
  Size taken_ = 0;         // these
  const Size most_on_their_way_;
};

SNNFP_ISA_END
