#pragma once
// What the spikes of a few neurons owe to what came through a dense projection whose rows arrive at
// once: the arrivals between two changes of their adjoints side by side. MATH.md E12, E13.

#include <algorithm>
#include <limits>

#include "snnfp/impl/reverse_arrivals.hpp"

SNNFP_ISA_BEGIN

template <class Real, class Model = LifModel>
class ReverseFew {
 public:
  ReverseFew(const PlanOf<Model, Real>& plan, const ProjectionPlan<Real>& q)
      : c_(plan.neurons), q_(q), entries_(plan) {}

  // Less than a vector of the widest instruction set, from a population: with its times asked for,
  // a layer of 3 neurons takes 1.35 x as long with neurons side by side. Without times it is the
  // other way round, 1.6 x; which kernel runs does not depend on what is asked for, so that each
  // derivative has the same bits whatever else is.
  static bool suits(const SpikeAdjoints<Real, Model>& spikes, const ProjectionPlan<Real>& q) {
    return q.from_population >= 0 && q.connectivity == Connectivity::dense && q.arrives_at_once() &&
           spikes.size() < lane_width<Real> && q.synapses() <= std::numeric_limits<Id>::max();
  }

  void start(ReverseSample<Real, Model>& s, const SpikeAdjoints<Real, Model>& spikes) {
    out_ = s.weights(q_);
    delays_ = s.delays(q_);
    sent_ = s.sent(q_);
    first_ = spikes.first();
    size_ = spikes.size();
    entries_.arrivals().start(spikes, sent_, q_);
    for (Vector<Real>& v : lanes_.of) v.assign(padded<Real>(size_), Real(0));
  }

  // Few neurons: arrivals side by side. Lanes left over add 0, so that every loop is as long.
  void pull(const Watch& watch) {
    const ReverseArrivals<Real, Model>& arrivals = entries_.arrivals();
    const Size n = arrivals.count();
    if (n == 0) return;
    make_room(at_, n + lane_width<Real>);
    for (Size a = 0; a < n; ++a) at_[a] = arrivals.time(a);
    std::fill_n(at_.data() + n, lane_width<Real>, never<Real>);
    const Real* const at = at_.data();
    make_room(row_, n + lane_width<Real>);
    for (Size a = 0; a < n; ++a) row_[a] = static_cast<Id>(q_.row_begin(arrivals.unit(a)));
    std::fill_n(row_.data() + n, lane_width<Real>, Id(0));
    const bool uniform = arrivals.spikes().traits().uniform;
    Size checked = n;
    for (Size end = n, begin; end > 0; end = begin) {
      if (checked - end >= 64) watch.check();
      if (checked - end >= 64) checked = end;
      while (entries_.changes_at(end)) {
        const auto entry = entries_.take();
        lanes_.set(entry.unit, entry.a);
      }
      begin = entries_.next_end();
      Id live[lane_width<Real>];
      int n_live = 0;
      for (Id u = 0; u < size_; ++u) {
        live[n_live] = u;
        n_live += lanes_.nonzero(u);
      }
      const P last(at[end - 1]);
      for (Size a = begin; a < end; a += P::width) {
        const P t = P::load(at + a), span = last - t;
        StepOf<Model, P> e = decay(span, NeuronOf<Model, P>(c_, first_));
        P times(Real(0));
        for (int l = 0; l < n_live; ++l) {
          const Id u = live[l];
          const NeuronOf<Model, P> neuron(c_, first_ + u);
          if (!uniform) e = decay(span, neuron);
          const AdjointOf<Model, P> there = adjoint_step(lanes_.template spread<P>(u), e);
          times = fma(P::gather(q_.weight + u, &row_[a]), by_time(there, neuron), times);
          if (!out_) continue;
          Real value[P::width];
          select(t <= last, by_weight(there), P(Real(0))).store(value);
          for (int k = 0; k < P::width; ++k) out_[row_[a + k] + u] += value[k];
        }
        Real values[P::width];
        times.store(values);
        for (Size k = 0; k < std::min<Size>(P::width, end - a); ++k) {
          if (delays_) delays_[q_.delay_index(arrivals.unit(a + k), 0)] += values[k];
          if (sent_.by_time) sent_.by_time[arrivals.place(a + k)] += values[k];
        }
      }
      if (begin == 0) return;
      const P span(at[end - 1] - at[begin - 1]);
      for (Size k = 0; k < size_; k += P::width) {
        const StepOf<Model, P> e =
            decay(span, NeuronOf<Model, P>::load(c_, first_ + static_cast<Id>(k)));
        lanes_.store(k, adjoint_step(lanes_.template load<P>(k), e));
      }
    }
  }

 private:
  using P = Pack<Real>;

  const typename Model::template Constants<Real>& c_;
  const ProjectionPlan<Real>& q_;
  AdjointEntries<Real, Model> entries_;
  Real* out_ = nullptr;
  Real* delays_ = nullptr;
  typename ReverseSample<Real, Model>::Sent sent_{};
  Id first_ = 0;
  Size size_ = 0;
  StructOfArrays<Model::template Adjoint, Vector<Real>>
      lanes_;  // of all neurons at the arrival at hand
  Scratch<Real> at_;
  Scratch<Id> row_;
};

SNNFP_ISA_END
