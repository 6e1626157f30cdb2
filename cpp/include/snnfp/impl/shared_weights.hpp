#pragma once
// Weights that synapses share: which synapse has which, and the two directions between them. The
// kernels know only what each synapse has.

#include <algorithm>
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

// Checks that each synapse names a weight that there is, or none.
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

// Whether each synapse has its own weight, or none: a mask, whose loops take several at a time.
// Without branches within a part, at which masks at random would make the processor guess.
inline bool is_mask(const Array<Id>& of, Size weights) {
  const Id* const at = of.data();
  if (of.size() != weights) return false;
  for (Size begin = 0; begin < weights; begin += 1024) {
    const Id first = static_cast<Id>(begin);
    const Id count = static_cast<Id>(std::min<Size>(1024, weights - begin));
    unsigned others = 0;
    for (Id k = 0; k < count; ++k)
      others |= unsigned(at[begin + k] >= 0) & unsigned(at[begin + k] != first + k);
    if (others) return false;
  }
  return true;
}

// The value that each synapse has, 0 where it is not there; `values` themselves where none are
// shared.
template <class Real>
Array<Real> of_synapses(const Array<Real>& values, const Array<Id>& of) {
  if (!of.size()) return values;
  std::vector<Real> each(static_cast<std::size_t>(of.size()));
  const Id* const at = of.data();
  const Real* const from = values.data();
  Real* const to = each.data();
  if (is_mask(of, values.size())) {
    for (Size k = 0; k < of.size(); ++k) to[k] = at[k] < 0 ? Real(0) : from[k];
  } else if (values.size()) {
    for (Size k = 0; k < of.size(); ++k) {
      const Real value = from[std::max(at[k], Id(0))];
      to[k] = at[k] < 0 ? Real(0) : value;
    }
  }
  return Array<Real>(std::move(each));
}

// The other way round: what the synapses that share a value come to, in their order. Sums of many
// in single precision too are those of double precision, rounded once.
template <class Real>
void add_up(Span<const Real> each, const Array<Id>& of, Span<Real> to) {
  const Id* const at = of.data();
  if (is_mask(of, to.size)) {
    for (Size k = 0; k < to.size; ++k) to.data[k] = at[k] < 0 ? Real(0) : each.data[k];
    return;
  }
  // Those that are not there go where nobody looks.
  std::vector<double> sums(static_cast<std::size_t>(to.size) + 1, 0.0);
  const Id beside = static_cast<Id>(to.size);
  for (Size k = 0; k < each.size; ++k)
    sums.data()[at[k] < 0 ? beside : at[k]] += double(each.data[k]);
  for (Size w = 0; w < to.size; ++w) to.data[w] = static_cast<Real>(sums.data()[w]);
}

}  // namespace snnfp::detail
