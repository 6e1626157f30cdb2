#pragma once
// Samples that end early: as soon as every neuron of some populations has fired.

#include <algorithm>

#include "snnfp/detail/spike_list.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class SampleEnd {
 public:
  template <class Constants>
  SampleEnd(const ModelPlan<Real, Constants>& plan, const RunLimits& limits)
      : plan_(plan), t_refractory_(plan.neurons.t_refractory.data()), limits_(limits) {
    if (wanted()) awaited_.resize(plan.n_neurons);
  }

  bool wanted() const { return limits_.n_stop_after > 0; }

  void reset() {
    missing_ = 0;
    last_ = Real(0);
    for_each_population([&](Id, Id begin, Id end) {
      missing_ += end - begin;
      std::fill(awaited_.begin() + begin, awaited_.begin() + end, 1);
    });
  }
  void see(Id neuron, Real time) {
    if (!awaited_[neuron]) return;
    awaited_[neuron] = 0;
    --missing_;
    last_ = std::max(last_, time);
  }
  void see(const SpikeList<Real>& spikes, Size from) {
    for (Size k = from; k < spikes.size() && missing_ > 0; ++k)
      see(spikes[k].neuron, spikes[k].time);
  }
  // `lists`: the spikes of each population, in order.
  void see_all(const SpikeList<Real>* lists) {
    reset();
    for_each_population([&](Id p, Id, Id) { see(lists[p], 0); });
  }
  // The last of the first spikes, or infinity while one is missing.
  Real time() const { return missing_ > 0 ? never<Real> : last_; }

  // Drops what comes after the end of the sample, if it has ended.
  void cut(SpikeList<Real>* lists, Size n) const {
    if (!(time() < never<Real>)) return;
    for (Size p = 0; p < n; ++p) lists[p].end_at(time(), t_refractory_);
  }

 private:
  template <class Visit>
  void for_each_population(const Visit& visit) const {
    for (const Id* p = limits_.stop_after; p != limits_.stop_after + limits_.n_stop_after; ++p)
      visit(*p, plan_.population_offsets.data()[*p], plan_.population_offsets.data()[*p + 1]);
  }

  const PlanGraph<Real>& plan_;
  const Real* const t_refractory_;
  const RunLimits& limits_;
  Vector<unsigned char> awaited_;
  Id missing_ = 0;
  Real last_ = Real(0);
};

// When other samples may end, from some that were run to the horizon.
template <class Real>
class EndGuess {
 public:
  static constexpr Size enough = 8;

  Size samples() const { return static_cast<Size>(ends_.size()); }

  void learn(Real end, const SpikeList<Real>* lists, Size n) {
    if (samples() == enough) return;
    ends_.push_back(end);
    if (times_.empty()) times_.reserve(1024);
    for (Size p = 0; p < n; ++p)
      for (Size k = 0; k < lists[p].size(); ++k) times_.push_back(lists[p][k].time);
  }

  // The least work, with spikes as its measure: those up to there, and all of them again for
  // samples that end later.
  Real time(Real horizon) const {
    Real best = horizon, least = static_cast<Real>(times_.size());
    for (const Real end : ends_) {
      if (!(end < never<Real>)) continue;
      const auto up_to_it = [&](Real time) { return time <= end; };
      const Real done = static_cast<Real>(std::count_if(times_.begin(), times_.end(), up_to_it));
      const Size ended = std::count_if(ends_.begin(), ends_.end(), up_to_it);
      const Real again =
          static_cast<Real>(samples() - ended + 1) / static_cast<Real>(samples() + 2);
      const Real work = done + again * static_cast<Real>(times_.size());
      if (work < least) {
        least = work;
        best = end;
      }
    }
    return best;
  }

 private:
  Vector<Real> ends_;   // infinity where it was the horizon
  Vector<Real> times_;  // of all spikes
};

SNNFP_ISA_END
