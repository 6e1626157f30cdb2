#pragma once
// A directed graph: input groups and populations, joined by projections. Structure and parameters
// are values; copying a network shares its arrays.

#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "snnfp/export.hpp"
#include "snnfp/neuron.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

namespace detail {
struct Graph;

// A graph that several threads may ask for, and make, at once. Copies share it, also where it is
// made only after they were: a call that takes a copy of its network makes it for all later calls.
class SharedGraph {
 public:
  SharedGraph() = default;
  SharedGraph(const SharedGraph&) = default;
  SharedGraph& operator=(const SharedGraph&) = default;
  // What was moved from is another network from then on.
  SharedGraph(SharedGraph&& other)
      : place_(std::exchange(other.place_, std::make_shared<Place>())) {}
  SharedGraph& operator=(SharedGraph&& other) {
    place_ = std::exchange(other.place_, std::make_shared<Place>());
    return *this;
  }

  template <class Make>
  std::shared_ptr<const Graph> get(Make make) const {
    const std::lock_guard<std::mutex> lock(place_->mutex);
    if (!place_->graph) place_->graph = std::make_shared<const Graph>(make());
    return place_->graph;
  }
  // This network's is another from here on. Before something is added, so that no graph without it
  // stays behind where that fails.
  void forget() { place_ = std::make_shared<Place>(); }

 private:
  struct Place {
    std::mutex mutex;
    std::shared_ptr<const Graph> graph;  // or none
  };
  std::shared_ptr<Place> place_ = std::make_shared<Place>();
};
}  // namespace detail

// An input group or a population: where a projection starts or ends. `name` and `size` are those of
// the group in the network that made this; without a name they are not compared.
struct Source {
  enum class Kind { input, population } kind;
  Id index;
  std::string name = {};
  Id size = 0;
};

enum class Connectivity { dense, sparse, one_to_one };

struct InputGroup {
  std::string name;
  Id size;
};

constexpr Size any_number = std::numeric_limits<Size>::max();  // of spikes

template <class Real>
struct Population {
  std::string name;
  Id size;
  Lif<Real> parameters;
  Size max_spikes = any_number;  // of a neuron in a sample
};

// The weights of a projection, and which of them each synapse has. A number or an array converts:
// one value for all synapses, which have one each, or one value a synapse.
template <class Real>
struct Weight {
  Array<Real> values;
  Array<Id> of;  // empty: synapse k has values[k]

  Weight() = default;
  template <class T, class = std::enable_if_t<std::is_convertible_v<T, Array<Real>>>>
  Weight(T given) : values(std::move(given)) {}
  Weight(std::initializer_list<Real> given) : values(given) {}

  // Synapse k has values[of[k]], as others may; the derivative by a value is the sum over all that
  // have it, added up in their order. -1: the synapse is not there, it weighs 0 whatever the values
  // are. A value that no synapse has is legal; its derivative is 0.
  static Weight shared(Array<Real> values, Array<Id> of) {
    Weight weight(std::move(values));
    weight.of = std::move(of);
    return weight;
  }
};

// Which synapses of a projection have their delay in common: all of them, those of a source unit
// (an axon's delay), those of a target neuron (a dendrite's), none, or those with the same weight
// (Weight::shared).
enum class DelayPer { projection, source, target, synapse, weight };

// The delays of a projection (times >= 0), and what each of them belongs to. A number or an array
// converts: one value is the projection's, several are one a synapse. Sizes may coincide (as many
// source units as target neurons), so that the other kinds have names.
template <class Real>
struct Delay {
  DelayPer per = DelayPer::projection;
  Array<Real> values;

  Delay() = default;
  template <class T, class = std::enable_if_t<std::is_convertible_v<T, Array<Real>>>>
  Delay(T given) : values(std::move(given)) {
    if (values.size() != 1) per = DelayPer::synapse;
  }
  Delay(std::initializer_list<Real> given) : Delay(Array<Real>(given)) {}

  // One a source unit: its spike arrives at all its targets at once.
  static Delay per_source(Array<Real> values) { return {DelayPer::source, std::move(values)}; }
  // One a target neuron.
  static Delay per_target(Array<Real> values) { return {DelayPer::target, std::move(values)}; }
  // One a weight: synapses that share that share this too.
  static Delay per_weight(Array<Real> values) { return {DelayPer::weight, std::move(values)}; }

 private:
  Delay(DelayPer each, Array<Real> given) : per(each), values(std::move(given)) {}
};

template <class Real>
struct Projection {
  std::string name;
  Source source;
  Id target;
  Connectivity connectivity;
  Array<Size>
      row_offsets;      // sparse only: the synapses of source unit i are [offsets[i], offsets[i+1])
  Array<Id> targets;    // sparse only: the target neuron of each synapse
  Array<Real> weight;   // one a synapse; dense: row-major [source, target]; or shared
  Array<Id> weight_of;  // shared weights only: the weight of each synapse, or -1 (it is not there)
  // Of the kind that says most: one value is the projection's. One to one: for the projection or
  // one a synapse. Dense from or to one unit: never one a synapse.
  Delay<Real> delay;
  bool targets_ascend = false;  // sparse only: within the synapses of each source unit
  bool complete = false;    // sparse only: every source unit reaches every target once, in order
  Real largest_weight = 0;  // in size
  // What each synapse has: `weight` itself where none are shared, and delays one a weight.
  Array<Real> synapse_weight;
  Array<Real> synapse_delay;
};

// Units of time, voltage and current are the user's own. Members throw InvalidArgument for what
// cannot be meant (a size below 1, an array of another length, a value out of range, a name that is
// taken, a group or projection that is not there, a group of another network) and then leave the
// network as it was.
//
// Threads: const members may be called from several at once, others while nobody else uses the
// network. Copies are independent of each other.
template <class Real>
class SNNFP_EXPORT Network {
 public:
  // Adds `size` >= 1 input channels. All groups together have fewer than 2^31 units.
  Source add_input(std::string name, Id size);
  // Adds `size` >= 1 neurons. Each of `parameters` has one value for all of them or one a neuron.
  // In each sample a neuron fires at most `max_spikes` >= 1: after the last of them it is held.
  Source add_population(std::string name, Id size, Lif<Real> parameters,
                        Size max_spikes = any_number);

  // Connects every unit of `source` to every neuron of `target`, a population. `weight` (current)
  // has one value for all synapses or one each, row-major [source, target], or values that synapses
  // share; `delay` one for the projection, a source unit, a target neuron, a synapse or a shared
  // weight. An empty name is "<source>_to_<target>". Returns the projection's index.
  Id connect_dense(Source source, Source target, Weight<Real> weight, Delay<Real> delay = Real(0),
                   std::string name = "");
  // Connects unit i to neuron i of a population of the same size; the rest is as for connect_dense.
  Id connect_one_to_one(Source source, Source target, Weight<Real> weight,
                        Delay<Real> delay = Real(0), std::string name = "");
  // The synapses of source unit i are [row_offsets[i], row_offsets[i + 1]), each with its target
  // neuron; row_offsets has one value more than source units. The rest is as for connect_dense.
  Id connect_sparse(Source source, Source target, Array<Size> row_offsets, Array<Id> targets,
                    Weight<Real> weight, Delay<Real> delay = Real(0), std::string name = "");

  // Replaces a parameter of a population: one value for all neurons or one each.
  void set_parameter(Id population, NeuronParameter parameter, Array<Real> values);
  // Replaces the weights of a projection: one value for all of them or one each.
  void set_weight(Id projection, Array<Real> values);
  // Replaces its delays, of any kind.
  void set_delay(Id projection, Delay<Real> values);

  const std::vector<InputGroup>& inputs() const { return inputs_; }
  const std::vector<Population<Real>>& populations() const { return populations_; }
  const std::vector<Projection<Real>>& projections() const { return projections_; }

  // Number of units.
  Id source_size(Source source) const;
  const std::string& source_name(Source source) const;
  Size synapse_count(Id projection) const;
  // As many as synapses, unless they are shared.
  Size weight_count(Id projection) const;

  // Its structure, made when first asked for after something was added; copies share it.
  std::shared_ptr<const detail::Graph> graph() const;

 private:
  Id connect(Projection<Real> projection, Weight<Real> weight, Delay<Real> delay);
  void check_delay(Id projection, Delay<Real>& delay) const;
  void check_group(const char* kind, const std::string& name, Id size) const;
  void check_source(Source source, const char* role) const;

  std::vector<InputGroup> inputs_;
  std::vector<Population<Real>> populations_;
  std::vector<Projection<Real>> projections_;
  detail::SharedGraph graph_;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace snnfp
