#pragma once
// What a population's spikes owe to what came through a projection without delays a synapse: where
// all neurons have one pair of time constants, and else through a dense one. MATH.md E12, E13.
//
// Invariant: the lanes are the adjoints of all neurons at a moment of reference; a step of E12
// leads from there to the arrival at hand, the same for all. So an arrival costs its own synapses
// only and writes nothing but their derivatives, and a spike that comes into view costs its own
// neuron: its lane is taken to the reference. All lanes move when an exponential of the step falls
// below 1/4, so that no more than two bits are lost on the way. Neurons with time constants of
// their own move at every arrival: two exponentials a delivery, and still half the cost of looking
// up what lies ahead of it.

#include <algorithm>

#include "snnfp/impl/reverse_arrivals.hpp"

SNNFP_ISA_BEGIN

template <class Real, class Model = LifModel>
class ReverseLanes {
 public:
  ReverseLanes(const PlanOf<Model, Real>& plan, const ProjectionPlan<Real>& q)
      : c_(plan.neurons), q_(q), entries_(plan), consecutive_(q.n_source, unknown) {}

  // Whether it takes what came through a projection, and at less cost than one by one: a move of
  // all lanes costs 1/16 of what a delivery by itself does, a neuron.
  static bool suits(ReverseSample<Real, Model>& s, const SpikeAdjoints<Real, Model>& spikes,
                    const ProjectionPlan<Real>& q) {
    if (q.delay_per == DelayPer::synapse) return false;
    if (!spikes.traits().uniform) return q.connectivity == Connectivity::dense;
    const auto sent = s.sent(q);
    if (q.connectivity == Connectivity::dense || sent.count == 0) return true;
    Size deliveries = 0;
    for (Size a = 0; a < sent.count; ++a)
      deliveries += q.row_end(sent.units[a]) - q.row_begin(sent.units[a]);
    const Real spans =
        (sent.times[sent.count - 1] - sent.times[0]) * s.plan.neurons.fast_rate(spikes.first());
    const Real moves = std::min(Real(1) + spans, Real(sent.count));
    return moves * Real(spikes.size()) <= Real(16) * Real(deliveries);
  }

  void start(ReverseSample<Real, Model>& s, const SpikeAdjoints<Real, Model>& spikes, bool timed) {
    timed_ = timed;
    out_ = s.weights(q_);
    delays_ = timed && q_.arrives_at_once() ? s.delays(q_) : nullptr;
    of_targets_ = timed && !q_.arrives_at_once() ? s.delays(q_) : nullptr;
    sent_ = s.sent(q_);
    begin_ = spikes.begin();
    size_ = spikes.size();
    uniform_ = spikes.traits().uniform;
    to_ = no_decay<Real>();
    first_step_ = left_ = entries_.arrivals().start(spikes, sent_, q_);
    if (first_step_ > 0)
      for (Vector<Real>& v : lanes_.of) v.assign(padded<Real>(spikes.size()), Real(0));
  }

  // What was sent from place `from` on, up to `to`; later ones have had their turn. Takes the
  // adjoints of all spikes after the arrivals.
  void pull(Size from, Size to, const Watch& watch) {
    for (Size a = std::min(to, entries_.arrivals().count()); a-- > from;) {
      if (a % block == 0) watch.check();
      if (entries_.changes_at(a + 1)) change(a + 1);
      const Real moved = uniform_ ? row(a) : row_of_each(a);
      if (delays_) delays_[q_.delay_index(entries_.arrivals().unit(a), 0)] += moved;
      if (timed_ && sent_.by_time) sent_.by_time[entries_.arrivals().place(a)] += moved;
      if (!uniform_) continue;
      if (a < first_step_) take_steps(a + 1);
      to_ = joined(to_, step_.template get<Real>(a - first_step_));
      if (to_.least() < Real(0.25)) move_all();
    }
  }
  void pull(const Watch& watch) { pull(0, sent_.count, watch); }
  // What arrives at `time` or later and has not had its turn; not together with the others.
  void pull_since(Real time, const Watch& watch) {
    Size from = left_;
    while (from > 0 && entries_.arrivals().time(from - 1) >= time) --from;
    pull(from, left_, watch);
    left_ = from;
  }

 private:
  using P = Pack<Real>;
  static constexpr int parts = lane_width<Real> / P::width;
  static constexpr int block = ReverseArrivals<Real, Model>::block;

  // Takes the adjoints of the neurons that change at arrival `end` - 1 to the moment of reference.
  void change(Size end) {
    const InverseDecay<Real> from(to_);
    while (entries_.changes_at(end)) {
      const auto entry = entries_.take();
      lanes_.set(entry.unit, adjoint_step(entry.a, from));
    }
  }
  // E12 from each arrival of a block, which ends at `end`, to the one before it.
  void take_steps(Size end) {
    first_step_ = std::max<Size>(0, end - block);
    const NeuronOf<Model, P> all(c_, entries_.arrivals().spikes().first());
    entries_.arrivals().over_steps(first_step_, end,
                                   [&](Size b, P span) { step_.store(b, decay(span, all)); });
  }
  void move_all() {
    const StepOf<Model, P> to = everywhere<P>(to_);
    for (Size k = 0; k < size_; k += P::width)
      lanes_.store(k, adjoint_step(lanes_.template load<P>(k), to));
    to_ = no_decay<Real>();
  }

  // E13 of one arrival. Returns the derivative by its time.
  Real row(Size a) {
    Id unit = entries_.arrivals().unit(a);
    const Size at = q_.row_begin(unit);
    const Size n = q_.row_end(unit) - at;
    AdjointOf<Model, Real> sums{};  // of the adjoints times the weights
    if (q_.connectivity == Connectivity::dense) {
      sums = beside(at + begin_,
                    q_.row_begin(entries_.arrivals().unit(std::max<Size>(a - 1, 0))) + begin_, 0,
                    size_);
    } else if (q_.connectivity == Connectivity::one_to_one) {
      sums = scattered(at, &unit, 1);
    } else if (n > 0 && runs(unit)) {
      sums = beside(at, at, q_.targets[at], n);
    } else {
      sums = scattered(at, q_.targets + at, n);
    }
    if (of_targets_) add_to_targets(unit);
    // Both rules are linear.
    return by_time(adjoint_step(sums, to_), NeuronOf<Model, Real>(c_, q_.target_first));
  }

  // The same where each neuron has time constants of its own: the moment of reference is that of
  // the arrival, and all lanes go on to the one before it.
  Real row_of_each(Size a) {
    return !timed_ ? row_of_each<true, false>(a)
           : out_  ? row_of_each<true, true>(a)
                   : row_of_each<false, true>(a);
  }
  template <bool weights, bool timed>
  [[gnu::noinline]] Real row_of_each(Size a) {
    const ReverseArrivals<Real, Model>& arrivals = entries_.arrivals();
    const Size at = q_.row_begin(arrivals.unit(a)) + begin_;
    const P span(a > 0 ? arrivals.time(a) - arrivals.time(a - 1) : Real(0));
    const Id first = arrivals.spikes().first();
    P sum[parts];
    for (P& s : sum) s = P(Real(0));
    for (Size k = 0, u = 0; k < size_; k += P::width, ++u) {
      const NeuronOf<Model, P> n = NeuronOf<Model, P>::load(c_, first + static_cast<Id>(k));
      const AdjointOf<Model, P> here = lanes_.template load<P>(k);
      if (weights) add(out_ + at + k, size_ - k, by_weight(here));
      if (timed) {
        const P moved = load_up_to(q_.weight + at + k, size_ - k) * by_time(here, n);
        if (of_targets_) add(of_targets_ + begin_ + k, size_ - k, moved);
        sum[u % parts] = sum[u % parts] + moved;
      }
      lanes_.store(k, adjoint_step(here, decay(span, n)));
    }
    if (!timed) return Real(0);
    Real part[lane_width<Real>];
    for (int u = 0; u < parts; ++u) sum[u].store(part + u * P::width);
    for (int half = lane_width<Real> / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) part[l] += part[l + half];
    return part[0];
  }
  static void add(Real* to, Size n, P value) {
    if (n >= P::width) {
      (P::load(to) + value).store(to);
    } else {
      (P::load_first(to, int(n)) + value).store_first(to, int(n));
    }
  }

  // By the delay of each target, what the arrival's time there is worth.
  [[gnu::noinline]] void add_to_targets(Id unit) const {
    const Size at = q_.row_begin(unit);
    if (q_.connectivity != Connectivity::dense) {
      const NeuronOf<Model, Real> n(c_, q_.target_first);
      for (Size k = at; k < q_.row_end(unit); ++k) {
        const Id j = q_.targets[k];
        of_targets_[j] +=
            q_.weight[k] * by_time(adjoint_step(lanes_.template get<Real>(j), to_), n);
      }
      return;
    }
    const NeuronOf<Model, P> n(c_, q_.target_first);
    const StepOf<Model, P> e = everywhere<P>(to_);
    const auto lanes = lanes_.template from<Real>(0);
    Real* const to = of_targets_ + begin_;
    for (Size j = 0; j < size_; j += P::width) {
      const P w = load_up_to(q_.weight + at + begin_ + j, size_ - j);
      fma(w, by_time(adjoint_step(lanes.template load<P>(j), e), n), load_up_to(to + j, size_ - j))
          .store_first(to + j, int(std::min<Size>(size_ - j, P::width)));
    }
  }

  // One neuron after the other: gathering the values of eight takes longer.
  AdjointOf<Model, Real> scattered(Size at, const Id* target, Size n) const {
    const auto lanes = lanes_.template from<Real>(0);
    const Real* const w = q_.weight + at;
    const StepOf<Model, Real> to = to_;
    if (out_) {
      Real* const __restrict out = out_ + at;
      for (Size m = 0; m < n; ++m)
        out[m] += by_weight(adjoint_step(lanes.template get<Real>(target[m]), to));
    }
    StructOfArrays<Model::template Adjoint, Real[4]> sum{};
    if (!timed_) return {};
    for (Size m = 0; m < n; m += 4)
      for (Size l = 0; l < std::min<Size>(4, n - m); ++l)
        for (int x = 0; x < sum.n_values; ++x)
          sum.of[x][l] = fma(w[m + l], lanes.of[x][target[m + l]], sum.of[x][l]);
    return AdjointOf<Model, Real>::make(
        [&](int x) { return (sum.of[x][0] + sum.of[x][1]) + (sum.of[x][2] + sum.of[x][3]); });
  }

  // Neurons from `first` on side by side; `next` is where the arrival that comes next begins.
  AdjointOf<Model, Real> beside(Size at, Size next, Id first, Size n) const {
    return !timed_ ? beside<true, false>(at, next, first, n)
           : out_  ? beside<true, true>(at, next, first, n)
                   : beside<false, true>(at, next, first, n);
  }
  template <bool weights, bool timed>
  AdjointOf<Model, Real> beside(Size at, Size next, Id first, Size n) const {
    const StepOf<Model, P> to = everywhere<P>(to_);
    const auto lanes = lanes_.template from<Real>(first);
    const Real* const w = q_.weight + at;
    Real* const out = weights ? out_ + at : nullptr;
    // A fixed pattern of partial sums: the same bits at every vector width.
    AdjointOf<Model, P> sum[parts];
    for (AdjointOf<Model, P>& s : sum) s = everywhere<P>(AdjointOf<Model, Real>{});
    const Size whole = n / lane_width<Real> * lane_width<Real>;
    for (Size j = 0; j < whole; j += lane_width<Real>) {
      // Each row lies in a page of its own.
      if (weights) __builtin_prefetch(out_ + next + j, 1);
      if (timed) __builtin_prefetch(q_.weight + next + j);
      for (int u = 0; u < parts; ++u) {
        const Size k = j + u * P::width;
        const AdjointOf<Model, P> a = lanes.template load<P>(k);
        if (weights) (P::load(out + k) + by_weight(adjoint_step(a, to))).store(out + k);
        if (timed) sum[u] = fma(P::load(w + k), a, sum[u]);
      }
    }
    for (int u = 0; u < parts; ++u) {
      const Size k = whole + u * P::width, rest = n - k;
      if (rest <= 0) break;
      const AdjointOf<Model, P> a = lanes.template load_up_to<P>(k, rest);
      if (weights)
        (load_up_to(out + k, rest) + by_weight(adjoint_step(a, to)))
            .store_first(out + k, int(std::min<Size>(rest, P::width)));
      if (timed) sum[u] = fma(load_up_to(w + k, rest), a, sum[u]);
    }
    StructOfArrays<Model::template Adjoint, Real[lane_width<Real>]> part;
    for (int u = 0; u < parts; ++u) part.store(u * P::width, sum[u]);
    for (int half = lane_width<Real> / 2; timed && half > 0; half /= 2)
      for (Real* p : part.of)
        for (int l = 0; l < half; ++l) p[l] += p[l + half];
    return part.template get<Real>(0);
  }

  // Whether a sparse row's targets lie side by side.
  bool runs(Id unit) {
    unsigned char& known = consecutive_[unit];
    if (known == unknown) {
      const Id* const t = q_.targets + q_.row_begin(unit);
      const Id n = static_cast<Id>(q_.row_end(unit) - q_.row_begin(unit));
      known = n >= lane_width<Real> ? yes : no;
      for (Id m = 1; m < n && known == yes; ++m)
        if (t[m] != t[0] + m) known = no;
    }
    return known == yes;
  }

  const typename Model::template Constants<Real>& c_;
  const ProjectionPlan<Real>& q_;
  AdjointEntries<Real, Model> entries_;
  // Of each source unit: whether its targets lie side by side, once looked at.
  enum : unsigned char { unknown, no, yes };
  Vector<unsigned char> consecutive_;

  bool timed_ = false;
  Real* out_ = nullptr;
  Real* delays_ = nullptr;
  Real* of_targets_ = nullptr;  // by the delays of targets
  typename ReverseSample<Real, Model>::Sent sent_{};
  bool uniform_ = true;  // one pair of time constants
  Id begin_ = 0;         // of the neurons in their population
  Size size_ = 0;
  Size left_ = 0;        // arrivals that have not had their turn, for pull_since
  Size first_step_ = 0;  // the steps are those of the arrivals from it on
  StructOfArrays<Model::template Step, Real[block]> step_;
  StepOf<Model, Real> to_;  // from the moment of reference to the arrival at hand
  StructOfArrays<Model::template Adjoint, Vector<Real>> lanes_;
};

SNNFP_ISA_END
