#pragma once
// The adjoint of samples of a graph of dense projections with one delay each: backwards in time,
// component by component. MATH.md E12-E14.

#include <algorithm>
#include <memory>

#include "snnfp/detail/one_sided.hpp"
#include "snnfp/impl/reverse_layer.hpp"
#include "snnfp/impl/reverse_loop.hpp"

SNNFP_ISA_BEGIN

// Samples of a graph, one after the other; keeps its memory from one to the next.
template <class Real>
class ReverseSweep final : public Workspace {
 public:
  ReverseSweep(const Plan<Real>& plan, const Columns& columns)
      : plan_(plan), sample_(plan, columns), layer_(plan) {
    for (const ProjectionPlan<Real>& p : plan.projections)
      if (p.within_component && !loop_) loop_ = std::make_unique<ReverseLoop<Real>>(plan, columns);
  }

  // Adds one sample's share to the gradient. `voltage_adjoint` gets lV just before each spike.
  void run(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes, const Real* cotangents,
           Real* gradient, Real* const* input_times, Real* voltage_adjoint, const Watch& watch) {
    watch.look();
    sample_.gradient = gradient;
    sample_.input_times = input_times;
    sample_.voltage_adjoint = voltage_adjoint;
    sample_.known = false;
    OneSidedTerms<Real> ties(plan_, input, spikes, sample_.columns);
    const bool tied = ties.possible();
    if (tied && !voltage_adjoint) {
      own_adjoint_.assign(spikes.count, Real(0));
      sample_.voltage_adjoint = own_adjoint_.data();
    }
    sample_.take(input, spikes, cotangents);
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g)
      if (input_times[g])
        std::fill_n(input_times[g] + input.groups[g].first, input.groups[g].count, Real(0));
    for (std::size_t c = plan_.component_offsets.size() - 1; c-- > 0;) {
      const Id* begin = plan_.components.data() + plan_.component_offsets.data()[c];
      const Id* end = plan_.components.data() + plan_.component_offsets.data()[c + 1];
      if (in_loop(*begin)) {
        loop_->run(sample_, begin, end, watch);
      } else {
        const Id* offsets = plan_.population_offsets.data() + *begin;
        layer_.run(sample_, *begin, 0, offsets[1] - offsets[0], watch);
      }
    }
    if (tied)
      ties.add_adjoint(ties.find(SpikeIndex<Real>(plan_, spikes)), sample_.voltage_adjoint,
                       gradient);
  }

  // Only what `run` left out: the weights of projections from inputs, `later` in the columns, to the
  // neurons [begin, end) of one population, whose spikes' lV is known from there.
  void run_weights(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
                   const Real* voltage_adjoint, Id population, Id begin, Id end, Real* gradient,
                   const Watch& watch) {
    watch.look();
    sample_.gradient = gradient;
    sample_.known = true;
    sample_.voltage_adjoint = nullptr;
    sample_.take(input, spikes, voltage_adjoint);
    layer_.run(sample_, population, begin, end, watch);
  }

 private:
  bool in_loop(Id population) const {
    for (const Id q : plan_.into_population.data()[population])
      if (plan_.projections.data()[q].within_component) return true;
    return false;
  }

  const Plan<Real>& plan_;
  ReverseSample<Real> sample_;
  ReverseLayer<Real> layer_;
  Vector<Real> own_adjoint_;  // lV just before each spike, where nobody else asks for it
  std::unique_ptr<ReverseLoop<Real>> loop_;
};

SNNFP_ISA_END
