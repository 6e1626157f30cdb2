#pragma once
// The spikes of one sample while it runs.

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class SpikeList {
 public:
  void reserve(Size n) {
    times_.reserve(n);
    neurons_.reserve(n);
    slopes_.reserve(n);
    release_currents_.reserve(n);
  }
  void push_back(Real time, Id neuron, Real slope) {
    times_.push_back(time);
    neurons_.push_back(neuron);
    slopes_.push_back(slope);
    release_currents_.push_back(Real(0));
  }
  void set_release_current(Size k, Real current) { release_currents_[k] = current; }
  Size size() const { return static_cast<Size>(times_.size()); }
  Real time(Size k) const { return times_[k]; }
  Id neuron(Size k) const { return neurons_[k]; }
  SampleSpikes<Real> view() const {
    return {size(), times_.data(), neurons_.data(), slopes_.data(), release_currents_.data()};
  }

 private:
  Vector<Real> times_;
  Vector<Id> neurons_;
  Vector<Real> slopes_;
  Vector<Real> release_currents_;
};

SNNFP_ISA_END
