// First spikes and figures of a record.

#include "snnfp/first_spikes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "snnfp/detail/exponential.hpp"
#include "snnfp/detail/logarithm.hpp"

namespace snnfp {
namespace {

// Calls use(place in [samples, neurons of the population], spike) for each first spike.
template <class Real, class Use>
void for_each_first(const Record<Real>& record, Id population, const Use& use) {
  check_index("population", population, Size(record.population_offsets.size()) - 1);
  const Id first = record.population_offsets[population];
  const Id n = record.population_offsets[population + 1] - first;
  std::vector<Size> seen_in(n, -1);  // the sample
  for (Size s = 0; s < record.samples(); ++s)
    for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k) {
      const Id j = record.neurons[k] - first;
      if (j < 0 || j >= n || seen_in[j] == s) continue;
      seen_in[j] = s;
      use(s * n + j, k);
    }
}

template <class Real>
Size outputs_of(const Record<Real>& record, Id population) {
  check_index("population", population, Size(record.population_offsets.size()) - 1);
  return record.population_offsets[population + 1] - record.population_offsets[population];
}

// e^x - 1 for x >= 0; infinite where e^x is out of range.
double expm1_of(double x) {
  const auto parts = detail::exponential_parts(-x);
  return -parts.expm1() / parts.exp();
}

}  // namespace

template <class Real>
std::vector<Real> first_times(const Record<Real>& record, Id population) {
  std::vector<Real> times(record.samples() * outputs_of(record, population),
                          std::numeric_limits<Real>::infinity());
  for_each_first(record, population, [&](Size at, Size k) { times[at] = record.times[k]; });
  return times;
}

template <class Real>
std::vector<Real> of_first_spikes(const Record<Real>& record, Id population,
                                  Span<const Real> derivative) {
  const Size expected = record.samples() * outputs_of(record, population);
  if (derivative.size != expected)
    throw InvalidArgument("the derivative has " + std::to_string(derivative.size) +
                          " elements, expected " + std::to_string(expected));
  std::vector<Real> by_spike(record.times.size(), Real(0));
  for_each_first(record, population, [&](Size at, Size k) { by_spike[k] = derivative[at]; });
  return by_spike;
}

template <class Real>
std::vector<Size> first_to_fire(Span<const Real> first, Size outputs) {
  if (outputs < 0 || (outputs == 0 ? first.size : first.size % outputs) != 0)
    throw InvalidArgument(std::to_string(first.size) + " first spikes of " +
                          std::to_string(outputs) + " outputs, expected whole samples");
  std::vector<Size> winners(outputs > 0 ? first.size / outputs : 0);
  for (Size s = 0; s < Size(winners.size()); ++s) {
    const Real* const begin = first.data + s * outputs;
    const Real* const winner = std::min_element(begin, begin + outputs);
    winners[s] = std::isfinite(*winner) ? winner - begin : -1;
  }
  return winners;
}

template <class Real>
CrossEntropyValue cross_entropy(const CrossEntropy& loss, Span<const Real> first,
                                Span<const Size> labels) {
  const Size samples = labels.size, n = samples > 0 ? first.size / samples : 0;
  if (samples * n != first.size)
    throw InvalidArgument(std::to_string(first.size) + " first spikes for " +
                          std::to_string(samples) + " labels, expected as many for each");
  CrossEntropyValue result;
  result.derivative.resize(first.size);
  std::vector<double> part(n);
  for (Size s = 0; s < samples; ++s) {
    const Real* const times = first.data + s * n;
    double* const derivative = result.derivative.data() + s * n;
    check_index("label", labels[s], n);
    const Size label = labels[s];
    const auto time = [&](Size k) {
      return std::isfinite(times[k]) ? double(times[k]) : loss.horizon;
    };
    double earliest = std::numeric_limits<double>::infinity();
    for (Size k = 0; k < n; ++k) {
      earliest = std::min(earliest, time(k));
      if (time(k) > loss.horizon && result.late < 0) result.late = s;
    }
    double total = 0;
    for (Size k = 0; k < n; ++k)
      total += part[k] = detail::exp_of((earliest - time(k)) / loss.tau0);
    for (Size k = 0; k < n; ++k) derivative[k] = -part[k] / total;
    derivative[label] += 1;
    for (Size k = 0; k < n; ++k) derivative[k] /= loss.tau0;
    double value = detail::log_of(total) + (time(label) - earliest) / loss.tau0;
    if (loss.gamma != 0) {  // without weight it must not overflow either
      const double late = expm1_of(time(label) / loss.tau1);
      if (!std::isfinite(late) && result.beyond < 0) result.beyond = s;
      value += loss.gamma * late;
      derivative[label] += loss.gamma / loss.tau1 * (late + 1);
    }
    for (Size k = 0; k < n; ++k)
      derivative[k] = std::isfinite(times[k]) ? derivative[k] / double(samples) : 0.0;
    result.value += value;
  }
  result.value /= double(samples);
  return result;
}

template <class Real>
RecordFigures figures(const Record<Real>& record, double fraction) {
  RecordFigures result{std::numeric_limits<double>::infinity(), 0,
                       std::vector<Size>(record.population_offsets.back())};
  std::vector<Real> least(record.population_offsets.back());
  for (Size p = 0; p + 1 < Size(record.population_offsets.size()); ++p) {
    const Lif<Real>& lif = record.network.populations()[p].parameters;
    for (Id j = record.population_offsets[p]; j < record.population_offsets[p + 1]; ++j) {
      const Id i = j - record.population_offsets[p];
      const Real tau = std::min(lif.tau_mem.at_or_shared(i), lif.tau_syn.at_or_shared(i));
      least[j] =
          Real(fraction) * (lif.threshold.at_or_shared(i) - lif.v_reset.at_or_shared(i)) / tau;
    }
  }
  for (std::size_t k = 0; k < record.slopes.size(); ++k) {
    const Id j = record.neurons[k];
    ++result.counts[j];
    result.min_slope = std::min(result.min_slope, double(record.slopes[k]));
    result.near_tangent += record.slopes[k] < least[j];
  }
  return result;
}

SpikeBatch<double> take_samples(const SpikeBatch<double>& batch, Span<const Size> samples) {
  const Size there = Size(batch.times.size());
  if (Size(batch.units.size()) != there)
    throw InvalidArgument(std::to_string(there) + " times and " +
                          std::to_string(batch.units.size()) + " units, expected as many");
  std::vector<Size> offsets{0};
  offsets.reserve(samples.size + 1);
  for (Size k = 0; k < samples.size; ++k) {
    check_index("sample", samples[k], std::max<Size>(0, batch.samples()));
    const Size begin = batch.offsets[samples[k]], end = batch.offsets[samples[k] + 1];
    if (begin < 0 || end < begin || end > there)
      throw InvalidArgument("offsets of sample " + std::to_string(samples[k]) + " are " +
                            std::to_string(begin) + " and " + std::to_string(end) +
                            ", expected 0 <= offsets, rising to at most " + std::to_string(there) +
                            " spikes");
    offsets.push_back(offsets.back() + end - begin);
  }
  std::vector<double> times(offsets.back());
  std::vector<Id> units(offsets.back());
  for (Size k = 0; k < samples.size; ++k) {
    const Size begin = batch.offsets[samples[k]], end = batch.offsets[samples[k] + 1];
    std::copy(batch.times.begin() + begin, batch.times.begin() + end, times.begin() + offsets[k]);
    std::copy(batch.units.begin() + begin, batch.units.begin() + end, units.begin() + offsets[k]);
  }
  return {std::move(times), std::move(units), std::move(offsets)};
}

SNNFP_FIRST_SPIKES_TEMPLATES(, float)
SNNFP_FIRST_SPIKES_TEMPLATES(, double)

}  // namespace snnfp
