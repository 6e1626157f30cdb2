#pragma once
// A population that feeds nothing back, in several samples: all that arrives is known beforehand. A
// pack of neurons runs from arrival to arrival in registers until one of its lanes may cross; then it
// waits, and the solver takes the waiting lanes of many packs at once. The same operations as in the
// other simulators, so the same bits.
//
// Where the population is wide, the lanes of a pack are neurons of one sample, which share the spans
// between arrivals; where it is narrow they are samples of one neuron, each with its own spans.

#include <algorithm>
#include <optional>
#include <vector>

#include "snnfp/detail/component.hpp"
#include "snnfp/detail/crossing_batch.hpp"
#include "snnfp/detail/event_queue.hpp"
#include "snnfp/detail/lanes.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class LayerSimulator {
 public:
  LayerSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        limits_(limits),
        watch_{interrupt, limits.worker},
        batches_{CrossingBatch<Real>(plan), CrossingBatch<Real>(plan)},
        released_(plan),
        all_lanes_(plan.population_offsets.size() - 1) {}

  LayerSimulator(const LayerSimulator&) = delete;

  // Forgets all samples.
  void clear() {
    arrival_time_.clear();
    arrival_row_.clear();
    sample_end_.clear();
  }
  // What arrives at the population in the next sample.
  void add_sample(const ComponentSample<Real>& sample) {
    const std::vector<Id>& into = plan_.into_population.data()[*sample.begin];
    if (into.size() != 1 || !add_in_order(sample)) {
      arrival_time_.resize(first_arrival(samples()));
      arrival_row_.resize(arrival_time_.size());
      add_sorted(sample);
    }
    sample_end_.push_back(static_cast<Size>(arrival_time_.size()));
  }
  Size arrivals() const { return static_cast<Size>(arrival_time_.size()); }

  // Simulates the population in the samples given up to `until`; the spikes of sample s go, in order,
  // to out[s * stride].
  void run(Id population, const SampleInput<Real>* inputs, Real until,
           SpikeList<Real>* out, Size stride) {
    if (!all_lanes_[population])
      all_lanes_[population].emplace(plan_.neurons, plan_.population_offsets.data()[population],
                                     plan_.population_offsets.data()[population + 1] -
                                         plan_.population_offsets.data()[population]);
    const Lanes<Real>& lanes = *all_lanes_[population];
    lanes_ = &lanes;
    until_ = until;
    inputs_ = inputs;
    out_ = out;
    stride_ = stride;
    const Size wide = samples() * packs(lanes.count), narrow = packs(samples()) * lanes.count;
    const bool by_neuron = 3 * wide <= 4 * narrow;
    glides_ = by_neuron && lanes.identical && !lanes.driven && arrivals() >= 64 * samples();
    if (by_neuron) {
      stage_neurons();
    } else {
      stage_samples();
    }
    for (Size s = 0; s < samples(); ++s)
      out[s * stride].reserve(std::min<Size>(lanes.count, 256));
    excess_ = {};
    if (by_neuron) {
      run_as<true>();
    } else {
      run_as<false>();
    }
    excess_.raise(plan_);
    for (Size s = 0; s < samples(); ++s) out[s * stride].sort(sorter_);
  }

 private:
  using P = Pack<Real>;
  static constexpr int width = P::width;
  static constexpr Size packs(Size n) { return (n + width - 1) / width; }
  // So many packs are under way that the solver's own packs are full, and what they read is in cache.
  static constexpr Size slots = 64;
  // Rows of weights are asked for so many arrivals ahead: each lies in another page.
  static constexpr Size ahead = 8;

  // A pack under way. Interval a of its lanes ends at their arrival a, the last one at the horizon;
  // (v, i) is their state at the end of interval `at` - 1, ahead of the arrival.
  struct Item {
    alignas(64) Real v[width];
    Real i[width];
    Size count[width];
    Id lane_neuron[width], tag[width];
    // Of lanes held: their release and their last spike. The last interval of every lane.
    Real release[width];
    Size last_spike[width];
    Id last[width];
    Size sample;     // of the first lane
    Id neuron;       // of the first lane
    Size first;      // interval, in the tables
    Id at, intervals;
    Size column;  // by neuron: of the first lane
    unsigned mask;  // that take part: not those past the last, nor those held beyond the horizon
    unsigned held;
  };

  Size samples() const { return static_cast<Size>(sample_end_.size()); }
  Size first_arrival(Size sample) const { return sample == 0 ? 0 : sample_end_[sample - 1]; }

  // The arrivals of one projection are those of its source, delayed; false where two meet.
  bool add_in_order(const ComponentSample<Real>& sample) {
    Real last = -Real(1);
    bool in_order = true;
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& q = *sent.projection;
      for (Size k = 0; k < sent.count && in_order; ++k) {
        const Real arrival = sent.time(k) + q.delay[0];
        if (sent.silent(k) || !(arrival <= sample.until)) continue;
        in_order = arrival > last;
        last = arrival;
        add_arrival(arrival, q.weight + q.row_begin(sent.unit(k)));
      }
    });
    return in_order;
  }
  void add_sorted(const ComponentSample<Real>& sample) {
    sorted_.clear();
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& q = *sent.projection;
      for (Size k = 0; k < sent.count; ++k) {
        const Id unit = sent.unit(k);
        const Real arrival = sent.time(k) + q.delay[0];
        if (sent.silent(k) || !(arrival <= sample.until)) continue;
        sorted_.push_back(
            {arrival, q.source_first + unit, q.index, q.row_begin(unit), q.row_end(unit)});
      }
    });
    if (!std::is_sorted(sorted_.begin(), sorted_.end())) std::sort(sorted_.begin(), sorted_.end());
    for (const Arrival<Real>& a : sorted_)
      add_arrival(a.time, plan_.projections.data()[a.projection].weight + a.begin);
  }
  void add_arrival(Real time, const Real* row) {
    arrival_time_.push_back(time);
    arrival_row_.push_back(row);
  }

  // One interval after the other: the arrivals of a sample, then the horizon.
  void stage_neurons() {
    const Size n = arrivals() + samples();
    resize_tables(n);
    row_.resize(n + ahead);
    table_begin_.clear();
    Size at = 0;
    for (Size s = 0, k = 0; s < samples(); ++s) {
      table_begin_.push_back(at);
      Real now = Real(0);
      for (; k < sample_end_[s]; ++k, ++at) {
        row_[at] = arrival_row_[k];
        time_[at] = arrival_time_[k];
        span_[at] = time_[at] - now;
        now = time_[at];
      }
      time_[at] = until_;
      span_[at] = until_ - now;
      ++at;
    }
    table_begin_.push_back(at);
    for (; at < n + ahead; ++at) row_[at] = arrival_row_.empty() ? nullptr : arrival_row_.back();
    take_exponentials(n);
  }

  // The same for as many samples at once as a pack has lanes.
  void stage_samples() {
    const Size groups = packs(samples()), size = lanes_->count;
    table_begin_.assign(1, 0);
    for (Size g = 0; g < groups; ++g) {
      Size most = 0;
      for (Size s = g * width; s < std::min<Size>((g + 1) * width, samples()); ++s)
        most = std::max(most, sample_end_[s] - first_arrival(s));
      table_begin_.push_back(table_begin_.back() + most + 1);
    }
    const Size n = table_begin_.back() * width;
    resize_tables(n);
    weight_.resize(n * size);
    for (Size g = 0; g < groups; ++g) {
      // Of each lane: its next arrival, and the one past its last. Lanes that are through stand still.
      Size next[width], end[width];
      Real now[width] = {};
      for (int l = 0; l < width; ++l) {
        const Size s = g * width + l;
        next[l] = s < samples() ? first_arrival(s) : 0;
        end[l] = s < samples() ? sample_end_[s] : 0;
        if (s >= samples()) now[l] = until_;
      }
      for (Size a = table_begin_[g]; a < table_begin_[g + 1]; ++a) {
        Real* const time = &time_[a * width];
        Real* const span = &span_[a * width];
        Real* const weight = &weight_[a * size * width];
        for (int l = 0; l < width; ++l) {
          const bool arrives = next[l] < end[l];
          const Size k = next[l];
          time[l] = arrives ? arrival_time_[k] : until_;
          span[l] = now[l] < time[l] ? time[l] - now[l] : Real(0);
          now[l] = time[l];
          for (Size j = 0; j < size; ++j)
            weight[j * width + l] = arrives ? arrival_row_[k][j] : Real(0);
          next[l] += arrives;
        }
      }
    }
    take_exponentials(n);
  }

  void resize_tables(Size n) {
    const std::size_t end = static_cast<std::size_t>(padded<Real>(n));
    for (Vector<Real>* x : {&time_, &span_, &mem_, &syn_, &kappa_, &response_, &late_, &slack_, &by_v_,
                            &by_i_, &by_size_, &top_})
      if (x->size() < end) x->resize(end);
  }

  void take_exponentials(Size n) {
    std::fill(span_.begin() + n, span_.begin() + padded<Real>(n), Real(0));
    if (!lanes_->uniform) return;
    const Neuron<P> one(plan_.neurons, lanes_->first);
    for (Size k = 0; k < n; k += width) {
      const P d = P::load(&span_[k]);
      const Decay<P> e = decay(d, one);
      e.mem.store(&mem_[k]);
      e.syn.store(&syn_[k]);
      e.kappa.store(&kappa_[k]);
      const Margin<P> m = margin(d, P::load(&time_[k]), one);
      m.late.store(&late_[k]);
      m.slack.store(&slack_[k]);
      if (glides_) {
        const TangentBound<P> bound(d, P::load(&time_[k]), one);
        bound.by_v.store(&by_v_[k]);
        bound.by_i.store(&by_i_[k]);
        bound.slack.store(&by_size_[k]);
        bound.top.store(&top_[k]);
      }
      if (lanes_->driven) step_response(d, one.beta).store(&response_[k]);
    }
  }

  template <bool ByNeuron>
  void run_as() {
    if (lanes_->identical) return run_all<ByNeuron, true, true>();
    if (lanes_->uniform) return run_all<ByNeuron, false, true>();
    return run_all<ByNeuron, false, false>();
  }

  template <bool ByNeuron, bool Identical, bool Uniform>
  void run_all() {
    const Size n_packs = ByNeuron ? packs(lanes_->count) : packs(samples());
    const Size items = n_packs * (ByNeuron ? samples() : lanes_->count);
    if (items_.empty()) items_.resize(slots);
    ready_.clear();
    for (Size k = 0; k < std::min(slots, items); ++k) ready_.push_back(Id(k));
    Size next = 0;
    for (const Id k : ready_) start<ByNeuron>(items_[k], next++);
    const Neuron<P> all(plan_.neurons, lanes_->first);
    const auto take_on = [&](Item& item) {
      if constexpr (Identical) {
        return advance<ByNeuron, Uniform>(item, all);
      } else if constexpr (ByNeuron) {
        return advance<ByNeuron, Uniform>(item, Neuron<P>::load(plan_.neurons, item.neuron));
      } else {
        return advance<ByNeuron, Uniform>(item, Neuron<P>(plan_.neurons, item.neuron));
      }
    };
    for (Size round = 0; !ready_.empty(); ++round) {
      if (round % 64 == 0) watch_.look();
      climbers_->clear();
      released_.clear();
      Size waiting = 0;
      for (const Id k : ready_) {
        Item& item = items_[k];
        for (;;) {
          if (take_on(item)) {
            ready_[waiting++] = k;
            break;
          }
          if (next == items) break;
          start<ByNeuron>(item, next++);
        }
      }
      ready_.resize(waiting);
      // Neurons that fire without hearing anything go on here.
      for (Size turn = 1; climbers_->size() > 0 || released_.size() > 0; ++turn) {
        if (turn % 64 == 0) watch_.look();
        look<ByNeuron>();
        settle<ByNeuron>();
      }
    }
  }

  // By neuron: all samples of a pack of neurons, whose weights stay in cache, then the next pack.
  template <bool ByNeuron>
  void start(Item& item, Size k) {
    if constexpr (ByNeuron) {
      item.sample = k % samples();
      item.column = k / samples() * width;
      item.neuron = lanes_->first + static_cast<Id>(item.column);
      item.first = table_begin_[item.sample];
      item.intervals = static_cast<Id>(table_begin_[item.sample + 1] - item.first);
      fill(item, lanes_->count - item.column, true);
      std::fill_n(item.last, width, item.intervals - 1);
    } else {
      const Size groups = packs(samples()), group = k % groups;
      item.sample = group * width;
      item.column = k / groups;
      item.neuron = lanes_->first + static_cast<Id>(item.column);
      item.first = table_begin_[group];
      item.intervals = static_cast<Id>(table_begin_[group + 1] - item.first);
      fill(item, samples() - item.sample, false);
      for (int l = 0; l < width; ++l) {
        const Size s = std::min(item.sample + l, samples() - 1);
        item.last[l] = static_cast<Id>(sample_end_[s] - first_arrival(s));
      }
    }
    const SampleInput<Real>& any_input = inputs_[item.sample];
    if (!any_input.voltage && !any_input.current) {
      // Before the first arrival nothing moves unless a bias drives it.
      if (!lanes_->driven && item.intervals > 1) item.at = 1;
      return;
    }
    for (unsigned m = item.mask; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      const SampleInput<Real>& input = inputs_[ByNeuron ? item.sample : item.sample + l];
      const Id j = neuron_of<ByNeuron>(item, l);
      if (input.voltage) item.v[l] = input.voltage[j];
      if (input.current) item.i[l] = input.current[j];
    }
  }
  void fill(Item& item, Size lanes, bool by_neuron) {
    item.at = 0;
    item.held = 0;
    item.mask = (1u << std::min<Size>(lanes, width)) - 1;
    for (int l = 0; l < width; ++l) {
      item.v[l] = item.i[l] = Real(0);
      item.count[l] = 0;
      item.tag[l] = static_cast<Id>(&item - items_.data()) * width + l;
      item.lane_neuron[l] = item.neuron + (by_neuron ? l : 0);
    }
  }

  template <bool ByNeuron>
  static Id neuron_of(const Item& item, int lane) {
    return ByNeuron ? item.neuron + lane : item.neuron;
  }
  template <bool ByNeuron>
  SpikeList<Real>& out_of(const Item& item, int lane) const {
    return out_[(ByNeuron ? item.sample : item.sample + lane) * stride_];
  }

  template <bool ByNeuron>
  static SNNFP_INLINE P value(const Vector<Real>& table, Size a) {
    if constexpr (ByNeuron) {
      return P(table[a]);
    } else {
      return P::load(&table[a * width]);
    }
  }
  template <bool ByNeuron>
  Real time_of(const Item& item, Id a, int lane) const {
    return time_[ByNeuron ? item.first + a : (item.first + a) * width + lane];
  }

  // Out of the loop's way: most packs are full.
  [[gnu::noinline]] static P load_tail(const Real* row, int n) { return P::load_first(row, n); }

  // What arrives at the end of interval k.
  template <bool ByNeuron>
  SNNFP_INLINE P weight(const Item& item, Size k) const {
    if constexpr (ByNeuron) {
      const Real* row = row_.data()[k] + item.column;
      const Size rest = lanes_->count - item.column;
      return rest >= width ? P::load(row) : load_tail(row, static_cast<int>(rest));
    } else {
      return P::load(&weight_.data()[(k * lanes_->count + item.column) * width]);
    }
  }

  // Takes a pack of free lanes with state `s` at the start of interval a on to the first interval in
  // which one may cross, or the end. A function of its own, so that all of it stays in registers.
  [[gnu::noinline]] Id glide(const Item& item, Id a, const Neuron<P>& n, Membrane<P>& s) const {
    const P zero(Real(0));
    const Real *mem = mem_.data(), *syn = syn_.data(), *kappa = kappa_.data();
    const Real *by_v = by_v_.data(), *by_i = by_i_.data(), *by_size = by_size_.data(),
               *top = top_.data();
    TangentBound<P> bound;
    bound.by_drive = zero;
    Membrane<P> now = s;
    const Size last = item.first + item.intervals - 1;
    for (Size k = item.first + a;; ++k) {
      Membrane<P> end = propagate(now, {P(mem[k]), P(syn[k]), P(kappa[k])}, n.inv_c, zero);
      // The same bits: some processors are slow at products that turn denormal, and not at sums.
      end.i = fma(P(syn[k]), now.i, P(Real(-0.0)));
      bound.by_v = P(by_v[k]);
      bound.by_i = P(by_i[k]);
      bound.slack = P(by_size[k]);
      bound.top = P(top[k]);
      if (any(!bound.clears(now, end))) {
        s = now;
        return static_cast<Id>(k - item.first);
      }
      if (k == last) return item.intervals;
      __builtin_prefetch(row_.data()[k + ahead] + item.column);
      now = {end.v, end.i + weight<true>(item, k)};
    }
  }

  // Takes the pack on until some lane may cross or is released: true. At its end: false.
  template <bool ByNeuron, bool Uniform>
  SNNFP_INLINE bool advance(Item& item, const Neuron<P>& n) {
    const P zero(Real(0));
    Id a = item.at;
    // What it waited for is settled: on from the end of that interval.
    if (a == item.intervals || item.mask == 0) return false;
    Membrane<P> s{P::load(item.v), P::load(item.i)};
    if (a > 0) s.i = s.i + weight<ByNeuron>(item, item.first + a - 1);
    const bool driven = lanes_->driven;
    for (int quiet = 1;; ++a, ++quiet) {
      const Size k = item.first + a;
      const P d = value<ByNeuron>(span_, k);
      Decay<P> e;
      P response(zero);
      if constexpr (Uniform) {
        e = {value<ByNeuron>(mem_, k), value<ByNeuron>(syn_, k), value<ByNeuron>(kappa_, k)};
        if (driven) response = value<ByNeuron>(response_, k);
      } else {
        e = decay(d, n);
        if (driven) response = step_response(d, n.beta);
      }
      P driven_by(zero);
      if (driven) driven_by = select(n.drive == zero, zero, n.drive * response);
      const Membrane<P> end = propagate(s, e, n.inv_c, driven_by);
      Margin<P> m;
      if constexpr (Uniform)
        m = {value<ByNeuron>(late_, k), value<ByNeuron>(slack_, k), n.threshold};
      if (!Uniform || driven) m = margin(d, value<ByNeuron>(time_, k), n);
      const auto unsafe = !(plainly_below(s, end, d, m, n) & (d < P(never<Real>)));
      if (any(unsafe) || item.held != 0) {
        const auto moves = d > zero;
        const auto open =
            moves & ((!(d < P(never<Real>))) | (unsafe & !no_crossing(s, end, d, m, n)));
        if (wait<ByNeuron>(item, a, bits_of(open) & item.mask, s, end)) return true;
      }
      if (a + 1 == item.intervals) return false;
      s = {item.held != 0 ? hold(item, s.v, end.v) : end.v, end.i + weight<ByNeuron>(item, k)};
      if constexpr (ByNeuron && Uniform) {
        // Where crossings are dense the call costs more than it saves.
        if (quiet >= 4 && glides_ && item.held == 0) {
          a = glide(item, a + 1, n, s) - 1;
          if (a + 1 == item.intervals) return false;
        }
      }
    }
  }

  // V of lanes held does not move.
  static P hold(const Item& item, P v, P v_end) {
    Real kept[width], moved[width];
    v.store(kept);
    v_end.store(moved);
    for (unsigned m = item.held; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      moved[l] = kept[l];
    }
    return P::load(moved);
  }

  // Asks the solver about the lanes `open` on interval a, and releases those due in it.
  template <bool ByNeuron>
  bool wait(Item& item, Id a, unsigned open, Membrane<P> s, Membrane<P> end) {
    open &= ~item.held;
    unsigned due = 0;
    for (unsigned m = item.held; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      if (falls_due(item, a, l, time_of<ByNeuron>(item, a, l))) due |= 1u << l;
    }
    if ((open | due) == 0) return false;
    const Size k = item.first + a;
    climbers_->add_lanes(open & ~due, Ids<Real>::load(item.lane_neuron), Ids<Real>::load(item.tag), s,
                         a == 0 ? P(Real(0)) : value<ByNeuron>(time_, k - 1),
                         value<ByNeuron>(time_, k));
    (item.held != 0 ? hold(item, s.v, end.v) : end.v).store(item.v);
    end.i.store(item.i);
    item.at = a + 1;
    if (due == 0) return true;
    Real current[width];
    s.i.store(current);
    for (unsigned m = due; m != 0; m &= m - 1) {
      const int l = __builtin_ctz(m);
      const Real now = a == 0 ? Real(0) : time_of<ByNeuron>(item, a - 1, l);
      free<ByNeuron>(item, l, item.tag[l], now, current[l], time_of<ByNeuron>(item, a, l));
    }
    return true;
  }

  // Whether a lane's refractory time ends within interval a, which ends at `horizon`.
  bool falls_due(const Item& item, Id a, int lane, Real horizon) const {
    return item.release[lane] < horizon || (a >= item.last[lane] && item.release[lane] <= horizon);
  }

  // A lane held, with current i at `now`, at its release.
  template <bool ByNeuron>
  void free(Item& item, int lane, Id tag, Real now, Real i, Real horizon) {
    const Id j = neuron_of<ByNeuron>(item, lane);
    const Neuron<Real> n(plan_.neurons, j);
    const Real d = item.release[lane] - now;
    const Real current = d > Real(0) ? decay(d, n).syn * i : i;
    out_of<ByNeuron>(item, lane).set_release_current(item.last_spike[lane], current);
    item.held &= ~(1u << lane);
    released_.add(j, tag, {n.v_reset, current}, item.release[lane], horizon);
  }

  // Where lanes just released stand at the end of their interval, and which may cross before.
  template <bool ByNeuron>
  void look() {
    released_.look(lanes_->identical);
    for (Size m = 0; m < released_.size(); ++m) {
      const Id tag = released_.tag(m);
      Item& item = items_[tag / width];
      item.v[tag % width] = released_.end(m).v;
      item.i[tag % width] = released_.end(m).i;
      if (!released_.shut(m)) climbers_->add(released_, m);
    }
    released_.clear();
  }

  template <bool ByNeuron>
  void settle() {
    climbers_->solve(lanes_->identical, false);
    climbers_->look_on(lanes_->identical);
    again_->clear();
    const auto touch = [&](Size m) {
      const Id tag = climbers_->tag(m);
      const Item& item = items_[tag / width];
      const int l = static_cast<int>(tag % width);
      const Id j = neuron_of<ByNeuron>(item, l);
      if (clock_hides_spike(climbers_->start(m), Neuron<Real>(plan_.neurons, j)))
        throw_clock(plan_, inputs_[ByNeuron ? item.sample : item.sample + l].sample, j,
                    climbers_->crossing(m));
    };
    climbers_->each_spike(touch, [&](Size m) {
      const Real time = climbers_->crossing(m), horizon = climbers_->horizon(m);
      const Id tag = climbers_->tag(m);
      Item& item = items_[tag / width];
      const int l = static_cast<int>(tag % width);
      const Id j = neuron_of<ByNeuron>(item, l);
      if (++item.count[l] > limits_.spike_limit) {
        excess_.see(inputs_[ByNeuron ? item.sample : item.sample + l].sample, j, time, item.count[l]);
        retire(item, l);
        return;
      }
      const Real current = climbers_->current(m);
      SpikeList<Real>& out = out_of<ByNeuron>(item, l);
      const Real refractory = plan_.neurons.t_refractory.data()[j];
      const bool at_once = !(refractory > Real(0));
      out.push_back(time, j, climbers_->slope_at(m), at_once ? current : Real(0));
      if (at_once) {
        item.v[l] = climbers_->end(m).v;
        item.i[l] = climbers_->end(m).i;
        if (!climbers_->shut(m))
          again_->add(j, tag, {plan_.neurons.v_reset.data()[j], current}, time, horizon);
        return;
      }
      const Real released = time + refractory;
      if (released > until_) {
        retire(item, l);
        return;
      }
      item.last_spike[l] = out.size() - 1;
      item.release[l] = released;
      item.held |= 1u << l;
      if (falls_due(item, item.at - 1, l, horizon)) {
        free<ByNeuron>(item, l, tag, time, current, horizon);
      } else if (horizon < never<Real>) {
        const Real d = horizon - time;
        item.v[l] = plan_.neurons.v_reset.data()[j];
        item.i[l] =
            d > Real(0) ? decay(d, Neuron<Real>(plan_.neurons, j)).syn * current : current;
      }
    });
    std::swap(climbers_, again_);
  }

  // A lane that takes no part any more: out of the way of the cheap bounds, whatever still arrives.
  static void retire(Item& item, int lane) {
    item.mask &= ~(1u << lane);
    item.v[lane] = Real(0);
    item.i[lane] = Real(-1e30);
  }

  const Plan<Real>& plan_;
  const RunLimits& limits_;
  const Watch watch_;
  FirstExcess<Real> excess_;
  Real until_ = Real(0);
  const Lanes<Real>* lanes_ = nullptr;
  const SampleInput<Real>* inputs_ = nullptr;
  SpikeList<Real>* out_ = nullptr;
  Size stride_ = 0;

  std::vector<std::optional<Lanes<Real>>> all_lanes_;  // of each population that has run
  Vector<Arrival<Real>> sorted_;
  Vector<Real> arrival_time_;
  Vector<const Real*> arrival_row_;
  Vector<Size> sample_end_;

  // Of each interval, by neuron one value, by sample one a lane.
  Vector<Real> time_, span_, mem_, syn_, kappa_, response_, late_, slack_;
  Vector<Real> by_v_, by_i_, by_size_, top_;  // the TangentBound, where packs glide
  bool glides_ = false;
  Vector<const Real*> row_;
  Vector<Real> weight_;
  Vector<Size> table_begin_;  // of each sample or pack of them

  CrossingBatch<Real> batches_[2];
  CrossingBatch<Real>* climbers_ = &batches_[0];  // may cross
  CrossingBatch<Real>* again_ = &batches_[1];     // have, and may once more
  CrossingBatch<Real> released_;                  // come out of their refractory time
  Vector<Item> items_;
  Vector<Id> ready_;
  SpikeSorter<Real> sorter_;
};

SNNFP_ISA_END
