#pragma once
// Everything that a gradient can be taken by.

#include <vector>

#include "snnfp/snnfp.hpp"

template <class Real>
std::vector<snnfp::Parameter> all_parameters(const snnfp::Network<Real>& net) {
  using namespace snnfp;
  std::vector<Parameter> wrt;
  for (Id p = 0; p < Id(net.populations().size()); ++p)
    for (int q = 0; q < n_neuron_parameters; ++q)
      wrt.push_back({Parameter::Kind::neuron, p, NeuronParameter(q)});
  for (Id p = 0; p < Id(net.projections().size()); ++p) {
    wrt.push_back({Parameter::Kind::weight, p});
    wrt.push_back({Parameter::Kind::delay, p});
  }
  for (Id g = 0; g < Id(net.inputs().size()); ++g) wrt.push_back({Parameter::Kind::input_times, g});
  return wrt;
}
