#pragma once
// Where V goes above threshold and no spike follows: what a recording lacks. MATH.md E4.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

// Follows every neuron of one sample. An excursion begins where V crosses the threshold and ends
// where it comes down again, at a spike, or with the recording. It is told if it goes beyond
// `tolerance`; where that is infinite, if it does not end in a spike.
template <class Real, class Model = LifModel>
class Excursions {
 public:
  Excursions(Id n_neurons, ReplayJudge& judge)
      : judge_(judge),
        tolerance_(static_cast<Real>(judge.tolerance)),
        since_(n_neurons, never<Real>),
        excess_(n_neurons, Real(0)) {}

  // Neuron j has gone freely from `s` at `from` to `e` at `to`, or for ever.
  SNNFP_INLINE void pass(Id j, const NeuronOf<Model, Real>& n, StateOf<Model, Real> s, Real from,
                         StateOf<Model, Real> e, Real to) {
    if (!(since_[j] < never<Real>) && never_above(s, e, to - from, n)) return;
    follow_excursion(j, n, s, from, e, to);
  }
  // Neuron j spikes, or there is no more to come.
  void end(Id j, bool in_spike) {
    if (since_[j] < never<Real>) finish(j, in_spike);
  }

 private:
  [[gnu::noinline]] void follow_excursion(Id j, const NeuronOf<Model, Real>& n,
                                          StateOf<Model, Real> s, Real from, StateOf<Model, Real> e,
                                          Real to) {
    const Real d = to - from;
    const bool above = since_[j] < never<Real>;
    const Real excess = highest(s, e, d, n) - n.threshold;
    if (!above) {
      // Touching is not crossing, as far as rounding can tell.
      const Real noise =
          Real(64) * std::numeric_limits<Real>::epsilon() * (size_of(s.v) + size_of(n.threshold));
      if (!(excess > noise)) return;
      const Real crossing = next_crossing(s, n);
      since_[j] = std::min(crossing < never<Real> ? from + crossing : from, to);
      excess_[j] = excess;
    } else {
      excess_[j] = std::max(excess_[j], excess);
    }
    if (!(e.v > n.threshold)) finish(j, false);
  }

  void finish(Id j, bool in_spike) {
    if (excess_[j] > tolerance_ || (tolerance_ == never<Real> && !in_spike))
      judge_.missing(j, since_[j], excess_[j]);
    since_[j] = never<Real>;
  }

  ReplayJudge& judge_;
  const Real tolerance_;
  Vector<Real> since_, excess_;  // of the excursion each neuron is on; never: it is on none
};

SNNFP_ISA_END
