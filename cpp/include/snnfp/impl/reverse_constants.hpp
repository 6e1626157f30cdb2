#pragma once
// Derivatives by time constants: what E7 adds along the way from each arrival to what lies ahead of
// it, for lV and lI that are known. lI and lV carry their own explicit derivatives back with them:
// a few multiplications an arrival and neuron. MATH.md E7, E12.

#include <algorithm>

#include "snnfp/impl/reverse_arrivals.hpp"
#include "snnfp/impl/reverse_rows.hpp"

SNNFP_ISA_BEGIN

// E12 over a time d and its explicit derivatives by the rates.
template <class T>
struct ExplicitDecay {
  T mem, syn, kappa;
  T mem_by_beta, syn_by_alpha, kappa_by_alpha, kappa_by_beta;
};
template <class T>
SNNFP_INLINE ExplicitDecay<T> explicit_decay(T d, const Neuron<T>& n) {
  const Decay<T> e = decay(d, n);
  const KappaByRates<T> by = kappa_by_rates(d, e, n);
  return {e.mem, e.syn, e.kappa, -d * e.mem, -d * e.syn, by.alpha, by.beta};
}

// lV / C, lI and their explicit derivatives.
template <class T>
struct ExplicitAdjoint {
  T lv, li, li_by_alpha, lv_by_beta, li_by_beta;
};
template <class T>
SNNFP_INLINE ExplicitAdjoint<T> back(const ExplicitAdjoint<T>& a, const ExplicitDecay<T>& e) {
  return {e.mem * a.lv, fma(e.kappa, a.lv, e.syn * a.li),
          fma(e.kappa_by_alpha, a.lv, fma(e.syn_by_alpha, a.li, e.syn * a.li_by_alpha)),
          fma(e.mem_by_beta, a.lv, e.mem * a.lv_by_beta),
          fma(e.kappa_by_beta, a.lv, fma(e.kappa, a.lv_by_beta, e.syn * a.li_by_beta))};
}
// What `back` takes to a.
template <class T>
SNNFP_INLINE ExplicitAdjoint<T> forth(const ExplicitAdjoint<T>& a, const ExplicitDecay<T>& e) {
  const T lv = a.lv / e.mem, li = fma(-e.kappa, lv, a.li) / e.syn;
  const T lv_by_beta = fma(-e.mem_by_beta, lv, a.lv_by_beta) / e.mem;
  return {lv, li, fma(-e.kappa_by_alpha, lv, fma(-e.syn_by_alpha, li, a.li_by_alpha)) / e.syn,
          lv_by_beta, fma(-e.kappa_by_beta, lv, fma(-e.kappa, lv_by_beta, a.li_by_beta)) / e.syn};
}
// Over one time and then another.
template <class T>
SNNFP_INLINE ExplicitDecay<T> joined(const ExplicitDecay<T>& a, const ExplicitDecay<T>& b) {
  return {b.mem * a.mem,
          b.syn * a.syn,
          fma(b.syn, a.kappa, b.kappa * a.mem),
          fma(b.mem, a.mem_by_beta, b.mem_by_beta * a.mem),
          fma(b.syn, a.syn_by_alpha, b.syn_by_alpha * a.syn),
          fma(b.syn, a.kappa_by_alpha, fma(b.syn_by_alpha, a.kappa, b.kappa_by_alpha * a.mem)),
          fma(b.syn, a.kappa_by_beta, fma(b.kappa, a.mem_by_beta, b.kappa_by_beta * a.mem))};
}

template <class Real>
class ReverseConstants {
 public:
  explicit ReverseConstants(const Plan<Real>& plan) : c_(plan.neurons), arrivals_(plan) {}

  // Of one population, whose spikes' adjoints are known.
  void start(const SpikeAdjoints<Real>& spikes) {
    spikes_ = &spikes;
    for (Scratch<Real>* v : {&by_alpha_, &by_beta_}) {
      make_room(*v, padded<Real>(spikes.size()));
      std::fill_n(v->data(), padded<Real>(spikes.size()), Real(0));
    }
  }

  // What came through a dense projection without delays a synapse to neurons with one pair of time
  // constants. As in ReverseLanes, the lanes are the adjoints at a moment of reference.
  void add_lanes(ReverseSample<Real>& s, const ProjectionPlan<Real>& q, const Watch& watch) {
    const auto sent = s.sent(q);
    if (arrivals_.start(*spikes_, sent, q) == 0) return;
    const Id p = spikes_->population();
    const bool alpha = s.wants(p, NeuronParameter::tau_syn);
    const bool beta = s.wants(p, NeuronParameter::tau_mem);
    for (Vector<Real>& v : lane_) v.assign(padded<Real>(spikes_->size()), Real(0));
    const ExplicitDecay<Real> none{Real(1), Real(1), Real(0), Real(0), Real(0), Real(0), Real(0)};
    ExplicitDecay<Real> to = none;
    Size first_step = arrivals_.count();
    for (Size a = arrivals_.count(); a-- > 0;) {
      if (a % block == 0) watch.look();
      while (arrivals_.changes_at(a + 1, [&] { enter(); })) {
        const int x = arrivals_.take();
        put(arrivals_.change(x).unit,
            forth<Real>({enter_[0][x], enter_[1][x], enter_[2][x], enter_[3][x], enter_[4][x]},
                        to));
      }
      const Size row = q.row_begin(arrivals_.unit(a));
      const Size next = q.row_begin(arrivals_.unit(std::max<Size>(a - 1, 0)));
      const Real* const w = q.weight;
      if (alpha && beta) {
        arrive<true, true>(w + row, w + next, to);
      } else if (alpha) {
        arrive<true, false>(w + row, w + next, to);
      } else {
        arrive<false, true>(w + row, w + next, to);
      }
      if (a < first_step) first_step = take_steps(a + 1);
      to = joined(to, step_[a - first_step]);
      if (std::min(to.mem, to.syn) >= Real(0.25)) continue;
      const ExplicitDecay<P> all = everywhere(to);
      for (Size k = 0; k < spikes_->size(); k += P::width) put(k, back(load(k), all));
      to = none;
    }
  }

  // What came through any other projection, each synapse by itself.
  void add_rows(ReverseSample<Real>& s, AnchoredRows<Real>& rows, const Anchors<Real>& anchors,
                const Watch& watch) {
    const ProjectionPlan<Real>& q = rows.projection();
    rows.start(*spikes_, anchors);
    const auto sent = s.sent(q);
    Size seen = 0;
    for (Size a = sent.count; a-- > 0;) {
      if (sent.times[a] >= anchors.latest()) continue;
      if (++seen % 64 == 0) watch.look();
      rows.row(sent.units[a], sent.times[a], [&](const AnchoredPack<Real>& p, Size) {
        const P d = p.time - p.at, w = load_up_to(q.weight + p.synapse, p.count);
        const ExplicitDecay<P> e = explicit_decay(d, p.neuron);
        // What lies nowhere has no finite derivative by its time constants.
        const auto ahead = !(p.time == P(nowhere<Real>));
        const P none(Real(0));
        const P by_alpha = select(
            ahead, w * fma(p.lv, e.kappa_by_alpha, p.li * fma(-p.held, e.syn, e.syn_by_alpha)),
            none);
        const P by_beta = select(ahead, w * (p.lv * e.kappa_by_beta), none);
        if (!p.targets) {
          const Size j = p.synapse - q.row_begin(sent.units[a]);
          (P::load(&by_alpha_[j]) + by_alpha).store(&by_alpha_[j]);
          (P::load(&by_beta_[j]) + by_beta).store(&by_beta_[j]);
          return;
        }
        Real alpha[P::width], beta[P::width];
        by_alpha.store(alpha);
        by_beta.store(beta);
        for (int l = 0; l < p.count; ++l) {
          by_alpha_[p.targets[l] - q.target_first] += alpha[l];
          by_beta_[p.targets[l] - q.target_first] += beta[l];
        }
      });
    }
  }

  // After all projections.
  void finish(ReverseSample<Real>& s) const {
    for (Id j = 0; j < static_cast<Id>(spikes_->size()); ++j) {
      const Real alpha = c_.alpha.data()[spikes_->first() + j];
      const Real beta = c_.beta.data()[spikes_->first() + j];
      s.add(spikes_->population(), j, NeuronParameter::tau_mem, -beta * beta * by_beta_[j]);
      s.add(spikes_->population(), j, NeuronParameter::tau_syn, -alpha * alpha * by_alpha_[j]);
    }
  }

 private:
  using P = Pack<Real>;
  static constexpr int n_values = 5, block = ReverseArrivals<Real>::block;

  // At each change of a block, which leads to a spike, or to a release with lI alone.
  void enter() {
    for (int x = 0; x < block; ++x) {
      const bool there = x < arrivals_.filled();
      const Size e = there ? arrivals_.change(x).spike : 0;
      const bool spike = there && e >= 0;
      const Real inv_c =
          there ? c_.inv_c.data()[spikes_->first() + arrivals_.change(x).unit] : Real(0);
      enter_[0][x] = spike ? spikes_->lv(e) * inv_c : Real(0);
      enter_[1][x] = spike ? spikes_->li(e) : there ? spikes_->pair(-1 - e).li : Real(0);
      // lI's own moment is the release.
      enter_[2][x] = spike ? -(spikes_->release(e) - spikes_->time(e)) * enter_[1][x] : Real(0);
    }
    arrivals_.over_block([&](int b, P span, const Neuron<P>& n) {
      const ExplicitAdjoint<P> x = back({P::load(enter_[0] + b), P::load(enter_[1] + b),
                                         P::load(enter_[2] + b), P(Real(0)), P(Real(0))},
                                        explicit_decay(span, n));
      x.lv.store(enter_[0] + b);
      x.li.store(enter_[1] + b);
      x.li_by_alpha.store(enter_[2] + b);
      x.lv_by_beta.store(enter_[3] + b);
      x.li_by_beta.store(enter_[4] + b);
    });
  }

  // From each arrival of a block, which ends at `end`, to the one before it; returns the first.
  Size take_steps(Size end) {
    const Size begin = std::max<Size>(0, end - block);
    const Neuron<P> all(c_, spikes_->first());
    Real v[7][P::width];
    arrivals_.over_steps(begin, end, [&](Size b, P span) {
      const ExplicitDecay<P> e = explicit_decay(span, all);
      e.mem.store(v[0]);
      e.syn.store(v[1]);
      e.kappa.store(v[2]);
      e.mem_by_beta.store(v[3]);
      e.syn_by_alpha.store(v[4]);
      e.kappa_by_alpha.store(v[5]);
      e.kappa_by_beta.store(v[6]);
      for (int l = 0; l < P::width; ++l)
        step_[b + l] = {v[0][l], v[1][l], v[2][l], v[3][l], v[4][l], v[5][l], v[6][l]};
    });
    return begin;
  }

  static ExplicitDecay<P> everywhere(const ExplicitDecay<Real>& e) {
    return {P(e.mem),          P(e.syn),          P(e.kappa),
            P(e.mem_by_beta),  P(e.syn_by_alpha), P(e.kappa_by_alpha),
            P(e.kappa_by_beta)};
  }
  ExplicitAdjoint<P> load(Size k) const {
    return {P::load(&lane_[0][k]), P::load(&lane_[1][k]), P::load(&lane_[2][k]),
            P::load(&lane_[3][k]), P::load(&lane_[4][k])};
  }
  void put(Size k, const ExplicitAdjoint<P>& x) {
    x.lv.store(&lane_[0][k]);
    x.li.store(&lane_[1][k]);
    x.li_by_alpha.store(&lane_[2][k]);
    x.lv_by_beta.store(&lane_[3][k]);
    x.li_by_beta.store(&lane_[4][k]);
  }
  void put(Id unit, const ExplicitAdjoint<Real>& x) {
    lane_[0][unit] = x.lv;
    lane_[1][unit] = x.li;
    lane_[2][unit] = x.li_by_alpha;
    lane_[3][unit] = x.lv_by_beta;
    lane_[4][unit] = x.li_by_beta;
  }

  // One arrival at all neurons.
  template <bool alpha, bool beta>
  void arrive(const Real* weight, const Real* next, const ExplicitDecay<Real>& to) {
    const ExplicitDecay<P> e = everywhere(to);
    const Size size = spikes_->size();
    for (Size k = 0; k < size; k += P::width) {
      __builtin_prefetch(next + k);
      const P w = load_up_to(weight + k, size - k);
      const P lv = P::load(&lane_[0][k]);
      if (alpha) {
        const P by = fma(e.kappa_by_alpha, lv,
                         fma(e.syn_by_alpha, P::load(&lane_[1][k]), e.syn * P::load(&lane_[2][k])));
        fma(w, by, P::load(&by_alpha_[k])).store(&by_alpha_[k]);
      }
      if (beta) {
        const P by = fma(e.kappa_by_beta, lv,
                         fma(e.kappa, P::load(&lane_[3][k]), e.syn * P::load(&lane_[4][k])));
        fma(w, by, P::load(&by_beta_[k])).store(&by_beta_[k]);
      }
    }
  }

  const NeuronConstants<Real>& c_;
  const SpikeAdjoints<Real>* spikes_ = nullptr;
  ReverseArrivals<Real> arrivals_;
  Scratch<Real> by_alpha_, by_beta_;  // one a neuron
  Vector<Real> lane_[n_values];
  Real enter_[n_values][block];
  ExplicitDecay<Real> step_[block];
};

SNNFP_ISA_END
