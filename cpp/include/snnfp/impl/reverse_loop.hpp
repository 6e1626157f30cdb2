#pragma once
// The adjoint of populations that project to each other or to themselves: back through what arrives
// at them and their own spikes and releases, with one vector loop over the target's neurons an
// arrival. MATH.md E12-E14. Every time is known beforehand, so first all exponentials are taken, side
// by side, and then the sweep itself only multiplies and adds.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/impl/reverse_sample.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ReverseLoop {
 public:
  ReverseLoop(const Plan<Real>& plan, const Columns& columns) : plan_(plan), columns_(columns) {
    const Id n_populations = static_cast<Id>(plan.population_offsets.size()) - 1;
    for (Id p = 0; p < n_populations; ++p) populations_.emplace_back(plan, columns, p);
    event_begin_.resize(populations_.size());
    event_end_.resize(populations_.size());
    own_lv_.resize(plan.n_neurons);
    own_li_.resize(plan.n_neurons);
    last_event_.assign(plan.n_neurons, -1);
  }

  void run(ReverseSample<Real>& sample, const Id* begin, const Id* end, const Watch& watch) {
    s_ = &sample;
    arrivals_.clear();
    runs_.clear();
    events_.clear();
    for (const Id* p = begin; p != end; ++p) {
      collect_arrivals(*p);
      collect_events(*p);
    }
    sort_arrivals();
    stage(begin, end);
    for (const Id* p = begin; p != end; ++p) {
      PopulationState& state = populations_[*p];
      state.lv.assign(padded<Real>(state.size), Real(0));
      state.li.assign(padded<Real>(state.size), Real(0));
      state.next_event = event_begin_[*p];
      state.alive = false;
    }
    for (Size a = static_cast<Size>(arrivals_.size()); a-- > 0;) {
      if (a % 64 == 0) watch.look();
      const Incoming& in = arrivals_[a];
      const Id target = plan_.projections.data()[in.projection].target_population;
      PopulationState& p = populations_[target];
      const Size from = p.next_event;
      for (Size m = from; m < in.events_end; ++m) pass(p, target, m);
      p.next_event = in.events_end;
      if (!p.alive) continue;
      if (from == in.events_end && p.identical) {
        arrive<true>(p, a);
        continue;
      }
      move(p, a);
      for (Size m = from; m < in.events_end; ++m)
        if (events_[m].last) rejoin(p, m);
      arrive<false>(p, a);
    }
    for (const Id* q = begin; q != end; ++q) {
      PopulationState& p = populations_[*q];
      for (Size m = p.next_event; m < event_end_[*q]; ++m) pass(p, *q, m);
    }
  }

 private:
  using P = Pack<Real>;

  struct PopulationState {
    Id first, size;
    bool identical = true, uniform = true;
    bool flights = false;  // derivatives by what acts along a free flight: bias, capacitance
    Vector<Real> lv, li;   // the adjoint of all neurons at the last arrival seen
    bool alive = false;    // some of it is not 0
    Real now = never<Real>;
    Size next_event = 0;  // of the staged ones

    PopulationState(const Plan<Real>& plan, const Columns& columns, Id p)
        : first(plan.population_offsets.data()[p]),
          size(plan.population_offsets.data()[p + 1] - first) {
      const auto wanted = [&](NeuronParameter q) {
        return columns.neuron[p * n_neuron_parameters + int(q)] >= 0;
      };
      flights = wanted(NeuronParameter::bias) || wanted(NeuronParameter::capacitance);
      const NeuronConstants<Real>& c = plan.neurons;
      for (Id j = first; j < first + size; ++j) {
        uniform &= c.alpha.data()[j] == c.alpha.data()[first] &&
                   c.beta.data()[j] == c.beta.data()[first];
        identical &= uniform && c.inv_c.data()[j] == c.inv_c.data()[first];
      }
    }
  };

  // What arrives at a population, and from whom: the spike at place `sender`, or input spike
  // -1 - `sender`.
  struct Incoming {
    Real time;
    Size sender;
    Id projection;
    Size row;
    Size events_end;  // its population's events after it, up to the one before, end here

    // The order of the simulators.
    friend bool operator<(const Incoming& a, const Incoming& b) {
      if (a.time != b.time) return a.time < b.time;
      return a.projection != b.projection ? a.projection < b.projection : a.sender < b.sender;
    }
  };

  // A release, a spike, or both at once (no refractory time), of one neuron.
  struct Event {
    Real key, time;  // after an arrival where `key` is later; the moment itself
    Size place;
    Id neuron;
    bool releases, spikes;
    bool first;   // of its neuron since the last arrival
    bool last;    // of its neuron before the next one
  };

  struct Exponentials {
    Vector<Real> d, mem, syn, kappa;
    Vector<Id> neuron;
    void clear() {
      d.clear();
      neuron.clear();
    }
    // `like`: a neuron with the time constants of all, or -1.
    void take(const NeuronConstants<Real>& c, Id like) {
      const std::size_t n = d.size(), end = static_cast<std::size_t>(padded<Real>(Size(n)));
      d.resize(end, Real(0));
      neuron.resize(end, 0);
      mem.resize(end);
      syn.resize(end);
      kappa.resize(end);
      const Neuron<P> all(c, std::max<Id>(like, 0));
      for (std::size_t b = 0; b < end; b += P::width) {
        const Decay<P> e =
            decay(P::load(&d[b]), like >= 0 ? all : Neuron<P>::gather(c, &neuron[b]));
        e.mem.store(&mem[b]);
        e.syn.store(&syn[b]);
        e.kappa.store(&kappa[b]);
      }
    }
  };


  void collect_arrivals(Id population) {
    for (const Id q : plan_.into_population.data()[population]) {
      if (columns_.later[q]) continue;
      const ProjectionPlan<Real>& p = plan_.projections.data()[q];
      const Real delay = p.delay[0];
      runs_.push_back(static_cast<Size>(arrivals_.size()));
      const Size first = p.from_input >= 0 ? 0 : s_->first[p.from_population];
      const Size count = p.from_input >= 0 ? s_->input->groups[p.from_input].count
                                           : s_->first[p.from_population + 1] - first;
      arrivals_.resize(static_cast<std::size_t>(runs_.back() + count));
      Incoming* to = arrivals_.data() + runs_.back();
      // A row of zeros is no reason to leave its own derivative out.
      if (p.from_input >= 0) {
        const InputSpikes<Real>& in = s_->input->groups[p.from_input];
        for (Size k = 0; k < count; ++k)
          to[k] = {in.times[k] + delay, -1 - k, q, p.row_begin(in.units[k]), 0};
      } else {
        for (Size k = 0; k < count; ++k) {
          const Size m = first + k;
          to[k] = {s_->time[m] + delay, m, q, p.row_begin(s_->unit[m]), 0};
        }
      }
    }
  }

  // What comes through one projection is in order, but for inputs at equal times: runs to be merged.
  void sort_arrivals() {
    runs_.push_back(static_cast<Size>(arrivals_.size()));
    const auto at = [&](std::size_t r) { return arrivals_.begin() + runs_[r]; };
    for (std::size_t r = 0; r + 1 < runs_.size(); ++r)
      if (!std::is_sorted(at(r), at(r + 1))) std::sort(at(r), at(r + 1));
    while (runs_.size() > 2) {
      std::size_t to = 1;
      for (std::size_t r = 0; r + 2 < runs_.size(); r += 2) {
        std::inplace_merge(at(r), at(r + 1), at(r + 2));
        runs_[to++] = runs_[r + 2];
      }
      if (runs_.size() % 2 == 0) runs_[to++] = runs_.back();
      runs_.resize(to);
    }
  }

  // Latest first.
  void collect_events(Id population) {
    const Size begin = static_cast<Size>(events_.size());
    event_begin_[population] = begin;
    const Id first = populations_[population].first;
    const Real* refractory = plan_.neurons.t_refractory.data() + first;
    const Size from = s_->first[population], to = s_->first[population + 1];
    for (Size m = to; m-- > from;) {
      const Id unit = s_->unit[m];
      const Real release = s_->time[m] + refractory[unit];
      // Arrivals at the moment of a release come before it.
      if (release > s_->time[m])
        events_.push_back({std::nextafter(release, never<Real>), release, m, first + unit, true,
                           false, true, true});
    }
    const Size middle = static_cast<Size>(events_.size());
    for (Size m = to; m-- > from;) {
      const Id unit = s_->unit[m];
      const Real time = s_->time[m];
      const bool releases = !(time + refractory[unit] > time);
      events_.push_back({time, time, m, first + unit, releases, true, true, true});
    }
    const auto later = [](const Event& a, const Event& b) { return a.key > b.key; };
    if (!std::is_sorted(events_.begin() + begin, events_.begin() + middle, later))
      std::stable_sort(events_.begin() + begin, events_.begin() + middle, later);
    if (middle > begin)
      std::inplace_merge(events_.begin() + begin, events_.begin() + middle, events_.end(), later);
    event_end_[population] = static_cast<Size>(events_.size());
  }

  // Finds all spans of time and takes their exponentials: exps_ holds one for each arrival (from the
  // population's arrival after it), then two for each event (into it, and on to the next arrival).
  void stage(const Id* begin, const Id* end) {
    const Size n = static_cast<Size>(arrivals_.size());
    spans_.assign(static_cast<std::size_t>(n + 2 * static_cast<Size>(events_.size())), Real(0));
    owners_.assign(spans_.size(), 0);
    for (const Id* p = begin; p != end; ++p) {
      populations_[*p].now = never<Real>;
      populations_[*p].next_event = event_begin_[*p];
    }
    for (Size a = n; a-- > 0;) {
      Incoming& in = arrivals_[a];
      const Id target = plan_.projections.data()[in.projection].target_population;
      PopulationState& p = populations_[target];
      spans_[a] = p.now < never<Real> ? p.now - in.time : Real(0);
      owners_[a] = p.first;
      in.events_end = stage_events(p, event_end_[target], in.time);
      p.now = in.time;
    }
    for (const Id* p = begin; p != end; ++p)
      stage_events(populations_[*p], event_end_[*p], -never<Real>);
    exps_.clear();
    exps_.d.swap(spans_);
    exps_.neuron.swap(owners_);
    const PopulationState& only = populations_[*begin];
    exps_.take(plan_.neurons, end - begin == 1 && only.uniform ? only.first : -1);
  }

  // The events after an arrival at `time`; returns the first that is not.
  Size stage_events(PopulationState& p, Size end, Real time) {
    const Size begin = p.next_event, base = static_cast<Size>(arrivals_.size());
    Size m = begin;
    for (; m < end && events_[m].key > time; ++m) {
      Event& e = events_[m];
      const Id j = e.neuron;
      const Size before = last_event_[j];
      Real from = p.now;
      if (before >= 0) {
        e.first = false;
        events_[before].last = false;
        from = events_[before].time;
      }
      spans_[base + 2 * m] = from < never<Real> ? from - e.time : Real(0);
      owners_[base + 2 * m] = owners_[base + 2 * m + 1] = j;
      last_event_[j] = m;
    }
    for (Size q = begin; q < m; ++q) {
      last_event_[events_[q].neuron] = -1;
      if (events_[q].last && time > -never<Real>)
        spans_[base + 2 * q + 1] = events_[q].time - time;
    }
    p.next_event = m;
    return m;
  }

  // One neuron through its release or spike.
  void pass(PopulationState& p, Id population, Size m) {
    const Event& e = events_[m];
    const Size k = s_->spike[e.place];
    const Id j = e.neuron, unit = j - p.first;
    const Size x = static_cast<Size>(arrivals_.size()) + 2 * m;
    const Real inv_c = plan_.neurons.inv_c.data()[j];
    Real lv = e.first ? p.lv[unit] : own_lv_[j];
    Real li = e.first ? p.li[unit] : own_li_[j];
    li = fma(exps_.kappa[x] * inv_c, lv, exps_.syn[x] * li);
    lv = exps_.mem[x] * lv;
    Real& mu = s_->mu[e.place];
    if (e.releases && lv != Real(0)) {
      const Real slope_after = slope(
          Membrane<Real>{plan_.neurons.v_reset.data()[j], s_->spikes.release_currents[k]},
          Neuron<Real>(plan_.neurons, j));
      mu -= slope_after * lv;
      s_->add(population, unit, NeuronParameter::t_refractory, -slope_after * lv);
      s_->add(population, unit, NeuronParameter::v_reset, lv);
      lv = Real(0);
    }
    if (e.spikes) {
      const Real scaled = mu / s_->spikes.slopes[k];
      s_->add(population, unit, NeuronParameter::threshold, scaled);
      lv = -scaled;
      if (s_->voltage_adjoint) s_->voltage_adjoint[k] = lv;
      if (p.flights) flight(e, unit, population, lv);
    }
    own_lv_[j] = lv;
    own_li_[j] = li;
    p.alive |= lv != Real(0);
  }

  void rejoin(PopulationState& p, Size m) {
    const Id j = events_[m].neuron;
    const Size x = static_cast<Size>(arrivals_.size()) + 2 * m + 1;
    const Real inv_c = plan_.neurons.inv_c.data()[j];
    p.li[j - p.first] = fma(exps_.kappa[x] * inv_c, own_lv_[j], exps_.syn[x] * own_li_[j]);
    p.lv[j - p.first] = exps_.mem[x] * own_lv_[j];
  }

  // All lanes back to arrival a from the population's arrival after it.
  void move(PopulationState& p, Size a) {
    Real *lv = p.lv.data(), *li = p.li.data();
    const auto back = [=](Size j, P mem, P syn, P by_v) {
      const P v = P::load(lv + j);
      fma(by_v, v, syn * P::load(li + j)).store(li + j);
      (mem * v).store(lv + j);
    };
    const NeuronConstants<Real>& c = plan_.neurons;
    const P mem(exps_.mem[a]), syn(exps_.syn[a]), kappa(exps_.kappa[a]);
    const Size size = p.size;
    if (p.identical) {
      const P by_v = kappa * P(c.inv_c.data()[p.first]);
      for (Size j = 0; j < size; j += P::width) back(j, mem, syn, by_v);
      return;
    }
    const P span(exps_.d[a]);
    for (Size j = 0; j < size; j += P::width) {
      const Neuron<P> n = Neuron<P>::load(c, p.first + static_cast<Id>(j));
      const Decay<P> e = p.uniform ? Decay<P>{mem, syn, kappa} : decay(span, n);
      back(j, e.mem, e.syn, e.kappa * n.inv_c);
    }
  }

  // E13: dL/dw = lI, and by the time of the arrival alpha w lI - (w/C) lV, to whom it belongs.
  // `moves`: all lanes move back to the arrival on the way; neurons are identical.
  template <bool moves>
  void arrive(PopulationState& p, Size a) {
    const Incoming& in = arrivals_[a];
    const ProjectionPlan<Real>& q = plan_.projections.data()[in.projection];
    Real *lv = p.lv.data(), *li = p.li.data();
    const Size size = p.size;
    Real* const out = s_->weights(q) ? s_->weights(q) + in.row : nullptr;
    const Real* const w = s_->timed(q) ? q.weight + in.row : nullptr;
    const NeuronConstants<Real>& c = plan_.neurons;
    const P first_alpha(c.alpha.data()[p.first]), first_inv_c(c.inv_c.data()[p.first]);
    const P mem(exps_.mem[a]), syn(exps_.syn[a]), by_v = P(exps_.kappa[a]) * first_inv_c;
    // A fixed pattern of partial sums: the same bits at every vector width.
    constexpr int parts = lane_width<Real> / P::width;
    P sum[parts];
    for (int u = 0; u < parts; ++u) sum[u] = P(Real(0));
    for (Size j = 0; j < size; j += lane_width<Real>)
      for (int u = 0; u < parts; ++u) {
        const Size k = j + u * P::width, n = size - k;
        P v = P::load(lv + k), i = P::load(li + k);
        if (moves) {
          i = fma(by_v, v, syn * i);
          v = mem * v;
          i.store(li + k);
          v.store(lv + k);
        }
        if (out && n >= P::width) {
          (P::load(out + k) + i).store(out + k);
        } else if (out && n > 0) {
          (P::load_first(out + k, int(n)) + i).store_first(out + k, int(n));
        }
        if (!w) continue;
        const P alpha = p.identical ? first_alpha : P::load(c.alpha.data() + p.first + k);
        const P inv_c = p.identical ? first_inv_c : P::load(c.inv_c.data() + p.first + k);
        sum[u] = sum[u] + load_up_to(w + k, n) * fma(alpha, i, -inv_c * v);
      }
    if (!w) return;
    Real part[lane_width<Real>];
    for (int u = 0; u < parts; ++u) sum[u].store(part + u * P::width);
    for (int half = lane_width<Real> / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) part[l] += part[l + half];
    const Real total = part[0];
    if (columns_.delay[in.projection] >= 0) s_->gradient[columns_.delay[in.projection]] += total;
    if (in.sender >= 0) {
      s_->mu[in.sender] += total;
    } else if (Real* times = s_->input_times[q.from_input]) {
      times[s_->input->groups[q.from_input].first - 1 - in.sender] += total;
    }
  }

  // What acts along the free flight that ended in a spike.
  void flight(const Event& e, Id unit, Id population, Real lv) {
    const Neuron<Real> n(plan_.neurons, e.neuron);
    Real start = Real(0), v = s_->input->voltage ? s_->input->voltage[e.neuron] : Real(0);
    for (Size m = e.place; m-- > s_->first[population];)
      if (s_->unit[m] == unit) {
        start = s_->time[m] + n.t_refractory;
        v = n.v_reset;
        break;
      }
    const Real d = s_->time[e.place] - start;
    s_->add(population, unit, NeuronParameter::bias, lv * n.inv_c * step_response(d, n.beta));
    s_->add(population, unit, NeuronParameter::capacitance,
            -lv * n.inv_c * (n.threshold - decay(d, n).mem * v));
  }

  const Plan<Real>& plan_;
  const Columns& columns_;
  ReverseSample<Real>* s_ = nullptr;
  Vector<PopulationState> populations_;
  Vector<Incoming> arrivals_;
  Vector<Size> runs_;  // where they begin in arrivals_ while it is sorted
  Vector<Event> events_;
  Vector<Size> event_begin_, event_end_;  // of each population
  Vector<Real> spans_;
  Vector<Id> owners_;
  Exponentials exps_;
  Vector<Real> own_lv_, own_li_;  // of neurons between their events
  Vector<Size> last_event_;
};

SNNFP_ISA_END
