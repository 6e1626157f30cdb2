#pragma once
// Which spike of a neuron an arrival acts on. Between its own spikes a neuron's sensitivities flow
// linearly, so every arrival is tied to one spike: the first of its target that it comes before, or
// into whose refractory time it falls. MATH.md E8.

#include <cmath>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/crossing.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class SpikeIndex {
 public:
  template <class Constants>
  SpikeIndex(const ModelPlan<Real, Constants>& plan, const SampleSpikes<Real>& spikes)
      : offsets_(plan.n_neurons + 1, 0),
        order_(spikes.count),
        rank_(spikes.count),
        releases_(spikes.count),
        last_held_(spikes.count) {
    for (Size k = 0; k < spikes.count; ++k) ++offsets_[spikes.neurons[k] + 1];
    for (Id j = 0; j < plan.n_neurons; ++j) offsets_[j + 1] += offsets_[j];
    Vector<Size> fill(offsets_.begin(), offsets_.end() - 1);
    for (Size k = 0; k < spikes.count; ++k) {
      const Id j = spikes.neurons[k];
      const Size place = fill[j]++;
      order_[place] = k;
      rank_[k] = place;
      const Real refractory = plan.refractory(j, place - offsets_[j] + 1);
      releases_[place] = spikes.times[k] + refractory;
      last_held_[place] =
          refractory > Real(0) ? releases_[place] : std::nextafter(spikes.times[k], -never<Real>);
      // A spike kept in a refractory time (OnFault) ends it: it is a release as well.
      if (place > offsets_[j] && !(releases_[place - 1] < spikes.times[k])) {
        releases_[place - 1] = spikes.times[k];
        last_held_[place - 1] = std::nextafter(spikes.times[k], -never<Real>);
      }
    }
  }

  // Spikes of neuron j, in time order: spike(first(j)) .. spike(end(j) - 1).
  Size first(Id j) const { return offsets_[j]; }
  Size end(Id j) const { return offsets_[j + 1]; }
  Size spike(Size place) const { return order_[place]; }
  Size place(Size spike) const { return rank_[spike]; }
  Real release(Size place) const { return releases_[place]; }
  // The last moment at which an arrival is still tied to the spike. Without a refractory time the
  // release is at the spike itself, ahead of what arrives at that time.
  Real last_held(Size place) const { return last_held_[place]; }

  // The place of the spike of j that an arrival at `time` is tied to; end(j) if none.
  Size anchor(Id j, Real time) const {
    Size low = first(j), high = end(j);
    while (low < high) {
      const Size middle = (low + high) / 2;
      if (last_held_[middle] < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

 private:
  Vector<Size> offsets_, order_, rank_;
  Vector<Real> releases_, last_held_;
};

// Where neuron j started the free flight that ended in the spike at `place`: its last release, or
// the initial state.
template <class Real>
struct FlightStart {
  Real time;
  Membrane<Real> state;
};

template <class Real>
inline FlightStart<Real> flight_before(const SpikeIndex<Real>& index,
                                       const SampleInput<Real>& input,
                                       const SampleSpikes<Real>& spikes, const Neuron<Real>& n,
                                       Id j, Size place) {
  if (place == index.first(j))
    return {
        Real(0),
        {input.voltage ? input.voltage[j] : Real(0), input.current ? input.current[j] : Real(0)}};
  return {index.release(place - 1), {n.v_reset, spikes.release_currents[index.spike(place - 1)]}};
}

SNNFP_ISA_END
