#pragma once
// Packs of a layer under way. A pack runs from arrival to arrival in registers until one of its
// lanes may cross; then it waits, and the solver takes the waiting lanes of many packs at once. The
// same operations as in the other simulators, so the same bits.

#include <algorithm>

#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/detail/lanes.hpp"
#include "snnfp/impl/layer_arrivals.hpp"
#include "snnfp/impl/layer_item.hpp"
#include "snnfp/impl/layer_tables.hpp"
#include "snnfp/impl/own_tables.hpp"

SNNFP_ISA_BEGIN

// Owns the packs in their slots and what is asked about them: a lane that may cross or is released
// in the interval in which its pack waits is known to the solver once, until `solve` has brought it
// to the end of that interval.
template <class Real>
class LayerPacks {
  using P = Pack<Real>;
  using Item = LayerItem<Real>;
  static constexpr int width = P::width;
  // So many packs are under way that the solver's own packs are full, and what they read is in
  // cache.
  static constexpr Size slots = 64;

 public:
  LayerPacks(const Plan<Real>& plan, Size spike_limit, const LayerArrivals<Real>& arrivals)
      : plan_(plan),
        spike_limit_(spike_limit),
        arrivals_(arrivals),
        own_tables_(arrivals),
        items_(slots),
        own_(slots),
        batches_{CrossingBatch<Real>(plan), CrossingBatch<Real>(plan)},
        released_(plan) {}

  LayerPacks(const LayerPacks&) = delete;

  // Packs of this population in all samples, up to `until`, follow; see LayerSimulator::run.
  void begin(const Lanes<Real>& lanes, const SampleInput<Real>* inputs, Real until,
             SpikeList<Real>* out, Size stride) {
    lanes_ = &lanes;
    until_ = until;
    inputs_ = inputs;
    out_ = out;
    stride_ = stride;
    excess_ = {};
    const Size n = samples();
    by_samples_ = arrivals_.rows_alone() && 3 * n * packs(lanes.count) > 4 * packs(n) * lanes.count;
    if (by_samples_) {
      tables_.stage_samples(lanes, arrivals_, until);
    } else {
      tables_.stage_rows(lanes, arrivals_, until);
    }
    pending_->clear();
    released_.clear();
  }
  // Whether the lanes of a pack are samples of one neuron.
  bool by_samples() const { return by_samples_; }
  // Packs there are.
  Size size() const {
    return by_samples_ ? packs(samples()) * lanes_->count : packs(lanes_->count) * samples();
  }

  // How many may be under way: tables of their own are to stay in a second-level cache.
  Size most_under_way() const {
    constexpr Size room = (Size(1) << 19) / (2 * sizeof(Real) * width);
    return std::clamp<Size>(room / (arrivals_.longest() + 1), 8, slots);
  }

  // Pack k of all takes the slot: all samples of a pack of neurons, whose weights stay in cache,
  // then the next pack.
  void start(Id slot, Size k) {
    Item& item = items_[slot];
    item.at = 0;
    item.held = 0;
    Size lanes, table;
    if (by_samples_) {
      table = k % packs(samples());
      item.kind = LaneKind::samples;
      item.sample = table * width;
      item.column = k / packs(samples());
      lanes = samples() - item.sample;
    } else {
      table = item.sample = k % samples();
      const Size pack = k / samples();
      item.kind = arrivals_.late(item.sample)        ? LaneKind::late
                  : arrivals_.own(item.sample, pack) ? LaneKind::own
                                                     : LaneKind::rows;
      item.column = pack * width;
      lanes = lanes_->count - item.column;
    }
    if (item.kind == LaneKind::own) {
      OwnArrivals<Real>& own = own_[slot];
      own_tables_.build(item.sample, item.column / width, until_, own);
      item.intervals = own.intervals;
      item.last = own.last;
      item.first = slot;
    } else {
      item.first = tables_.begin(table);
      item.intervals = static_cast<Id>(tables_.begin(table + 1) - item.first);
      item.last = tables_.last(table);
    }
    if (item.kind == LaneKind::late) {
      load_up_to(arrivals_.delays() + item.column, lanes).store(item.delay);
      for (Size l = 0; l < width; ++l)
        own_[slot].last[l] =
            l < lanes ? arrivals_.arrive(item.sample, item.column + l, until_) : Id(0);
      item.last = own_[slot].last;
    }
    item.neuron = lanes_->first + static_cast<Id>(item.column);
    item.mask = (1u << std::min<Size>(lanes, width)) - 1;
    const Id step = by_samples_ ? 0 : 1;
    for (int l = 0; l < width; ++l) {
      item.v[l] = item.i[l] = Real(0);
      item.count[l] = 0;
      item.tag[l] = slot * width + l;
      item.lane_neuron[l] = item.neuron + step * l;
    }
    const SampleInput<Real>& any_input = inputs_[item.sample];
    if (!any_input.voltage && !any_input.current) {
      // Before the first arrival nothing moves unless a bias drives it.
      if (!lanes_->driven && item.intervals > 1) item.at = 1;
      return;
    }
    for (unsigned m = item.mask; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      const SampleInput<Real>& input = inputs_[item.sample_of(l)];
      const Id j = item.lane_neuron[l];
      if (input.voltage) item.v[l] = input.voltage[j];
      if (input.current) item.i[l] = input.current[j];
    }
  }

  // Takes the pack in a slot, of neurons n, on until it waits for `solve`: true. At its end: false.
  template <bool BySamples, bool Uniform>
  SNNFP_INLINE bool take_on(Id slot, const Neuron<P>& n) {
    Item& item = items_.data()[slot];
    if constexpr (BySamples) return advance<LaneKind::samples, Uniform>(item, n);
    if (item.kind == LaneKind::own) return advance_own<LaneKind::own>(item, n);
    if (item.kind == LaneKind::late) return advance_own<LaneKind::late>(item, n);
    return advance<LaneKind::rows, Uniform>(item, n);
  }
  // The constants of its lanes.
  template <bool BySamples>
  SNNFP_INLINE Neuron<P> neurons(Id slot) const {
    const Id j = items_.data()[slot].neuron;
    if constexpr (BySamples) return Neuron<P>(plan_.neurons, j);
    return Neuron<P>::load(plan_.neurons, j);
  }

  // Brings all that waits to the end of its interval.
  void solve(const Watch& watch) {
    // Neurons that fire without hearing anything go on here.
    for (Size turn = 1; pending_->size() > 0 || released_.size() > 0; ++turn) {
      if (turn % 64 == 0) watch.check();
      leave_refractory();
      cross();
    }
  }
  // Throws for the first spike in time beyond the limit.
  void check_limit() const { excess_.raise(plan_); }

 private:
  static constexpr Size packs(Size n) { return (n + width - 1) / width; }

  Size samples() const { return arrivals_.samples(); }

  // A function of its own: it takes the registers that the other kinds need.
  template <LaneKind Kind>
  [[gnu::noinline]] bool advance_own(Item& item, const Neuron<P>& n) {
    return advance<Kind, false>(item, n);
  }

  SpikeList<Real>& out_of(const Item& item, int lane) const {
    return out_[item.sample_of(lane) * stride_];
  }

  // A table's value of interval k.
  template <LaneKind Kind>
  static SNNFP_INLINE P value(const Vector<Real>& table, Size k) {
    if constexpr (Kind == LaneKind::rows) {
      return P(table.data()[k]);
    } else {
      return P::load(table.data() + k * width);
    }
  }
  // When interval a ends.
  template <LaneKind Kind>
  SNNFP_INLINE P time_of(const Item& item, Id a) const {
    if constexpr (Kind == LaneKind::own)
      return value<Kind>(own_.data()[item.first].time, a);
    else if constexpr (Kind == LaneKind::late)
      return a + 1 < item.intervals
                 ? smaller(P(tables_.time.data()[item.first + a]) + P::load(item.delay), P(until_))
                 : P(until_);
    else
      return value<Kind>(tables_.time, item.first + a);
  }
  Real time_of(const Item& item, Id a, int lane) const {
    switch (item.kind) {
      case LaneKind::rows: return tables_.time[item.first + a];
      case LaneKind::own: return own_[item.first].time[Size(a) * width + lane];
      case LaneKind::late:
        return a + 1 < item.intervals
                   ? std::min(tables_.time[item.first + a] + item.delay[lane], until_)
                   : until_;
      default: return tables_.time[(item.first + a) * width + lane];
    }
  }

  // What arrives at the end of interval a.
  template <LaneKind Kind>
  SNNFP_INLINE P weight(const Item& item, Id a) const {
    if constexpr (Kind == LaneKind::own) {
      return value<Kind>(own_.data()[item.first].weight, a);
    } else if constexpr (Kind == LaneKind::samples) {
      return P::load(tables_.of_samples(item.first + a, lanes_->count, item.column));
    } else {
      return tables_.row(item.first + a, item.column, lanes_->count);
    }
  }
  // Takes the pack on until some lane may cross or is released: true. At its end: false.
  template <LaneKind Kind, bool Uniform>
  SNNFP_INLINE bool advance(Item& item, const Neuron<P>& n) {
    constexpr bool own = Kind == LaneKind::own || Kind == LaneKind::late;
    constexpr bool staged = Uniform && !own;
    const P zero(Real(0));
    Id a = item.at;
    // What it waited for is settled: on from the end of that interval.
    if (a == item.intervals || item.mask == 0) return false;
    Membrane<P> s{P::load(item.v), P::load(item.i)};
    if (a > 0) s.i = s.i + weight<Kind>(item, a - 1);
    const bool driven = lanes_->driven;
    P now(zero);
    if (own && a > 0) now = time_of<Kind>(item, a - 1);
    for (int quiet = 1;; ++a, ++quiet) {
      const Size k = item.first + a;
      P d;
      if constexpr (own) {
        if (Kind == LaneKind::late)
          __builtin_prefetch(tables_.row(k + LayerTables<Real>::ahead, item.column));
        // A lane that has come through waits at the horizon.
        const P horizon = time_of<Kind>(item, a);
        d = select(now < horizon, horizon - now, zero);
        now = horizon;
      } else {
        d = value<Kind>(tables_.span, k);
      }
      Decay<P> e;
      P response(zero);
      if constexpr (staged) {
        e = Decay<P>::make([&](int m) { return value<Kind>(tables_.decays.of[m], k); });
        if (driven) response = value<Kind>(tables_.response, k);
      } else {
        e = decay(d, n);
        if (driven) response = step_response(d, n);
      }
      P drive(zero);
      if (driven) drive = driven_by(response, n);
      const Membrane<P> end = propagate(s, e, drive, n);
      Margin<P> m;
      if constexpr (staged)
        m = {value<Kind>(tables_.late, k), value<Kind>(tables_.slack, k), n.threshold};
      if (!staged || driven) m = margin(d, time_of<Kind>(item, a), n);
      const auto unsafe = !(plainly_below(s, end, d, m, n) & (d < P(never<Real>)));
      if (any(unsafe) || item.held != 0) {
        const auto moves = d > zero;
        const auto open =
            moves & ((!(d < P(never<Real>))) | (unsafe & !no_crossing(s, end, d, m, n)));
        if (wait<Kind>(item, a, bits_of(open) & item.mask, s, end)) return true;
      }
      if (a + 1 == item.intervals) return false;
      s = {item.held != 0 ? item.hold(s.v, end.v) : end.v, end.i + weight<Kind>(item, a)};
      if constexpr (Kind == LaneKind::rows && Uniform) {
        // Where crossings are dense the call costs more than it saves.
        if (quiet >= 4 && tables_.bounded && item.held == 0) {
          a = static_cast<Id>(tables_.run(item.first + a + 1, item.first + item.intervals,
                                          item.column, lanes_->count, n, s) -
                              item.first) -
              1;
          if (a + 1 == item.intervals) return false;
        }
      }
    }
  }

  // Asks the solver about the lanes `open` on interval a, and releases those due in it.
  template <LaneKind Kind>
  bool wait(Item& item, Id a, unsigned open, Membrane<P> s, Membrane<P> end) {
    open &= ~item.held;
    unsigned due = 0;
    for (unsigned m = item.held; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      if (item.falls_due(a, l, time_of(item, a, l))) due |= 1u << l;
    }
    if ((open | due) == 0) return false;
    pending_->add_lanes(open & ~due, Ids<Real>::load(item.lane_neuron), Ids<Real>::load(item.tag),
                        s, a == 0 ? P(Real(0)) : time_of<Kind>(item, a - 1),
                        time_of<Kind>(item, a));
    (item.held != 0 ? item.hold(s.v, end.v) : end.v).store(item.v);
    end.i.store(item.i);
    item.at = a + 1;
    if (due == 0) return true;
    Real current[width];
    s.i.store(current);
    for (unsigned m = due; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      const Real now = a == 0 ? Real(0) : time_of(item, a - 1, l);
      free(item, l, item.tag[l], now, current[l], time_of(item, a, l));
    }
    return true;
  }

  // A lane held, with current i at `now`, at its release.
  void free(Item& item, int lane, Id tag, Real now, Real i, Real horizon) {
    const Id j = item.lane_neuron[lane];
    const Neuron<Real> n(plan_.neurons, j);
    const Real d = item.release[lane] - now;
    const Real current = d > Real(0) ? propagate_current(i, d, n) : i;
    out_of(item, lane).set_release_current(item.last_spike[lane], current);
    item.held &= ~(1u << lane);
    released_.add(j, tag, {n.v_reset, current}, item.release[lane], horizon);
  }

  // Where lanes just released stand at the end of their interval, and which may cross before.
  void leave_refractory() {
    released_.move_to_horizon(lanes_->identical);
    for (Size m = 0; m < released_.size(); ++m) {
      const Id tag = released_.tag(m);
      Item& item = items_[tag / width];
      item.v[tag % width] = released_.end(m).v;
      item.i[tag % width] = released_.end(m).i;
      if (!released_.shut(m)) pending_->add(released_, m);
    }
    released_.clear();
  }

  void cross() {
    pending_->solve(lanes_->identical, false);
    pending_->move_from_reset(lanes_->identical);
    again_->clear();
    const auto touch = [&](Size m) {
      const Id tag = pending_->tag(m);
      const Item& item = items_[tag / width];
      const int l = static_cast<int>(tag % width);
      const Id j = item.lane_neuron[l];
      if (clock_hides_spike(pending_->start(m), Neuron<Real>(plan_.neurons, j)))
        throw_clock(plan_, inputs_[item.sample_of(l)].sample, j, pending_->crossing(m));
    };
    pending_->each_spike(touch, [&](Size m) {
      const Real time = pending_->crossing(m), horizon = pending_->horizon(m);
      const Id tag = pending_->tag(m);
      Item& item = items_[tag / width];
      const int l = static_cast<int>(tag % width);
      const Id j = item.lane_neuron[l];
      if (++item.count[l] > spike_limit_) {
        excess_.see(inputs_[item.sample_of(l)].sample, j, time, item.count[l]);
        item.retire(l);
        return;
      }
      const Real current = pending_->current(m);
      SpikeList<Real>& out = out_of(item, l);
      const Real refractory = plan_.refractory(j, item.count[l]);
      const bool at_once = !(refractory > Real(0));
      out.push_back(time, j, pending_->slope_at(m), at_once ? current : Real(0));
      if (at_once) {
        item.v[l] = pending_->end(m).v;
        item.i[l] = pending_->end(m).i;
        if (!pending_->shut(m))
          again_->add(j, tag, {plan_.neurons.v_reset.data()[j], current}, time, horizon);
        return;
      }
      const Real released = time + refractory;
      if (released > until_) {
        item.retire(l);
        return;
      }
      item.last_spike[l] = out.size() - 1;
      item.release[l] = released;
      item.held |= 1u << l;
      if (item.falls_due(item.at - 1, l, horizon)) {
        free(item, l, tag, time, current, horizon);
      } else if (horizon < never<Real>) {
        const Real d = horizon - time;
        item.v[l] = plan_.neurons.v_reset.data()[j];
        item.i[l] =
            d > Real(0) ? propagate_current(current, d, Neuron<Real>(plan_.neurons, j)) : current;
      }
    });
    std::swap(pending_, again_);
  }

  const Plan<Real>& plan_;
  const Size spike_limit_;
  const LayerArrivals<Real>& arrivals_;
  const Lanes<Real>* lanes_ = nullptr;
  const SampleInput<Real>* inputs_ = nullptr;
  Real until_ = Real(0);
  SpikeList<Real>* out_ = nullptr;
  Size stride_ = 0;
  FirstExcess<Real> excess_;
  bool by_samples_ = false;

  LayerTables<Real> tables_;
  OwnTables<Real> own_tables_;
  // Of each slot.
  Vector<Item> items_;
  Vector<OwnArrivals<Real>> own_;

  CrossingBatch<Real> batches_[2];
  CrossingBatch<Real>* pending_ = &batches_[0];  // may cross
  CrossingBatch<Real>* again_ = &batches_[1];    // have, and may once more
  CrossingBatch<Real> released_;                 // come out of their refractory time
};

SNNFP_ISA_END
