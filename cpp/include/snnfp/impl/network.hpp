#pragma once
// Bodies of Network and single_sample: building, and every check of a parameter.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/graph.hpp"
#include "snnfp/error.hpp"
#include "snnfp/impl/shared_weights.hpp"
#include "snnfp/model/scales.hpp"
#include "snnfp/network.hpp"
#include "snnfp/spikes.hpp"

namespace snnfp {
namespace detail {

template <class Real>
void check_size(const Array<Real>& values, Size count, const std::string& name, const char* each) {
  if (values.size() != 1 && values.size() != count)
    invalid(name, " has ", values.size(), " values, expected 1 or ", count, " (one ", each, ")");
}

// All finite; the largest in size.
template <class Real>
Real check_finite(const Array<Real>& values, const std::string& name) {
  // Several at a time, and what is not finite is told from a sum of zeros.
  constexpr Size width = 16;
  Real largest[width] = {}, zero[width] = {};
  const Size n = values.size(), whole = n - n % width;
  const Real* const x = values.data();
  const auto take = [&](Real value, Size to) {
    const Real size = std::abs(value);
    largest[to] = largest[to] < size ? size : largest[to];
    zero[to] += value * Real(0);
  };
  for (Size k = 0; k < whole; k += width)
    for (Size l = 0; l < width; ++l) take(x[k + l], l);
  for (Size k = whole; k < n; ++k) take(x[k], k - whole);
  for (const Real sum : zero)
    for (Size k = 0; sum != Real(0) && k < n; ++k)
      if (!std::isfinite(x[k])) invalid(name, "[", k, "] is ", x[k], ", expected a finite number");
  return *std::max_element(largest, largest + width);
}

template <class Real>
void check_neuron_parameter(const Array<Real>& values, Size count, const std::string& name,
                            NeuronParameter parameter) {
  check_size(values, count, name, "neuron");
  for (Size k = 0; k < values.size(); ++k) {
    const Real x = values[k];
    const auto fail = [&](const char* expected) {
      invalid(name, "[", k, "] is ", x, ", expected ", expected);
    };
    switch (parameter) {
      case NeuronParameter::tau_mem:
      case NeuronParameter::tau_syn:
        if (!(x > Real(0))) fail("a time > 0 (infinity allowed)");
        if (x < 1 / Limits<Real>::scale)
          invalid(name, "[", k, "] is ", x, ", expected at least ", 1 / Limits<Real>::scale,
                  ": choose another unit of time");
        break;
      case NeuronParameter::t_refractory:
        if (!(x >= Real(0))) fail("a time >= 0 (infinity allowed)");
        break;
      case NeuronParameter::capacitance:
        if (!(x > Real(0)) || !std::isfinite(x)) fail("a finite number > 0");
        if (x < 1 / Limits<Real>::scale || x > Limits<Real>::scale)
          invalid(name, "[", k, "] is ", x, ", expected a number between ", 1 / Limits<Real>::scale,
                  " and ", Limits<Real>::scale, ": choose another unit of charge");
        break;
      default:
        if (!std::isfinite(x)) fail("a finite number");
    }
  }
}

template <class Real>
void check_threshold_above_reset(const Population<Real>& p) {
  const Lif<Real>& q = p.parameters;
  const Size n = std::max(q.threshold.size(), q.v_reset.size());
  for (Size k = 0; k < n; ++k)
    if (!(q.threshold.at_or_shared(k) > q.v_reset.at_or_shared(k)))
      invalid(p.name, ".threshold[", k, "] is ", q.threshold.at_or_shared(k),
              ", expected a value above v_reset = ", q.v_reset.at_or_shared(k));
}

}  // namespace detail

// Units of all groups are numbered through: ids must not run out.
template <class Real>
void Network<Real>::check_group(const char* kind, const std::string& name, Id size) const {
  const auto refuse_taken = [&](const char* by, const auto& groups) {
    for (const auto& g : groups)
      if (g.name == name && !name.empty())
        detail::invalid("the name of ", kind, " ", name, " is taken by ", by, " of size ", g.size,
                        ", expected a new one");
  };
  refuse_taken("an input", inputs_);
  refuse_taken("a population", populations_);
  if (size < 1) detail::invalid(kind, " ", name, " has size ", size, ", expected at least 1");
  Size units = size;
  for (const InputGroup& g : inputs_) units += g.size;
  for (const Population<Real>& p : populations_) units += p.size;
  if (units > std::numeric_limits<Id>::max())
    detail::invalid(kind, " ", name, " of size ", size, " makes ", units,
                    " input channels and neurons in the network, expected at most ",
                    std::numeric_limits<Id>::max());
}

template <class Real>
Source Network<Real>::add_input(std::string name, Id size) {
  check_group("input", name, size);
  graph_.forget();
  inputs_.push_back({name, size});
  return {Source::Kind::input, static_cast<Id>(inputs_.size()) - 1, std::move(name), size};
}

template <class Real>
Source Network<Real>::add_population(std::string name, Id size, Lif<Real> parameters,
                                     Size max_spikes) {
  check_group("population", name, size);
  if (max_spikes < 1)
    detail::invalid("max_spikes of population ", name, " is ", max_spikes, ", expected at least 1");
  for (int p = 0; p < n_neuron_parameters; ++p)
    detail::check_neuron_parameter(parameters[NeuronParameter(p)], size,
                                   name + "." + neuron_parameter_names[p], NeuronParameter(p));
  graph_.forget();
  populations_.push_back({name, size, std::move(parameters), max_spikes});
  try {
    detail::check_threshold_above_reset(populations_.back());
  } catch (...) {
    populations_.pop_back();
    throw;
  }
  return {Source::Kind::population, static_cast<Id>(populations_.size()) - 1, std::move(name),
          size};
}

template <class Real>
void Network<Real>::check_source(Source source, const char* role) const {
  const bool input = source.kind == Source::Kind::input;
  const char* const kind = input ? "input " : "population ";
  const Size count = input ? Size(inputs_.size()) : Size(populations_.size());
  if (source.index < 0 || source.index >= count)
    detail::invalid(role, " is ", kind, source.index, ", expected one of the ", count,
                    " that exist");
  if (source.name.empty()) return;
  const std::string& name = input ? inputs_[source.index].name : populations_[source.index].name;
  const Id size = input ? inputs_[source.index].size : populations_[source.index].size;
  if (source.name != name || source.size != size)
    detail::invalid(role, " is ", kind, source.name, " of size ", source.size,
                    ", which belongs to another network, expected a group of this one, whose ",
                    kind, source.index, " is ", name, " of size ", size);
}

template <class Real>
Id Network<Real>::source_size(Source source) const {
  check_source(source, "source");
  return source.kind == Source::Kind::input ? inputs_[source.index].size
                                            : populations_[source.index].size;
}

template <class Real>
const std::string& Network<Real>::source_name(Source source) const {
  check_source(source, "source");
  return source.kind == Source::Kind::input ? inputs_[source.index].name
                                            : populations_[source.index].name;
}

template <class Real>
Size Network<Real>::synapse_count(Id projection) const {
  check_index("projection", projection, Size(projections_.size()));
  const Projection<Real>& p = projections_[projection];
  const Size n = source_size(p.source);
  switch (p.connectivity) {
    case Connectivity::dense: return n * populations_[p.target].size;
    case Connectivity::one_to_one: return n;
    default: return p.row_offsets[n];
  }
}

template <class Real>
Size Network<Real>::weight_count(Id projection) const {
  const Size synapses = synapse_count(projection);
  const Projection<Real>& p = projections_[projection];
  return p.weight_of.size() ? p.weight.size() : synapses;
}

// Where kinds coincide, delays become of the one that kernels are fastest at.
template <class Real>
void Network<Real>::check_delay(Id projection, Delay<Real>& delay) const {
  const Projection<Real>& p = projections_[projection];
  const std::string name = p.name + ".delay";
  const Size n = delay.values.size();
  if (delay.per == DelayPer::weight && !p.weight_of.size()) delay.per = DelayPer::synapse;
  const auto expect = [&](Size count, const char* each) {
    if (n != count)
      detail::invalid(name, " has ", n, " values, expected ", count, " (one ", each, ")");
  };
  switch (delay.per) {
    case DelayPer::projection: expect(1, "for the projection"); break;
    case DelayPer::source: expect(source_size(p.source), "source unit"); break;
    case DelayPer::target: expect(populations_[p.target].size, "target neuron"); break;
    case DelayPer::weight: expect(weight_count(projection), "weight"); break;
    case DelayPer::synapse:
      if (const Size synapses = synapse_count(projection); n != synapses) {
        detail::check_size(delay.values, synapses, name, "synapse");
        delay.per = DelayPer::projection;
      }
      break;
    default:
      detail::invalid("the kind of ", name, " is ", Size(delay.per),
                      ", expected one for the projection, a source unit, a target neuron, a "
                      "synapse or a weight");
  }
  for (Size k = 0; k < n; ++k)
    if (const Real x = delay.values[k]; !(x >= Real(0)) || !std::isfinite(x))
      detail::invalid(name, "[", k, "] is ", x, ", expected a finite time >= 0");
  if (n == 1) {
    delay.per = DelayPer::projection;
  } else if (p.connectivity == Connectivity::one_to_one && delay.per != DelayPer::projection &&
             delay.per != DelayPer::weight) {
    delay.per = DelayPer::synapse;
  } else if (delay.per == DelayPer::synapse && p.connectivity == Connectivity::dense) {
    if (populations_[p.target].size == 1) delay.per = DelayPer::source;
    if (source_size(p.source) == 1) delay.per = DelayPer::target;
  }
}

template <class Real>
Id Network<Real>::connect(Projection<Real> projection, Weight<Real> weight, Delay<Real> delay) {
  if (projection.name.empty())
    projection.name =
        source_name(projection.source) + "_to_" + populations_[projection.target].name;
  const std::string name = projection.name;
  graph_.forget();
  projections_.push_back(std::move(projection));
  Projection<Real>& p = projections_.back();
  const Id index = static_cast<Id>(projections_.size()) - 1;
  try {
    const Size synapses = synapse_count(index);
    if (weight.of.size()) {
      detail::check_weight_of(weight.of, synapses, weight.values.size(), name);
    } else {
      detail::check_size(weight.values, synapses, name + ".weight", "synapse");
    }
    p.largest_weight = detail::check_finite(weight.values, name + ".weight");
    p.weight_of = std::move(weight.of);
    if (!p.weight_of.size()) weight.values = detail::expand(std::move(weight.values), synapses);
    p.weight = std::move(weight.values);
    p.synapse_weight = detail::of_synapses(p.weight, p.weight_of);
    check_delay(index, delay);
    p.delay = std::move(delay);
    if (p.delay.per == DelayPer::weight)
      p.synapse_delay = detail::of_synapses(p.delay.values, p.weight_of);
  } catch (...) {
    projections_.pop_back();
    throw;
  }
  return index;
}

namespace detail {
inline void check_target(Source target) {
  if (target.kind != Source::Kind::population)
    invalid("the target of a projection is input ", target.index, ", expected a population");
}

template <class Real>
Projection<Real> between(Source source, Source target, Connectivity connectivity,
                         std::string name) {
  Projection<Real> p{};
  p.name = std::move(name);
  p.source = std::move(source);
  p.target = target.index;
  p.connectivity = connectivity;
  return p;
}
}  // namespace detail

template <class Real>
Id Network<Real>::connect_dense(Source source, Source target, Weight<Real> weight,
                                Delay<Real> delay, std::string name) {
  detail::check_target(target);
  check_source(source, "source");
  check_source(target, "target");
  auto p = detail::between<Real>(source, target, Connectivity::dense, std::move(name));
  return connect(std::move(p), std::move(weight), std::move(delay));
}

template <class Real>
Id Network<Real>::connect_one_to_one(Source source, Source target, Weight<Real> weight,
                                     Delay<Real> delay, std::string name) {
  detail::check_target(target);
  check_source(source, "source");
  check_source(target, "target");
  if (source_size(source) != source_size(target))
    detail::invalid("one-to-one projection from ", source_name(source), " (", source_size(source),
                    ") to ", source_name(target), " (", source_size(target),
                    "): expected equal sizes");
  auto p = detail::between<Real>(source, target, Connectivity::one_to_one, std::move(name));
  return connect(std::move(p), std::move(weight), std::move(delay));
}

template <class Real>
Id Network<Real>::connect_sparse(Source source, Source target, Array<Size> row_offsets,
                                 Array<Id> targets, Weight<Real> weight, Delay<Real> delay,
                                 std::string name) {
  detail::check_target(target);
  check_source(source, "source");
  check_source(target, "target");
  const Size n = source_size(source);
  if (row_offsets.size() != n + 1)
    detail::invalid("row_offsets has ", row_offsets.size(), " values, expected ", n + 1,
                    " (one more than source units)");
  if (row_offsets[0] != 0) detail::invalid("row_offsets[0] is ", row_offsets[0], ", expected 0");
  for (Size i = 0; i < n; ++i)
    if (row_offsets[i + 1] < row_offsets[i])
      detail::invalid("row_offsets[", i + 1, "] is ", row_offsets[i + 1],
                      ", expected at least row_offsets[", i, "] = ", row_offsets[i]);
  if (row_offsets[n] != targets.size())
    detail::invalid("row_offsets[", n, "] is ", row_offsets[n],
                    ", expected the number of targets, ", targets.size());
  const Id n_target = source_size(target);
  for (Size k = 0; k < targets.size(); ++k)
    if (targets[k] < 0 || targets[k] >= n_target)
      detail::invalid("targets[", k, "] is ", targets[k], ", expected 0 <= target < ", n_target);
  bool ascend = true, complete = targets.size() == n * n_target;
  for (Size i = 0; i < n && ascend; ++i)
    ascend = std::is_sorted(targets.begin() + row_offsets[i], targets.begin() + row_offsets[i + 1]);
  for (Size k = 0; k < targets.size() && complete; ++k)
    complete = targets[k] == k % n_target && row_offsets[k / n_target] == k - targets[k];
  auto p = detail::between<Real>(source, target, Connectivity::sparse, std::move(name));
  p.row_offsets = std::move(row_offsets);
  p.targets = std::move(targets);
  p.targets_ascend = ascend;
  p.complete = complete;
  return connect(std::move(p), std::move(weight), std::move(delay));
}

template <class Real>
void Network<Real>::set_parameter(Id population, NeuronParameter parameter, Array<Real> values) {
  check_index("population", population, Size(populations_.size()));
  check_index("neuron parameter", Size(parameter), n_neuron_parameters);
  Population<Real>& p = populations_[population];
  detail::check_neuron_parameter(values, p.size,
                                 p.name + "." + neuron_parameter_names[int(parameter)], parameter);
  std::swap(p.parameters[parameter], values);
  try {
    detail::check_threshold_above_reset(p);
  } catch (...) {
    std::swap(p.parameters[parameter], values);
    throw;
  }
}

template <class Real>
void Network<Real>::set_weight(Id projection, Array<Real> values) {
  const Size count = weight_count(projection);
  Projection<Real>& p = projections_[projection];
  detail::check_size(values, count, p.name + ".weight", p.weight_of.size() ? "weight" : "synapse");
  const Real largest = detail::check_finite(values, p.name + ".weight");
  values = detail::expand(std::move(values), count);
  p.synapse_weight = detail::of_synapses(values, p.weight_of);
  p.weight = std::move(values);
  p.largest_weight = largest;
}

template <class Real>
void Network<Real>::set_delay(Id projection, Delay<Real> values) {
  check_index("projection", projection, Size(projections_.size()));
  check_delay(projection, values);
  Projection<Real>& p = projections_[projection];
  p.synapse_delay = values.per == DelayPer::weight ? detail::of_synapses(values.values, p.weight_of)
                                                   : Array<Real>();
  p.delay = std::move(values);
}

template <class Real>
std::shared_ptr<const detail::Graph> Network<Real>::graph() const {
  return graph_.get([this] { return detail::make_graph(*this); });
}

template <class Real>
SpikeBatch<Real> single_sample(std::vector<std::pair<Real, Id>> spikes) {
  std::stable_sort(spikes.begin(), spikes.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Real> times;
  std::vector<Id> units;
  for (const auto& [time, unit] : spikes) {
    times.push_back(time);
    units.push_back(unit);
  }
  const Size count = static_cast<Size>(spikes.size());
  return {std::move(times), std::move(units), {Size(0), count}};
}

}  // namespace snnfp
