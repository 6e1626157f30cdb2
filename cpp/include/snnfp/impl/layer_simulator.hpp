#pragma once
// A population that feeds nothing back, in several samples: all that arrives is known beforehand. A
// round takes every pack under way on until it waits for the solver, which then takes all that
// wait.
//
// Packs that receive rows alone share the times of their arrivals and so the exponentials between
// them; in packs with arrivals of their own each lane has its own. Where a population is narrow and
// receives rows alone, the lanes are samples of one neuron. Cost a delivery: some ten
// multiplications in lanes, and two exponentials more where a lane has its own times.

#include <algorithm>
#include <optional>
#include <vector>

#include "snnfp/detail/lanes.hpp"
#include "snnfp/impl/layer_arrivals.hpp"
#include "snnfp/impl/layer_packs.hpp"

SNNFP_ISA_BEGIN

// Owns the rounds: between two of them every slot in `ready_` holds a pack that is not through.
template <class Real>
class LayerSimulator {
 public:
  LayerSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        watch_{interrupt, limits.worker},
        arrivals_(plan),
        packs_(plan, limits.spike_limit, arrivals_),
        all_lanes_(plan.population_offsets.size() - 1) {}

  LayerSimulator(const LayerSimulator&) = delete;

  // To be filled with the samples that run together.
  LayerArrivals<Real>& arrivals() { return arrivals_; }

  // Simulates the population in the samples given up to `until`; the spikes of sample s go, in
  // order, to out[s * stride].
  void run(Id population, const SampleInput<Real>* inputs, Real until, SpikeList<Real>* out,
           Size stride) {
    const Id* offsets = plan_.population_offsets.data() + population;
    std::optional<Lanes<Real>>& lanes = all_lanes_[population];
    if (!lanes) lanes.emplace(plan_.neurons, offsets[0], offsets[1] - offsets[0]);
    run(*lanes, inputs, until, out, stride);
  }
  // The same for the neurons of `lanes`.
  void run(const Lanes<Real>& lanes, const SampleInput<Real>* inputs, Real until,
           SpikeList<Real>* out, Size stride) {
    packs_.begin(lanes, inputs, until, out, stride);
    const Size samples = arrivals_.samples();
    for (Size s = 0; s < samples; ++s) out[s * stride].reserve(std::min<Size>(lanes.count, 256));
    if (packs_.by_samples()) {
      run_as<true>(lanes);
    } else {
      run_as<false>(lanes);
    }
    packs_.check_limit();
    for (Size s = 0; s < samples; ++s) out[s * stride].sort(sorter_);
  }

 private:
  using P = Pack<Real>;

  template <bool BySamples>
  void run_as(const Lanes<Real>& lanes) {
    if (lanes.identical) return run_all<BySamples, true, true>(lanes);
    if (lanes.uniform) return run_all<BySamples, false, true>(lanes);
    run_all<BySamples, false, false>(lanes);
  }

  template <bool BySamples, bool Identical, bool Uniform>
  void run_all(const Lanes<Real>& lanes) {
    const Size n = packs_.size();
    ready_.clear();
    for (Size k = 0; k < std::min(packs_.most_under_way(), n); ++k) ready_.push_back(Id(k));
    Size next = 0;
    for (const Id slot : ready_) packs_.start(slot, next++);
    const Neuron<P> all(plan_.neurons, lanes.first);
    for (Size round = 0; !ready_.empty(); ++round) {
      if (round % 64 == 0) watch_.check();
      Size waiting = 0;
      for (const Id slot : ready_) {
        for (;;) {
          if (go_on<BySamples, Identical, Uniform>(slot, all)) {
            ready_[waiting++] = slot;
            break;
          }
          if (next == n) break;
          packs_.start(slot, next++);
        }
      }
      ready_.resize(waiting);
      packs_.solve(watch_);
    }
  }

  template <bool BySamples, bool Identical, bool Uniform>
  SNNFP_INLINE bool go_on(Id slot, const Neuron<P>& all) {
    if constexpr (Identical) return packs_.template take_on<BySamples, Uniform>(slot, all);
    return packs_.template take_on<BySamples, Uniform>(slot,
                                                       packs_.template neurons<BySamples>(slot));
  }

  const Plan<Real>& plan_;
  const Watch watch_;
  LayerArrivals<Real> arrivals_;
  LayerPacks<Real> packs_;
  Vector<Id> ready_;  // slots whose packs are under way
  SpikeSorter<Real> sorter_;
  std::vector<std::optional<Lanes<Real>>> all_lanes_;  // of each population that has run
};

SNNFP_ISA_END
