#pragma once
// A projection of any kind, sender by sender: each of its synapses with what lies ahead of the
// arrival at its target, side by side.

#include <algorithm>

#include "snnfp/impl/reverse_anchors.hpp"

SNNFP_ISA_BEGIN

// Up to a pack of one sender's synapses; lanes past the last have nothing ahead.
template <class Real, class Model = LifModel>
struct AnchoredPack {
  using P = Pack<Real>;
  Size synapse;  // the first
  int count;
  P at, time;
  AdjointOf<Model, P> a;
  P held;
  NeuronOf<Model, P> neuron;
  const Id* targets;  // null: the neurons from `synapse` on
};

// Senders' spikes come latest first. Then what lies ahead of the latest moment at which one may
// arrive only moves back: kept for each neuron, and close to what lies ahead of the arrival.
template <class Real, class Model = LifModel>
class AnchoredRows {
 public:
  AnchoredRows(const PlanOf<Model, Real>& plan, const ProjectionPlan<Real>& q)
      : c_(plan.neurons), q_(q), shortest_(q.shortest_delay), longest_(q.longest_delay) {
    if (q.delay_per == DelayPer::synapse && q.synapses() > 0) find_longest();
    Size row = 0;
    for (Id u = 0; u < q.n_source; ++u) row = std::max(row, q.row_end(u) - q.row_begin(u));
    longest_row_ = padded<Real>(row);
    const Size staged = q.connectivity == Connectivity::dense ? 0 : longest_row_;
    for (Vector<Real>* v : {&at_, &time_, &held_}) v->assign(staged, Real(0));
    for (Vector<Real>& v : a_.of) v.assign(staged, Real(0));
    target_.assign(longest_row_, 0);
  }
  const ProjectionPlan<Real>& projection() const { return q_; }
  Real shortest() const { return shortest_; }  // of its delays

  void start(const SpikeAdjoints<Real, Model>& spikes, const Anchors<Real, Model>& anchors) {
    anchors_ = &anchors;
    uniform_ = spikes.traits().uniform;
    begin_ = spikes.begin();
    first_ = spikes.first();
    size_ = static_cast<Id>(spikes.size());
    make_room(ahead_, size_);
    for (Id j = 0; j < size_; ++j) ahead_[j] = anchors.last(j);
    if (q_.connectivity != Connectivity::dense) return;
    for (View& v : view_) {
      for (Vector<Real>& x : v.a.of) x.assign(padded<Real>(size_), Real(0));
      v.held.assign(padded<Real>(size_), Real(0));
      v.time.assign(padded<Real>(size_), nowhere<Real>);
      v.last.assign(padded<Real>(size_), -never<Real>);
    }
    for (Id j = 0; j < size_; ++j) take_latest(j);
  }
  // The values of a neuron's anchors have changed.
  void take_latest(Id j) {
    if (q_.connectivity != Connectivity::dense) return;
    const Size first = anchors_->begin(j);
    Size place = ahead_[j];
    for (int r = 0; r < depth; ++r) {
      const Anchor<Real, Model>& a = (*anchors_)[place];
      view_[r].time[j] = a.time;
      view_[r].a.set(j, a.a);
      view_[r].held[j] = a.held;
      const bool more = place > first;
      view_[r].last[j] = more ? (*anchors_)[place - 1].last : -never<Real>;
      place -= more;
    }
  }

  // Calls use(pack, u) for the synapses of `unit`, of which a spike is sent at `time`; u counts the
  // packs. Returns how many synapses there are.
  template <class Use>
  void row(Id unit, Real time, Use use) {
    if (q_.connectivity == Connectivity::dense) {
      dense_row(unit, time, use);
    } else {
      staged_row(unit, time, use);
    }
  }

 private:
  using P = Pack<Real>;
  void find_longest() {
    const Size n = q_.synapses(), whole = n / P::width * P::width;
    const Real* const delays = q_.row_delays(0);
    shortest_ = longest_ = delays[0];
    P shortest(shortest_), longest(longest_);
    for (Size k = 0; k < whole; k += P::width) {
      const P delay = P::load(delays + k);
      shortest = smaller(delay, shortest);
      longest = larger(delay, longest);
    }
    Real ends[2][P::width];
    shortest.store(ends[0]);
    longest.store(ends[1]);
    for (int l = 0; l < P::width; ++l) {
      shortest_ = std::min(shortest_, ends[0][l]);
      longest_ = std::max(longest_, ends[1][l]);
    }
    for (Size k = whole; k < n; ++k) {
      shortest_ = std::min(shortest_, delays[k]);
      longest_ = std::max(longest_, delays[k]);
    }
  }

  // So many anchors of each neuron lie side by side; an arrival further back is looked up by
  // itself.
  static constexpr int depth = 4;

  template <class Use>
  void dense_row(Id unit, Real time, Use use) {
    const Size begin = q_.row_begin(unit) + begin_, n = size_;
    const Real latest = time + longest_;
    const bool at_once = q_.arrives_at_once();
    const Real* const delays = at_once ? nullptr : q_.row_delays(unit) + begin_;
    const Real row_at = at_once ? time + q_.row_delay(unit) : Real(0);
    const NeuronOf<Model, P> all(c_, first_);
    for (Size j = 0, u = 0; j < n; j += P::width, ++u) {
      if (any(P(latest) <= P::load(&view_[0].last[j]))) move_back(j, latest);
      const P at = at_once ? P(row_at) : P(time) + load_up_to(delays + j, n - j);
      AnchoredPack<Real, Model> a{
          begin + j,
          int(std::min<Size>(P::width, n - j)),
          at,
          P::load(&view_[0].time[j]),
          view_[0].a.template load<P>(j),
          P::load(&view_[0].held[j]),
          uniform_ ? all : NeuronOf<Model, P>::load(c_, first_ + static_cast<Id>(j)),
          nullptr};
      if (q_.delay_per != DelayPer::projection) {
        auto earlier = at <= P::load(&view_[0].last[j]);
        for (int r = 1; r < depth && any(earlier); ++r) {
          a.time = select(earlier, P::load(&view_[r].time[j]), a.time);
          a.a = choose(earlier, view_[r].a.template load<P>(j), a.a);
          a.held = select(earlier, P::load(&view_[r].held[j]), a.held);
          earlier = earlier & (at <= P::load(&view_[r].last[j]));
        }
        if (any(earlier)) {
          // A copy, so that `a` itself stays in registers.
          AnchoredPack<Real, Model> found = a;
          look_up(bits_of(earlier), j, found);
          a = found;
        }
      }
      use(a, u);
    }
  }
  void move_back(Size j, Real latest) {
    for (Size k = j; k < std::min<Size>(j + P::width, size_); ++k)
      if (latest <= view_[0].last[k]) {
        ahead_[k] = anchors_->back_to(static_cast<Id>(k), ahead_[k], latest);
        take_latest(static_cast<Id>(k));
      }
  }
  [[gnu::noinline]] void look_up(unsigned lanes, Size j, AnchoredPack<Real, Model>& a) const {
    Real at[P::width], time[P::width], held[P::width];
    StructOfArrays<Model::template Adjoint, Real[P::width]> adjoint;
    a.at.store(at);
    a.time.store(time);
    adjoint.store(0, a.a);
    a.held.store(held);
    for (; lanes != 0; lanes &= lanes - 1) {
      const int l = __builtin_ctz(lanes);
      const Id k = static_cast<Id>(j) + l;
      const Anchor<Real, Model>& found =
          (*anchors_)[anchors_->back_to(k, ahead_[k] - depth, at[l])];
      time[l] = found.time;
      adjoint.set(l, found.a);
      held[l] = found.held;
    }
    a.time = P::load(time);
    a.a = adjoint.template load<P>(0);
    a.held = P::load(held);
  }

  template <class Use>
  void staged_row(Id unit, Real time, Use use) {
    const Size begin = q_.row_begin(unit), n = q_.row_end(unit) - begin;
    const Real latest = time + longest_;
    for (Size m = 0; m < n; ++m) {
      const Id j = q_.target_of(unit, begin + m), k = j - q_.target_first;
      Size place = ahead_[k] = anchors_->back_to(k, ahead_[k], latest);
      Real at = latest;
      if (q_.delay_per != DelayPer::projection) {
        at = time + q_.delay_of(unit, begin + m);
        place = anchors_->back_to(k, place, at);
      }
      const Anchor<Real, Model>& a = (*anchors_)[place];
      target_[m] = j;
      at_[m] = at;
      time_[m] = a.time;
      a_.set(m, a.a);
      held_[m] = a.held;
    }
    for (Size m = n; m < padded<Real>(n); ++m) {
      target_[m] = q_.target_first;
      at_[m] = time_[m] = held_[m] = Real(0);
      a_.set(m, AdjointOf<Model, Real>{});
    }
    const NeuronOf<Model, P> all(c_, q_.target_first);
    for (Size m = 0, u = 0; m < n; m += P::width, ++u)
      use(AnchoredPack<Real, Model>{begin + m, int(std::min<Size>(P::width, n - m)),
                                    P::load(&at_[m]), P::load(&time_[m]), a_.template load<P>(m),
                                    P::load(&held_[m]),
                                    uniform_ ? all : NeuronOf<Model, P>::gather(c_, &target_[m]),
                                    &target_[m]},
          u);
  }

  const typename Model::template Constants<Real>& c_;
  const ProjectionPlan<Real>& q_;
  Real shortest_, longest_;  // delay
  Size longest_row_ = 0;
  const Anchors<Real, Model>* anchors_ = nullptr;
  bool uniform_ = true;
  Id begin_ = 0, first_ = 0, size_ = 0;  // the neurons: from where in the population, in all
  Scratch<Size> ahead_;                  // of an arrival at the latest moment, for each neuron

  // Dense: that anchor and the ones before it, each with the last moment at which the one before it
  // is meant.
  struct View {
    Vector<Real> last, time, held;
    StructOfArrays<Model::template Adjoint, Vector<Real>> a;
  };
  View view_[depth];

  // Otherwise one sender's synapses.
  Vector<Real> at_, time_, held_;
  StructOfArrays<Model::template Adjoint, Vector<Real>> a_;
  Vector<Id> target_;
};

// E13 through such a projection.
template <class Real, class Model = LifModel>
class AnchoredPull {
 public:
  AnchoredPull(const PlanOf<Model, Real>& plan, const ProjectionPlan<Real>& q) : rows_(plan, q) {}
  AnchoredRows<Real, Model>& rows() { return rows_; }

  // `timed`: the times at the source are asked for, or the delays.
  void start(ReverseSample<Real, Model>& s, const SpikeAdjoints<Real, Model>& spikes,
             const Anchors<Real, Model>& anchors, bool timed) {
    timed_ = timed;
    latest_ = anchors.latest();
    sent_ = s.sent(rows_.projection());
    rows_.start(spikes, anchors);
  }
  // What was sent from place `from` on, up to `to`; later ones have had their turn. Takes the
  // adjoints of all spikes after the arrivals.
  void pull(ReverseSample<Real, Model>& s, Size from, Size to, const Watch& watch) {
    for (Size a = to; a-- > from;) {
      if (sent_.times[a] + rows_.shortest() >= latest_) continue;
      if (a % 16 == 0) watch.check();
      if (!timed_) {
        weigh(s.weights(rows_.projection()), sent_.units[a], sent_.times[a]);
        continue;
      }
      const Real moved = pull(s, sent_.units[a], sent_.times[a]);
      if (sent_.by_time) sent_.by_time[a] += moved;
    }
  }
  void pull(ReverseSample<Real, Model>& s, const Watch& watch) { pull(s, 0, sent_.count, watch); }

 private:
  using P = Pack<Real>;

  // Adds the derivatives by the weights on the way of a spike that `unit` sends.
  void weigh(Real* weights, Id unit, Real time) {
    rows_.row(unit, time, [&](const AnchoredPack<Real, Model>& a, Size) {
      add(weights + a.synapse, a.count,
          by_weight(adjoint_step(a.a, decay(a.time - a.at, a.neuron))));
    });
  }

  // The derivative by the time of a spike that `unit` sends; adds those by the weights and delays
  // on the way.
  Real pull(ReverseSample<Real, Model>& s, Id unit, Real time) {
    const ProjectionPlan<Real>& q = rows_.projection();
    Real* const weights = s.weights(q);
    Real* const delays = s.delays(q);
    Real* const of_synapses = q.delay_per == DelayPer::synapse ? delays : nullptr;
    Real* const of_targets = q.delay_per == DelayPer::target ? delays : nullptr;
    // A fixed pattern of partial sums: the same bits at every vector width.
    constexpr int parts = lane_width<Real> / P::width;
    P sum[parts];
    for (int u = 0; u < parts; ++u) sum[u] = P(Real(0));
    rows_.row(unit, time, [&](const AnchoredPack<Real, Model>& a, Size u) {
      const AdjointOf<Model, P> there = adjoint_step(a.a, decay(a.time - a.at, a.neuron));
      const P moved = load_up_to(q.weight + a.synapse, a.count) * by_time(there, a.neuron);
      if (weights) add(weights + a.synapse, a.count, by_weight(there));
      if (of_synapses) add(of_synapses + a.synapse, a.count, moved);
      if (of_targets) add_to_targets(of_targets, unit, a, moved);
      sum[u % parts] = sum[u % parts] + moved;
    });
    Real part[lane_width<Real>];
    for (int u = 0; u < parts; ++u) sum[u].store(part + u * P::width);
    for (int half = lane_width<Real> / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) part[l] += part[l + half];
    if (delays && q.arrives_at_once()) delays[q.delay_index(unit, 0)] += part[0];
    return part[0];
  }

  void add_to_targets(Real* to, Id unit, const AnchoredPack<Real, Model>& a, P value) const {
    const ProjectionPlan<Real>& q = rows_.projection();
    if (!a.targets) return add(to + (a.synapse - q.row_begin(unit)), a.count, value);
    Real values[P::width];
    value.store(values);
    for (int l = 0; l < a.count; ++l) to[a.targets[l] - q.target_first] += values[l];
  }

  static void add(Real* to, int n, P value) {
    if (n == P::width) {
      (P::load(to) + value).store(to);
    } else {
      (P::load_first(to, n) + value).store_first(to, n);
    }
  }

  AnchoredRows<Real, Model> rows_;
  typename ReverseSample<Real, Model>::Sent sent_{};
  Real latest_ = Real(0);
  bool timed_ = false;
};

SNNFP_ISA_END
