#pragma once
// Bodies of make_graph and make_plan.

#include <algorithm>

#include "snnfp/detail/plan.hpp"
#include "snnfp/impl/blocks.hpp"

namespace snnfp::detail {

// Tarjan's strongly connected components of the graph of populations, sources first.
class Components {
 public:
  explicit Components(std::vector<std::vector<Id>> next)
      : next_(std::move(next)), low_(next_.size(), -1), index_(next_.size(), -1) {
    for (std::size_t v = 0; v < next_.size(); ++v)
      if (index_[v] < 0) visit(static_cast<Id>(v));
    // Found sinks first.
    std::reverse(found_.begin(), found_.end());
  }
  const std::vector<std::vector<Id>>& found() const { return found_; }

 private:
  // Depth-first with its own stack: a chain of populations may be long.
  void visit(Id root) {
    std::vector<std::pair<Id, std::size_t>> path{{root, 0}};
    open(root);
    while (!path.empty()) {
      auto& [v, edge] = path.back();
      if (edge < next_[v].size()) {
        const Id w = next_[v][edge++];
        if (index_[w] < 0) {
          open(w);
          path.push_back({w, 0});
        } else if (low_[w] >= 0) {
          low_[v] = std::min(low_[v], low_[w]);
        }
        continue;
      }
      const Id done = v;
      path.pop_back();
      if (low_[done] == index_[done]) close(done);
      if (!path.empty() && low_[done] >= 0)
        low_[path.back().first] = std::min(low_[path.back().first], low_[done]);
    }
  }
  void open(Id v) {
    index_[v] = low_[v] = count_++;
    stack_.push_back(v);
  }
  void close(Id v) {
    std::vector<Id> members;
    Id w;
    do {
      w = stack_.back();
      stack_.pop_back();
      low_[w] = -1;  // closed
      members.push_back(w);
    } while (w != v);
    std::sort(members.begin(), members.end());
    found_.push_back(std::move(members));
  }

  std::vector<std::vector<Id>> next_;
  std::vector<Id> low_, index_, stack_;
  std::vector<std::vector<Id>> found_;
  Id count_ = 0;
};

template <class Real>
Graph make_graph(const Network<Real>& network) {
  Graph graph;
  graph.input_offsets.push_back(0);
  for (const InputGroup& g : network.inputs())
    graph.input_offsets.push_back(graph.input_offsets.back() + g.size);
  graph.n_inputs = graph.input_offsets.back();
  graph.population_offsets.push_back(0);
  for (const Population<Real>& p : network.populations()) {
    const Id index = static_cast<Id>(graph.population_offsets.size()) - 1;
    graph.population_offsets.push_back(graph.population_offsets.back() + p.size);
    graph.population_names.push_back(p.name);
    graph.population_of.insert(graph.population_of.end(), p.size, index);
  }
  graph.n_neurons = graph.population_offsets.back();

  graph.from_input.resize(network.inputs().size());
  graph.from_population.resize(network.populations().size());
  graph.into_population.resize(network.populations().size());
  std::vector<std::vector<Id>> next(network.populations().size());
  for (const Projection<Real>& q : network.projections()) {
    ProjectionGraph p;
    p.index = static_cast<Id>(graph.projections.size());
    p.connectivity = q.complete ? Connectivity::dense : q.connectivity;
    const bool from_input = q.source.kind == Source::Kind::input;
    p.from_input = from_input ? q.source.index : -1;
    p.from_population = from_input ? -1 : q.source.index;
    p.source_first = from_input ? graph.input_offsets[q.source.index]
                                : graph.n_inputs + graph.population_offsets[q.source.index];
    p.n_source = network.source_size(q.source);
    p.target_first = graph.population_offsets[q.target];
    p.n_target = network.populations()[q.target].size;
    p.target_population = q.target;
    (from_input ? graph.from_input : graph.from_population)[q.source.index].push_back(p.index);
    graph.into_population[q.target].push_back(p.index);
    if (!from_input) next[q.source.index].push_back(q.target);
    graph.projections.push_back(p);
  }

  graph.component_offsets.push_back(0);
  const Components components(std::move(next));
  for (const std::vector<Id>& members : components.found()) {
    graph.components.insert(graph.components.end(), members.begin(), members.end());
    graph.component_offsets.push_back(static_cast<Id>(graph.components.size()));
  }
  std::vector<std::size_t> component_of(network.populations().size());
  for (std::size_t c = 0; c < components.found().size(); ++c)
    for (const Id p : components.found()[c]) component_of[p] = c;
  for (ProjectionGraph& p : graph.projections)
    p.within_component = p.from_population >= 0 &&
                         component_of[p.from_population] == component_of[p.target_population];
  for (ProjectionGraph& p : graph.projections)
    if (p.connectivity == Connectivity::sparse && !p.within_component)
      p.blocks = find_blocks(network.projections()[p.index], p.n_source, p.n_target);
  return graph;
}

// The values of a projection.
template <class Real>
ProjectionPlan<Real> plan_of(const ProjectionGraph& graph, const Projection<Real>& q) {
  ProjectionPlan<Real> p;
  static_cast<ProjectionGraph&>(p) = graph;
  // Kernels see what each synapse has, shared or not.
  const bool per_weight = q.delay.per == DelayPer::weight;
  const Array<Real>& delay = per_weight ? q.synapse_delay : q.delay.values;
  p.delay_per = per_weight ? DelayPer::synapse : q.delay.per;
  p.row_offsets = q.row_offsets.data();
  p.targets = q.targets.data();
  p.weight = q.synapse_weight.data();
  p.delay = delay.data();
  p.shortest_delay = p.longest_delay = Real(0);
  if (p.delay_per != DelayPer::synapse) {
    const auto ends = std::minmax_element(delay.begin(), delay.end());
    p.shortest_delay = *ends.first;
    p.longest_delay = *ends.second;
  }
  p.targets_ascend = q.targets_ascend;
  if (p.blocks && p.arrives_at_once()) p.block_weight = in_blocks(*p.blocks, p.weight);
  if (p.connectivity == Connectivity::dense) {
    p.silent_row.reserve(p.n_source);
    for (Id i = 0; i < p.n_source; ++i)
      p.silent_row.push_back(std::all_of(p.weight + p.row_begin(i), p.weight + p.row_end(i),
                                         [](Real w) { return w == Real(0); }));
  }
  if (p.connectivity == Connectivity::dense && p.delay_per == DelayPer::target)
    for (Id i = 0; i < p.n_source && !p.some_zero; ++i)
      p.some_zero = !p.silent_row[i] &&
                    std::count(p.weight + p.row_begin(i), p.weight + p.row_end(i), Real(0)) > 0;
  return p;
}

// Whether a component is one population of equal neurons that hears nothing but the blocks of one
// projection from outside.
template <class Real>
bool hears_blocks(const Plan<Real>& plan, Size component) {
  const Id population = *plan.component_begin(component);
  const std::vector<Id>& into = plan.into_population[population];
  if (plan.component_end(component) - plan.component_begin(component) != 1 || into.size() != 1 ||
      plan.projections[into[0]].block_weight.empty())
    return false;
  const Id first = plan.population_offsets[population];
  for (Id j = first; j < plan.population_offsets[population + 1]; ++j)
    if (!plan.neurons.same_neuron(j, first)) return false;
  return true;
}

template <class Real>
Plan<Real> make_plan(const Network<Real>& network, const std::vector<Id>& first_spikes_of) {
  Plan<Real> plan(PlanGraph<Real>(network.graph()));
  plan.neurons.reserve(plan.n_neurons);
  for (std::size_t index = 0; index < network.populations().size(); ++index) {
    const Population<Real>& p = network.populations()[index];
    const bool only_first = std::count(first_spikes_of.begin(), first_spikes_of.end(), index) > 0;
    for (Id k = 0; k < p.size; ++k) plan.neurons.append(p.parameters, k, only_first);
  }
  plan.neurons.pad();
  for (const ProjectionGraph& p : plan.graph->projections)
    plan.projections.push_back(plan_of(p, network.projections()[p.index]));
  for (Size c = 0; c < plan.n_components(); ++c) plan.hears_blocks.push_back(hears_blocks(plan, c));
  return plan;
}

}  // namespace snnfp::detail
