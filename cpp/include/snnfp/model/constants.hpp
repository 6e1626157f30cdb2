#pragma once
// The constants of all neurons of a network, as the inner loops read them. MATH.md E1, E3.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "snnfp/neuron.hpp"

namespace snnfp::detail {

// The largest kappa(d), in digits that hold at any ratio of the rates: MATH.md E3.
template <class Real>
Real largest_kappa(Real alpha, Real beta) {
  constexpr Real infinite = std::numeric_limits<Real>::infinity();
  const Real slow = std::min(alpha, beta), fast = std::max(alpha, beta);
  if (fast == Real(0)) return infinite;
  const Real ratio = (fast - slow) / slow;  // infinite where slow is 0 or far below fast
  const Real slow_d = ratio == Real(0)   ? Real(1)
                      : ratio < infinite ? std::log1p(ratio) / ratio
                                         : Real(0);
  return std::exp(-slow_d) / fast;
}

// One array a quantity, padded for vector loads.
template <class Real>
struct NeuronConstants {
  std::vector<Real> alpha, beta;     // 1/tau_syn, 1/tau_mem
  std::vector<Real> difference;      // |alpha - beta|
  std::vector<Real> inv_difference;  // 0 where alpha == beta
  std::vector<Real> inv_c;
  std::vector<Real> drive;  // bias / capacitance
  std::vector<Real> threshold, v_reset, t_refractory;
  std::vector<Real> kappa_max;  // the largest kappa(d)

  void reserve(Size neurons) {
    for (std::vector<Real>* x : all()) x->reserve(neurons + padding);
  }
  // Appends neuron k of a population. `only_first`: it spikes at most once.
  void append(const Lif<Real>& p, Id k, bool only_first) {
    const Real forever = std::numeric_limits<Real>::max() / 8;
    alpha.push_back(Real(1) / p.tau_syn.at_or_shared(k));
    beta.push_back(Real(1) / p.tau_mem.at_or_shared(k));
    difference.push_back(std::abs(alpha.back() - beta.back()));
    inv_difference.push_back(difference.back() == Real(0) ? Real(0) : Real(1) / difference.back());
    inv_c.push_back(Real(1) / p.capacitance.at_or_shared(k));
    drive.push_back(p.bias.at_or_shared(k) / p.capacitance.at_or_shared(k));
    threshold.push_back(p.threshold.at_or_shared(k));
    v_reset.push_back(p.v_reset.at_or_shared(k));
    // For ever is past every horizon, and still a number to calculate with.
    t_refractory.push_back(only_first ? forever
                                      : std::min(p.t_refractory.at_or_shared(k), forever));
    const Size last = static_cast<Size>(kappa_max.size());
    const bool as_last = last > 0 && same_decay(Id(last), Id(last - 1));
    kappa_max.push_back(as_last ? kappa_max.back() : largest_kappa(alpha.back(), beta.back()));
  }
  // So that a load of as many values as the widest vector holds may start at the last neuron.
  void pad() {
    for (std::vector<Real>* x : all()) x->resize(x->size() + padding, Real(1));
  }

  // Whether two neurons have the same time constants; whether also the same response to a current;
  // whether V moves alike in all; and whether all is the same.
  bool same_decay(Id j, Id k) const { return same(alpha, j, k) && same(beta, j, k); }
  bool same_response(Id j, Id k) const { return same_decay(j, k) && same(inv_c, j, k); }
  bool same_motion(Id j, Id k) const {
    return same_response(j, k) && same(drive, j, k) && same(threshold, j, k);
  }
  bool same_neuron(Id j, Id k) const {
    return same_motion(j, k) && same(v_reset, j, k) && same(t_refractory, j, k);
  }
  bool driven(Id j) const { return drive.data()[j] != Real(0); }  // its bias is not 0

  Real fast_rate(Id j) const { return std::max(alpha.data()[j], beta.data()[j]); }
  std::string time_constants(Id j) const {
    std::ostringstream out;
    out.precision(17);
    out << "tau_mem = " << 1 / beta[j] << " and tau_syn = " << 1 / alpha[j];
    return out.str();
  }

 private:
  static constexpr Size padding = 64 / sizeof(Real);
  std::array<std::vector<Real>*, 10> all() {
    return {&alpha, &beta,      &difference, &inv_difference, &inv_c,
            &drive, &threshold, &v_reset,    &t_refractory,   &kappa_max};
  }
  static bool same(const std::vector<Real>& x, Id j, Id k) { return x.data()[j] == x.data()[k]; }
};

}  // namespace snnfp::detail
