#pragma once
// Parameters of the leaky integrate-and-fire neuron; MATH.md E1.

#include <array>

#include "snnfp/types.hpp"

namespace snnfp {

enum class NeuronParameter {
  tau_mem,
  tau_syn,
  threshold,
  v_reset,
  t_refractory,
  bias,
  capacitance
};

inline constexpr std::array<const char*, 7> neuron_parameter_names = {
    "tau_mem", "tau_syn", "threshold", "v_reset", "t_refractory", "bias", "capacitance"};
inline constexpr int n_neuron_parameters = 7;

// Each array holds one value for the population or one a neuron.
template <class Real>
struct Lif {
  Array<Real> tau_mem{Real(1)};       // time; +inf: no leak
  Array<Real> tau_syn{Real(1)};       // time; +inf: step currents
  Array<Real> threshold{Real(1)};     // voltage, above v_reset
  Array<Real> v_reset{Real(0)};       // voltage
  Array<Real> t_refractory{Real(0)};  // time, >= 0; infinity: a neuron spikes at most once
  Array<Real> bias{Real(0)};          // current
  Array<Real> capacitance{Real(1)};   // charge per voltage, > 0

  Array<Real>& operator[](NeuronParameter p) {
    return const_cast<Array<Real>&>(static_cast<const Lif&>(*this)[p]);
  }
  const Array<Real>& operator[](NeuronParameter p) const {
    switch (p) {
      case NeuronParameter::tau_mem: return tau_mem;
      case NeuronParameter::tau_syn: return tau_syn;
      case NeuronParameter::threshold: return threshold;
      case NeuronParameter::v_reset: return v_reset;
      case NeuronParameter::t_refractory: return t_refractory;
      case NeuronParameter::bias: return bias;
      default: return capacitance;
    }
  }
};

}  // namespace snnfp
