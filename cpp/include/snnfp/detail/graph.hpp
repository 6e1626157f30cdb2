#pragma once
// Who is joined to whom: the structure of a network, without any value. Made once a network, shared
// with its copies and with every run until something is added.

#include <memory>
#include <string>
#include <vector>

#include "snnfp/network.hpp"

namespace snnfp::detail {

// A sparse projection whose targets fall into groups of one size that hear the same units, as the
// channels at one place do in a convolution. What a unit sends to a group is a row, as in a dense
// projection.
struct Blocks {
  Id size = 0;                    // targets in each
  std::vector<Id> members;        // [blocks, size] targets, ascending within each
  std::vector<Size> row_offsets;  // [n_source + 1] the rows of each source unit
  std::vector<Id> block;          // of each row
  std::vector<Id> synapse;        // [rows, size]

  Id count() const { return static_cast<Id>(members.size()) / size; }
};

// What a projection joins, and how. A sparse one that has every synapse in order is dense.
struct ProjectionGraph {
  Id index;
  Connectivity connectivity;
  bool within_component = false;  // joins populations of one strongly connected component
  Id from_input;                  // input group, or -1
  Id from_population;             // population, or -1
  Id source_first;                // sender number of the first source unit (see Graph)
  Id n_source;
  Id target_first;  // neuron number of the first target
  Id n_target;
  Id target_population;
  std::shared_ptr<const Blocks> blocks;  // or null
};

// Populations, projections and the order in which they are gone through. Senders are numbered input
// units first, then neurons: sender = n_inputs + neuron.
struct Graph {
  Id n_inputs = 0;
  Id n_neurons = 0;
  std::vector<Id> input_offsets;       // [groups + 1]
  std::vector<Id> population_offsets;  // [populations + 1]
  std::vector<Id> population_of;       // [neurons]
  std::vector<std::string> population_names;
  std::vector<ProjectionGraph> projections;
  std::vector<std::vector<Id>> from_input;       // projections leaving each input group
  std::vector<std::vector<Id>> from_population;  // projections leaving each population
  std::vector<std::vector<Id>> into_population;  // projections reaching each population
  // Populations in an order in which every group of mutually connected ones comes after all that
  // feed it; group g is components[component_offsets[g] .. component_offsets[g + 1]).
  std::vector<Id> components;
  std::vector<Id> component_offsets;
};

template <class Real>
Graph make_graph(const Network<Real>& network);

}  // namespace snnfp::detail
