#pragma once
// One sample through an event queue: any graph, zero delays included. The whole network or one of
// its components; either the neurons find their own crossings (simulate) or their spikes are given
// (replay). Cost: O(log(events under way)) and one crossing search a delivery.

#include <cmath>
#include <optional>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/excursion.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

template <class Real, bool Replay, class Model = LifModel>
class QueueSimulator {
 public:
  QueueSimulator(const ComponentSample<Real, Model>& sample, const RunLimits& limits,
                 Interrupt& interrupt)
      : plan_(sample.plan),
        s_(sample),
        limits_(limits),
        watch_(interrupt, limits.worker),
        until_(sample.until),
        own_(plan_.n_neurons),
        time_(plan_.n_neurons, Real(0)),
        state_(plan_.n_neurons, StateOf<Model, Real>{Real(0), Real(0)}),
        mode_(plan_.n_neurons, Mode::free),
        last_spike_(plan_.n_neurons, Size(-1)),
        count_(plan_.n_neurons, Size(0)) {
    each_neuron([&](Id j) {
      if (s_.input.voltage) state_[j].v = s_.input.voltage[j];
      if (s_.input.current) state_[j].i = s_.input.current[j];
    });
    most_pending_ = most_pending(plan_, limits);
  }

  // How many arrivals may be on their way where synapses or target neurons within a loop have their
  // own delays.
  static Size most_pending(const PlanGraph<Real>& plan, const RunLimits& limits) {
    Size synapses = 0;
    for (const ProjectionPlan<Real>& p : plan.projections)
      if (piles_up(p)) synapses += p.synapses();
    return std::max(synapses * most_on_their_way(limits.spike_limit), Size(1) << 20);
  }

  // How many spikes may be on their way through each synapse, on average, where those of a
  // source unit differ in delay: an arrival each in memory. Runaway firing comes here long before a
  // neuron has fired spike_limit spikes, and takes seconds and gigabytes from then on.
  static Size most_on_their_way(Size spike_limit) {
    return std::clamp<Size>(spike_limit / 200, 50, Size(1) << 30);
  }

  // Replay only: the spikes to fire, and who judges them, if anybody.
  void give(const SampleSpikes<Real>& spikes, ReplayJudge* judge) {
    given_ = spikes;
    judge_ = judge;
    if (judge) excursions_.emplace(plan_.n_neurons, *judge);
    after_.assign(static_cast<std::size_t>(spikes.count), Size(-1));
    Vector<Size> next(plan_.n_neurons, Size(-1));
    for (Size k = spikes.count; k-- > 0;) {
      after_[k] = next[spikes.neurons[k]];
      next[spikes.neurons[k]] = k;
    }
    next_given_ = next;
  }

  void run(const ProbePoints<Real>* probe) {
    add_known_arrivals();
    each_neuron([&](Id j) { schedule(j); });
    Size probed = 0;
    for (;;) {
      watch_.did(1);
      const bool own = !own_.empty() && own_first();
      const bool arrival = !own && !arrivals_.empty();
      const Real time = own ? own_.time(own_.top()) : arrival ? arrivals_.top().time : never<Real>;
      if (probe) {
        for (; probed < probe->n_times && probe->times[probed] < time; ++probed)
          sample_state(*probe, probed);
      }
      if (!(own || arrival) || time > until_) break;
      if (arrival) {
        const Arrival<Real> a = arrivals_.top();
        arrivals_.pop();
        deliver(a);
      } else if (own_.kind(own_.top()) == NeuronQueue<Real>::Kind::crossing) {
        spike(own_.top(), time);
      } else {
        release(own_.top(), time);
      }
    }
    if (probe)
      for (; probed < probe->n_times; ++probed) sample_state(*probe, probed);
    if constexpr (Replay)
      if (excursions_) each_neuron([&](Id j) { end_excursion(j); });
  }

  const SpikeList<Real>& spikes() const { return spikes_; }
  const Real* residuals() const { return residuals_.data(); }

 private:
  using Kind = typename NeuronQueue<Real>::Kind;
  // Held: refractory, V waits at v_reset for its release. Denormal: free, its state is raised
  // (denormal.hpp) and cannot cross until something arrives.
  enum class Mode : unsigned char { free, held, denormal };

  // Whether each spike puts an arrival a synapse on its way around a loop.
  static bool piles_up(const ProjectionPlan<Real>& p) {
    return p.within_component && !p.arrives_at_once();
  }

  bool own_first() const {
    if (arrivals_.empty()) return true;
    const Id j = own_.top();
    const Real time = own_.time(j), arrival = arrivals_.top().time;
    return time < arrival || (time == arrival && own_.kind(j) == Kind::crossing);
  }

  template <class Visit>
  void each_neuron(const Visit& visit) const {
    for (const Id* p = s_.begin; p != s_.end; ++p)
      for (Id j = plan_.population_offsets.data()[*p]; j < plan_.population_offsets.data()[*p + 1];
           ++j)
        visit(j);
  }

  // Of what comes from outside.
  void add_known_arrivals() {
    s_.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& p = *sent.projection;
      for (Size k = 0; k < sent.count; ++k)
        send(p.source_first + sent.unit(k), sent.unit(k), p.index, sent.time(k), true);
    });
    arrivals_.sort_known();
  }

  // The arrivals of one spike through one projection.
  void send(Id sender, Id unit, Id projection, Real time, bool known) {
    const ProjectionPlan<Real>& p = plan_.projections.data()[projection];
    const auto add = [&](const Arrival<Real>& a) {
      if (a.time > until_) return;
      if (known) {
        arrivals_.add_known(a);
      } else {
        arrivals_.push(a);
      }
    };
    const Size begin = p.row_begin(unit), end = p.row_end(unit);
    watch_.did(p.arrives_at_once() ? 1 : end - begin);
    if (p.arrives_at_once()) {
      // A row of zeros changes nothing, not even rounding.
      if (!p.silent_row.empty() && p.silent_row.data()[unit]) return;
      if (begin < end) add({time + p.row_delay(unit), sender, projection, begin, end});
    } else {
      const Size before = arrivals_.on_the_way();
      for (Size k = begin; k < end; ++k)
        if (p.weight[k] != Real(0)) add({time + p.delay_of(unit, k), sender, projection, k, k + 1});
      if (piles_up(p)) pending_ += arrivals_.on_the_way() - before;
    }
  }

  void deliver(const Arrival<Real>& a) {
    const ProjectionPlan<Real>& p = plan_.projections.data()[a.projection];
    const Id unit = a.sender - p.source_first;
    const bool whole_row = p.connectivity == Connectivity::dense && p.arrives_at_once();
    if (piles_up(p)) --pending_;
    watch_.did(a.end - a.begin);
    for (Size k = a.begin; k < a.end; ++k) {
      const Real w = p.weight[k];
      if (w == Real(0) && !whole_row) continue;
      const Id j = p.target_of(unit, k);
      advance(j, a.time);
      if (w != Real(0) && mode_[j] == Mode::denormal) wake(j);
      state_[j].i += w;
      if (mode_[j] == Mode::free && !Replay) schedule(j);
    }
  }

  void advance(Id j, Real time) {
    const Real from = time_[j], d = time - from;
    if (d > Real(0)) {
      time_[j] = time;
      if (mode_[j] == Mode::denormal) return advance_denormal(j, d);
      const NeuronOf<Model, Real> n(plan_.neurons, j);
      const StateOf<Model, Real> moved = propagate(state_[j], d, n);
      if constexpr (Replay)
        if (excursions_ && mode_[j] == Mode::free)
          excursions_->pass(j, n, state_[j], from, moved, time);
      state_[j].i = moved.i;
      if (mode_[j] == Mode::held) return;
      state_[j].v = moved.v;
      if (Model::template Denormal<Real>::may_suit(moved)) fade(j);
    }
  }

  // Rare, and out of the way of the others.
  [[gnu::noinline]] void advance_denormal(Id j, Real d) {
    state_[j] = Model::template Denormal<Real>::moved(state_[j], d,
                                                      NeuronOf<Model, Real>(plan_.neurons, j));
  }
  [[gnu::noinline]] void fade(Id j) {
    if (!Model::template Denormal<Real>::suits(state_[j], NeuronOf<Model, Real>(plan_.neurons, j)))
      return;
    state_[j] = Model::template Denormal<Real>::raised(state_[j]);
    mode_[j] = Mode::denormal;
    if (!Replay) own_.remove(j);
  }
  void wake(Id j) {
    state_[j] = Model::template Denormal<Real>::lowered(state_[j]);
    mode_[j] = Mode::free;
  }

  // What neuron j does next by itself: its next crossing from its present state or its next given
  // spike; where it is held, its release.
  void schedule(Id j) {
    const bool held = mode_[j] == Mode::held;
    const Real released = held ? release_time(j) : never<Real>;
    Real time = never<Real>;
    if constexpr (Replay) {
      if (next_given_[j] >= 0) time = given_.times[next_given_[j]];
    } else if (!held) {
      time = crossing_time(plan_.neurons, j, state_[j], time_[j]);
    }
    if (held && !(time <= released)) {
      own_.set(j, released, Kind::release);
    } else if (time < never<Real> && time <= until_) {
      own_.set(j, time, Kind::crossing);
    } else {
      own_.remove(j);
    }
  }
  // Of the neuron's last spike.
  Real release_time(Id j) const {
    return spikes_[last_spike_[j]].time + plan_.refractory(j, count_[j]);
  }

  void spike(Id j, Real time) {
    const NeuronOf<Model, Real> n(plan_.neurons, j);
    if (mode_[j] == Mode::denormal) wake(j);
    const StateOf<Model, Real> last = state_[j];
    const Real d = time - time_[j];
    StateOf<Model, Real> before = propagate(last, d, n);
    Real v1 = slope_after(last, d, before, n);
    if constexpr (Replay) {
      if (mode_[j] == Mode::held) {
        before.v = last.v;
        v1 = Real(0);
      }
      const Size k = next_given_[j];
      next_given_[j] = after_[k];
      if (!accept(j, k, before, v1, n)) return schedule(j);
      if (excursions_ && mode_[j] != Mode::held) {
        excursions_->pass(j, n, last, time_[j], before, time);
        excursions_->end(j, true);
      }
      residuals_.push_back(before.v - n.threshold);
      if (mode_[j] == Mode::held) spikes_.set_release_current(last_spike_[j], before.i);
    } else if (!(v1 > Real(0))) {
      if (clock_hides_spike(state_[j], n)) throw_clock(plan_, s_.input.sample, j, time);
      own_.remove(j);  // touching, as far as rounding can tell
      return;
    } else if (count_[j] >= limits_.spike_limit) {
      throw_spike_limit(plan_, s_.input.sample, j, time, count_[j] + 1);
    }
    ++count_[j];
    last_spike_[j] = spikes_.size();
    spikes_.push_back(time, j, v1);
    if (s_.sample_end.wanted()) {
      s_.sample_end.see(j, time);
      until_ = std::min(until_, s_.sample_end.time());
    }
    state_[j] = {n.v_reset, before.i};
    time_[j] = time;
    if (plan_.refractory(j, count_[j]) > Real(0)) {
      mode_[j] = Mode::held;
      schedule(j);
    } else {
      release(j, time);
    }
    const Id population = plan_.population_of.data()[j];
    for (const Id p : plan_.from_population.data()[population])
      if (s_.inside(plan_.projections.data()[p]))
        send(plan_.n_inputs + j, j - plan_.population_offsets.data()[population], p, time, false);
    if (!Replay && pending_ > most_pending_)
      throw_runaway(plan_, s_.input.sample, j, time, count_[j], pending_, most_pending_);
  }

  // Judges given spike k of neuron j; false where it is to be dropped. One that has no derivative
  // gets an infinite slope.
  bool accept(Id j, Size k, StateOf<Model, Real> before, Real& v1,
              const NeuronOf<Model, Real>& n) const {
    using Reason = ImpossibleSpike::Reason;
    const Real residual = before.v - n.threshold;
    Reason reason;
    Real value;
    if (last_spike_[j] >= 0 && !(given_.times[k] > release_time(j))) {
      reason = Reason::refractory;
      value = release_time(j);
    } else if (!(v1 > Real(0))) {
      reason = Reason::falling;
      value = v1;
    } else if (judge_ && !(std::abs(residual) <= judge_->tolerance)) {
      reason = Reason::residual;
      value = residual;
    } else {
      return true;
    }
    if (reason != Reason::residual) v1 = never<Real>;
    if (judge_) judge_->impossible(k, reason, value);
    return !judge_ || !judge_->drop;
  }

  void release(Id j, Real time) {
    const NeuronOf<Model, Real> n(plan_.neurons, j);
    advance(j, time);
    mode_[j] = Mode::free;
    spikes_.set_release_current(last_spike_[j], state_[j].i);
    schedule(j);
  }

  // The rest of the recording, or for ever.
  void end_excursion(Id j) {
    if (mode_[j] != Mode::free) return;
    const NeuronOf<Model, Real> n(plan_.neurons, j);
    const StateOf<Model, Real> last = state_[j];
    const StateOf<Model, Real> end =
        until_ < never<Real> ? propagate(last, until_ - time_[j], n) : at_rest(last, n);
    excursions_->pass(j, n, last, time_[j], end, until_);
    excursions_->end(j, false);
  }

  void sample_state(const ProbePoints<Real>& probe, Size at) {
    watch_.did(probe.n_neurons);
    const Real time = probe.times[at];
    for (Size q = 0; q < probe.n_neurons; ++q) {
      const Id j = probe.neurons[q];
      const NeuronOf<Model, Real> n(plan_.neurons, j);
      StateOf<Model, Real> last = state_[j];
      if (mode_[j] == Mode::denormal) last = Model::template Denormal<Real>::lowered(last);
      const StateOf<Model, Real> s = propagate(last, time - time_[j], n);
      probe.voltage[q * probe.n_times + at] = mode_[j] == Mode::held ? state_[j].v : s.v;
      probe.current[q * probe.n_times + at] = s.i;
    }
  }

  const PlanOf<Model, Real>& plan_;
  const ComponentSample<Real, Model>& s_;
  const RunLimits& limits_;
  PacedWatch watch_;
  Real until_;

  ArrivalQueue<Real> arrivals_;
  NeuronQueue<Real> own_;
  Vector<Real> time_;                   // when state_ was true
  Vector<StateOf<Model, Real>> state_;  // decayed lazily
  Vector<Mode> mode_;
  Vector<Size> last_spike_;
  Vector<Size> count_;
  Size pending_ = 0, most_pending_ = 0;  // arrivals that pile up
  SpikeList<Real> spikes_;

  SampleSpikes<Real> given_;
  ReplayJudge* judge_ = nullptr;
  std::optional<Excursions<Real, Model>> excursions_;
  Vector<Size> after_, next_given_;
  Vector<Real> residuals_;
};

SNNFP_ISA_END
