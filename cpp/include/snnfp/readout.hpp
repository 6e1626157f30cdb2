#pragma once
// Readouts: populations without threshold and reset that feed nothing. They only listen, so that
// what they do is a function of the spikes of a record, exact as these are; no simulator knows of
// them. MATH.md E16.

#include <limits>
#include <vector>

#include "snnfp/gradient.hpp"

namespace snnfp {

// What readouts hear: a record without spikes of its own whose input group g has the spikes of
// `senders[g]`, a group of the network of `record`. The populations of `readouts` are the readouts;
// threshold, v_reset and t_refractory of theirs say nothing. `initial` is their state at time 0.
//
// Throws InvalidArgument for senders that are not there or have another size than their input
// group, and for a record whose samples ended before its `until`. Of a population of which it has
// the first spikes only (SimulateOptions::first_spikes_of) spikes are missing: `first_spikes_of` of
// what is returned are the input groups of such, and readouts that hear one cannot be read.
template <class Real>
SNNFP_EXPORT Record<Real> listen(const Record<Real>& record, const Network<Real>& readouts,
                                 const std::vector<Source>& senders,
                                 const InitialState<Real>& initial = {});

// What is read off a readout: V at given times, the highest V over the whole sample, or the
// integral of V over it.
enum class ReadoutValue { voltage, maximum, integral };

template <class Real>
struct Reading {
  Id readout = 0;  // population
  ReadoutValue value = ReadoutValue::voltage;
  std::vector<Real> times = {};  // of a voltage: from 0 up to `until`, in any order
  // Of an integral: V is weighted by e^(-t / time_scale).
  Real time_scale = std::numeric_limits<Real>::infinity();
};

// [samples, times of a voltage or 1, neurons]. `heard` is of `listen`; so it is below. Where
// `until` is infinite there is no maximum and no integral. Throws InvalidArgument for what cannot
// be read, and for values beyond what the numbers can carry; so do derivatives.
template <class Real>
SNNFP_EXPORT std::vector<Real> read(const Record<Real>& heard, const Reading<Real>& reading,
                                    const ExecutionOptions& options = {});

// Derivatives of a sum over what is read: by the readout's own parameters, laid out as `layout` of
// `heard` says, and by the time of every spike of each input group of `heard`.
template <class Real>
struct ReadoutGradient {
  std::vector<Real> parameters;
  std::vector<std::vector<Real>> senders;
};

// Reverse: `cotangents` are dL / d(value), in the shape of `read`. `wrt` names parameters of the
// readouts' network, no input times.
template <class Real>
SNNFP_EXPORT ReadoutGradient<Real> read_vjp(const Record<Real>& heard, const Reading<Real>& reading,
                                            Span<const Real> cotangents,
                                            const std::vector<Parameter>& wrt,
                                            const ExecutionOptions& options = {});

// Of every value by itself: `parameters` are [what is read, columns], and `senders` of each input
// group that is asked for [values of a sample, spikes]: by a spike those of its own sample. Those
// of other input groups are empty.
template <class Real>
struct ReadoutJacobian {
  std::vector<Real> parameters;
  std::vector<std::vector<Real>> senders;
};
template <class Real>
SNNFP_EXPORT ReadoutJacobian<Real> read_jacobian(const Record<Real>& heard,
                                                 const Reading<Real>& reading,
                                                 const std::vector<Parameter>& wrt,
                                                 const std::vector<Id>& senders,
                                                 const ExecutionOptions& options = {});

// Forward: the derivative of what is read along a direction, in the shape of `read`. `tangents`
// are that of the parameters, `sender_tangents` of the spikes of each input group (empty: 0).
template <class Real>
SNNFP_EXPORT std::vector<Real> read_jvp(const Record<Real>& heard, const Reading<Real>& reading,
                                        const std::vector<Parameter>& wrt,
                                        Span<const Real> tangents,
                                        const std::vector<Span<const Real>>& sender_tangents,
                                        const ExecutionOptions& options = {});

#define SNNFP_READOUT_TEMPLATES(EXTERN, Real)                                                     \
  EXTERN template Record<Real> listen(const Record<Real>&, const Network<Real>&,                  \
                                      const std::vector<Source>&, const InitialState<Real>&);     \
  EXTERN template std::vector<Real> read(const Record<Real>&, const Reading<Real>&,               \
                                         const ExecutionOptions&);                                \
  EXTERN template ReadoutGradient<Real> read_vjp(const Record<Real>&, const Reading<Real>&,       \
                                                 Span<const Real>, const std::vector<Parameter>&, \
                                                 const ExecutionOptions&);                        \
  EXTERN template ReadoutJacobian<Real> read_jacobian(                                            \
      const Record<Real>&, const Reading<Real>&, const std::vector<Parameter>&,                   \
      const std::vector<Id>&, const ExecutionOptions&);                                           \
  EXTERN template std::vector<Real> read_jvp(                                                     \
      const Record<Real>&, const Reading<Real>&, const std::vector<Parameter>&, Span<const Real>, \
      const std::vector<Span<const Real>>&, const ExecutionOptions&);
SNNFP_READOUT_TEMPLATES(extern, float)
SNNFP_READOUT_TEMPLATES(extern, double)

}  // namespace snnfp
