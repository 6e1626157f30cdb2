#pragma once
// The spikes of one population, or of some of its neurons, and their own adjoints. MATH.md E12,
// E14. Between its own spikes a neuron's adjoint is a closed form of its value at the next one, so
// what leads from one spike to the one before it is taken for all spikes side by side.

#include <algorithm>

#include "snnfp/detail/struct_of_arrays.hpp"
#include "snnfp/impl/reverse_sample.hpp"
#include "snnfp/model/model.hpp"

SNNFP_ISA_BEGIN

// What a population's neurons have in common.
struct Traits {
  bool uniform = true;    // one pair of time constants
  bool identical = true;  // one response to a current too
  bool held = false;      // some refractory time
  bool one_refractory = true;

  template <class Constants>
  Traits(const Constants& c, Id begin, Id end) {
    for (Id j = begin; j < end; ++j) {
      uniform &= c.same_decay(j, begin);
      identical &= c.same_response(j, begin);
      held |= c.t_refractory.data()[j] > 0;
      one_refractory &= c.t_refractory.data()[j] == c.t_refractory.data()[begin];
    }
  }
};

template <class Real, class Model = LifModel>
class SpikeAdjoints {
 public:
  SpikeAdjoints(const PlanOf<Model, Real>& plan, Id population)
      : c_(plan.neurons),
        population_(population),
        traits_(c_, plan.population_offsets.data()[population],
                plan.population_offsets.data()[population + 1]),
        offset_(plan.population_offsets.data()[population]),
        all_(plan.population_offsets.data()[population + 1] - offset_),
        next_of_(all_, -1) {}

  // Takes the spikes of the neurons [begin, end), up to the last one that anything depends on or,
  // where more is still to be found out, that is not after `last`. Known: `s.mu` is lV already.
  void collect(const ReverseSample<Real, Model>& s, Id begin, Id end, bool known,
               Real last = -never<Real>) {
    begin_ = begin;
    size_ = end - begin;
    first_ = offset_ + begin;
    const Size from = s.first[population_];
    Size to = s.first[population_ + 1];
    while (to > from && s.mu[to - 1] == Real(0) && !(s.time[to - 1] <= last)) --to;
    latest_ = to > from ? s.time[to - 1] : -never<Real>;
    const Size room = padded<Real>(to - from) + lane_width<Real>;
    for (Scratch<Real>* v : {&time_, &lv_, &li_}) make_room(*v, room);
    for (Scratch<Id>* v : {&unit_, &place_}) make_room(*v, room);
    count_ = 0;
    for (Size m = from; m < to; m += P::width) {
      const Ids<Real> units = Ids<Real>::load(&s.unit[m]).plus(-begin_);
      unsigned mine = units.below(static_cast<Id>(size_));
      if (to - m < P::width) mine &= (1u << (to - m)) - 1;
      const P mu = P::load(&s.mu[m]);
      const P lv = known ? mu : spike_adjoint(mu, P::load(&s.slope[m]));
      P::load(&s.time[m]).store_lanes(mine, &time_[count_]);
      lv.store_lanes(mine, &lv_[count_]);
      units.store_lanes(mine, &unit_[count_]);
      Ids<Real>::load(lane_numbers).plus(static_cast<Id>(m)).store_lanes(mine, &place_[count_]);
      count_ += __builtin_popcount(mine);
    }
    std::fill_n(li_.data(), count_, Real(0));
    find_pairs();
    find_releases();
    coefficients();
  }

  // Once `s.mu` says all that the population's spikes caused: lV of each, which stands there then
  // if it is to be kept.
  void solve_all(ReverseSample<Real, Model>& s, bool keep) {
    for (Size c = 0; c < n_pairs_; ++c)
      if (const Size e = step_back(c); pairs_[c].lv != Real(0)) {
        const Size m = place_[e];
        lv_[e] = spike_adjoint(s.mu[m] + by_release(pairs_[c].lv, slope_after(s, e)), s.slope[m]);
      }
    for (Size e = 0; keep && e < count_; ++e) s.mu[place_[e]] = lv_[e];
  }
  // The same for one spike, after `index_pairs`; called for all, latest first.
  void solve(ReverseSample<Real, Model>& s, Size e) {
    const Size m = place_[e];
    s.mu[m] = lv_[e] = spike_adjoint(s.mu[m], s.slope[m]);
    if (pair_to_[e] < 0) return;
    const Size before = step_back(pair_to_[e]);
    const Real lv = pairs_[pair_to_[e]].lv;
    if (lv != Real(0)) s.mu[place_[before]] += by_release(lv, slope_after(s, before));
  }
  // lI where lV is known.
  void carry() {
    for (Size c = 0; c < n_pairs_; ++c) step_back(c);
  }

  // Adds the derivatives by what belongs to the neurons and needs their own spikes only.
  void add_own(ReverseSample<Real, Model>& s) {
    NeuronParameter in_flight[n_neuron_parameters];
    int n_in_flight = 0;
    for (int i = 0; i < n_neuron_parameters; ++i) {
      const NeuronParameter p = NeuronParameter(i);
      if (!s.wants(population_, p)) continue;
      const auto add = [&](Size e, Real value) { s.add(population_, unit_[e] + begin_, p, value); };
      if (Model::acts_in_flight(p)) {
        in_flight[n_in_flight++] = p;
      } else if (acts_at_release(p)) {
        for (Size c = 0; c < n_pairs_; ++c)
          if (const Size e = pairs_[c].spike; pairs_[c].lv != Real(0))
            add(e, by_release(p, pairs_[c].lv, slope_after(s, e)));
      } else {
        for (Size e = 0; e < count_; ++e) add(e, by_spike(p, lv_[e]));
      }
    }
    if (n_in_flight == 0) return;
    index_pairs();
    for (Size e = 0; e < count_; ++e) add_flight(s, e, in_flight, n_in_flight);
  }

  // A spike and its neuron's next one; lV and lI just after the release between them.
  struct Pair {
    Id spike, next;
    Real lv, li;
  };

  const Traits& traits() const { return traits_; }
  Id population() const { return population_; }
  Id begin() const { return begin_; }  // of the neurons in their population
  Id first() const { return first_; }  // and among all
  Size size() const { return size_; }
  Size count() const { return count_; }
  Real time(Size e) const { return time_[e]; }
  // The last of the population, whichever of its neurons these are.
  Real latest() const { return latest_; }
  Id unit(Size e) const { return unit_[e]; }    // from begin()
  Id place(Size e) const { return place_[e]; }  // in the sample
  Real release(Size e) const { return traits_.held ? release_[e] : time_[e]; }
  // The last moment at which an arrival still falls into the refractory time; without one it is
  // before the spike.
  Real last_held(Size e) const { return last_held_[e]; }
  bool releases_in_order() const { return releases_in_order_; }  // as the spikes are
  // Just before the spike.
  Real lv(Size e) const { return lv_[e]; }
  Real li(Size e) const { return li_[e]; }
  AdjointOf<Model, Real> adjoint(Size e) const {
    return adjoint_before(lv_[e], li_[e], NeuronOf<Model, Real>(c_, first_ + unit_[e]));
  }
  Size n_pairs() const { return n_pairs_; }
  const Pair& pair(Size c) const { return pairs_[c]; }  // latest first
  // The pair whose `next` is spike e, or -1; after `index_pairs`.
  Size pair_to(Size e) const { return pair_to_[e]; }
  void index_pairs() {
    make_room(pair_to_, count_);
    std::fill_n(pair_to_.data(), count_, Size(-1));
    for (Size c = 0; c < n_pairs_; ++c) pair_to_[pairs_[c].next] = c;
  }

 private:
  using P = Pack<Real>;

  void find_pairs() {
    make_room(pairs_, count_ + 1);
    Size n = 0;
    for (Size e = count_; e-- > 0;) {
      Size& next = next_of_[unit_[e]];
      pairs_[n].spike = static_cast<Id>(e);
      pairs_[n].next = static_cast<Id>(next - seen_);
      n += next >= seen_;
      next = seen_ + e;
    }
    n_pairs_ = n;
    seen_ += count_;
  }

  void find_releases() {
    if (!traits_.held) return;
    make_room(release_, count_);
    make_room(last_held_, count_);
    const Real* const refractory = c_.t_refractory.data() + first_;
    for (Size e = 0; e < count_; ++e) {
      const Real t = refractory[unit_[e]];
      release_[e] = time_[e] + t;
      last_held_[e] = t > Real(0) ? release_[e] : -never<Real>;
    }
    releases_in_order_ = traits_.one_refractory;
    // A spike kept in a refractory time (OnFault) ends it: it is a release as well.
    for (Size c = 0; c < n_pairs_; ++c) {
      const Size e = pairs_[c].spike;
      const Real next = time_[pairs_[c].next];
      if (release_[e] < next) continue;
      release_[e] = next;
      last_held_[e] = std::nextafter(next, -never<Real>);
      releases_in_order_ = false;
    }
  }

  // Of E12 from each pair's later spike to the release, and on to the earlier spike.
  void coefficients() {
    const Size n = n_pairs_;
    if (n == 0) return;
    const Size end = padded<Real>(n);
    make_room(spans_, end);
    for (Scratch<Real>& v : step_.of) make_room(v, end);
    if (!traits_.identical) {
      make_room(neuron_, end);
      for (Size c = 0; c < end; ++c) neuron_[c] = first_ + (c < n ? unit_[pairs_[c].spike] : 0);
    }
    for (Size c = 0; c < n; ++c) spans_[c] = time_[pairs_[c].next] - release(pairs_[c].spike);
    over_spans([&](Size b, P d, const NeuronOf<Model, P>& k) {
      step_.store(b, decay_of_adjoint(decay(d, k), k));
    });
    if (!traits_.held) return;
    make_room(left_, end);
    for (Size c = 0; c < n; ++c) spans_[c] = release(pairs_[c].spike) - time_[pairs_[c].spike];
    over_spans(
        [&](Size b, P d, const NeuronOf<Model, P>& k) { left_of_current(d, k).store(&left_[b]); });
  }
  template <class Use>
  void over_spans(Use use) {
    const Size end = padded<Real>(n_pairs_);
    std::fill(spans_.data() + n_pairs_, spans_.data() + end, Real(0));
    const NeuronOf<Model, P> all(c_, first_);
    for (Size b = 0; b < end; b += P::width)
      use(b, P::load(&spans_[b]),
          traits_.identical ? all : NeuronOf<Model, P>::gather(c_, &neuron_[b]));
  }

  // E12 from a pair's later spike to the earlier one, which it returns.
  Size step_back(Size c) {
    Pair& pair = pairs_[c];
    const Size e = pair.spike, next = pair.next;
    const AdjointOf<Model, Real> a =
        adjoint_step(AdjointOf<Model, Real>{lv_[next], li_[next]}, step_.template get<Real>(c));
    pair.lv = a.v;
    pair.li = a.i;
    li_[e] = traits_.held ? held_step(a.i, left_[c]) : a.i;
    return e;
  }

  // V'(r+) after spike e.
  Real slope_after(const ReverseSample<Real, Model>& s, Size e) const {
    return release_slope(NeuronOf<Model, Real>(c_, first_ + unit_[e]),
                         s.spikes.release_currents[s.spike[place_[e]]]);
  }

  // What acts along the free flight that ended in spike e, from the state that it began with. What
  // arrived on the way has explicit terms of its own.
  void add_flight(ReverseSample<Real, Model>& s, Size e, const NeuronParameter* wanted,
                  int n_wanted) {
    const Id unit = unit_[e] + begin_, j = first_ + unit_[e];
    const NeuronOf<Model, Real> n(c_, j);
    Real start = Real(0);
    typename Model::template FreeFlight<Real> f;
    f.start = {s.input->voltage ? s.input->voltage[j] : Real(0),
               s.input->current ? s.input->current[j] : Real(0)};
    if (pair_to_[e] >= 0) {
      const Size before = pairs_[pair_to_[e]].spike;
      start = release(before);
      f.start = {n.v_reset, s.spikes.release_currents[s.spike[place_[before]]]};
    }
    f.d = time_[e] - start;
    f.e = decay(f.d, n);
    // I goes on to the release of spike e; lI there is lI at the spike over what the refractory
    // time takes of it. A release that may never come, where lI is 0, would overflow.
    f.further = li_[e] != Real(0) ? f.d + (release(e) - time_[e]) : f.d;
    f.left = f.e.current_left();
    for (int i = 0; i < n_wanted; ++i) {
      const auto term = flight_term(wanted[i], f, n);
      s.add(population_, unit, wanted[i],
            flight_unit(wanted[i], n) * (lv_[e] * term.v + li_[e] * term.i));
    }
  }

  const typename Model::template Constants<Real>& c_;
  const Id population_;
  const Traits traits_;
  const Id offset_, all_;
  Id begin_ = 0, first_ = 0;
  Size size_ = 0;

  Real latest_ = -never<Real>;

  // In time order.
  Size count_ = 0;
  Scratch<Real> time_, release_, last_held_, lv_, li_;
  bool releases_in_order_ = true;
  Scratch<Id> unit_, place_;
  Scratch<Size> pair_to_;
  Scratch<Pair> pairs_;
  Size n_pairs_ = 0;
  // The neuron's next spike while pairs are found, from seen_ on: lower ones are of earlier calls.
  Vector<Size> next_of_;
  Size seen_ = 0;

  // Of pairs: E12 from the later spike to the release, and what is left of I over the refractory
  // time.
  StructOfArrays<Model::template Step, Scratch<Real>> step_;
  Scratch<Real> left_, spans_;
  Scratch<Id> neuron_;
};

SNNFP_ISA_END
