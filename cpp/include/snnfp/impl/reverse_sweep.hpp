#pragma once
// The adjoint of samples of a graph of dense projections with one delay each: backwards in time,
// component by component, one vector loop over a population's neurons an arrival. MATH.md E12-E14.
// Every time is known beforehand, so first all exponentials are taken, side by side, and then the
// sweep itself only multiplies and adds.

#include <algorithm>
#include <cmath>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/spike_index.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ReverseSweep {
 public:
  ReverseSweep(const Plan<Real>& plan, const Columns& columns, Real* gradient,
               Real* const* input_times, const Watch& watch)
      : plan_(plan),
        columns_(columns),
        gradient_(gradient),
        input_times_(input_times),
        watch_(watch),
        own_lv_(plan.n_neurons),
        own_li_(plan.n_neurons),
        last_event_(plan.n_neurons, -1) {
    const Id n_populations = static_cast<Id>(plan.population_offsets.size()) - 1;
    for (Id p = 0; p < n_populations; ++p) populations_.emplace_back(plan, columns, p);
  }

  // Adds one sample's share to the gradient. `voltage_adjoint` gets lV just before each spike.
  void run(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
           const Real* cotangents, Real* voltage_adjoint) {
    begin(input, spikes, voltage_adjoint);
    mu_.assign(cotangents, cotangents + spikes.count);
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g)
      if (input_times_[g]) std::fill_n(input_times_[g] + input.groups[g].first, input.groups[g].count, Real(0));
    for (std::size_t c = plan_.component_offsets.size() - 1; c-- > 0;)
      run_component(plan_.components.data() + plan_.component_offsets.data()[c],
                    plan_.components.data() + plan_.component_offsets.data()[c + 1]);
  }

  // Only what `run` left out: the weights of projections from inputs, `later` in the columns, to the
  // neurons [begin, end) of one population, whose spikes' lV is known from there.
  void run_weights(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
                   const Real* voltage_adjoint, Id population, Id lane_begin, Id lane_end) {
    PopulationState& p = populations_[population];
    const Id first = plan_.population_offsets.data()[population];
    if (p.first != first + lane_begin || p.size != lane_end - lane_begin)
      p.take(plan_.neurons, first + lane_begin, lane_end - lane_begin);
    known_ = voltage_adjoint;
    begin(input, spikes, nullptr);
    run_component(&population, &population + 1);
  }

 private:
  using P = Pack<Real>;

  // The neurons of a population, or some of them.
  struct PopulationState {
    Id first, size;
    Id row_shift = 0;  // where they begin in the population
    bool identical = true, uniform = true;
    bool flights = false;  // derivatives by what acts along a free flight: bias, capacitance
    Vector<Size> spikes;   // of the sample, in time order
    Vector<Real> lv, li;   // the adjoint of all neurons at the last arrival seen
    bool alive = false;    // some of it is not 0
    Real now = never<Real>;
    Size next_event = 0;  // of the staged ones

    PopulationState(const Plan<Real>& plan, const Columns& columns, Id p) : first(0), size(0) {
      const Id begin = plan.population_offsets.data()[p];
      take(plan.neurons, begin, plan.population_offsets.data()[p + 1] - begin);
      row_shift = 0;
      const auto wanted = [&](NeuronParameter q) {
        return columns.neuron[p * n_neuron_parameters + int(q)] >= 0;
      };
      flights = wanted(NeuronParameter::bias) || wanted(NeuronParameter::capacitance);
    }

    void take(const NeuronConstants<Real>& c, Id begin, Id count) {
      row_shift += begin - first;
      first = begin;
      size = count;
      lv.assign(padded<Real>(size), Real(0));
      li = lv;
      uniform = identical = true;
      for (Id j = first; j < first + size; ++j) {
        uniform &= c.alpha.data()[j] == c.alpha.data()[first] && c.beta.data()[j] == c.beta.data()[first];
        identical &= uniform && c.inv_c.data()[j] == c.inv_c.data()[first];
      }
    }
  };

  // What arrives at a population, and from whom: spike `sender`, or input spike -1 - `sender`.
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
    Size spike;
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
    void add(Real span, Id j) {
      d.push_back(span);
      neuron.push_back(j);
    }
    void take(const NeuronConstants<Real>& c) {
      const std::size_t n = d.size(), end = static_cast<std::size_t>(padded<Real>(Size(n)));
      d.resize(end, Real(0));
      neuron.resize(end, 0);
      mem.resize(end);
      syn.resize(end);
      kappa.resize(end);
      for (std::size_t b = 0; b < end; b += P::width) {
        const Decay<P> e = decay(P::load(&d[b]), Neuron<P>::gather(c, &neuron[b]));
        e.mem.store(&mem[b]);
        e.syn.store(&syn[b]);
        e.kappa.store(&kappa[b]);
      }
    }
  };

  void begin(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
             Real* voltage_adjoint) {
    watch_.look();
    input_ = &input;
    spikes_ = spikes;
    voltage_adjoint_ = voltage_adjoint;
    for (PopulationState& p : populations_) p.spikes.clear();
    for (Size k = 0; k < spikes.count; ++k) {
      const Id j = spikes.neurons[k];
      PopulationState& p = populations_[plan_.population_of.data()[j]];
      if (j >= p.first && j < p.first + p.size) p.spikes.push_back(k);
    }
  }

  void run_component(const Id* begin, const Id* end) {
    arrivals_.clear();
    events_.clear();
    for (const Id* p = begin; p != end; ++p) {
      collect_arrivals(*p);
      collect_events(*p);
    }
    if (!std::is_sorted(arrivals_.begin(), arrivals_.end()))
      std::sort(arrivals_.begin(), arrivals_.end());
    stage(begin, end);
    for (const Id* p = begin; p != end; ++p) {
      PopulationState& state = populations_[*p];
      std::fill(state.lv.begin(), state.lv.end(), Real(0));
      std::fill(state.li.begin(), state.li.end(), Real(0));
      state.next_event = event_begin_[*p];
      state.alive = false;
    }
    for (Size a = static_cast<Size>(arrivals_.size()); a-- > 0;) {
      if (a % 64 == 0) watch_.look();
      const Incoming& in = arrivals_[a];
      PopulationState& p = populations_[plan_.projections.data()[in.projection].target_population];
      const Size from = p.next_event;
      for (Size m = from; m < in.events_end; ++m) pass(p, m);
      p.next_event = in.events_end;
      if (!p.alive) continue;
      move(p, a);
      for (Size m = from; m < in.events_end; ++m)
        if (events_[m].last) rejoin(p, m);
      arrive(p, in);
    }
    for (const Id* q = begin; q != end; ++q) {
      PopulationState& p = populations_[*q];
      for (Size m = p.next_event; m < event_end_[*q]; ++m) pass(p, m);
    }
  }

  void collect_arrivals(Id population) {
    for (const Id q : plan_.into_population.data()[population]) {
      if (bool(columns_.later[q]) != (known_ != nullptr)) continue;
      const ProjectionPlan<Real>& p = plan_.projections.data()[q];
      const Real delay = p.delay[0];
      const auto keep = [&](Id unit, Real time, Size sender) {
        // A row of zeros is no reason to leave its own derivative out.
        arrivals_.push_back(
            {time + delay, sender, q, p.row_begin(unit) + populations_[population].row_shift, 0});
      };
      if (p.from_input >= 0) {
        const InputSpikes<Real>& in = input_->groups[p.from_input];
        for (Size k = 0; k < in.count; ++k) keep(in.units[k], in.times[k], -1 - k);
      } else {
        const PopulationState& from = populations_[p.from_population];
        for (const Size k : from.spikes)
          keep(spikes_.neurons[k] - from.first, spikes_.times[k], k);
      }
    }
  }

  // Leaves out the spikes of a population, last ones of their neurons, that nothing depends on.
  void drop_idle(PopulationState& p, Id population) {
    for (const Id q : plan_.from_population.data()[population])
      if (plan_.projections.data()[q].within_component) return;  // not known yet
    const Real* adjoint = known_ ? known_ : mu_.data();
    Size kept = static_cast<Size>(p.spikes.size());
    for (Size m = kept; m-- > 0;) {
      const Size k = p.spikes[m];
      const Id j = spikes_.neurons[k];
      if (adjoint[k] != Real(0)) last_event_[j] = 0;
      if (last_event_[j] < 0) {
        if (voltage_adjoint_) voltage_adjoint_[k] = Real(0);
      } else {
        p.spikes[--kept] = k;
      }
    }
    p.spikes.erase(p.spikes.begin(), p.spikes.begin() + kept);
    for (const Size k : p.spikes) last_event_[spikes_.neurons[k]] = -1;
  }

  // Latest first.
  void collect_events(Id population) {
    PopulationState& p = populations_[population];
    const Size begin = static_cast<Size>(events_.size());
    drop_idle(p, population);
    if (event_begin_.size() < populations_.size()) {
      event_begin_.resize(populations_.size());
      event_end_.resize(populations_.size());
    }
    event_begin_[population] = begin;
    const Real* refractory = plan_.neurons.t_refractory.data();
    for (Size m = static_cast<Size>(p.spikes.size()); m-- > 0;) {
      const Size k = p.spikes[m];
      const Real release = spikes_.times[k] + refractory[spikes_.neurons[k]];
      // Arrivals at the moment of a release come before it.
      if (release > spikes_.times[k])
        events_.push_back(
            {std::nextafter(release, never<Real>), release, k, true, false, true, true});
    }
    const Size middle = static_cast<Size>(events_.size());
    for (Size m = static_cast<Size>(p.spikes.size()); m-- > 0;) {
      const Size k = p.spikes[m];
      const Real time = spikes_.times[k];
      const bool releases = !(time + refractory[spikes_.neurons[k]] > time);
      events_.push_back({time, time, k, releases, true, true, true});
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
    exps_.take(plan_.neurons);
  }

  // The events after an arrival at `time`; returns the first that is not.
  Size stage_events(PopulationState& p, Size end, Real time) {
    const Size begin = p.next_event, base = static_cast<Size>(arrivals_.size());
    Size m = begin;
    for (; m < end && events_[m].key > time; ++m) {
      Event& e = events_[m];
      const Id j = spikes_.neurons[e.spike];
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
      last_event_[spikes_.neurons[events_[q].spike]] = -1;
      if (events_[q].last && time > -never<Real>)
        spans_[base + 2 * q + 1] = events_[q].time - time;
    }
    p.next_event = m;
    return m;
  }

  // One neuron through its release or spike.
  void pass(PopulationState& p, Size m) {
    const Event& e = events_[m];
    const Size k = e.spike;
    const Id j = spikes_.neurons[k];
    const Size x = static_cast<Size>(arrivals_.size()) + 2 * m;
    const Real inv_c = plan_.neurons.inv_c.data()[j];
    Real lv = e.first ? p.lv[j - p.first] : own_lv_[j];
    Real li = e.first ? p.li[j - p.first] : own_li_[j];
    li = fma(exps_.kappa[x] * inv_c, lv, exps_.syn[x] * li);
    lv = exps_.mem[x] * lv;
    const Id population = plan_.population_of.data()[j];
    if (known_) {
      lv = e.spikes ? known_[k] : Real(0);
      own_lv_[j] = lv;
      own_li_[j] = li;
      p.alive |= lv != Real(0);
      return;
    }
    if (e.releases && lv != Real(0)) {
      const Real slope_after =
          slope(Membrane<Real>{plan_.neurons.v_reset.data()[j], spikes_.release_currents[k]},
                Neuron<Real>(plan_.neurons, j));
      mu_[k] -= slope_after * lv;
      add(j, population, NeuronParameter::t_refractory, -slope_after * lv);
      add(j, population, NeuronParameter::v_reset, lv);
      lv = Real(0);
    }
    if (e.spikes) {
      const Real scaled = mu_[k] / spikes_.slopes[k];
      add(j, population, NeuronParameter::threshold, scaled);
      lv = -scaled;
      if (voltage_adjoint_) voltage_adjoint_[k] = lv;
      if (p.flights) flight(k, j, population, lv);
    }
    own_lv_[j] = lv;
    own_li_[j] = li;
    p.alive |= lv != Real(0);
  }

  void rejoin(PopulationState& p, Size m) {
    const Id j = spikes_.neurons[events_[m].spike];
    const Size x = static_cast<Size>(arrivals_.size()) + 2 * m + 1;
    const Real inv_c = plan_.neurons.inv_c.data()[j];
    p.li[j - p.first] = fma(exps_.kappa[x] * inv_c, own_lv_[j], exps_.syn[x] * own_li_[j]);
    p.lv[j - p.first] = exps_.mem[x] * own_lv_[j];
  }

  // All lanes back to arrival a from the population's arrival after it.
  void move(PopulationState& p, Size a) {
    const P span(exps_.d[a]);
    const Decay<P> shared{P(exps_.mem[a]), P(exps_.syn[a]), P(exps_.kappa[a])};
    const P first_inv_c(plan_.neurons.inv_c.data()[p.first]);
    for (Size j = 0; j < p.size; j += P::width) {
      const Id at = p.first + static_cast<Id>(j);
      const Decay<P> e =
          p.uniform ? shared : decay(span, Neuron<P>::load(plan_.neurons, at));
      const P inv_c = p.identical ? first_inv_c : P::load(plan_.neurons.inv_c.data() + at);
      const P lv = P::load(&p.lv[j]), li = P::load(&p.li[j]);
      fma(e.kappa * inv_c, lv, e.syn * li).store(&p.li[j]);
      (e.mem * lv).store(&p.lv[j]);
    }
  }

  // E13: dL/dw = lI, and by the time of the arrival alpha w lI - (w/C) lV, to whom it belongs.
  void arrive(PopulationState& p, const Incoming& in) {
    const ProjectionPlan<Real>& q = plan_.projections.data()[in.projection];
    Real* out = columns_.weight[in.projection] >= 0
                    ? gradient_ + columns_.weight[in.projection] + in.row
                    : nullptr;
    const bool timed = in.sender >= 0 || columns_.delay[in.projection] >= 0 ||
                       (q.from_input >= 0 && input_times_ && input_times_[q.from_input]);
    const Size whole = p.size / lane_width<Real> * lane_width<Real>;
    if (out) {
      for (Size j = 0; j < whole; j += P::width)
        (P::load(out + j) + P::load(&p.li[j])).store(out + j);
      for (Size j = whole; j < p.size; ++j) out[j] += p.li[j];
    }
    if (!timed) return;
    const Real* w = q.weight + in.row;
    const NeuronConstants<Real>& c = plan_.neurons;
    // A fixed pattern of partial sums: the same bits at every vector width.
    constexpr int parts = lane_width<Real> / P::width;
    P sum[parts];
    for (int u = 0; u < parts; ++u) sum[u] = P(Real(0));
    const P first_alpha(c.alpha.data()[p.first]), first_inv_c(c.inv_c.data()[p.first]);
    for (Size j = 0; j < whole; j += lane_width<Real>)
      for (int u = 0; u < parts; ++u) {
        const Size k = j + u * P::width;
        const P alpha = p.identical ? first_alpha : P::load(c.alpha.data() + p.first + k);
        const P inv_c = p.identical ? first_inv_c : P::load(c.inv_c.data() + p.first + k);
        sum[u] = sum[u] + P::load(w + k) * fma(alpha, P::load(&p.li[k]),
                                              -inv_c * P::load(&p.lv[k]));
      }
    Real part[lane_width<Real>];
    for (int u = 0; u < parts; ++u) sum[u].store(part + u * P::width);
    for (Size j = whole; j < p.size; ++j)
      part[j - whole] += w[j] * fma(c.alpha.data()[p.first + j], p.li[j],
                                    -c.inv_c.data()[p.first + j] * p.lv[j]);
    for (int half = lane_width<Real> / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) part[l] += part[l + half];
    const Real total = part[0];
    if (columns_.delay[in.projection] >= 0) gradient_[columns_.delay[in.projection]] += total;
    if (in.sender >= 0) {
      mu_[in.sender] += total;
    } else if (input_times_[q.from_input]) {
      input_times_[q.from_input][input_->groups[q.from_input].first - 1 - in.sender] += total;
    }
  }

  void add(Id j, Id population, NeuronParameter p, Real value) {
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return;
    const Size element =
        columns_.neuron_shared[at] ? 0 : j - plan_.population_offsets.data()[population];
    gradient_[columns_.neuron[at] + element] += value;
  }

  // What acts along the free flight that ended in spike k.
  void flight(Size k, Id j, Id population, Real lv) {
    const Neuron<Real> n(plan_.neurons, j);
    Real start = Real(0), v = input_->voltage ? input_->voltage[j] : Real(0);
    for (Size m = k; m-- > 0;)
      if (spikes_.neurons[m] == j) {
        start = spikes_.times[m] + n.t_refractory;
        v = n.v_reset;
        break;
      }
    const Real d = spikes_.times[k] - start;
    add(j, population, NeuronParameter::bias, lv * n.inv_c * step_response(d, n.beta));
    add(j, population, NeuronParameter::capacitance,
        -lv * n.inv_c * (n.threshold - decay(d, n).mem * v));
  }

  const Plan<Real>& plan_;
  const Columns& columns_;
  Real* gradient_;
  Real* const* input_times_;
  const Watch& watch_;
  const SampleInput<Real>* input_ = nullptr;
  SampleSpikes<Real> spikes_;
  Real* voltage_adjoint_ = nullptr;
  const Real* known_ = nullptr;
  Vector<Real> mu_;
  Vector<PopulationState> populations_;
  Vector<Incoming> arrivals_;
  Vector<Event> events_;
  Vector<Size> event_begin_, event_end_;  // of each population
  Vector<Real> spans_;
  Vector<Id> owners_;
  Exponentials exps_;
  Vector<Real> own_lv_, own_li_;  // of neurons between their events
  Vector<Size> last_event_;
};

SNNFP_ISA_END
