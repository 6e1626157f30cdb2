#pragma once
// One sample of a graph of dense projections with one delay each, component by component: all that
// arrives at a population arrives at every neuron of it, so one vector loop an arrival moves them
// all, and only neurons that may cross meet the solver. The same record as the queue's, to the bit:
// each neuron sees the same events, and every event is computed by the same operations.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/lanes.hpp"
#include "snnfp/detail/spike_list.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class SweepSimulator {
 public:
  // Whether every projection is dense with one delay.
  static bool suits(const Plan<Real>& plan) {
    for (const ProjectionPlan<Real>& p : plan.projections)
      if (p.connectivity != Connectivity::dense || !p.shared_delay) return false;
    return true;
  }

  SweepSimulator(const Plan<Real>& plan, const SampleInput<Real>& input, const RunLimits& limits,
                 Interrupt& interrupt)
      : plan_(plan),
        input_(input),
        limits_(limits),
        interrupt_(interrupt),
        until_(static_cast<Real>(limits.until)),
        own_(plan.n_neurons),
        v_(plan.n_neurons, Real(0)),
        i_(plan.n_neurons, Real(0)),
        v_end_(plan.n_neurons),
        i_end_(plan.n_neurons),
        open_(plan.n_neurons),
        apart_(plan.n_neurons, 0),
        apart_time_(plan.n_neurons),
        apart_state_(plan.n_neurons),
        last_spike_(plan.n_neurons),
        count_(plan.n_neurons, Size(0)),
        outgoing_(plan.projections.size()) {
    const Id n_populations = static_cast<Id>(plan.population_offsets.size()) - 1;
    for (Id p = 0; p < n_populations; ++p)
      populations_.push_back(PopulationState(plan, p));
    if (input.voltage) std::copy_n(input.voltage, plan.n_neurons, v_.begin());
    if (input.current) std::copy_n(input.current, plan.n_neurons, i_.begin());
  }

  void run() {
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g) {
      const InputSpikes<Real>& in = input_.groups[g];
      for (const Id p : plan_.from_input.data()[g]) {
        outgoing_[p].reserve(in.count);
        for (Size k = 0; k < in.count; ++k) keep(p, in.units[k], in.times[k]);
      }
    }
    for (std::size_t c = 0; c + 1 < plan_.component_offsets.size(); ++c)
      if (!run_component(plan_.components.data() + plan_.component_offsets.data()[c],
                         plan_.components.data() + plan_.component_offsets.data()[c + 1]))
        return;
  }

  // In the order of a record: by (time, neuron).
  const SpikeList<Real>& ordered_spikes() {
    struct Key {
      Real time;
      Id neuron;
      Size index;
      bool operator<(const Key& o) const {
        return time != o.time ? time < o.time : neuron < o.neuron;
      }
    };
    Vector<Key> keys(spikes_.size());
    for (Size k = 0; k < spikes_.size(); ++k) keys[k] = {spikes_.time(k), spikes_.neuron(k), k};
    if (std::is_sorted(keys.begin(), keys.end())) return spikes_;
    std::sort(keys.begin(), keys.end());
    const SampleSpikes<Real> all = spikes_.view();
    ordered_.reserve(spikes_.size());
    for (const Key& key : keys) {
      ordered_.push_back(key.time, key.neuron, all.slopes[key.index]);
      ordered_.set_release_current(ordered_.size() - 1, all.release_currents[key.index]);
    }
    return ordered_;
  }

 private:
  using Kind = typename NeuronQueue<Real>::Kind;

  // The lanes of a population are true at `now`. Neurons "apart" have spiked since and have a time
  // and a state of their own until the next arrival after their release.
  struct PopulationState {
    Lanes<Real> lanes;
    Id first, size;
    Real now = Real(0);
    Real moved_to = -never<Real>;  // v_end, i_end and predictions hold for this time
    bool member = false;           // of the component being run
    Vector<Id> apart;
    Vector<Id> predicted;  // neurons with a crossing in the queue of own events

    PopulationState(const Plan<Real>& plan, Id p)
        : lanes(plan.neurons, plan.population_offsets.data()[p],
                plan.population_offsets.data()[p + 1] - plan.population_offsets.data()[p]),
          first(plan.population_offsets.data()[p]),
          size(static_cast<Id>(lanes.count)) {}
  };

  void keep(Id projection, Id unit, Real time) {
    const ProjectionPlan<Real>& p = plan_.projections.data()[projection];
    // A row of zeros changes nothing, not even rounding.
    if (p.silent_row.data()[unit]) return;
    const Real arrival = time + p.delay[0];
    if (arrival > until_) return;
    const Size begin = p.row_begin(unit);
    outgoing_[projection].push_back(
        {arrival, p.source_first + unit, projection, begin, begin + p.n_target});
  }

  bool run_component(const Id* begin, const Id* end) {
    members_.assign(begin, end);
    for (const Id p : members_) populations_[p].member = true;
    arrivals_ = ArrivalQueue<Real>();
    for (const Id p : members_)
      for (const Id q : plan_.into_population.data()[p]) {
        for (const Arrival<Real>& a : outgoing_[q]) arrivals_.add_known(a);
        outgoing_[q].clear();
      }
    arrivals_.sort_known();
    Size steps = 0;
    for (;;) {
      if ((++steps & 1023) == 0 && interrupt_.check(limits_.worker)) return false;
      const Real arrival = arrivals_.empty() ? never<Real> : arrivals_.top().time;
      const Real horizon = std::min(arrival, until_);
      for (const Id p : members_) look_ahead(populations_[p], horizon);
      // A spike may bring the next arrival forward, so it is asked for again each time.
      while (!own_.empty() && own_before_arrival()) {
        if ((++steps & 1023) == 0 && interrupt_.check(limits_.worker)) return false;
        const Id j = own_.top();
        const Real time = own_.time(j);
        if (own_.kind(j) == Kind::crossing) {
          spike(j, time);
        } else {
          release(j, time);
        }
      }
      if (arrivals_.empty() || arrivals_.top().time > until_) break;
      const Arrival<Real> a = arrivals_.top();
      arrivals_.pop();
      deliver(a);
    }
    for (const Id p : members_) {
      populations_[p].member = false;
      for (const Id j : populations_[p].apart) own_.remove(j);
      for (const Id j : populations_[p].predicted) own_.remove(j);
    }
    return true;
  }

  bool own_before_arrival() const {
    const Id j = own_.top();
    const Real time = own_.time(j);
    if (time > until_) return false;
    if (arrivals_.empty()) return true;
    const Real arrival = arrivals_.top().time;
    return time < arrival || (time == arrival && own_.kind(j) == Kind::crossing);
  }

  // Finds the crossings of the population up to `horizon`, if nothing arrives before.
  void look_ahead(PopulationState& p, Real horizon) {
    if (p.moved_to >= horizon) return;
    p.moved_to = horizon;
    // Without an end in sight every neuron that can cross at all is asked.
    const bool endless = !(horizon < never<Real>);
    const Real d = horizon - p.now;
    if (!endless && !(d > Real(0))) return;
    Real* open = &open_[p.first];
    if (endless) {
      std::fill_n(open, p.size, Real(1));
    } else if (!move_lanes(p.lanes, d, &v_[p.first], &i_[p.first], &v_end_[p.first],
                           &i_end_[p.first], open)) {
      return;
    }
    for (Id k = 0; k < p.size; ++k) {
      if (open[k] == Real(0)) continue;
      const Id j = p.first + k;
      if (apart_[j] || own_.holds(j)) continue;
      const Real time = crossing_time(plan_.neurons, j, Membrane<Real>{v_[j], i_[j]}, p.now);
      if (time <= horizon) {
        own_.set(j, time, Kind::crossing);
        p.predicted.push_back(j);
      }
    }
  }

  void spike(Id j, Real time) {
    PopulationState& p = populations_[plan_.population_of.data()[j]];
    const Neuron<Real> n(plan_.neurons, j);
    const bool was_apart = apart_[j];
    const Membrane<Real> state = was_apart ? apart_state_[j] : Membrane<Real>{v_[j], i_[j]};
    const Real since = was_apart ? apart_time_[j] : p.now;
    const Membrane<Real> before = propagate(state, time - since, n);
    const Real v1 = slope(before, n);
    if (!(v1 > Real(0))) {
      // Touching, as far as rounding can tell; it does not come back before the next arrival.
      own_.set(j, never<Real>, Kind::crossing);
      return;
    }
    if (++count_[j] > limits_.spike_limit)
      throw_spike_limit(plan_, input_.sample, j, time, count_[j]);
    last_spike_[j] = spikes_.size();
    spikes_.push_back(time, j, v1);
    if (!was_apart) p.apart.push_back(j);
    apart_[j] = held_apart;
    apart_state_[j] = {n.v_reset, before.i};
    apart_time_[j] = time;
    if (n.t_refractory > Real(0)) {
      own_.set(j, time + n.t_refractory, Kind::release);
    } else {
      release(j, time);
    }
    for (const Id q : plan_.from_population.data()[plan_.population_of.data()[j]]) {
      keep(q, j - p.first, time);
      // Within the component it may arrive before anything else does.
      if (populations_[plan_.projections.data()[q].target_population].member) {
        for (const Arrival<Real>& a : outgoing_[q]) arrivals_.push(a);
        outgoing_[q].clear();
      }
    }
  }

  void release(Id j, Real time) {
    const Neuron<Real> n(plan_.neurons, j);
    advance_apart(j, time, n, true);
    apart_[j] = free_apart;
    spikes_.set_release_current(last_spike_[j], apart_state_[j].i);
    const Real next = crossing_time(plan_.neurons, j, apart_state_[j], time);
    own_.set(j, next, Kind::crossing);
  }

  void advance_apart(Id j, Real time, const Neuron<Real>& n, bool held) {
    const Real d = time - apart_time_[j];
    if (!(d > Real(0))) return;
    const Membrane<Real> moved = propagate(apart_state_[j], d, n);
    apart_state_[j].i = moved.i;
    if (!held) apart_state_[j].v = moved.v;
    apart_time_[j] = time;
  }

  void deliver(const Arrival<Real>& a) {
    const ProjectionPlan<Real>& q = plan_.projections.data()[a.projection];
    PopulationState& p = populations_[q.target_population];
    const Real d = a.time - p.now;
    if (d > Real(0)) {
      if (p.moved_to != a.time)
        move_lanes(p.lanes, d, &v_[p.first], &i_[p.first], &v_end_[p.first], &i_end_[p.first],
                   &open_[p.first]);
      std::copy_n(&v_end_[p.first], p.size, &v_[p.first]);
      std::copy_n(&i_end_[p.first], p.size, &i_[p.first]);
      p.now = a.time;
    }
    p.moved_to = a.time;
    for (const Id j : p.predicted)
      if (!apart_[j]) own_.remove(j);
    p.predicted.clear();
    // Neurons apart come to the arrival on their own; those that are free rejoin the others.
    std::size_t stay = 0;
    for (const Id j : p.apart) {
      const bool held = apart_[j] == held_apart;
      advance_apart(j, a.time, Neuron<Real>(plan_.neurons, j), held);
      if (held) {
        p.apart[stay++] = j;
      } else {
        v_[j] = apart_state_[j].v;
        i_[j] = apart_state_[j].i;
        apart_[j] = 0;
        own_.remove(j);
      }
    }
    p.apart.resize(stay);
    const Real* w = q.weight + a.begin;
    Real* i = &i_[p.first];
#pragma GCC ivdep
    for (Id k = 0; k < p.size; ++k) i[k] += w[k];
    for (const Id j : p.apart) apart_state_[j].i += w[j - p.first];
  }

  // Values of apart_; 0: with the others.
  static constexpr unsigned char held_apart = 1, free_apart = 2;

  const Plan<Real>& plan_;
  const SampleInput<Real>& input_;
  const RunLimits& limits_;
  Interrupt& interrupt_;
  const Real until_;

  ArrivalQueue<Real> arrivals_;
  NeuronQueue<Real> own_;
  Vector<Real> v_, i_, v_end_, i_end_, open_;
  Vector<unsigned char> apart_;
  Vector<Real> apart_time_;
  Vector<Membrane<Real>> apart_state_;
  Vector<Size> last_spike_, count_;
  Vector<Vector<Arrival<Real>>> outgoing_;  // of each projection: spikes not yet handed over
  Vector<PopulationState> populations_;
  Vector<Id> members_;
  SpikeList<Real> spikes_, ordered_;
};

SNNFP_ISA_END
