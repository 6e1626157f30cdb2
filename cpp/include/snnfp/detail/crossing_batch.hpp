#pragma once
// Many neurons asked for their next crossing at once: the steps of crossing.hpp side by side, the
// same bits as one after the other, whatever else is in the batch.

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/lanes.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class CrossingBatch {
 public:
  explicit CrossingBatch(const NeuronConstants<Real>& constants) : constants_(constants) {}

  void clear() { size_ = 0; }
  Size size() const { return size_; }

  // A neuron free and in state `s` at `time`; crossings after `horizon` are not asked for. `tag` is
  // the caller's.
  void add(Id neuron, Size tag, Membrane<Real> s, Real time, Real horizon) {
    if (size_ == static_cast<Size>(neuron_.size())) grow();
    neuron_[size_] = neuron;
    tag_[size_] = tag;
    v_[size_] = s.v;
    i_[size_] = s.i;
    time_[size_] = time;
    horizon_[size_] = horizon;
    ++size_;
  }

  // Finds crossing(k), the time of entry k's next crossing, and current(k), slope(k): I and V' there.
  // Never (infinity) may also stand for a time after the horizon. `identical`: all neurons have the
  // constants of the first. `filter`: most entries will not cross, look at the horizon first.
  void solve(bool identical, bool driven, bool filter) {
    if (size_ == 0) return;
    pad();
    if (identical && !driven) {
      run<true, false>(filter);
    } else if (identical) {
      run<true, true>(filter);
    } else {
      run<false, true>(filter);
    }
  }

  Id neuron(Size k) const { return neuron_[k]; }
  Size tag(Size k) const { return tag_[k]; }
  Real crossing(Size k) const { return crossing_[k]; }
  Real current(Size k) const { return current_[k]; }
  Real slope_at(Size k) const { return v1_[k]; }

 private:
  static constexpr int width = lane_width<Real>;
  // Values of state_.
  static constexpr Real running = 0, found = 1, none = 2, lost = 3;

  void grow() {
    const Size n = std::max<Size>(4 * width, 2 * size_);
    neuron_.resize(n);
    tag_.resize(n);
    for (Vector<Real>* x : {&v_, &i_, &time_, &horizon_, &d_, &gap_, &v1_, &current_, &state_,
                            &crossing_})
      x->resize(n);
  }

  // Copies of the last entry fill its vector.
  void pad() {
    const Size last = size_ - 1;
    for (Size k = size_; k < padded<Real>(size_); ++k) {
      neuron_[k] = neuron_[last];
      v_[k] = v_[last];
      i_[k] = i_[last];
      time_[k] = time_[last];
      horizon_[k] = horizon_[last];
    }
  }

  template <bool Identical>
  Neuron<Real> constants(Size k, const Neuron<Real>& shared) const {
    return Identical ? shared : Neuron<Real>(constants_, neuron_.data()[k]);
  }
  template <bool Driven>
  static Membrane<Real> moved(Membrane<Real> s, Real d, const Neuron<Real>& n) {
    const Real driven =
        !Driven || n.drive == Real(0) ? Real(0) : n.drive * step_response(d, n.beta);
    return propagate(s, decay(d, n), n.inv_c, driven);
  }

  template <bool Identical, bool Driven>
  void run(bool filter) {
    const Size end = padded<Real>(size_);
    for (Size b = 0; b < end; b += width) begin<Identical>(b);
    if (filter)
      for (Size b = 0; b < end; b += width) look<Identical, Driven>(b);
    for (int k = 0; k <= crossing::max_climb; ++k) {
      bool any = false;
      for (Size b = 0; b < end; b += width) any |= climb<Identical, Driven>(b);
      if (!any) break;
    }
    for (Size k = 0; k < size_; ++k) {
      if (state_[k] == running || state_[k] == lost) {
        crossing_[k] =
            crossing_time(constants_, neuron_[k], Membrane<Real>{v_[k], i_[k]}, time_[k]);
      } else if (state_[k] == found) {
        const Real at = time_[k] + d_[k];
        crossing_[k] = at > time_[k] ? at : std::nextafter(time_[k], never<Real>);
      } else {
        crossing_[k] = never<Real>;
      }
    }
    for (Size b = 0; b < end; b += width) arrive<Identical, Driven>(b);
  }

  template <bool Identical>
  void begin(Size b) {
    const Neuron<Real> shared(constants_, neuron_[0]);
#pragma GCC ivdep
    for (Size k = b; k < b + width; ++k) {
      const Neuron<Real> n = constants<Identical>(k, shared);
      const Real v1 = slope(Membrane<Real>{v_[k], i_[k]}, n);
      d_[k] = Real(0);
      gap_[k] = n.threshold - v_[k];
      v1_[k] = v1;
      current_[k] = n.inv_c * i_[k];
      const bool climbs = (i_[k] > Real(0)) & (v1 > Real(0)) & (v_[k] < n.threshold);
      state_[k] = climbs ? running : lost;
    }
  }

  template <bool Identical, bool Driven>
  void look(Size b) {
    const Neuron<Real> shared(constants_, neuron_[0]);
#pragma GCC ivdep
    for (Size k = b; k < b + width; ++k) {
      const Neuron<Real> n = constants<Identical>(k, shared);
      const Real d = horizon_[k] - time_[k];
      const bool near = d < never<Real>;
      const Real far = near ? d : Real(0);
      const Membrane<Real> at = moved<Driven>({v_[k], i_[k]}, far, n);
      const bool shut = near & no_crossing(v_[k], i_[k], at.v, at.i, far, n.alpha, n.beta, n.inv_c,
                                           n.drive, n.threshold, n.kappa_max);
      state_[k] = shut ? none : state_[k];
    }
  }

  // One step of `width` entries; whether any goes on.
  template <bool Identical, bool Driven>
  bool climb(Size b) {
    const Neuron<Real> shared(constants_, neuron_[0]);
    Real any = running + 1;
#pragma GCC ivdep
    for (Size k = b; k < b + width; ++k) any = state_[k] < any ? state_[k] : any;
    if (any != running) return false;
    any = Real(0);
#pragma GCC ivdep
    for (Size k = b; k < b + width; ++k) {
      const Neuron<Real> n = constants<Identical>(k, shared);
      const crossing::Step<Real> s = crossing::step(gap_[k], v1_[k], current_[k], n.alpha, n.beta);
      const bool near = crossing::near_top(s, v1_[k], d_[k]);
      const Real d = d_[k] + s.length;
      const bool there = crossing::converged(s, v1_[k], d);
      const Membrane<Real> at = moved<Driven>({v_[k], i_[k]}, d, n);
      const Real gap = n.threshold - at.v;
      const Real v1 = slope(at, n);
      const bool before = gap > Real(0);
      // Past the horizon by more than rounding, with V below threshold all the way.
      const bool beyond = before & (time_[k] + Real(0.999) * d > horizon_[k]);
      const Real then = v1 > Real(0) ? (beyond ? none : running) : (before ? none : lost);
      const Real state = near ? lost : there ? found : then;
      const bool runs = state_[k] == running;
      d_[k] = runs ? d : d_[k];
      gap_[k] = gap;
      v1_[k] = v1;
      current_[k] = n.inv_c * at.i;
      state_[k] = runs ? state : state_[k];
      any = state_[k] == running ? Real(1) : any;
    }
    return any != Real(0);
  }

  template <bool Identical, bool Driven>
  void arrive(Size b) {
    const Neuron<Real> shared(constants_, neuron_[0]);
#pragma GCC ivdep
    for (Size k = b; k < b + width; ++k) {
      const Neuron<Real> n = constants<Identical>(k, shared);
      const bool crosses = crossing_[k] <= horizon_[k];
      const Real d = crosses ? crossing_[k] - time_[k] : Real(0);
      const Membrane<Real> at = moved<Driven>({v_[k], i_[k]}, d, n);
      current_[k] = at.i;
      v1_[k] = slope(at, n);
    }
  }

  const NeuronConstants<Real>& constants_;
  Size size_ = 0;
  Vector<Id> neuron_;
  Vector<Size> tag_;
  Vector<Real> v_, i_, time_, horizon_;
  Vector<Real> d_, gap_, v1_, current_, state_, crossing_;
};

SNNFP_ISA_END
