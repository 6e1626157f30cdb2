#pragma once
// How large and how small a neuron's parameters and currents may be, so that all that is made of
// them are ordinary numbers: MATH.md E15.

#include <algorithm>
#include <cmath>

#include "snnfp/model/constants.hpp"

namespace snnfp::detail {

template <class Real>
struct Limits {
  static constexpr bool is_double = sizeof(Real) == 8;
  // Powers of two of a neuron's own scales, added up.
  static constexpr int powers = is_double ? 900 : 100;
  static constexpr Real scale = is_double ? Real(0x1p900) : Real(0x1p100f);
  // Of weights and other currents against these scales, and of themselves.
  static constexpr Real ratio = is_double ? Real(0x1p500) : Real(0x1p60f);
  static constexpr Real current = is_double ? Real(0x1p1000) : Real(0x1p104f);
};

// The slope that brings V from 0 to the threshold (from the reset voltage, where that is further
// away) within the shorter time constant.
template <class Real>
Real own_slope(const NeuronConstants<Real>& c, Id j) {
  const Real fast = c.fast_rate(j);
  return std::max(std::abs(c.threshold[j]), std::abs(c.v_reset[j])) * (fast > Real(0) ? fast : 1);
}

// The largest current, or weight, of a neuron: in proportion to its threshold, and so that V'' and
// derivatives by times do not overflow.
template <class Real>
Real largest_current(const NeuronConstants<Real>& c, Id j) {
  using L = Limits<Real>;
  const Real fast = std::max(c.fast_rate(j), Real(1));
  const Real most = L::current / fast * std::min(Real(1), 1 / c.inv_c[j]);
  return std::min(most, L::ratio * own_slope(c, j) / c.inv_c[j]);
}
template <class Real>
Real largest_voltage(const NeuronConstants<Real>& c, Id j) {
  const Real fast = c.fast_rate(j);
  return Limits<Real>::ratio * own_slope(c, j) / (fast > Real(0) ? fast : 1);
}

// Calls refuse(parameter, value, what is expected ...) for the parameter that takes neuron j
// furthest out of range.
template <class Real, class Refuse>
void refuse_scales(const NeuronConstants<Real>& c, Id j, int rate, int slope, int capacity,
                   const Refuse& refuse) {
  const Real tau = 1 / c.fast_rate(j), capacitance = 1 / c.inv_c[j];
  const bool by_reset = std::abs(c.v_reset[j]) > std::abs(c.threshold[j]);
  const Real voltage = by_reset ? c.v_reset[j] : c.threshold[j];
  const auto fail = [&](const char* parameter, Real value, const char* unit) {
    refuse(parameter, value, ": the shorter time constant ", tau, ", the voltage ", voltage,
           " over it and the capacitance ", capacitance, " are together ",
           (rate + slope + capacity) * 3 / 10,
           " orders of magnitude away from 1, expected at most ", Limits<Real>::powers * 3 / 10,
           "; choose another unit of ", unit);
  };
  if (rate >= std::max(slope, capacity))
    fail(c.alpha[j] > c.beta[j] ? "tau_syn" : "tau_mem", tau, "time");
  if (slope >= capacity) fail(by_reset ? "v_reset" : "threshold", voltage, "voltage");
  fail("capacitance", capacitance, "charge");
}
template <class Real, class Refuse>
void check_neuron_scale(const NeuronConstants<Real>& c, Id j, const Refuse& refuse) {
  using L = Limits<Real>;
  const auto power = [](Real x) {
    return x > Real(0) && std::isfinite(x) ? std::abs(std::ilogb(x)) : 9999;
  };
  const Real fast = c.fast_rate(j), slope = own_slope(c, j);
  const int rate = fast > Real(0) ? power(fast) : 0, capacity = power(c.inv_c[j]);
  if (rate + power(slope) + capacity > L::powers)
    refuse_scales(c, j, rate, power(slope), capacity, refuse);
  if (!(std::abs(c.drive[j]) <= L::ratio * slope))
    refuse("bias", c.drive[j] / c.inv_c[j], ", expected at most ", L::ratio * slope / c.inv_c[j],
           " in size: more is out of proportion to the threshold");
}

}  // namespace snnfp::detail
