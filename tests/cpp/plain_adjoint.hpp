#pragma once
// The adjoint once more, for tests: spike by spike and synapse by synapse in plain numbers, each
// arrival tied to its target's spike by SpikeIndex. MATH.md E7, E8, E12-E14. No vectors, no
// carrying along, no choice of a path.

#include <cmath>
#include <vector>

#include "snnfp/detail/one_sided.hpp"
#include "snnfp/impl/gradient.hpp"

namespace plain {

using namespace snnfp;

// E7 as it stands there. phi2(x) = (e^x - 1 - x) / x^2, times e^(-m).
template <class Real>
Real scaled_phi2(Real x, Real m) {
  if (std::abs(x) >= Real(0.5)) return (std::exp(x - m) - (1 + x) * std::exp(-m)) / (x * x);
  Real term = Real(0.5), sum = Real(0.5);
  for (int k = 3; k < 20; ++k) sum += term *= x / Real(k);
  return sum * std::exp(-m);
}
template <class Real>
Real kappa_by_alpha(Real d, const detail::Neuron<Real>& n) {
  return -d * d * scaled_phi2((n.alpha - n.beta) * d, n.alpha * d);
}
template <class Real>
Real kappa_by_beta(Real d, const detail::Neuron<Real>& n) {
  return -d * d * scaled_phi2((n.beta - n.alpha) * d, n.beta * d);
}
template <class Real>
Real step_response_by_beta(Real d, const detail::Neuron<Real>& n) {
  return -d * d * scaled_phi2(n.beta * d, n.beta * d);
}

template <class Real>
class Adjoint {
 public:
  Adjoint(const detail::Plan<Real>& plan, const detail::SampleInput<Real>& input,
          const detail::SampleSpikes<Real>& spikes, const detail::Columns& columns,
          const Real* cotangents, Real* gradient, Real* const* input_times)
      : plan_(plan),
        input_(input),
        spikes_(spikes),
        columns_(columns),
        gradient_(gradient),
        input_times_(input_times),
        index_(plan, spikes),
        mu_(cotangents, cotangents + spikes.count),
        lv_(spikes.count),
        li_(spikes.count),
        lv_release_(spikes.count) {}

  void run() {
    for (Size k = spikes_.count; k-- > 0;) {
      const Id j = spikes_.neurons[k], population = plan_.population_of[j];
      for (const Id p : plan_.from_population[population])
        mu_[k] += pull(p, j - plan_.population_offsets[population], spikes_.times[k]);
      own(k, j, population);
    }
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g) {
      const detail::InputSpikes<Real>& in = input_.groups[g];
      for (Size k = 0; k < in.count; ++k) {
        Real mu = 0;
        for (const Id p : plan_.from_input[g]) mu += pull(p, in.units[k], in.times[k]);
        if (input_times_[g]) input_times_[g][in.first + k] = mu;
      }
    }
    detail::OneSidedTerms<Real> ties(plan_, input_, spikes_, columns_);
    if (ties.possible()) ties.add_adjoint(ties.find(index_), lv_.data(), gradient_);
  }

 private:
  void add(Id j, Id population, NeuronParameter p, Real value) {
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return;
    const Id unit = j - plan_.population_offsets[population];
    gradient_[columns_.neuron[at] + (columns_.neuron_shared[at] ? 0 : unit)] += value;
  }
  void add_constants(Id j, Id population, const detail::Neuron<Real>& n, Real by_beta,
                     Real by_alpha) {
    add(j, population, NeuronParameter::tau_mem, -n.beta * n.beta * by_beta);
    add(j, population, NeuronParameter::tau_syn, -n.alpha * n.alpha * by_alpha);
  }

  void own(Size k, Id j, Id population) {
    const detail::Neuron<Real> n(plan_.neurons, j);
    const Real slope = detail::release_slope(n, spikes_.release_currents[k]);
    mu_[k] -= slope * lv_release_[k];
    add(j, population, NeuronParameter::t_refractory, -slope * lv_release_[k]);
    add(j, population, NeuronParameter::v_reset, lv_release_[k]);
    const Real scaled = mu_[k] == Real(0) ? Real(0) : mu_[k] / spikes_.slopes[k];
    add(j, population, NeuronParameter::threshold, scaled);
    const Real lv = lv_[k] = -scaled;

    const Size place = index_.place(k);
    const auto from = detail::flight_before(index_, input_, spikes_, n, j, place);
    const Real d = spikes_.times[k] - from.time, d_release = index_.release(place) - from.time;
    const detail::Decay<Real> e = detail::decay(d, n);
    const Real carried = detail::exp_of(-n.alpha * d_release);
    if (place > index_.first(j)) {
      const Size before = index_.spike(place - 1);
      lv_release_[before] = e.mem * lv;
      li_[before] = e.kappa * n.inv_c * lv + carried * li_[k];
    }
    add(j, population, NeuronParameter::bias, lv * n.inv_c * detail::step_response(d, n));
    add(j, population, NeuronParameter::capacitance,
        -lv * n.inv_c * (n.threshold - e.mem * from.state.v));
    add_constants(
        j, population, n,
        lv * (-d * e.mem * from.state.v + n.drive * plain::step_response_by_beta(d, n) +
              n.inv_c * from.state.i * plain::kappa_by_beta(d, n)),
        from.state.i * (lv * n.inv_c * plain::kappa_by_alpha(d, n) - d_release * carried * li_[k]));
  }

  Real pull(Id projection, Id unit, Real time) {
    const detail::ProjectionPlan<Real>& p = plan_.projections[projection];
    Real sum = 0;
    for (Size m = p.row_begin(unit); m < p.row_end(unit); ++m) {
      const Id j = p.target_of(unit, m);
      const Real at = time + p.delay_of(unit, m), w = p.weight[m];
      const Size place = index_.anchor(j, at);
      if (place == index_.end(j)) continue;
      const detail::Neuron<Real> n(plan_.neurons, j);
      const Size k = index_.spike(place);
      const bool held = at >= spikes_.times[k];
      const Real d = (held ? index_.release(place) : spikes_.times[k]) - at;
      const Real further = held ? Real(0) : index_.release(place) - spikes_.times[k];
      const Real lv = held ? Real(0) : lv_[k] * n.inv_c;
      const Real li = detail::exp_of(-n.alpha * further) * li_[k];
      const detail::Decay<Real> e = detail::decay(d, n);
      const Real by_weight = e.kappa * lv + e.syn * li;
      const Real by_time = w * (n.alpha * by_weight - e.mem * lv);
      if (columns_.weight[projection] >= 0) gradient_[columns_.weight[projection] + m] += by_weight;
      if (columns_.delay[projection] >= 0)
        gradient_[columns_.delay[projection] + p.delay_index(unit, m)] += by_time;
      if (lv != Real(0) || li != Real(0))
        add_constants(j, p.target_population, n, w * lv * plain::kappa_by_beta(d, n),
                      w * (lv * plain::kappa_by_alpha(d, n) - (d + further) * e.syn * li));
      sum += by_time;
    }
    return sum;
  }

  const detail::Plan<Real>& plan_;
  const detail::SampleInput<Real>& input_;
  const detail::SampleSpikes<Real>& spikes_;
  const detail::Columns& columns_;
  Real* gradient_;
  Real* const* input_times_;
  const detail::SpikeIndex<Real> index_;
  std::vector<Real> mu_;
  std::vector<Real> lv_;          // lV just before each spike
  std::vector<Real> li_;          // lI at each spike's release
  std::vector<Real> lv_release_;  // lV just after each spike's release
};

// What vjp is to give.
template <class Real>
std::vector<Real> gradient(const Record<Real>& record, const std::vector<Real>& cotangents,
                           const std::vector<Parameter>& wrt) {
  const Layout columns = layout(record, wrt);
  const detail::ColumnMap<Real> map(record, columns);
  const detail::Batch<Real> batch(record);
  std::vector<Real> result(static_cast<std::size_t>(columns.size()), Real(0));
  std::vector<Real*> times;
  for (std::size_t g = 0; g < record.input.size(); ++g) {
    const Size at = map.get().input_time[g];
    times.push_back(at < 0 ? nullptr : result.data() + at);
  }
  for (Size s = 0; s < record.samples(); ++s)
    Adjoint<Real>(*record.plan, batch.inputs[s], batch.spikes[s], map.get(),
                  cotangents.data() + record.offsets[s], result.data(), times.data())
        .run();
  return result;
}

}  // namespace plain
