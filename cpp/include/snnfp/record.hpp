#pragma once
// What a simulation leaves: enough to differentiate every spike, in memory O(spikes + inputs).

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "snnfp/error.hpp"
#include "snnfp/execution.hpp"
#include "snnfp/network.hpp"
#include "snnfp/recording.hpp"
#include "snnfp/spikes.hpp"

namespace snnfp {

namespace detail {
template <class Real>
struct Plan;
}

// Voltage and current of the neurons before the first event, [samples or 1, all neurons]; empty: 0.
template <class Real>
struct InitialState {
  Array<Real> voltage;
  Array<Real> current;
};

template <class Real>
struct Record {
  // Spikes of all populations, sample by sample, ordered by (time, neuron) within a sample.
  // Neurons are numbered through the populations: population_offsets[p] + index.
  std::vector<Size> offsets;  // [samples + 1]
  std::vector<Real> times;
  std::vector<Id> neurons;
  std::vector<Real> slopes;            // V'(f-); infinite: the spike has no derivative (OnFault)
  std::vector<Real> release_currents;  // I at the end of the refractory time (0 past the horizon)
  std::vector<Real> residuals;         // V(f-) - threshold; only for spikes recorded elsewhere
  RecordingFaults faults;  // of the recording; with OnFault::drop these spikes are not here

  // What was simulated.
  Network<Real> network;
  Input<Real> input;
  InitialState<Real> initial;
  Real until = std::numeric_limits<Real>::infinity();
  std::vector<Id> first_spikes_of;     // populations; see SimulateOptions
  std::vector<Id> stop_after;          // populations; see end()
  std::vector<Id> population_offsets;  // [populations + 1]
  std::shared_ptr<const detail::Plan<Real>> plan;

  // What ran: the components in their order, and the instruction set. Empty where the spikes were
  // given, not simulated.
  std::vector<ComponentRun> ran;
  Isa isa = Isa::best;

  Size samples() const { return static_cast<Size>(offsets.size()) - 1; }
  Size spikes() const { return static_cast<Size>(times.size()); }

  // Index of each neuron's first spike in each sample, [samples, neurons of the population]; -1:
  // none.
  std::vector<Size> first_spikes(Id population) const {
    check_index("population", population, Size(population_offsets.size()) - 1);
    const Id first = population_offsets[population];
    const Id n = population_offsets[population + 1] - first;
    std::vector<Size> result(static_cast<std::size_t>(samples() * n), -1);
    for (Size s = 0; s < samples(); ++s)
      for (Size k = offsets[s]; k < offsets[s + 1]; ++k) {
        const Id j = neurons[k] - first;
        if (j >= 0 && j < n && result[s * n + j] < 0) result[s * n + j] = k;
      }
    return result;
  }
  // How far a sample was simulated: to `until`, or to the last of the first spikes of the neurons
  // of `stop_after` where all of them fire.
  Real end(Size sample) const {
    check_index("sample", sample, samples());
    if (stop_after.empty()) return until;
    std::vector<unsigned char> fired(static_cast<std::size_t>(population_offsets.back()), 0);
    for (Size k = offsets[sample]; k < offsets[sample + 1]; ++k) fired[neurons[k]] = 1;
    for (const Id p : stop_after)
      for (Id j = population_offsets[p]; j < population_offsets[p + 1]; ++j)
        if (!fired[j]) return until;
    return times[offsets[sample + 1] - 1];
  }
  // Whether a population fires no spike in any sample.
  bool silent(Id population) const {
    check_index("population", population, Size(population_offsets.size()) - 1);
    for (const Id j : neurons)
      if (j >= population_offsets[population] && j < population_offsets[population + 1])
        return false;
    return true;
  }
};

}  // namespace snnfp
