#pragma once
// The arrivals at a readout in one sample, one after the other: row by row where all its neurons
// receive a spike at once, else synapse by synapse.

#include "snnfp/detail/readout_engine.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/model/response.hpp"

SNNFP_ISA_BEGIN

// What comes first where arrivals fall on one time.
struct ArrivalOrder {
  Id sender, projection;
  Size synapse, spike;  // `spike` of the sample's, in its group

  friend bool operator<(const ArrivalOrder& a, const ArrivalOrder& b) {
    if (a.sender != b.sender) return a.sender < b.sender;
    if (a.projection != b.projection) return a.projection < b.projection;
    return a.synapse != b.synapse ? a.synapse < b.synapse : a.spike < b.spike;
  }
  friend bool operator==(const ArrivalOrder& a, const ArrivalOrder& b) {
    return a.sender == b.sender && a.projection == b.projection && a.synapse == b.synapse &&
           a.spike == b.spike;
  }
};

// A spike on its way through a projection.
template <class Real>
struct SentSpike {
  const ProjectionPlan<Real>& p;
  Id group, unit;
  Size spike;  // of the sample's, in its group
  Size index;  // in the batch
  Real time;

  // Of a row: the first synapse, the first weight, one for each neuron.
  Size row() const { return p.row_begin(unit); }
  ArrivalOrder order(Size synapse) const {
    return {p.source_first + unit, p.index, synapse, spike};
  }
};

template <class Real>
bool comes_in_rows(const ProjectionPlan<Real>& p) {
  return p.connectivity == Connectivity::dense && p.arrives_at_once();
}

// Calls use(sent) for every spike that is sent to the readout, projection by projection.
template <class Real, class Use>
void each_sent(const ReadingJob<Real>& job, const SampleInput<Real>& input, const Use& use) {
  for (const Id q : job.plan.into_population[job.readout]) {
    const ProjectionPlan<Real>& p = job.plan.projections[q];
    const InputSpikes<Real>& spikes = input.groups[p.from_input];
    for (Size k = 0; k < spikes.count; ++k)
      use(SentSpike<Real>{p, p.from_input, spikes.units[k], k, spikes.first + k, spikes.times[k]});
  }
}

// Calls use(synapse, neuron of the readout, time of arrival) for every synapse of a sent spike to a
// neuron that is looked at.
template <class Real, class Use>
void each_synapse(const ReadingJob<Real>& job, const SentSpike<Real>& sent, const Use& use) {
  const ProjectionPlan<Real>& p = sent.p;
  for (Size k = p.row_begin(sent.unit); k < p.row_end(sent.unit); ++k)
    if (const Id j = p.target_of(sent.unit, k) - p.target_first; j >= job.from && j < job.upto)
      use(k, j, sent.time + p.delay_of(sent.unit, k));
}

// The sum of term(k) for k < n in a fixed pattern of partial sums: the same bits at every vector
// width.
template <class Real, class Term>
SNNFP_INLINE Real sum_of(Size n, const Term& term) {
  constexpr Size parts = 8;
  Real sum[parts] = {};
  const Size whole = n - n % parts;
  for (Size k = 0; k < whole; k += parts)
    for (Size l = 0; l < parts; ++l) sum[l] += term(k + l);
  for (Size k = whole; k < n; ++k) sum[k - whole] += term(k);
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

SNNFP_ISA_END
