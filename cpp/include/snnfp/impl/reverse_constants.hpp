#pragma once
// Derivatives by the rates of neurons, which every arrival adds to: what E7 adds along the way from
// an arrival to what lies ahead of it, for adjoints that are known. These carry their own explicit
// derivatives back with them: a few multiplications an arrival and neuron. MATH.md E7, E12.

#include <algorithm>

#include "snnfp/impl/reverse_arrivals.hpp"
#include "snnfp/impl/reverse_rows.hpp"
#include "snnfp/model/rate_adjoint.hpp"

SNNFP_ISA_BEGIN

template <class Real, class Model = LifModel>
class ReverseConstants {
 public:
  explicit ReverseConstants(const PlanOf<Model, Real>& plan) : c_(plan.neurons), arrivals_(plan) {}

  // Of one population, whose spikes' adjoints are known.
  void start(const SpikeAdjoints<Real, Model>& spikes) {
    spikes_ = &spikes;
    for (Scratch<Real>& v : sum_) {
      make_room(v, padded<Real>(spikes.size()));
      std::fill_n(v.data(), padded<Real>(spikes.size()), Real(0));
    }
  }

  // What came through a dense projection without delays a synapse to neurons with one pair of time
  // constants. As in ReverseLanes, the lanes are the adjoints at a moment of reference.
  void add_lanes(ReverseSample<Real, Model>& s, const ProjectionPlan<Real>& q, const Watch& watch) {
    const auto sent = s.sent(q);
    if (arrivals_.start(*spikes_, sent, q) == 0) return;
    const bool first = s.wants(spikes_->population(), rate_parameters[0]);
    const bool second = s.wants(spikes_->population(), rate_parameters[1]);
    for (Vector<Real>& v : lanes_.of) v.assign(padded<Real>(spikes_->size()), Real(0));
    RateDecay<Real> to = no_rate_decay<Real>();
    Size first_step = arrivals_.count();
    for (Size a = arrivals_.count(); a-- > 0;) {
      if (a % block == 0) watch.check();
      while (arrivals_.changes_at(a + 1, [&] { enter(); })) {
        const int x = arrivals_.take();
        lanes_.set(arrivals_.change(x).unit, adjoint_step_forth(enter_.template get<Real>(x), to));
      }
      const Size row = q.row_begin(arrivals_.unit(a));
      const Size next = q.row_begin(arrivals_.unit(std::max<Size>(a - 1, 0)));
      const Real* const w = q.weight;
      if (first && second) {
        arrive<true, true>(w + row, w + next, to);
      } else if (first) {
        arrive<true, false>(w + row, w + next, to);
      } else {
        arrive<false, true>(w + row, w + next, to);
      }
      if (a < first_step) first_step = take_steps(a + 1);
      to = joined(to, step_.template get<Real>(a - first_step));
      if (to.least() >= Real(0.25)) continue;
      const RateDecay<P> all = everywhere<P>(to);
      for (Size k = 0; k < spikes_->size(); k += P::width)
        lanes_.store(k, adjoint_step(lanes_.template load<P>(k), all));
      to = no_rate_decay<Real>();
    }
  }

  // What came through any other projection, each synapse by itself.
  void add_rows(ReverseSample<Real, Model>& s, AnchoredRows<Real, Model>& rows,
                const Anchors<Real, Model>& anchors, const Watch& watch) {
    const ProjectionPlan<Real>& q = rows.projection();
    rows.start(*spikes_, anchors);
    const auto sent = s.sent(q);
    Size seen = 0;
    for (Size a = sent.count; a-- > 0;) {
      if (sent.times[a] >= anchors.latest()) continue;
      if (++seen % 64 == 0) watch.check();
      rows.row(sent.units[a], sent.times[a], [&](const AnchoredPack<Real, Model>& p, Size) {
        const P w = load_up_to(q.weight + p.synapse, p.count);
        const RateDecay<P> e = rate_decay(p.time - p.at, p.neuron);
        const RateAdjoint<P> from = rate_adjoint(p.a, p.held);
        // What lies nowhere has no finite derivative by its time constants.
        const auto ahead = !(p.time == P(nowhere<Real>));
        const P none(Real(0));
        const P by[n_rates] = {select(ahead, w * by_rate<0>(from, e), none),
                               select(ahead, w * by_rate<1>(from, e), none)};
        const Size j = p.synapse - q.row_begin(sent.units[a]);
        for (int r = 0; r < n_rates; ++r) {
          Real* const sum = sum_[r].data();
          if (!p.targets) {
            (P::load(sum + j) + by[r]).store(sum + j);
            continue;
          }
          Real value[P::width];
          by[r].store(value);
          for (int l = 0; l < p.count; ++l) sum[p.targets[l] - q.target_first] += value[l];
        }
      });
    }
  }

  // After all projections.
  void finish(ReverseSample<Real, Model>& s) const {
    for (Id j = 0; j < static_cast<Id>(spikes_->size()); ++j) {
      const NeuronOf<Model, Real> n(c_, spikes_->first() + j);
      for (int r = 0; r < n_rates; ++r)
        s.add(spikes_->population(), j, rate_parameters[r],
              flight_unit(rate_parameters[r], n) * sum_[r][j]);
    }
  }

 private:
  using P = Pack<Real>;
  static constexpr int block = ReverseArrivals<Real, Model>::block;

  // At each change of a block, which leads to a spike, or to a release with lI alone.
  void enter() {
    for (int x = 0; x < block; ++x) {
      RateAdjoint<Real> from = rate_adjoint<Real>({}, Real(0));
      if (x < arrivals_.filled()) {
        const Size e = arrivals_.change(x).spike;
        // lI's own moment is the release.
        from = e >= 0
                   ? rate_adjoint(spikes_->adjoint(e), spikes_->release(e) - spikes_->time(e))
                   : rate_adjoint(AdjointOf<Model, Real>::held(spikes_->pair(-1 - e).li), Real(0));
      }
      enter_.set(x, from);
    }
    arrivals_.over_block([&](int b, P span, const NeuronOf<Model, P>& n) {
      enter_.store(b, adjoint_step(enter_.template load<P>(b), rate_decay(span, n)));
    });
  }

  // From each arrival of a block, which ends at `end`, to the one before it; returns the first.
  Size take_steps(Size end) {
    const Size begin = std::max<Size>(0, end - block);
    const NeuronOf<Model, P> all(c_, spikes_->first());
    arrivals_.over_steps(begin, end,
                         [&](Size b, P span) { step_.store(b, rate_decay(span, all)); });
    return begin;
  }

  // One arrival at all neurons; whether the first rate is asked for, and the second.
  template <bool first, bool second>
  void arrive(const Real* weight, const Real* next, const RateDecay<Real>& to) {
    static_assert(n_rates == 2);
    const RateDecay<P> e = everywhere<P>(to);
    const Size size = spikes_->size();
    Real *const first_sum = sum_[0].data(), *const second_sum = sum_[1].data();
    for (Size k = 0; k < size; k += P::width) {
      __builtin_prefetch(next + k);
      const P w = load_up_to(weight + k, size - k);
      const RateAdjoint<P> from = lanes_.template load<P>(k);
      if (first) fma(w, by_rate<0>(from, e), P::load(first_sum + k)).store(first_sum + k);
      if (second) fma(w, by_rate<1>(from, e), P::load(second_sum + k)).store(second_sum + k);
    }
  }

  const typename Model::template Constants<Real>& c_;
  const SpikeAdjoints<Real, Model>* spikes_ = nullptr;
  ReverseArrivals<Real, Model> arrivals_;
  Scratch<Real> sum_[n_rates];  // the derivatives by each rate, one a neuron
  StructOfArrays<RateAdjoint, Vector<Real>> lanes_;
  StructOfArrays<RateAdjoint, Real[block]> enter_;
  StructOfArrays<RateDecay, Real[block]> step_;
};

SNNFP_ISA_END
