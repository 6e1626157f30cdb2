#pragma once
// Neurons advanced alone, each through its own sorted arrivals, side by side in packs: the lanes may
// belong to several samples. Same operations as the other simulators, so the same bits.

#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/detail/spike_list.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class Strands {
 public:
  Strands(const Plan<Real>& plan, Size spike_limit)
      : plan_(plan), spike_limit_(spike_limit), batch_(plan.neurons) {}

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

  // The arrivals of lane k: times[at], times[at + 1], ... up to an infinite one, with the weights
  // weights[at + shift], ... (that of the infinite one is read, and may be anything).
  void set_arrivals(Size k, Id at, Id shift) {
    at_[k] = at;
    shift_[k] = shift;
  }

  // Follows spikes that were put in order from `from` on.
  void follow(const SpikeList<Real>& list, Size from, const Id* lane_of_neuron) {
    for (Size k = from; k < list.size(); ++k) last_spike_[lane_of_neuron[list[k].neuron]] = k;
  }

  // Advances all lanes to `limit` (`final`: releases at it too). A lane's state stays where its last
  // event left it, so that the next call goes on with the same bits.
  void advance(const Real* times, const Real* weights, Real limit, bool final, bool identical) {
    times_ = times;
    weights_ = weights;
    limit_ = limit;
    final_ = final;
    const Size end = padded<Real>(size_);
    for (Size k = 0; k < end; ++k) phase_[k] = k < size_ ? active : parked;
    for (Size k = size_; k < end; ++k) copy_last(k);
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      batch_.clear();
      for (Size b = 0; b < end; b += P::width)
        goes_on |= identical ? step<true>(b) : step<false>(b);
      if (batch_.size() == 0) continue;
      batch_.solve(identical, false);
      for (Size m = 0; m < batch_.size(); ++m) settle(m);
      goes_on = true;
    }
  }

 private:
  using P = Pack<Real>;
  // Values of phase_.
  static constexpr Real parked = 0, active = 1, waiting = 2;

  void grow() {
    const Size n = std::max<Size>(4 * lane_width<Real>, 2 * size_);
    for (Vector<Id>* x : {&neuron_, &at_, &shift_, &weight_at_}) x->resize(n);
    for (Vector<Size>* x : {&sample_, &count_, &last_spike_}) x->resize(n);
    for (Vector<Real>* x : {&v_, &i_, &time_, &release_, &v_end_, &i_end_, &phase_}) x->resize(n);
    out_.resize(n);
  }
  void copy_last(Size k) {
    const Size last = size_ - 1;
    neuron_[k] = neuron_[last];
    at_[k] = at_[last];
    shift_[k] = shift_[last];
    v_[k] = i_[k] = time_[k] = Real(0);
    release_[k] = -never<Real>;
  }

  // One event of a pack of lanes: an arrival, a release, or a question to the solver.
  template <bool Identical>
  bool step(Size b) {
    const P phase = P::load(&phase_[b]);
    const auto runs = phase == P(active);
    if (!any(runs)) return false;
    const Neuron<P> n = constants<Identical>(b);
    const P zero(Real(0)), limit(limit_);
    const P arrival = P::gather(times_, &at_[b]);
    const P time = P::load(&time_[b]), release = P::load(&release_[b]);
    const Membrane<P> s{P::load(&v_[b]), P::load(&i_[b])};
    const auto arrives = (arrival <= limit) & (arrival < P(never<Real>));
    const P horizon = select(arrives, arrival, limit);
    const auto held = release > P(-never<Real>);
    auto frees = held & (release < horizon);
    if (final_) frees = frees | (held & (!arrives) & (release <= limit));
    const P target = select(frees, release, select(held & (!arrives), time, horizon));
    const P to_target = target - time;
    const auto endless = !(to_target < P(never<Real>));
    const P span = select(endless, zero, to_target);
    const Membrane<P> at = propagate(s, span, n);
    const Margin<P> m = margin(span, target, n);
    auto open = runs & (!held) & ((!plainly_below(s, at, span, m, n)) | endless);
    if (any(open)) open = open & ((!no_crossing(s, at, span, m, n)) | endless);
    const auto takes = runs & arrives & (!frees);
    const P weight = P::gather(weights_, weight_at(b));
    const P v = select(held, s.v, at.v), i = select(takes, at.i + weight, at.i);
    const auto moves = runs & (!open) & (arrives | frees);
    v.store(&v_end_[b]);
    i.store(&i_end_[b]);
    select(moves, v, s.v).store(&v_[b]);
    select(moves, i, s.i).store(&i_[b]);
    select(moves, target, time).store(&time_[b]);
    select(moves & frees, P(-never<Real>), release).store(&release_[b]);
    select(open, P(waiting), select(moves, P(active), select(runs, P(parked), phase)))
        .store(&phase_[b]);
    const unsigned taken = bits_of(moves & takes);
    for (int l = 0; l < P::width; ++l) at_[b + l] += Id((taken >> l) & 1u);
    for (unsigned m = bits_of(moves & frees); m != 0; m &= m - 1) {
      const Size k = b + __builtin_ctz(m);
      out_[k]->set_release_current(last_spike_[k], i_[k]);
    }
    for (unsigned m = bits_of(open); m != 0; m &= m - 1) {
      const Size k = b + __builtin_ctz(m);
      batch_.add(neuron_[k], k, Membrane<Real>{v_[k], i_[k]}, time_[k],
                 std::min(times_[at_[k]], limit_));
    }
    return any(moves);
  }

  template <bool Identical>
  SNNFP_INLINE Neuron<P> constants(Size b) const {
    if constexpr (Identical) {
      return Neuron<P>(plan_.neurons, neuron_[0]);
    } else {
      return Neuron<P>::gather(plan_.neurons, &neuron_[b]);
    }
  }

  // Where the next weight of each lane lies.
  const Id* weight_at(Size b) {
    for (int l = 0; l < P::width; ++l) weight_at_[b + l] = at_[b + l] + shift_[b + l];
    return &weight_at_[b];
  }

  // What the solver said about entry m: the neuron spikes, or goes on to its next arrival.
  void settle(Size m) {
    const Size k = batch_.tag(m);
    const Real arrival = times_[at_[k]], horizon = std::min(arrival, limit_);
    const Real time = batch_.crossing(m);
    // Where V does not rise it only touches, as far as rounding can tell.
    if (time < never<Real> && time <= horizon && batch_.slope_at(m) > Real(0)) {
      const Id j = neuron_[k];
      if (++count_[k] > spike_limit_) throw_spike_limit(plan_, sample_[k], j, time, count_[k]);
      SpikeList<Real>& out = *out_[k];
      last_spike_[k] = out.size();
      out.push_back(time, j, batch_.slope_at(m));
      v_[k] = plan_.neurons.v_reset.data()[j];
      i_[k] = batch_.current(m);
      time_[k] = time;
      const Real refractory = plan_.neurons.t_refractory.data()[j];
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
      ++at_[k];
      phase_[k] = active;
    } else {
      phase_[k] = parked;
    }
  }

  const Plan<Real>& plan_;
  const Size spike_limit_;
  CrossingBatch<Real> batch_;
  const Real* times_ = nullptr;
  const Real* weights_ = nullptr;
  Real limit_ = Real(0);
  bool final_ = false;
  Size size_ = 0;
  Vector<Id> neuron_, at_, shift_, weight_at_;
  Vector<Size> sample_, count_, last_spike_;
  Vector<Real> v_, i_, time_, release_, v_end_, i_end_, phase_;
  Vector<SpikeList<Real>*> out_;
};

SNNFP_ISA_END
