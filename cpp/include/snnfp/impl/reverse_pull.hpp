#pragma once
// One population's adjoints, and the derivatives by what came to it through one projection, with
// the kernel that the projection allows.

#include <algorithm>
#include <memory>

#include "snnfp/impl/reverse_few.hpp"
#include "snnfp/impl/reverse_lanes.hpp"
#include "snnfp/impl/reverse_rows.hpp"

SNNFP_ISA_BEGIN

// The spikes of a population, and what lies ahead of arrivals where that is asked for.
template <class Real, class Model = LifModel>
class PopulationAdjoint {
 public:
  PopulationAdjoint(const PlanOf<Model, Real>& plan, Id population)
      : spikes_(plan, population),
        size_(plan.population_offsets.data()[population + 1] -
              plan.population_offsets.data()[population]) {}

  SpikeAdjoints<Real, Model>& collect(const ReverseSample<Real, Model>& s, bool known,
                                      Real last = -never<Real>) {
    return collect(s, 0, size_, known, last);
  }
  // Those of the neurons [begin, end) only.
  SpikeAdjoints<Real, Model>& collect(const ReverseSample<Real, Model>& s, Id begin, Id end,
                                      bool known, Real last = -never<Real>) {
    spikes_.collect(s, begin, end, known, last);
    anchored_ = false;
    return spikes_;
  }
  void solve(ReverseSample<Real, Model>& s, Size e) {
    spikes_.solve(s, e);
    if (!anchored_) return;
    anchors_.set(spikes_, e);
    if (spikes_.pair_to(e) >= 0) anchors_.set_release(spikes_, spikes_.pair_to(e));
  }

  SpikeAdjoints<Real, Model>& spikes() { return spikes_; }
  const Anchors<Real, Model>& anchors() {
    if (!anchored_) anchors_.build(spikes_);
    anchored_ = true;
    return anchors_;
  }

 private:
  SpikeAdjoints<Real, Model> spikes_;
  Anchors<Real, Model> anchors_;
  Id size_;
  bool anchored_ = false;  // the anchors are those of the spikes
};

template <class Real, class Model = LifModel>
class ReversePull {
 public:
  enum class Kernel { few, lanes, rows };

  ReversePull(const PlanOf<Model, Real>& plan, const ProjectionPlan<Real>& q)
      : plan_(&plan), q_(&q) {}

  // `timed`: the times at the source are asked for, or the delays. `at_once`: the adjoints of all
  // spikes are known.
  void start(ReverseSample<Real, Model>& s, PopulationAdjoint<Real, Model>& target, bool timed,
             bool at_once) {
    const SpikeAdjoints<Real, Model>& spikes = target.spikes();
    kernel_ = Kernel::rows;
    if constexpr (Model::side_by_side) {
      if (at_once && ReverseFew<Real, Model>::suits(spikes, *q_)) {
        kernel_ = Kernel::few;
        return made(few_).start(s, spikes);
      }
      if (ReverseLanes<Real, Model>::suits(s, spikes, *q_)) {
        kernel_ = Kernel::lanes;
        return made(lanes_).start(s, spikes, timed);
      }
    }
    rows().start(s, spikes, target.anchors(), timed);
  }
  // What was sent from place `from` on, up to `to`; later ones have had their turn. All of it
  // arrives at `latest` or after, and the adjoints of what comes after `latest` are known: lanes go
  // from arrival to arrival, and take what else arrives since.
  void pull(ReverseSample<Real, Model>& s, Size from, Size to, Real latest, const Watch& watch) {
    if constexpr (Model::side_by_side)
      if (kernel_ == Kernel::lanes)
        return q_->delay_per == DelayPer::source ? lanes_->pull_since(latest, watch)
                                                 : lanes_->pull(from, to, watch);
    rows_->pull(s, from, to, watch);
  }
  // All that was sent.
  void pull(ReverseSample<Real, Model>& s, const Watch& watch) {
    if constexpr (Model::side_by_side) {
      if (kernel_ == Kernel::few) return few_->pull(watch);
      if (kernel_ == Kernel::lanes) return lanes_->pull(watch);
    }
    rows_->pull(s, watch);
  }
  // The adjoint of a spike of this neuron is known now.
  void solved(Id unit) {
    if (kernel_ == Kernel::rows) rows_->rows().take_latest(unit);
  }

  AnchoredPull<Real, Model>& rows() { return made(rows_); }
  Real shortest_delay() {
    return q_->delay_per == DelayPer::synapse ? rows().rows().shortest() : q_->shortest_delay;
  }

  Kernel kernel() const { return kernel_; }

 private:
  template <class T>
  T& made(std::unique_ptr<T>& kernel) {
    if (!kernel) kernel = std::make_unique<T>(*plan_, *q_);
    return *kernel;
  }

  const PlanOf<Model, Real>* plan_;
  const ProjectionPlan<Real>* q_;
  Kernel kernel_ = Kernel::rows;
  std::unique_ptr<ReverseFew<Real, Model>> few_;
  std::unique_ptr<ReverseLanes<Real, Model>> lanes_;
  std::unique_ptr<AnchoredPull<Real, Model>> rows_;
};

SNNFP_ISA_END
