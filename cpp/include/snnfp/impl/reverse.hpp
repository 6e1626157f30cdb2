#pragma once
// The adjoint of samples, component by component from the last to the first: the adjoints of a
// component's own spikes, then for each projection into it the derivatives by its weights, its
// delays and the times at its source. MATH.md E12-E14.

#include <algorithm>
#include <iterator>
#include <memory>

#include "snnfp/detail/adjoint.hpp"
#include "snnfp/detail/one_sided.hpp"
#include "snnfp/impl/reverse_constants.hpp"
#include "snnfp/impl/reverse_loop.hpp"

SNNFP_ISA_BEGIN

// Samples of a graph, one after the other; keeps its memory from one to the next.
template <class Real, class Model = LifModel>
class Reverse final : public Workspace {
 public:
  Reverse(const PlanOf<Model, Real>& plan, const Columns& columns)
      : plan_(plan), sample_(plan, columns), constants_(plan), loop_(plan) {
    for (Id p = 0; p + 1 < static_cast<Id>(plan.population_offsets.size()); ++p)
      populations_.emplace_back(plan, p);
    for (const ProjectionPlan<Real>& q : plan.projections) pulls_.emplace_back(plan, q);
  }

  // Adds one sample's share to the gradient. `voltage_adjoint` (null: not asked for) gets lV just
  // before each spike.
  void run(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes, const Real* cotangents,
           Real* gradient, Real* const* input_times, Real* voltage_adjoint, const Watch& watch) {
    watch.check();
    sample_.gradient = gradient;
    sample_.input_times = input_times;
    sample_.take(input, spikes, cotangents);
    OneSidedTerms<Real, Model> ties(plan_, input, spikes, sample_.columns);
    const bool tied = ties.possible(), keep = tied || voltage_adjoint;
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g)
      if (input_times[g])
        std::fill_n(input_times[g] + input.groups[g].first, input.groups[g].count, Real(0));
    for (Id c = static_cast<Id>(plan_.component_offsets.size()) - 1; c-- > 0;) {
      const Id* begin = plan_.components.data() + plan_.component_offsets.data()[c];
      const Id* end = plan_.components.data() + plan_.component_offsets.data()[c + 1];
      if (adjoint_of(plan_, c) == Adjoint::layer) {
        populations_[*begin].collect(sample_, false).solve_all(sample_, keep);
      } else {
        loop_.run(sample_, begin, end, populations_, pulls_, watch);
      }
      for (const Id* p = begin; p != end; ++p) {
        if (populations_[*p].spikes().count() == 0) continue;
        populations_[*p].spikes().add_own(sample_);
        for (const Id q : plan_.into_population.data()[*p]) pull_from_outside(q, watch);
        if constexpr (Model::side_by_side)
          if (std::any_of(std::begin(rate_parameters), std::end(rate_parameters),
                          [&](NeuronParameter rate) { return sample_.wants(*p, rate); }))
            add_constants(*p, watch);
      }
    }
    if (!keep) return;
    if (!voltage_adjoint) {
      make_room(own_adjoint_, spikes.count);
      voltage_adjoint = own_adjoint_.data();
    }
    for (Size m = 0; m < spikes.count; ++m) voltage_adjoint[sample_.spike[m]] = sample_.mu[m];
    if (tied)
      ties.add_adjoint(ties.find(SpikeIndex<Real>(plan_, spikes)), voltage_adjoint, gradient);
  }

  // Only what `run` left out: the weights of projections from inputs, `deferred` in the columns, to
  // the neurons [begin, end) of one population, whose spikes' lV is known from there.
  void run_weights(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
                   const Real* voltage_adjoint, Id population, Id begin, Id end, Real* gradient,
                   const Watch& watch) {
    watch.check();
    sample_.gradient = gradient;
    sample_.input_times = nullptr;
    sample_.take(input, spikes, voltage_adjoint);
    populations_[population].collect(sample_, begin, end, true).carry();
    for (const Id q : plan_.into_population.data()[population])
      if (sample_.columns.deferred[q]) {
        pulls_[q].start(sample_, populations_[population], false, true);
        pulls_[q].pull(sample_, watch);
      }
  }

 private:
  void pull_from_outside(Id q, const Watch& watch) {
    const ProjectionPlan<Real>& projection = plan_.projections.data()[q];
    if (projection.within_component) return;
    const bool timed = sample_.timed(projection);
    if (!timed && !sample_.weights(projection)) return;
    pulls_[q].start(sample_, populations_[projection.target_population], timed, true);
    pulls_[q].pull(sample_, watch);
  }

  void add_constants(Id p, const Watch& watch) {
    constants_.start(populations_[p].spikes());
    for (const Id k : plan_.into_population.data()[p]) {
      const ProjectionPlan<Real>& q = plan_.projections.data()[k];
      if (q.connectivity == Connectivity::dense && q.delay_per != DelayPer::synapse &&
          populations_[p].spikes().traits().uniform) {
        constants_.add_lanes(sample_, q, watch);
      } else {
        constants_.add_rows(sample_, pulls_[k].rows().rows(), populations_[p].anchors(), watch);
      }
    }
    constants_.finish(sample_);
  }

  const PlanOf<Model, Real>& plan_;
  ReverseSample<Real, Model> sample_;
  Vector<PopulationAdjoint<Real, Model>> populations_;
  Vector<ReversePull<Real, Model>> pulls_;  // of each projection
  ReverseConstants<Real, Model> constants_;
  ReverseLoop<Real, Model> loop_;
  Scratch<Real> own_adjoint_;  // lV just before each spike, where nobody else asks for it
};

SNNFP_ISA_END
