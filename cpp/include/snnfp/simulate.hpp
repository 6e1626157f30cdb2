#pragma once
// Simulation of a batch: exact spike times from an event queue, samples in parallel.

#include <functional>
#include <limits>

#include "snnfp/record.hpp"

namespace snnfp {

// Which compiled variant of the inner loops runs; all give the same bits.
enum class Isa { best, portable, avx2, avx512 };

const char* isa_name(Isa isa);
// The widest variant that this build has and this processor runs; `wanted` if it is one of those.
Isa resolve_isa(Isa wanted);

// Which simulator runs; `automatic` sweeps where the graph allows it. All give the same record.
enum class Engine { automatic, queue };

struct ExecutionOptions {
  int n_threads = 0;  // 0: all that the machine offers
  Isa isa = Isa::best;
  // Called now and then from the calling thread; may throw to stop the work.
  std::function<void()> poll;
};

template <class Real>
struct SimulateOptions : ExecutionOptions {
  Real until = std::numeric_limits<Real>::infinity();
  Size samples = 0;  // of a network without input groups; otherwise the input says how many
  Size spike_limit = 10000;  // of one neuron in one sample; more is an EventLimitError
  Engine engine = Engine::automatic;
  InitialState<Real> initial;
  // Populations whose neurons are not followed beyond their first spikes: as if their refractory
  // times were infinite. What only looks at first spikes is done sooner.
  std::vector<Id> first_spikes_of;
  // A sample ends as soon as every neuron of these populations has fired: its spikes are those of
  // `until` = the last of their first spikes.
  std::vector<Id> stop_after;
};

template <class Real>
Record<Real> simulate(const Network<Real>& network, const Input<Real>& input,
                      const SimulateOptions<Real>& options = {});

// Spikes of the network's neurons that another simulator or a chip recorded. Neurons are numbered
// through the populations.
template <class Real>
struct RecordedSpikes {
  Array<Real> times;
  Array<Id> neurons;
  Array<Size> offsets;
};

// The record that these spikes would have left, with residuals V(f-) - threshold. Throws
// RecordedSpikeError where a spike cannot be: during the refractory time, V falling, or a residual
// beyond `tolerance` (a voltage).
template <class Real>
Record<Real> record_from_spikes(const Network<Real>& network, const Input<Real>& input,
                                const RecordedSpikes<Real>& spikes, Real tolerance,
                                const SimulateOptions<Real>& options = {});

// V and I of chosen neurons at chosen times, exact. `times` ascend; results [samples, neurons, times].
template <class Real>
struct Probe {
  std::vector<Id> neurons;  // numbered through the populations
  std::vector<Real> times;
};

template <class Real>
struct ProbeResult {
  std::vector<Real> voltage;
  std::vector<Real> current;
};

template <class Real>
ProbeResult<Real> probe(const Record<Real>& record, const Probe<Real>& probe,
                        const ExecutionOptions& options = {});

#define SNNFP_SIMULATE_TEMPLATES(EXTERN, Real)                                                   \
  EXTERN template Record<Real> simulate(const Network<Real>&, const Input<Real>&,                \
                                        const SimulateOptions<Real>&);                           \
  EXTERN template Record<Real> record_from_spikes(const Network<Real>&, const Input<Real>&,      \
                                                  const RecordedSpikes<Real>&, Real,             \
                                                  const SimulateOptions<Real>&);                 \
  EXTERN template ProbeResult<Real> probe(const Record<Real>&, const Probe<Real>&,               \
                                          const ExecutionOptions&);
SNNFP_SIMULATE_TEMPLATES(extern, float)
SNNFP_SIMULATE_TEMPLATES(extern, double)

}  // namespace snnfp
