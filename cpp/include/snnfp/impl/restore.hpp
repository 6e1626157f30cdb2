#pragma once
// Body of restore: a record put together again from what it was made of.

#include <cmath>

#include "snnfp/impl/simulate.hpp"

namespace snnfp {

template <class Real>
Record<Real> restore(const Network<Real>& network, const Input<Real>& input,
                     RecordParts<Real> parts, const SimulateOptions<Real>& options) {
  using detail::invalid;
  if (std::isnan(options.until) || options.until < Real(0))
    invalid("until is ", options.until, ", expected a time >= 0");
  if (parts.offsets.empty()) invalid("offsets is empty, expected a value a sample and one more");
  Record<Real> record =
      detail::begin_record(network, input, options, Size(parts.offsets.size()) - 1);
  const Size samples = record.samples(), n = static_cast<Size>(parts.times.size());
  const auto check_size = [](const char* name, std::size_t size, Size expected) {
    if (Size(size) != expected) invalid(name, " has ", size, " values, expected ", expected);
  };
  check_size("offsets", parts.offsets.size(), samples + 1);
  check_size("neurons", parts.neurons.size(), n);
  check_size("slopes", parts.slopes.size(), n);
  check_size("release_currents", parts.release_currents.size(), n);
  if (!parts.residuals.empty()) check_size("residuals", parts.residuals.size(), n);
  if (parts.offsets[0] != 0 || parts.offsets[samples] != n)
    invalid("offsets go from ", parts.offsets[0], " to ", parts.offsets[samples],
            ", expected 0 to ", n, ", the number of spikes");
  for (Size s = 0; s < samples; ++s)
    if (parts.offsets[s + 1] < parts.offsets[s])
      invalid("offsets[", s + 1, "] is ", parts.offsets[s + 1], ", expected at least ",
              parts.offsets[s]);
  for (Size s = 0; s < samples; ++s)
    for (Size k = parts.offsets[s]; k < parts.offsets[s + 1]; ++k) {
      check_index("neuron", parts.neurons[k], record.population_offsets.back());
      const Real t = parts.times[k];
      const Real before = k > parts.offsets[s] ? parts.times[k - 1] : Real(0);
      if (!(t >= before) || !(t <= options.until) || !std::isfinite(t))
        invalid("times[", k, "] is ", t, ", expected a time from ", before, " on, up to until");
      if (!(parts.slopes[k] > Real(0)))
        invalid("slopes[", k, "] is ", parts.slopes[k], ", expected a number > 0");
      if (!std::isfinite(parts.release_currents[k]))
        invalid("release_currents[", k, "] is ", parts.release_currents[k],
                ", expected a finite number");
    }
  for (const MissingSpike& spike : parts.faults.missing) {
    check_index("sample of a missing spike", spike.sample, samples);
    check_index("neuron of a missing spike", spike.neuron, record.population_offsets.back());
  }
  for (const ImpossibleSpike& spike : parts.faults.impossible) {
    check_index("sample of an impossible spike", spike.sample, samples);
    check_index("neuron of an impossible spike", spike.neuron, record.population_offsets.back());
    if (spike.spike < 0)
      invalid("index of an impossible spike is ", spike.spike, ", expected at least 0");
  }
  record.offsets = std::move(parts.offsets);
  record.times = std::move(parts.times);
  record.neurons = std::move(parts.neurons);
  record.slopes = std::move(parts.slopes);
  record.release_currents = std::move(parts.release_currents);
  record.residuals = std::move(parts.residuals);
  record.faults = std::move(parts.faults);
  return record;
}

}  // namespace snnfp
