#pragma once
// Simulation of a batch: exact spike times from an event queue, samples in parallel.

#include <limits>

#include "snnfp/execution.hpp"
#include "snnfp/record.hpp"

namespace snnfp {

template <class Real>
struct SimulateOptions : ExecutionOptions {
  Real until = std::numeric_limits<Real>::infinity();
  Size samples = 0;  // of a network without input groups; otherwise the input says how many
  // Of one neuron in one sample; more is an EventLimitError. So are, in loops whose synapses or
  // target neurons have their own delays, more arrivals on their way than a million and
  // max(50, spike_limit / 200) a synapse.
  Size spike_limit = 10000;
  Engine engine = Engine::automatic;
  InitialState<Real> initial;
  // Populations whose neurons are not followed beyond their first spikes: as if their refractory
  // times were infinite. What only looks at first spikes is done sooner.
  std::vector<Id> first_spikes_of;
  // A sample ends as soon as every neuron of these populations has fired: its spikes are those of
  // `until` = the last of their first spikes.
  std::vector<Id> stop_after;
};

// Simulates a batch; the record has every spike up to `until` and shares the arrays of network and
// input, neither of which is changed: other calls may use them at the same time.
//
// Throws InvalidArgument (a batch or an option that cannot be meant; names sample, spike, value),
// EventLimitError (firing that runs away: the first spike too many of the first such sample),
// ClockError (times too large to resolve a time constant), and what `options.poll` throws.
template <class Real>
SNNFP_EXPORT Record<Real> simulate(const Network<Real>& network, const Input<Real>& input,
                                   const SimulateOptions<Real>& options = {});

// The record that these spikes would have left, with residuals V(f-) - threshold, and what does not
// fit in its `faults`: spikes that cannot be, and crossings by more than `tolerance` (a voltage)
// without a spike. Where it is infinite no residual is a fault and no crossing is, but crossings
// from which V comes down again, or is above at the end, without a spike are told.
//
// `options.stop_after` must be empty: recorded spikes are taken as they are. Throws
// RecordedSpikeError for a recording with faults (OnFault::raise), and else as simulate.
template <class Real>
SNNFP_EXPORT Record<Real> record_from_spikes(const Network<Real>& network, const Input<Real>& input,
                                             const RecordedSpikes<Real>& spikes, Real tolerance,
                                             const SimulateOptions<Real>& options = {},
                                             OnFault on_fault = OnFault::raise);

// What a record holds beside its network and input, to keep it in a file or send it elsewhere.
template <class Real>
struct RecordParts {
  std::vector<Size> offsets;
  std::vector<Real> times;
  std::vector<Id> neurons;
  std::vector<Real> slopes, release_currents, residuals;
  RecordingFaults faults;
};

// The record that had these parts. Of `options` initial, until, first_spikes_of, stop_after are
// read. Throws InvalidArgument for parts that no record of the network has.
template <class Real>
SNNFP_EXPORT Record<Real> restore(const Network<Real>& network, const Input<Real>& input,
                                  RecordParts<Real> parts, const SimulateOptions<Real>& options);

// Of which neurons V and I are wanted, and when.
template <class Real>
struct Probe {
  std::vector<Id> neurons;  // numbered through the populations
  std::vector<Real> times;  // ascending, from 0 up to where the first sample ends
};

// Each [samples, neurons, times].
template <class Real>
struct ProbeResult {
  std::vector<Real> voltage;
  std::vector<Real> current;
};

// V and I of chosen neurons at chosen times, exact, by a replay of all samples; at a spike's time V
// is reset already. Throws InvalidArgument for neurons and times that the record does not have.
template <class Real>
SNNFP_EXPORT ProbeResult<Real> probe(const Record<Real>& record, const Probe<Real>& probe,
                                     const ExecutionOptions& options = {});

#define SNNFP_SIMULATE_TEMPLATES(EXTERN, Real)                                              \
  EXTERN template Record<Real> simulate(const Network<Real>&, const Input<Real>&,           \
                                        const SimulateOptions<Real>&);                      \
  EXTERN template Record<Real> record_from_spikes(const Network<Real>&, const Input<Real>&, \
                                                  const RecordedSpikes<Real>&, Real,        \
                                                  const SimulateOptions<Real>&, OnFault);   \
  EXTERN template Record<Real> restore(const Network<Real>&, const Input<Real>&,            \
                                       RecordParts<Real>, const SimulateOptions<Real>&);    \
  EXTERN template ProbeResult<Real> probe(const Record<Real>&, const Probe<Real>&,          \
                                          const ExecutionOptions&);
SNNFP_SIMULATE_TEMPLATES(extern, float)
SNNFP_SIMULATE_TEMPLATES(extern, double)

}  // namespace snnfp
