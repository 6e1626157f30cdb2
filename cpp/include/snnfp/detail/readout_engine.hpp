#pragma once
// The border between the public functions of readouts and their inner loops, one table an
// instruction set.

#include "snnfp/detail/engine.hpp"
#include "snnfp/readout.hpp"

namespace snnfp::detail {

// A reading, as the inner loops need it.
template <class Real>
struct ReadingJob {
  const Plan<Real>& plan;  // of the readouts' network
  Id readout;
  Id first, size;  // its neurons
  Id from, upto;   // those that are looked at, of `size`; all that is asked of others is 0
  bool alike;      // they have the same time constants
  bool alone;      // V moves without arrivals: bias, or a state at the start
  ReadoutValue value;
  const Real* times;  // of a voltage
  Size n_times;       // 1 of other values
  Real until;
  Real rate;  // 1 / time_scale
};

// Samples one by one; `first_of[g]` is where the sample's spikes begin in input group g, in `out`
// of `reverse` and in tangents.
template <class Real>
struct ReadoutTable {
  // [n_times, size]
  void (*values)(const ReadingJob<Real>&, const SampleInput<Real>&, Real* out);
  // Adds to `gradient`, whose columns are given, and to senders[g][spike of the batch] (null: not
  // asked for).
  void (*reverse)(const ReadingJob<Real>&, const SampleInput<Real>&, const Real* cotangents,
                  const Columns&, Real* gradient, Real* const* senders);
  // senders[g]: tangents of the spikes of the batch; null: 0.
  void (*forward)(const ReadingJob<Real>&, const SampleInput<Real>&, const Columns&,
                  const Real* tangents, const Real* const* senders, Real* out);
};

template <class Real>
const ReadoutTable<Real>& readout_table(Isa isa);

}  // namespace snnfp::detail
