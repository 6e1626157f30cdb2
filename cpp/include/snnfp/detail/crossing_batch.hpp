#pragma once
// Many neurons asked for their next crossing at once: the steps of crossing.hpp side by side, the
// same bits as one after the other, whatever else is in the batch.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/lanes.hpp"
#include "snnfp/detail/plan.hpp"
#include "snnfp/model/crossing.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class CrossingBatch {
 public:
  explicit CrossingBatch(const Plan<Real>& plan) : constants_(plan.neurons) {}

  void clear() { size_ = 0; }
  Size size() const { return size_; }

  // A neuron free and in state `s` at `time`; crossings after `horizon` are not asked for. `tag` is
  // the caller's.
  void add(Id neuron, Id tag, Membrane<Real> s, Real time, Real horizon) {
    if (size_ == static_cast<Size>(neuron_.size())) grow();
    neuron_[size_] = neuron;
    tag_[size_] = tag;
    v_[size_] = s.v;
    i_[size_] = s.i;
    time_[size_] = time;
    horizon_[size_] = horizon;
    ++size_;
  }

  // The lanes of a pack whose bits are set.
  SNNFP_INLINE void add_lanes(unsigned lanes, Ids<Real> neuron, Ids<Real> tag,
                              Membrane<Pack<Real>> s, Pack<Real> time, Pack<Real> horizon) {
    if (size_ + Pack<Real>::width > static_cast<Size>(neuron_.size())) grow();
    neuron.store_lanes(lanes, &neuron_[size_]);
    tag.store_lanes(lanes, &tag_[size_]);
    s.v.store_lanes(lanes, &v_[size_]);
    s.i.store_lanes(lanes, &i_[size_]);
    time.store_lanes(lanes, &time_[size_]);
    horizon.store_lanes(lanes, &horizon_[size_]);
    size_ += __builtin_popcount(lanes);
  }

  // Entry m of another batch after its `move_to_horizon`.
  void add(const CrossingBatch& other, Size m) {
    add(other.neuron_[m], other.tag_[m], {other.v_[m], other.i_[m]}, other.time_[m],
        other.horizon_[m]);
  }

  // Finds end(k), the state at entry k's horizon if it does not cross before (no matter what, where
  // that is infinite), and shut(k): whether it can be shown not to.
  void move_to_horizon(bool identical) {
    if (size_ == 0) return;
    pad();
    const Neuron<P> all(constants_, neuron_[0]);
    for (Size b = 0; b < size_; b += P::width) {
      const auto shut = move_pack(b, identical ? all : Neuron<P>::gather(constants_, &neuron_[b]),
                                  state(b), P::load(&time_[b]));
      select(shut, P(none), P(running)).store(&state_[b]);
    }
  }
  Membrane<Real> end(Size k) const { return {end_v_[k], end_i_[k]}; }
  bool shut(Size k) const { return state_[k] == none; }

  // Finds crossing(k), the time of entry k's next crossing, and, where that is not after the
  // horizon, current(k) and slope_at(k): I and V' there. Never (infinity) may also stand for a time
  // after the horizon. `identical`: all neurons have the constants of the first. `filter`: most
  // entries will not cross, look at the horizon first.
  void solve(bool identical, bool filter) {
    if (size_ == 0) return;
    pad();
    if (identical) {
      const Neuron<P> all(constants_, neuron_[0]);
      run([&](Size) -> const Neuron<P>& { return all; }, filter);
    } else {
      run([&](Size b) { return Neuron<P>::gather(constants_, &neuron_[b]); }, filter);
    }
  }

  // For the entries that cross: finds end(k) and shut(k) like `move_to_horizon`, from their reset
  // on.
  void move_from_reset(bool identical) {
    if (size_ == 0) return;
    const Neuron<P> all(constants_, neuron_[0]);
    for (Size b = 0; b < size_; b += P::width) {
      const P at = P::load(&crossing_[b]);
      const auto crosses = (at <= P::load(&horizon_[b])) & (at < P(never<Real>));
      if (!any(crosses)) continue;
      const P reset = P::gather(constants_.v_reset.data(), &neuron_[b]);
      const auto shut = move_pack(b, identical ? all : Neuron<P>::gather(constants_, &neuron_[b]),
                                  {reset, P::load(&current_[b])}, select(crosses, at, P(Real(0))));
      select(shut, P(none), P(running)).store(&state_[b]);
    }
  }

  // Calls spike(k) for the entries that cross by their horizon. Where V does not rise it only
  // touches, as far as rounding can tell: touch(k).
  template <class Touch, class Spike>
  void each_spike(Touch touch, Spike spike) const {
    for (Size b = 0; b < size_; b += P::width) {
      const P at = P::load(&crossing_[b]);
      const auto crosses = (at <= P::load(&horizon_[b])) & (at < P(never<Real>));
      for (unsigned m = bits_of(crosses); m != 0; m &= m - 1) {
        const Size k = b + __builtin_ctz(m);
        if (k >= size_) break;
        if (v1_[k] > Real(0)) {
          spike(k);
        } else {
          touch(k);
        }
      }
    }
  }

  Id tag(Size k) const { return tag_[k]; }
  Membrane<Real> start(Size k) const { return {v_[k], i_[k]}; }
  Real horizon(Size k) const { return horizon_[k]; }
  Real crossing(Size k) const { return crossing_[k]; }
  Real current(Size k) const { return current_[k]; }
  Real slope_at(Size k) const { return v1_[k]; }

 private:
  using P = Pack<Real>;
  // Values of state_.
  static constexpr Real running = 0, found = 1, none = 2, lost = 3;

  template <class Constants>
  void run(const Constants& constants, bool filter) {
    under_way_.clear();
    for (Size b = 0; b < size_; b += P::width) {
      const Neuron<P>& n = constants(b);
      if (begin(b, n, filter)) under_way_.push_back(static_cast<Id>(b));
    }
    for (int k = 0; k <= crossing::max_newton_steps && !under_way_.empty(); ++k) {
      std::size_t stay = 0;
      for (const Id b : under_way_)
        if (newton_step(b, constants(b))) under_way_[stay++] = b;
      under_way_.resize(stay);
    }
    for (Size b = 0; b < size_; b += P::width) arrive(b, constants(b));
  }

  void grow() {
    const Size n = std::max<Size>(16 * lane_width<Real>, 2 * size_);
    neuron_.resize(n);
    tag_.resize(n);
    for (Vector<Real>* x :
         {&v_, &i_, &time_, &horizon_, &d_, &v1_, &current_, &state_, &crossing_, &end_v_, &end_i_})
      x->resize(n);
  }

  // Copies of the last entry fill its pack.
  void pad() {
    const Size last = size_ - 1;
    for (Size k = size_; k < padded<Real>(size_); ++k) {
      neuron_[k] = neuron_[last];
      v_[k] = v_[last];
      i_[k] = i_[last];
      time_[k] = time_[last];
      horizon_[k] = horizon_[last];
      crossing_[k] = never<Real>;
    }
  }

  Membrane<P> state(Size b) const { return {P::load(&v_[b]), P::load(&i_[b])}; }

  // Where a pack of entries sets out from; whether any does.
  SNNFP_INLINE bool begin(Size b, const Neuron<P>& n, bool filter) {
    const Membrane<P> s = state(b);
    const P zero(Real(0)), d = crossing::newton_start(s, n);
    const auto by_newton = (s.i > zero) & crossing::can_rise(slope(s, n), n) & (s.v < n.threshold);
    P now = select(by_newton, select(d < P(never<Real>), P(running), P(none)), P(lost));
    if (filter) now = select(move_pack(b, n, s, P::load(&time_[b])), P(none), now);
    const auto runs = now == P(running);
    select(runs, d, zero).store(&d_[b]);
    now.store(&state_[b]);
    return any(runs);
  }

  // Moves a pack of entries in states `s` at `time` to their horizons; which ones surely do not
  // cross.
  SNNFP_INLINE auto move_pack(Size b, const Neuron<P>& n, Membrane<P> s, P time) {
    const P d = P::load(&horizon_[b]) - time;
    const auto near = d < P(never<Real>);
    const P span = select(near, d, P(Real(0)));
    const Membrane<P> at = propagate(s, span, n);
    at.v.store(&end_v_[b]);
    at.i.store(&end_i_[b]);
    return near & no_crossing(s, at, span, margin(span, P::load(&horizon_[b]), n), n);
  }

  // One step of a pack of entries; whether any goes on.
  SNNFP_INLINE bool newton_step(Size b, const Neuron<P>& n) {
    const P zero(Real(0)), before = P::load(&state_[b]), d = P::load(&d_[b]);
    const auto runs = before == P(running);
    const Membrane<P> from = state(b), at = propagate(from, d, n);
    const P gap = n.threshold - at.v, v1 = slope(at, n);
    const auto below = gap > zero, rises = v1 > zero;
    // Past the horizon, with V below threshold all the way, both by more than rounding.
    const P noise = crossing::noise(from, d, n);
    const auto beyond =
        (gap > noise) & (P::load(&time_[b]) + P(Real(0.999)) * d > P::load(&horizon_[b]));
    const crossing::Step<P> s = crossing::step(gap, v1, at.i, n);
    const P next = d + s.length;
    const P stepped = select(crossing::near_top(s, v1, d), P(lost),
                             select(crossing::converged(s, v1, next), P(found), P(running)));
    const P now = select(rises, select(beyond, P(none), stepped), select(below, P(none), P(lost)));
    select(runs, next, d).store(&d_[b]);
    select(runs, now, before).store(&state_[b]);
    return any(runs & (now == P(running)));
  }

  // From the step found to the crossing, and the state there.
  SNNFP_INLINE void arrive(Size b, const Neuron<P>& n) {
    const P state_now = P::load(&state_[b]), time = P::load(&time_[b]);
    const auto converged = state_now == P(found);
    P at = select(converged, time + P::load(&d_[b]), P(never<Real>));
    at.store(&crossing_[b]);
    const auto rare = (!(converged | (state_now == P(none)))) | (converged & !(at > time));
    if (any(rare)) {
      for (unsigned m = bits_of(rare); m != 0; m &= m - 1) {
        const Size k = b + __builtin_ctz(m);
        if (k >= size_) break;
        crossing_[k] = state_[k] == found ? std::nextafter(time_[k], never<Real>)
                                          : crossing_time(constants_, neuron_[k],
                                                          Membrane<Real>{v_[k], i_[k]}, time_[k]);
      }
      at = P::load(&crossing_[b]);
    }
    const auto crosses = (at <= P::load(&horizon_[b])) & (at < P(never<Real>));
    if (!any(crosses)) return;
    const P d = select(crosses, at - time, P(Real(0)));
    const Membrane<P> from = state(b), there = propagate(from, d, n);
    there.i.store(&current_[b]);
    slope_after(from, d, there, n).store(&v1_[b]);
  }

  const NeuronConstants<Real>& constants_;
  Size size_ = 0;
  Vector<Id> neuron_;
  Vector<Id> tag_;
  Vector<Id> under_way_;
  Vector<Real> v_, i_, time_, horizon_;
  Vector<Real> d_, v1_, current_, state_, crossing_, end_v_, end_i_;
};

SNNFP_ISA_END
