#pragma once
// Neurons of a loop through one window: no arrival in it depends on a spike in it, so that each
// population is a layer that goes on from the states it has. A group of packs runs from arrival to
// arrival in registers until one of its lanes may cross or comes out of its refractory time; then
// it waits, and the solver takes the waiting lanes of many groups, and of several samples, at once.
// The same operations as in the other simulators, so the same bits.

#include <algorithm>

#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/impl/window_groups.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class WindowPacks {
 public:
  static constexpr int most_lanes = WindowGroup<Real>::most_lanes;
  static constexpr Size groups(Size neurons) { return (neurons + most_lanes - 1) / most_lanes; }

  WindowPacks(const Plan<Real>& plan, Size spike_limit)
      : plan_(plan),
        spike_limit_(spike_limit),
        batches_{CrossingBatch<Real>(plan), CrossingBatch<Real>(plan)},
        released_(plan),
        search_(plan) {}

  // Neurons of the populations that follow: `identical` where all have the same constants.
  void begin(Size groups, bool identical, Real until) {
    if (static_cast<Size>(groups_.size()) < groups) groups_.resize(groups);
    identical_ = identical;
    until_ = until;
    pending_->clear();
    released_.clear();
  }

  // The states of a population at time 0.
  void start(WindowPopulation<Real>& p, const SampleInput<Real>& input) {
    const Size n = p.lanes->count;
    for (Size k = 0; k < groups(n); ++k) {
      Group& g = groups_[p.first_group + k];
      g.of = &p;
      g.column = k * most_lanes;
      g.first = p.lanes->first + static_cast<Id>(g.column);
      g.n_lanes = static_cast<int>(std::min<Size>(most_lanes, n - g.column));
      g.n_packs = (g.n_lanes + width - 1) / width;
      g.own = 0;
      g.next_release = never<Real>;
      for (int l = 0; l < most_lanes; ++l) {
        const bool there = l < g.n_lanes;
        g.v[l] = there && input.voltage ? input.voltage[g.first + l] : Real(0);
        g.i[l] = there && input.current ? input.current[g.first + l] : Real(0);
        g.release[l] = there ? -never<Real> : never<Real>;
        g.count[l] = 0;
        g.neuron[l] = g.first + l;
        g.tag[l] = static_cast<Id>((p.first_group + k) * most_lanes + l);
      }
    }
  }

  // The window of a group begins.
  void begin_window(Size group) {
    groups_[group].at = 0;
    groups_[group].waits = groups_[group].asked = false;
  }

  // Takes a group on until it waits for `solve`: true. At the end of its window: false.
  bool advance(Size group) {
    Group& g = groups_[group];
    if (g.waits && !g.asked) g.add_row(g.at - 1);
    g.waits = false;
    const Lanes<Real>& lanes = *g.of->lanes;
    if (lanes.identical) return advance<true, true>(g);
    return lanes.uniform ? advance<false, true>(g) : advance<false, false>(g);
  }

  // Brings all that waits to the end of its interval.
  void solve(const Watch& watch) {
    for (Size turn = 1; pending_->size() > 0 || released_.size() > 0; ++turn) {
      if (turn % 64 == 0) watch.check();
      leave_refractory();
      cross();
    }
  }

  // Spikes of a population were put in order from `from` on.
  void follow(const WindowPopulation<Real>& p, Size from) {
    for (Size k = from; k < p.out->size(); ++k) {
      const Size column = (*p.out)[k].neuron - p.lanes->first;
      groups_[p.first_group + column / most_lanes].last_spike[column % most_lanes] = k;
    }
  }

  // A time before which no neuron of the population fires if nothing arrives before `limit`, or
  // infinity.
  Real first_spike(const WindowPopulation<Real>& p, Real limit) {
    Real first = never<Real>;
    search_.clear();
    for (Size k = 0; k < groups(p.lanes->count); ++k) {
      const Group& g = groups_[p.first_group + k];
      if (g.next_release <= limit) first = std::min(first, g.next_release);
      for (int b = 0; b < g.n_packs; ++b) {
        const Neuron<P> n = Neuron<P>::load(plan_.neurons, g.first + b * width);
        for (unsigned m = ~bits_of(g.is_quiet(b, n)) & ((1u << width) - 1); m != 0; m &= m - 1) {
          const int l = b * width + __builtin_ctz(m);
          search_.add(g.neuron[l], g.tag[l], {g.v[l], g.i[l]}, g.time_of(l), limit);
        }
      }
    }
    search_.solve(p.lanes->identical, true);
    for (Size m = 0; m < search_.size(); ++m)
      if (search_.crossing(m) <= limit) first = std::min(first, search_.crossing(m));
    return first;
  }

 private:
  using P = Pack<Real>;
  using Group = WindowGroup<Real>;
  using LaneBits = typename Group::LaneBits;
  static constexpr int width = P::width;

  template <bool Identical, bool Uniform>
  [[gnu::noinline]] bool advance(Group& g) {
    const WindowPopulation<Real>& p = *g.of;
    const Neuron<P>& one = p.one;
    while (g.at < p.rows) {
      if (Identical && p.table.bounded && (g.own == 0 || g.at > 0)) {
        g.run(one);
        if (g.at == p.rows) break;
      }
      const bool waits = step<Identical, Uniform>(g, one);
      ++g.at;
      if (waits) return g.waits = true;
      g.add_row(g.at - 1);
    }
    if (!p.asks || g.asked) return false;
    g.asked = true;
    return g.waits = ask(g);
  }

  // One interval, lane by lane as far as needed; whether some lane is to be solved for.
  template <bool Identical, bool Uniform>
  bool step(Group& g, const Neuron<P>& one) {
    const WindowPopulation<Real>& p = *g.of;
    const LayerTables<Real>& t = p.table;
    const Size k = g.at;
    const bool driven = p.lanes->driven;
    const Real begin = k == 0 ? p.now : t.time[k - 1], end_time = t.time[k];
    const P zero(Real(0)), d(t.span[k]), from(begin), horizon(end_time);
    const LaneBits own = k == 0 ? g.own : 0;
    Real own_v[most_lanes], own_i[most_lanes];
    if (own != 0) {
      std::copy_n(g.v, most_lanes, own_v);
      std::copy_n(g.i, most_lanes, own_i);
    }
    const bool releases = g.next_release < end_time;
    bool waits = false;
    for (int b = 0; b < g.n_packs; ++b) {
      Real *const v = g.v + b * width, *const i = g.i + b * width;
      const Neuron<P> n = Identical ? one : Neuron<P>::load(plan_.neurons, g.first + b * width);
      const Membrane<P> s{P::load(v), P::load(i)};
      const P release = P::load(g.release + b * width);
      Decay<P> e;
      P drive(zero);
      if constexpr (Uniform) {
        e = t.decays.template spread<P>(k);
        if (driven) drive = driven_by(P(t.response[k]), n);
      } else {
        e = decay(d, n);
        if (driven) drive = driven_by(step_response(d, n), n);
      }
      const Membrane<P> end = propagate(s, e, drive, n);
      const Margin<P> m = margin(d, horizon, n);
      const auto held = release > P(-never<Real>);
      auto open = !(plainly_below(s, end, d, m, n) | held | (d <= zero));
      if (any(open)) open = open & !no_crossing(s, end, d, m, n);
      const unsigned others = ~Group::pack_of(own, b);
      const unsigned crosses = bits_of(open) & others;
      end.v.store(v);
      end.i.store(i);
      if (crosses != 0) add(g, b, crosses, s, from, horizon);
      waits |= crosses != 0;
      if (!releases) continue;
      const auto due = held & (release < horizon);
      if ((bits_of(due) & others) != 0)
        waits |=
            free(g, b, bits_of(due) & others, s.i, from, select(due, release, horizon), horizon, n);
    }
    if (own != 0) {
      g.own = 0;
      for (LaneBits m = own; m != 0; m &= m - 1) {
        const int l = __builtin_ctzll(m);
        rejoin(g, l, {own_v[l], own_i[l]}, end_time);
      }
      waits = true;
    }
    if (releases) g.find_next_release();
    return waits;
  }

  // The lanes `due` of a pack, with current i at `from`, come out of their refractory time and to
  // the end of their interval; whether some may cross before.
  bool free(Group& g, int pack, unsigned due, P i, P from, P release, P horizon,
            const Neuron<P>& n) {
    // Neurons that move alike may differ in where they are reset to.
    const P reset = P::load(plan_.neurons.v_reset.data() + g.first + pack * width);
    const Membrane<P> s{reset, propagate_current(i, release - from, n)};
    const P d = horizon - release;
    const Decay<P> e = decay(d, n);
    P driven(Real(0));
    if (any(!(n.drive == P(Real(0))))) driven = driven_by(step_response(d, n), n);
    const Membrane<P> end = propagate(s, e, driven, n);
    auto shut = (n.drive <= P(Real(0))) &
                UpperBound<P>::stays_below(s, UpperBound<P>::reach(d, horizon, e, n), n);
    if ((due & ~bits_of(shut)) != 0) shut = shut | no_crossing(s, end, d, margin(d, horizon, n), n);
    Real current[width], v_end[width], i_end[width];
    s.i.store(current);
    end.v.store(v_end);
    end.i.store(i_end);
    for (unsigned m = due; m != 0; m &= m - 1) {
      const int k = __builtin_ctz(m), l = pack * width + k;
      g.of->out->set_release_current(g.last_spike[l], current[k]);
      g.v[l] = v_end[k];
      g.i[l] = i_end[k];
      g.release[l] = -never<Real>;
    }
    const unsigned crosses = due & ~bits_of(shut);
    if (crosses != 0) add(g, pack, crosses, s, release, horizon);
    return crosses != 0;
  }

  void add(const Group& g, int pack, unsigned lanes, Membrane<P> s, P from, P horizon) {
    pending_->add_lanes(lanes, Ids<Real>::load(g.neuron + pack * width),
                        Ids<Real>::load(g.tag + pack * width), s, from, horizon);
  }

  // A lane with a time of its own comes to the first arrival of a window.
  void rejoin(Group& g, int l, Membrane<Real> s, Real horizon) {
    if (!(g.release[l] > -never<Real>)) {
      released_.add(g.neuron[l], g.tag[l], s, g.since[l], horizon);
    } else if (g.release[l] < horizon) {
      free(g, l, g.since[l], s.i, horizon);
    } else {
      hold(g, l, g.since[l], s.i, horizon);
    }
  }

  // A lane held, with current i at `now`, at `horizon`.
  void hold(Group& g, int l, Real now, Real i, Real horizon) {
    const Neuron<Real> n(plan_.neurons, g.neuron[l]);
    const Real d = horizon - now;
    g.i[l] = d > Real(0) ? propagate_current(i, d, n) : i;
  }

  // A lane held, with current i at `now`, at its release.
  void free(Group& g, int l, Real now, Real i, Real horizon) {
    const Neuron<Real> n(plan_.neurons, g.neuron[l]);
    const Real d = g.release[l] - now;
    const Real current = d > Real(0) ? propagate_current(i, d, n) : i;
    g.of->out->set_release_current(g.last_spike[l], current);
    released_.add(g.neuron[l], g.tag[l], {n.v_reset, current}, g.release[l], horizon);
    if (g.asked) g.stand_alone(l, {n.v_reset, current}, g.release[l]);
    g.release[l] = -never<Real>;
  }
  // Whether some lane may fire or is released after the last arrival, up to the horizon; states
  // stay where they are.
  bool ask(Group& g) {
    const WindowPopulation<Real>& p = *g.of;
    const Real horizon = p.horizon;
    const Real now = p.rows > 0 ? p.table.time[p.rows - 1] : p.now;
    const P zero(Real(0)), span(horizon > now ? horizon - now : Real(0));
    const LaneBits own = g.own;
    bool waits = false;
    for (int b = 0; b < g.n_packs; ++b) {
      const Neuron<P> n = Neuron<P>::load(plan_.neurons, g.first + b * width);
      const Membrane<P> s{P::load(g.v + b * width), P::load(g.i + b * width)};
      const auto held = P::load(g.release + b * width) > P(-never<Real>);
      const unsigned others = ~Group::pack_of(own, b);
      auto open = !(g.is_quiet(b, n) | (span <= zero));
      if (any(open)) {
        const Membrane<P> end = propagate(s, span, n);
        const Margin<P> m = margin(span, P(horizon), n);
        open = open & !(plainly_below(s, end, span, m, n) | no_crossing(s, end, span, m, n));
        const unsigned crosses = bits_of(open) & others;
        if (crosses != 0) add(g, b, crosses, s, P(now), P(horizon));
        waits |= crosses != 0;
      }
      for (unsigned m = bits_of(held) & others; m != 0; m &= m - 1) {
        const int l = b * width + __builtin_ctz(m);
        if (!g.is_due(l, horizon)) continue;
        free(g, l, now, g.i[l], horizon);
        waits = true;
      }
    }
    for (LaneBits m = own; m != 0; m &= m - 1) {
      const int l = __builtin_ctzll(m);
      if (!(g.release[l] > -never<Real>)) {
        if (!(g.since[l] < horizon)) continue;
        pending_->add(g.neuron[l], g.tag[l], {g.v[l], g.i[l]}, g.since[l], horizon);
      } else if (g.is_due(l, horizon)) {
        free(g, l, g.since[l], g.i[l], horizon);
      } else {
        continue;
      }
      waits = true;
    }
    g.find_next_release();
    return waits;
  }

  // Where lanes just released stand at the end of their interval, and which may cross before.
  void leave_refractory() {
    released_.move_to_horizon(identical_);
    for (Size m = 0; m < released_.size(); ++m) {
      const Id tag = released_.tag(m);
      Group& g = groups_[tag / most_lanes];
      if (!g.asked) {
        g.v[tag % most_lanes] = released_.end(m).v;
        g.i[tag % most_lanes] = released_.end(m).i;
      }
      if (!released_.shut(m)) pending_->add(released_, m);
    }
    released_.clear();
  }

  void cross() {
    pending_->solve(identical_, false);
    pending_->move_from_reset(identical_);
    again_->clear();
    const auto touch = [&](Size m) {
      const Id tag = pending_->tag(m);
      const Group& g = groups_[tag / most_lanes];
      const Id j = g.neuron[tag % most_lanes];
      if (clock_hides_spike(pending_->start(m), Neuron<Real>(plan_.neurons, j)))
        throw_clock(plan_, g.of->sample, j, pending_->crossing(m));
    };
    pending_->each_spike(touch, [&](Size m) { spike(m); });
    std::swap(pending_, again_);
  }

  // Entry m of pending_ crosses.
  void spike(Size m) {
    const Real time = pending_->crossing(m), horizon = pending_->horizon(m);
    const Id tag = pending_->tag(m);
    Group& g = groups_[tag / most_lanes];
    const int l = tag % most_lanes;
    const Id j = g.neuron[l];
    if (++g.count[l] > spike_limit_) {
      g.of->excess->see(g.of->sample, j, time, g.count[l]);
      g.release[l] = never<Real>;
      return;
    }
    const Membrane<Real> reset{plan_.neurons.v_reset.data()[j], pending_->current(m)};
    SpikeList<Real>& out = *g.of->out;
    const Real refractory = plan_.refractory(j, g.count[l]);
    const bool at_once = !(refractory > Real(0));
    out.push_back(time, j, pending_->slope_at(m), at_once ? reset.i : Real(0));
    if (at_once) {
      if (g.asked) {
        g.stand_alone(l, reset, time);
      } else {
        g.v[l] = pending_->end(m).v;
        g.i[l] = pending_->end(m).i;
      }
      if (!pending_->shut(m)) again_->add(j, tag, reset, time, horizon);
      return;
    }
    g.last_spike[l] = out.size() - 1;
    g.release[l] = time + refractory;
    if (g.release[l] > until_) {
      g.release[l] = never<Real>;
    } else if (g.is_due(l, horizon)) {
      free(g, l, time, reset.i, horizon);
    } else {
      g.next_release = std::min(g.next_release, g.release[l]);
      if (g.asked) return g.stand_alone(l, reset, time);
      g.i[l] = pending_->end(m).i;
    }
  }

  const Plan<Real>& plan_;
  const Size spike_limit_;
  bool identical_ = false;
  Real until_ = Real(0);

  CrossingBatch<Real> batches_[2];
  CrossingBatch<Real>* pending_ = &batches_[0];  // may cross
  CrossingBatch<Real>* again_ = &batches_[1];    // have, and may once more
  CrossingBatch<Real> released_;                 // start at a time of their own
  CrossingBatch<Real> search_;
  Vector<Group> groups_;
};

SNNFP_ISA_END
