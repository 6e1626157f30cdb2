#pragma once
// What a training asks of each record: first spikes, the cross-entropy of them, a few figures.

#include <vector>

#include "snnfp/export.hpp"
#include "snnfp/record.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

// Time of each neuron's first spike in each sample, [samples, neurons of the population]; infinite
// where there is none.
template <class Real>
SNNFP_EXPORT std::vector<Real> first_times(const Record<Real>& record, Id population);

// dL/dt of every spike of a record, where L is known by first spikes ([samples, neurons]).
template <class Real>
SNNFP_EXPORT std::vector<Real> of_first_spikes(const Record<Real>& record, Id population,
                                               Span<const Real> derivative);

// The output that fires first, one a sample; -1 where none does; ties: the lowest.
template <class Real>
SNNFP_EXPORT std::vector<Size> first_to_fire(Span<const Real> first, Size outputs);

// The mean over samples of -log softmax(-t / tau0)[label] + gamma (exp(t_label / tau1) - 1), where
// `horizon` stands for silence, and its derivative by first spikes (0 for silence).
struct CrossEntropy {
  double tau0 = 1;
  double tau1 = 1;
  double gamma = 0;
  double horizon = 0;
};
struct CrossEntropyValue {
  double value = 0;
  std::vector<double> derivative;  // [samples, outputs]
  // Samples with a first spike after the horizon, and those whose second term is out of range: the
  // first of each, where the rest is of no use; -1: none.
  Size late = -1;
  Size beyond = -1;
};
// `first` is what first_times gives; labels are outputs, one a sample.
template <class Real>
SNNFP_EXPORT CrossEntropyValue cross_entropy(const CrossEntropy& loss, Span<const Real> first,
                                             Span<const Size> labels);

struct RecordFigures {
  double min_slope;          // the smallest V'(f-); infinite without spikes
  Size near_tangent;         // spikes with V'(f-) tau < fraction (threshold - v_reset)
  std::vector<Size> counts;  // spikes of each neuron in all samples
};
template <class Real>
SNNFP_EXPORT RecordFigures figures(const Record<Real>& record, double fraction);

// The spikes of chosen samples, in the order given.
SNNFP_EXPORT SpikeBatch<double> take_samples(const SpikeBatch<double>& batch,
                                             Span<const Size> samples);

#define SNNFP_FIRST_SPIKES_TEMPLATES(prefix, Real)                                              \
  prefix template std::vector<Real> first_times(const Record<Real>&, Id);                       \
  prefix template std::vector<Real> of_first_spikes(const Record<Real>&, Id, Span<const Real>); \
  prefix template std::vector<Size> first_to_fire(Span<const Real>, Size);                      \
  prefix template CrossEntropyValue cross_entropy(const CrossEntropy&, Span<const Real>,        \
                                                  Span<const Size>);                            \
  prefix template RecordFigures figures(const Record<Real>&, double);
SNNFP_FIRST_SPIKES_TEMPLATES(extern, float)
SNNFP_FIRST_SPIKES_TEMPLATES(extern, double)

}  // namespace snnfp
