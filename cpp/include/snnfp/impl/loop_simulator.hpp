#pragma once
// Populations that project to each other or to themselves through dense projections with one delay
// each or one a source unit, and receive nothing else: all that arrives at a population arrives at
// every neuron of it, so one vector loop an arrival moves them all, and only neurons that may cross
// meet the solver, many at once. The same record as the queue's, to the bit: each neuron sees the
// same events, and every event is computed by the same operations. Cost: an arrival takes
// O(neurons) multiplications.

#include <algorithm>
#include <cmath>
#include <memory>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/lanes.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class LoopSimulator {
 public:
  LoopSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        limits_(limits),
        watch_{interrupt, limits.worker},
        batch_(plan),
        last_spike_(plan.n_neurons),
        count_(plan.n_neurons, Size(0)),
        pending_of_(plan.n_neurons, 0),
        states_(plan.population_offsets.size() - 1) {}

  void run(const ComponentSample<Real>& sample) {
    s_ = &sample;
    excess_ = {};
    for (const Id* p = sample.begin; p != sample.end; ++p) {
      if (!states_[*p]) states_[*p] = std::make_unique<PopulationState>(plan_, *p);
      PopulationState& state = population(*p);
      state.reset(sample.input);
      std::fill_n(count_.begin() + state.first, state.size, Size(0));
      std::fill_n(pending_of_.begin() + state.first, state.size, 0);
    }
    collect_arrivals();
    run_component(sample.begin, sample.end);
  }

 private:
  // A neuron whose next crossing is looked for on its own: it may cross, or has spiked, since the
  // last arrival. It rejoins the others at the next one after its release.
  struct PendingSearches {
    Size count = 0;
    Vector<Id> neuron;
    Vector<Real> v, i, time;  // its state, and when
    Vector<Real> release;     // the end of its refractory time, or -infinity
    Vector<Real> next;        // its next crossing as far as known, and I and V' there
    Vector<Real> next_i, next_v1;
    Vector<Real> known;  // the horizon that `next` holds up to

    explicit PendingSearches(Size n) : neuron(n, 0) {
      for (Vector<Real>* x : {&v, &i, &time, &release, &next, &next_i, &next_v1, &known})
        x->resize(n, Real(0));
    }
    void add(Id j, Membrane<Real> s, Real at) {
      neuron[count] = j;
      v[count] = s.v;
      i[count] = s.i;
      time[count] = at;
      release[count] = -never<Real>;
      next[count] = never<Real>;
      known[count] = -never<Real>;
      ++count;
    }
    void move(Size from, Size to) {
      neuron[to] = neuron[from];
      for (Vector<Real>* x : {&v, &i, &time, &release, &next, &known}) (*x)[to] = (*x)[from];
    }
  };

  // What pending_of_ says of a neuron with a pending search: its state in the lanes holds too, or
  // only its own (0: none is pending).
  static constexpr unsigned char asked = 1, own = 2;

  // The lanes of a population are true at `now`, but for neurons with pending searches.
  struct PopulationState {
    Lanes<Real> lanes;
    Id first, size;
    LaneStates<Real> states;
    Real now = Real(0);
    Real moved_to = -never<Real>;  // the states' ends and the search hold for this time
    PendingSearches pending;

    PopulationState(const Plan<Real>& plan, Id p)
        : lanes(plan.neurons, plan.population_offsets.data()[p],
                plan.population_offsets.data()[p + 1] - plan.population_offsets.data()[p]),
          first(plan.population_offsets.data()[p]),
          size(static_cast<Id>(lanes.count)),
          states(size),
          pending(padded<Real>(size)) {}

    void reset(const SampleInput<Real>& input) {
      std::fill(states.v.begin(), states.v.end(), Real(0));
      std::fill(states.i.begin(), states.i.end(), Real(0));
      if (input.voltage) std::copy_n(input.voltage + first, size, states.v.begin());
      if (input.current) std::copy_n(input.current + first, size, states.i.begin());
      now = Real(0);
      moved_to = -never<Real>;
      states.arriving = nullptr;
      pending.count = 0;
    }
  };

  Arrival<Real> arrival_of(Id projection, Id unit, Real time) const {
    const ProjectionPlan<Real>& p = plan_.projections.data()[projection];
    const Size begin = p.row_begin(unit);
    return {time + p.row_delay(unit), p.source_first + unit, projection, begin, begin + p.n_target};
  }
  // A row of zeros changes nothing, not even rounding.
  bool silent(Id projection, Id unit) const {
    return plan_.projections.data()[projection].silent_row.data()[unit];
  }

  PopulationState& population(Id p) { return *states_[p]; }
  const PopulationState& population(Id p) const { return *states_[p]; }

  // What arrives at the component from outside.
  void collect_arrivals() {
    arrivals_.clear();
    s_->each_sent([&](const SentSpikes<Real>& sent) {
      for (Size k = 0; k < sent.count; ++k)
        keep(sent.projection->index, sent.unit(k), sent.time(k));
    });
    arrivals_.sort_known();
  }
  void keep(Id projection, Id unit, Real time) {
    if (silent(projection, unit)) return;
    const Arrival<Real> a = arrival_of(projection, unit, time);
    if (a.time <= s_->until) arrivals_.add_known(a);
  }

  void run_component(const Id* begin, const Id* end) {
    SampleEnd<Real>& sample_end = s_->sample_end;
    Size steps = 0;
    for (;;) {
      if ((++steps & 255) == 0) watch_.check();
      const bool last = arrivals_.empty();
      const Real horizon = last ? s_->until : arrivals_.top().time;
      // A spike may bring the next arrival forward: nothing after that is settled yet.
      Real cut = horizon;
      for (const Id* p = begin; p != end; ++p) {
        search(population(*p), horizon);
        if (population(*p).pending.count > 0) cut = std::min(cut, earliest_consequence(*p, cut));
      }
      const bool final = last && cut == horizon;
      for (const Id* p = begin; p != end; ++p)
        if (population(*p).pending.count > 0) fire(*p, cut, final);
      excess_.raise(plan_);
      if (sample_end.wanted() && sample_end.time() < cut) break;
      if (arrivals_.empty()) {
        if (final) break;
        continue;
      }
      const Real now = arrivals_.top().time;
      if (now > cut) continue;
      do {
        const Arrival<Real> a = arrivals_.top();
        arrivals_.pop();
        deliver(a);
      } while (!arrivals_.empty() && arrivals_.top().time == now);
    }
  }

  // Finds the next crossing up to `horizon` of every neuron, if nothing arrives before.
  void search(PopulationState& p, Real horizon) {
    if (p.moved_to < horizon) {
      const auto part = [&](Size k) {
        if (pending_of_[p.first + k]) return;
        pending_of_[p.first + k] = asked;
        p.pending.add(p.first + static_cast<Id>(k), {p.states.v[k], p.states.i[k]}, p.now);
      };
      const Real d = horizon - p.now;
      if (!(horizon < never<Real>)) {
        // Without an end in sight every neuron is asked.
        add_arriving(p.lanes, p.states);
        for (Size k = 0; k < p.size; ++k) part(k);
      } else if (d > Real(0)) {
        move_lanes<true>(p.lanes, d, horizon, p.states);
        if (p.states.doubt) find_crossing_lanes(p.lanes, d, horizon, p.states, part);
      }
      p.moved_to = horizon;
    }
    if (p.pending.count > 0) ask(p, horizon, false);
  }

  // Asks the solver for what is not known yet about neurons with pending searches.
  void ask(PopulationState& p, Real horizon, bool filter) {
    PendingSearches& a = p.pending;
    batch_.clear();
    Membrane<Real> last;
    Real last_from;
    for (Size k = 0; k < a.count; ++k) {
      if (a.known[k] >= horizon || a.next[k] < never<Real>) continue;
      a.known[k] = horizon;
      Membrane<Real> s{a.v[k], a.i[k]};
      Real from = a.time[k];
      if (a.release[k] > -never<Real>) {
        if (!(a.release[k] < horizon)) continue;
        from = a.release[k];
        s.i = released_current(a, k);
      }
      if (!(from < horizon)) continue;
      batch_.add(a.neuron[k], k, s, from, horizon);
      last = s;
      last_from = from;
    }
    if (batch_.size() == 0) return;
    if (batch_.size() == 1 && !filter) {
      // One alone is done sooner without a pack around it.
      const Size k = batch_.tag(0);
      const Real at = crossing_time(plan_.neurons, a.neuron[k], last, last_from);
      if (!(at <= horizon) || !(at < never<Real>)) return;
      const Neuron<Real> n(plan_.neurons, a.neuron[k]);
      const Membrane<Real> there = propagate(last, at - last_from, n);
      found(a, k, at, there.i, slope_after(last, at - last_from, there, n), last);
      return;
    }
    batch_.solve(p.lanes.identical, filter);
    for (Size m = 0; m < batch_.size(); ++m)
      if (batch_.crossing(m) < never<Real> && batch_.crossing(m) <= horizon)
        found(a, batch_.tag(m), batch_.crossing(m), batch_.current(m), batch_.slope_at(m),
              batch_.start(m));
  }

  // A crossing, from state `start` on. Where V does not rise it only touches, as far as rounding
  // can tell.
  void found(PendingSearches& a, Size k, Real time, Real i, Real v1, Membrane<Real> start) {
    if (!(v1 > Real(0))) {
      if (clock_hides_spike(start, Neuron<Real>(plan_.neurons, a.neuron[k])))
        throw_clock(plan_, s_->input.sample, a.neuron[k], time);
      a.known[k] = never<Real>;
      return;
    }
    a.next[k] = time;
    a.next_i[k] = i;
    a.next_v1[k] = v1;
  }

  // I of a neuron held since `time`, at its release.
  Real released_current(const PendingSearches& a, Size k) const {
    const Neuron<Real> n(plan_.neurons, a.neuron[k]);
    const Real d = a.release[k] - a.time[k];
    return d > Real(0) ? propagate_current(a.i[k], d, n) : a.i[k];
  }

  // When the first spike found could arrive within the component at the earliest, or infinity.
  Real earliest_consequence(Id population, Real horizon) const {
    const PendingSearches& a = this->population(population).pending;
    Real first = never<Real>;
    for (Size k = 0; k < a.count; ++k) first = std::min(first, a.next[k]);
    if (!(first <= horizon)) return never<Real>;
    Real earliest = never<Real>;
    for (const Id q : plan_.from_population.data()[population]) {
      const ProjectionPlan<Real>& p = plan_.projections.data()[q];
      if (p.within_component) earliest = std::min(earliest, first + p.shortest_delay);
    }
    return earliest;
  }

  // Lets the population spike up to `cut`, and release what is due before it (`final`: at it too).
  void fire(Id population, Real cut, bool final) {
    PopulationState& p = this->population(population);
    PendingSearches& a = p.pending;
    SpikeList<Real>& spikes = s_->spikes[population];
    const Size before = spikes.size();
    for (bool again = true; again;) {
      again = false;
      for (Size k = 0; k < a.count; ++k) {
        if (!(a.next[k] < never<Real>) || a.next[k] > cut) continue;
        again = true;
        if (a.release[k] > -never<Real>) release(a, k, spikes);
        const Id j = a.neuron[k];
        const Real time = a.next[k];
        if (++count_[j] > limits_.spike_limit) {
          excess_.see(s_->input.sample, j, time, count_[j]);
          a.next[k] = never<Real>;
          a.known[k] = never<Real>;
          continue;
        }
        last_spike_[j] = spikes.size();
        spikes.push_back(time, j, a.next_v1[k]);
        const Real refractory = plan_.refractory(j, count_[j]);
        pending_of_[j] = own;
        a.v[k] = plan_.neurons.v_reset.data()[j];
        a.i[k] = a.next_i[k];
        a.time[k] = time;
        a.next[k] = never<Real>;
        a.known[k] = -never<Real>;
        if (refractory > Real(0)) {
          a.release[k] = time + refractory;
        } else {
          spikes.set_release_current(last_spike_[j], a.i[k]);
        }
      }
      if (again) ask(p, cut, true);
    }
    for (Size k = 0; k < a.count; ++k)
      if (a.release[k] > -never<Real> && (a.release[k] < cut || (final && a.release[k] <= cut)))
        release(a, k, spikes);
    if (spikes.size() == before) return;
    order(spikes, before);
    if (s_->sample_end.wanted()) s_->sample_end.see(spikes, before);
    for (const Id q : plan_.from_population.data()[population]) {
      if (!plan_.projections.data()[q].within_component) continue;
      for (Size k = before; k < spikes.size(); ++k) {
        const Id unit = spikes[k].neuron - p.first;
        if (silent(q, unit)) continue;
        const Arrival<Real> arrival = arrival_of(q, unit, spikes[k].time);
        if (arrival.time <= s_->until) arrivals_.push(arrival);
      }
    }
  }

  void release(PendingSearches& a, Size k, SpikeList<Real>& spikes) {
    a.i[k] = released_current(a, k);
    a.time[k] = a.release[k];
    a.release[k] = -never<Real>;
    spikes.set_release_current(last_spike_[a.neuron[k]], a.i[k]);
  }

  // Puts the spikes from `begin` on in order by (time, neuron); all before them are earlier.
  void order(SpikeList<Real>& spikes, Size begin) {
    if (!spikes.sort_from(begin)) return;
    for (Size k = begin; k < spikes.size(); ++k) last_spike_[spikes[k].neuron] = k;
  }

  void deliver(const Arrival<Real>& arrival) {
    const ProjectionPlan<Real>& q = plan_.projections.data()[arrival.projection];
    PopulationState& p = population(q.target_population);
    const Real d = arrival.time - p.now;
    if (d > Real(0)) {
      if (p.moved_to != arrival.time) move_lanes<false>(p.lanes, d, arrival.time, p.states);
      p.states.v.swap(p.states.v_end);
      p.states.i.swap(p.states.i_end);
      p.now = arrival.time;
    }
    p.moved_to = arrival.time;
    if (p.pending.count > 0) rejoin(p, arrival.time);
    const Real* w = q.weight + arrival.begin;
    add_arriving(p.lanes, p.states);
    p.states.arriving = w;
    for (Size k = 0; k < p.pending.count; ++k) p.pending.i[k] += w[p.pending.neuron[k] - p.first];
  }

  // Neurons with pending searches that have spiked come to the arrival on their own, and rejoin the
  // others where they are free. Those that have not were among the others all along.
  void rejoin(PopulationState& p, Real time) {
    PendingSearches& a = p.pending;
    using P = Pack<Real>;
    Size stay = 0;
    for (Size k = 0; k < a.count; ++k) {
      if (pending_of_[a.neuron[k]] == asked) {
        pending_of_[a.neuron[k]] = 0;
      } else {
        if (stay != k) a.move(k, stay);
        ++stay;
      }
    }
    a.count = stay;
    for (Size k = 0; k < a.count; k += P::width) {
      const P d = P(time) - P::load(&a.time[k]);
      const auto later = d > P(Real(0));
      if (!any(later)) continue;
      const Neuron<P> n = p.lanes.identical ? Neuron<P>(plan_.neurons, p.first)
                                            : Neuron<P>::gather(plan_.neurons, &a.neuron[k]);
      const Membrane<P> s{P::load(&a.v[k]), P::load(&a.i[k])};
      const auto held = P::load(&a.release[k]) > P(-never<Real>);
      const Membrane<P> moved = propagate(s, select(later, d, P(Real(0))), n);
      select(held | !later, s.v, moved.v).store(&a.v[k]);
      select(later, moved.i, s.i).store(&a.i[k]);
    }
    stay = 0;
    for (Size k = 0; k < a.count; ++k) {
      const Id j = a.neuron[k];
      if (a.release[k] > -never<Real>) {
        a.time[k] = time;
        a.next[k] = never<Real>;
        a.known[k] = -never<Real>;
        if (stay != k) a.move(k, stay);
        ++stay;
      } else {
        p.states.v[j - p.first] = a.v[k];
        p.states.i[j - p.first] = a.i[k];
        pending_of_[j] = 0;
      }
    }
    a.count = stay;
  }

  const Plan<Real>& plan_;
  const RunLimits& limits_;
  const Watch watch_;
  const ComponentSample<Real>* s_ = nullptr;

  ArrivalQueue<Real> arrivals_;
  CrossingBatch<Real> batch_;
  FirstExcess<Real> excess_;
  Vector<Size> last_spike_, count_;
  Vector<unsigned char> pending_of_;
  std::vector<std::unique_ptr<PopulationState>> states_;  // of each population that has run
};

SNNFP_ISA_END
