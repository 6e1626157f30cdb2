#pragma once
// What lies ahead of an arrival: the spike of its target that it comes before, or the release of
// the refractory time that it falls into. MATH.md E8. From there its adjoint is a closed form
// (E12), so that arrivals may be looked up in any order, each with a time of its own.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/impl/reverse_spikes.hpp"

SNNFP_ISA_BEGIN

// A time after all others at which nothing happens: its coefficients are finite.
template <class Real>
constexpr Real nowhere = std::numeric_limits<Real>::max() / 8;

// Ahead of arrivals up to `last`: the adjoint at `time`, from which E12 leads to theirs.
template <class Real, class Model = LifModel>
struct Anchor {
  Real last, time;
  AdjointOf<Model, Real> a;
  Real held;  // how much later lI's own moment is, a release
};

// The anchors of each neuron of a population in time order. The last of each neuron has nothing
// ahead.
template <class Real, class Model = LifModel>
class Anchors {
 public:
  // Finds the times, and with them the values that are known already.
  void build(const SpikeAdjoints<Real, Model>& spikes) {
    const Size n = spikes.size();
    make_room(begin_, n + 1);
    make_room(of_spike_, spikes.count());
    make_room(holds_, spikes.count());
    std::fill_n(holds_.data(), spikes.count(), 0);
    if (spikes.traits().held)
      for (Size c = 0; c < spikes.n_pairs(); ++c)
        if (const Size e = spikes.pair(c).spike; spikes.last_held(e) >= spikes.time(e))
          holds_[e] = 1;
    std::fill_n(begin_.data(), n + 1, Size(0));
    for (Size e = 0; e < spikes.count(); ++e) begin_[spikes.unit(e) + 1] += 1 + holds_[e];
    for (Size j = 0; j < n; ++j) begin_[j + 1] += begin_[j] + 1;
    make_room(anchors_, begin_[n]);
    latest_ = spikes.count() > 0 ? spikes.time(spikes.count() - 1) : -never<Real>;
    for (Size e = spikes.count(); e-- > 0;) {
      // Each neuron's beginning comes down from its end, and goes back there below.
      Size& end = begin_[spikes.unit(e) + 1];
      if (holds_[e]) anchors_[--end - 1] = {spikes.last_held(e), spikes.release(e), {}, Real(0)};
      const Real time = spikes.time(e);
      of_spike_[e] = --end - 1;
      anchors_[end - 1] = {std::nextafter(time, -never<Real>), time, {}, spikes.release(e) - time};
    }
    for (Size e = 0; e < spikes.count(); ++e) begin_[spikes.unit(e) + 1] += 1 + holds_[e];
    for (Size j = 0; j < n; ++j)
      anchors_[begin_[j + 1] - 1] = {never<Real>, nowhere<Real>, {}, Real(0)};
    for (Size e = 0; e < spikes.count(); ++e) set(spikes, e);
    for (Size c = 0; c < spikes.n_pairs(); ++c) set_release(spikes, c);
  }

  // Takes over lV and lI of a spike; lI at the release that a pair of spikes has between them.
  void set(const SpikeAdjoints<Real, Model>& spikes, Size e) {
    anchors_[of_spike_[e]].a = spikes.adjoint(e);
  }
  void set_release(const SpikeAdjoints<Real, Model>& spikes, Size pair) {
    const Size e = spikes.pair(pair).spike;
    if (holds_[e])
      anchors_[of_spike_[e] + 1].a = AdjointOf<Model, Real>::held(spikes.pair(pair).li);
  }

  // After it nothing has an adjoint.
  Real latest() const { return latest_; }
  Size begin(Id unit) const { return begin_[unit]; }
  Size last(Id unit) const { return begin_[unit + 1] - 1; }
  const Anchor<Real, Model>& operator[](Size place) const { return anchors_[place]; }

  // The place of what lies ahead of an arrival at `time`, which is `place` or before it.
  Size back_to(Id unit, Size place, Real time) const {
    const Size first = begin_[unit];
    for (int tries = 0; tries < 4; ++tries) {
      if (place == first || anchors_[place - 1].last < time) return place;
      --place;
    }
    return std::lower_bound(&anchors_[first], &anchors_[place], time,
                            [](const Anchor<Real, Model>& a, Real t) { return a.last < t; }) -
           anchors_.data();
  }

 private:
  Scratch<Size> begin_;
  Scratch<Anchor<Real, Model>> anchors_;
  // Of each spike: its anchor, and whether one for its refractory time follows. Nothing depends on
  // what falls into that of a neuron's last spike.
  Scratch<Size> of_spike_;
  Scratch<unsigned char> holds_;
  Real latest_ = Real(0);
};

SNNFP_ISA_END
