#pragma once
// Neurons advanced alone, each through its own sorted arrivals, side by side in packs. Same
// operations as the other simulators, so the same bits.

#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/detail/spike_list.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class IndependentNeurons {
 public:
  IndependentNeurons(const Plan<Real>& plan, Size spike_limit)
      : plan_(plan), spike_limit_(spike_limit), batch_(plan) {}

  void clear() { size_ = 0; }

  // A neuron in state `s` at time 0 whose spikes go to `out`; returns its lane.
  Size add(Id neuron, Size sample, Membrane<Real> s, SpikeList<Real>* out) {
    if (size_ == static_cast<Size>(neuron_.size())) grow();
    neuron_[size_] = neuron;
    sample_[size_] = sample;
    v_[size_] = s.v;
    i_[size_] = s.i;
    time_[size_] = Real(0);
    release_[size_] = -never<Real>;
    out_[size_] = out;
    count_[size_] = 0;
    return size_++;
  }

  // The arrivals of lane k: pairs[at], pairs[at + 2], ... up to an infinite one, each followed by
  // its weight (that of the infinite one is read, and may be anything).
  void set_arrivals(Size k, Id at) { at_[k] = at; }

  // Whether a lane went over the limit, and stays there: to be asked when all have come as far.
  void check_limit() const { excess_.raise(plan_); }

  // Follows spikes that were put in order from `from` on.
  void follow(const SpikeList<Real>& list, Size from, const Id* lane_of_neuron) {
    for (Size k = from; k < list.size(); ++k) last_spike_[lane_of_neuron[list[k].neuron]] = k;
  }

  // Advances the lanes `chosen` to `limit` (`final`: releases at it too). A lane's state stays
  // where its last event left it, so that the next call goes on with the same bits.
  void advance(const Real* pairs, const Id* chosen, Size count, Real limit, bool final,
               bool identical, PacedWatch& watch) {
    if (count == 0) return;
    if (size_ == static_cast<Size>(neuron_.size())) grow();
    copy_last(size_);
    phase_[size_] = parked;
    chosen_.assign(padded<Real>(count), static_cast<Id>(size_));
    std::copy(chosen, chosen + count, chosen_.begin());
    pairs_ = pairs;
    limit_ = limit;
    final_ = final;
    for (Size k = 0; k < count; ++k) phase_[chosen[k]] = active;
    // The packs run and the solver is asked about the lanes that wait, until none does.
    for (bool goes_on = true; goes_on;) {
      watch.did(4 * count);
      goes_on = false;
      batch_.clear();
      for (Size b = 0; b < count; b += P::width) {
        const Chosen lanes{&chosen_[b]};
        goes_on |= identical ? run<true>(lanes) : run<false>(lanes);
      }
      if (batch_.size() == 0) continue;
      batch_.solve(identical, false);
      for (Size m = 0; m < batch_.size(); ++m) settle(m);
      goes_on = true;
    }
  }

 private:
  using P = Pack<Real>;
  static constexpr Id step = 2;  // from one arrival of a lane to the next
  // Values of phase_.
  static constexpr Real parked = 0, active = 1, waiting = 2;

  // Where the lanes of a pack lie.
  struct Chosen {
    const Id* lane;
    Size operator[](int l) const { return lane[l]; }
    P load(const Vector<Real>& x) const { return P::gather(x.data(), lane); }
    Ids<Real> load(const Vector<Id>& x) const {
      Id values[P::width];
      for (int l = 0; l < P::width; ++l) values[l] = x[lane[l]];
      return Ids<Real>::load(values);
    }
    void store(P value, unsigned which, Vector<Real>& x) const {
      Real values[P::width];
      value.store(values);
      scatter(values, which, x);
    }
    void store(Ids<Real> value, unsigned which, Vector<Id>& x) const {
      Id values[P::width];
      value.store(values);
      scatter(values, which, x);
    }
    template <class T>
    void scatter(const T* values, unsigned which, Vector<T>& x) const {
      for (unsigned m = which; m != 0; m &= m - 1) {
        const int l = __builtin_ctz(m);
        x[lane[l]] = values[l];
      }
    }
  };

  void grow() {
    const Size n = std::max<Size>(4 * lane_width<Real>, 2 * size_);
    for (Vector<Id>* x : {&neuron_, &at_}) x->resize(n);
    for (Vector<Size>* x : {&sample_, &count_, &last_spike_}) x->resize(n);
    for (Vector<Real>* x : {&v_, &i_, &time_, &release_, &v_end_, &i_end_, &phase_}) x->resize(n);
    out_.resize(n);
  }
  void copy_last(Size k) {
    const Size last = size_ - 1;
    neuron_[k] = neuron_[last];
    at_[k] = at_[last];
    v_[k] = i_[k] = time_[k] = Real(0);
    release_[k] = -never<Real>;
  }

  // Lets a pack of lanes run, an event each a step (an arrival, a release), until one of them has a
  // question to the solver or all have come to the limit. Whether some are still under way.
  template <bool Identical>
  bool run(Chosen lanes) {
    auto runs = lanes.load(phase_) == P(active);
    if (!any(runs)) return false;
    const unsigned taken_up = bits_of(runs);
    const Neuron<P> n = constants<Identical>(lanes);
    const P zero(Real(0)), limit(limit_);
    P time = lanes.load(time_), release = lanes.load(release_);
    Membrane<P> s{lanes.load(v_), lanes.load(i_)};
    Ids<Real> at = lanes.load(at_);
    for (;;) {
      const P arrival = at.gather(pairs_);
      const auto arrives = (arrival <= limit) & (arrival < P(never<Real>));
      const P horizon = select(arrives, arrival, limit);
      const auto held = release > P(-never<Real>);
      auto frees = held & (release < horizon);
      if (final_) frees = frees | (held & (!arrives) & (release <= limit));
      const P target = select(frees, release, select(held & (!arrives), time, horizon));
      const P to_target = target - time;
      const auto endless = !(to_target < P(never<Real>));
      const P span = select(endless, zero, to_target);
      const Membrane<P> end = propagate(s, span, n);
      const Margin<P> room = margin(span, target, n);
      auto open = runs & (!held) & ((!plainly_below(s, end, span, room, n)) | endless);
      if (any(open)) open = open & ((!no_crossing(s, end, span, room, n)) | endless);
      const auto takes = runs & arrives & (!frees);
      const P weight = at.gather(pairs_ + 1);
      const P v = select(held, s.v, end.v), i = select(takes, end.i + weight, end.i);
      const auto moves = runs & (!open) & (arrives | frees);
      s = {select(moves, v, s.v), select(moves, i, s.i)};
      time = select(moves, target, time);
      at = at.plus(step, moves & takes);
      const auto freed = moves & frees;
      if (any(freed)) {
        release = select(freed, P(-never<Real>), release);
        Real current[P::width];
        i.store(current);
        for (unsigned m = bits_of(freed); m != 0; m &= m - 1) {
          const int l = __builtin_ctz(m);
          out_[lanes[l]]->set_release_current(last_spike_[lanes[l]], current[l]);
        }
      }
      if (any(moves) && !any(open)) {
        runs = moves;
        continue;
      }
      lanes.store(s.v, taken_up, v_);
      lanes.store(s.i, taken_up, i_);
      lanes.store(time, taken_up, time_);
      lanes.store(release, taken_up, release_);
      lanes.store(at, taken_up, at_);
      lanes.store(select(open, P(waiting), select(moves, P(active), P(parked))), taken_up, phase_);
      if (!any(open)) return false;
      lanes.store(v, bits_of(open), v_end_);
      lanes.store(i, bits_of(open), i_end_);
      for (unsigned m = bits_of(open); m != 0; m &= m - 1) {
        const Size k = lanes[__builtin_ctz(m)];
        batch_.add(neuron_[k], k, Membrane<Real>{v_[k], i_[k]}, time_[k],
                   std::min(pairs_[at_[k]], limit_));
      }
      return any(moves);
    }
  }

  template <bool Identical>
  SNNFP_INLINE Neuron<P> constants(Chosen lanes) const {
    if constexpr (Identical) {
      return Neuron<P>(plan_.neurons, neuron_[0]);
    } else {
      Id neurons[P::width];
      for (int l = 0; l < P::width; ++l) neurons[l] = neuron_[lanes[l]];
      return Neuron<P>::gather(plan_.neurons, neurons);
    }
  }

  // What the solver said about entry m: the neuron spikes, or goes on to its next arrival.
  void settle(Size m) {
    const Size k = batch_.tag(m);
    const Real arrival = pairs_[at_[k]], horizon = std::min(arrival, limit_);
    const Real time = batch_.crossing(m);
    const Id j = neuron_[k];
    const bool crosses = time < never<Real> && time <= horizon;
    // Where V does not rise it only touches, as far as rounding can tell.
    const bool rises = crosses && batch_.slope_at(m) > Real(0);
    if (crosses && !rises && clock_hides_spike(batch_.start(m), Neuron<Real>(plan_.neurons, j)))
      throw_clock(plan_, sample_[k], j, time);
    if (rises) {
      if (++count_[k] > spike_limit_) {
        excess_.see(sample_[k], j, time, count_[k]);
        phase_[k] = parked;
        return;
      }
      SpikeList<Real>& out = *out_[k];
      last_spike_[k] = out.size();
      out.push_back(time, j, batch_.slope_at(m));
      v_[k] = plan_.neurons.v_reset.data()[j];
      i_[k] = batch_.current(m);
      time_[k] = time;
      const Real refractory = plan_.refractory(j, count_[k]);
      if (refractory > Real(0)) {
        release_[k] = time + refractory;
      } else {
        out.set_release_current(last_spike_[k], i_[k]);
      }
      phase_[k] = active;
    } else if (arrival <= limit_ && arrival < never<Real>) {
      v_[k] = v_end_[k];
      i_[k] = i_end_[k];
      time_[k] = arrival;
      at_[k] += step;
      phase_[k] = active;
    } else {
      phase_[k] = parked;
    }
  }

  const Plan<Real>& plan_;
  const Size spike_limit_;
  FirstExcess<Real> excess_;
  CrossingBatch<Real> batch_;
  const Real* pairs_ = nullptr;
  Real limit_ = Real(0);
  bool final_ = false;
  Size size_ = 0;
  Vector<Id> neuron_, at_, chosen_;
  Vector<Size> sample_, count_, last_spike_;
  Vector<Real> v_, i_, time_, release_, v_end_, i_end_, phase_;
  Vector<SpikeList<Real>*> out_;
};

SNNFP_ISA_END
