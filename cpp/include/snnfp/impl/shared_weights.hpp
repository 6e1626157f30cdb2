#pragma once
// Weights that synapses share: which synapse has which, and the two directions between them. The
// kernels know only what each synapse has.

#include <sstream>
#include <string>
#include <vector>

#include "snnfp/error.hpp"
#include "snnfp/types.hpp"

namespace snnfp::detail {

template <class... Parts>
[[noreturn]] void invalid(const Parts&... parts) {
  std::ostringstream message;
  message.precision(17);
  (message << ... << parts);
  throw InvalidArgument(message.str());
}

// One value for all becomes one each.
template <class Real>
Array<Real> expand(Array<Real> values, Size count) {
  if (values.size() == count) return values;
  return Array<Real>(std::vector<Real>(static_cast<std::size_t>(count), values[0]));
}

// Whether each synapse names a weight that there is, or none.
inline void check_weight_of(const Array<Id>& of, Size synapses, Size weights,
                            const std::string& name) {
  if (of.size() != synapses)
    invalid(name, ": weight_of has ", of.size(), " values, expected ", synapses,
            " (one a synapse)");
  for (Size k = 0; k < synapses; ++k)
    if (of[k] < -1 || of[k] >= weights)
      invalid(name, ": weight_of[", k, "] is ", of[k], ", expected 0 <= weight < ", weights,
              ", or -1 for a synapse that is not there");
}

// The value that each synapse has, 0 where it is not there; `values` themselves where none are
// shared.
template <class Real>
Array<Real> of_synapses(const Array<Real>& values, const Array<Id>& of) {
  if (!of.size()) return values;
  std::vector<Real> each(static_cast<std::size_t>(of.size()));
  const Id* const at = of.data();
  const Real* const from = values.data();
  for (Size k = 0; k < of.size(); ++k) each.data()[k] = at[k] < 0 ? Real(0) : from[at[k]];
  return Array<Real>(std::move(each));
}

// The other way round: what the synapses that share a value come to, in their order. Sums of many
// in single precision too are those of double precision, rounded once.
template <class Real>
void add_up(Span<const Real> each, const Array<Id>& of, Span<Real> to) {
  std::vector<double> sums(static_cast<std::size_t>(to.size), 0.0);
  const Id* const at = of.data();
  for (Size k = 0; k < each.size; ++k)
    if (at[k] >= 0) sums.data()[at[k]] += double(each.data[k]);
  for (Size w = 0; w < to.size; ++w) to.data[w] = static_cast<Real>(sums.data()[w]);
}

}  // namespace snnfp::detail
