#pragma once
// Makes a sample's ForwardProgram: which arrivals matter, which spike each acts on, and with which
// coefficients. MATH.md E7-E10.
//
// An arrival in the refractory time after a spike only adds to the current at the release, which
// acts on the neuron's next spike; it becomes a term of that spike, like arrivals in free flight.

#include <cmath>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/spike_index.hpp"
#include "snnfp/impl/forward.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ForwardCompiler {
 public:
  ForwardCompiler(const Plan<Real>& plan, const SampleInput<Real>& input,
                  const SampleSpikes<Real>& spikes, const Columns& columns,
                  ForwardProgram<Real>& program, const Watch& watch)
      : plan_(plan),
        input_(input),
        spikes_(spikes),
        columns_(columns),
        index_(plan, spikes),
        program_(program),
        watch_(watch) {}

  void run(const unsigned char* wanted) {
    program_.n_spikes = spikes_.count;
    program_.n_neurons = plan_.n_neurons;
    program_.n_columns = columns_.count;
    program_.scratch_size = program_.scratch_values();
    program_.rows.resize(spikes_.count);
    mark_needed(wanted);
    sort_arrivals();
    count_entries();
    reaches_.assign(spikes_.count + plan_.n_neurons, 0);
    place_.assign(spikes_.count + plan_.n_neurons, -1);
    Size open = -1;  // filled, waiting for a second
    for (Size k = 0; k < spikes_.count; ++k) {
      if (k % 64 == 0) watch_.look();
      if (!program_.rows[k].needed) continue;
      const bool pair = open >= 0 && program_.rows[open].neuron != program_.rows[k].neuron;
      if (open >= 0 && !pair) write_terms(open, -1);
      fill_row(k, pair ? second_ : first_);
      if (pair) write_terms(open, k);
      open = pair ? -1 : k;
    }
    if (open >= 0) write_terms(open, -1);
  }

 private:
  static constexpr int width = ForwardProgram<Real>::width;

  // A spike on its way along one projection.
  struct Volley {
    Real sent;
    Id projection;
    Size sender;        // spike, or -1
    Size input_column;  // of an input spike, where asked for, or -1
  };
  struct Incoming {
    Size volley, synapse;
  };
  struct Range {
    Size held, free, end;  // arrivals in refractory time before the flight, then in the flight
  };

  // A spike is needed if a wanted spike depends on it: through an arrival or as its neuron's
  // previous spike. Causes come before effects, so one sweep back in time finds them all.
  void mark_needed(const unsigned char* wanted) {
    for (Size k = spikes_.count; k-- > 0;) {
      if (k % 64 == 0) watch_.look();
      const Id j = spikes_.neurons[k];
      bool needed = wanted == nullptr || wanted[k];
      const Id population = plan_.population_of.data()[j];
      const Id unit = j - plan_.population_offsets.data()[population];
      for (const Id q : plan_.from_population.data()[population]) {
        if (needed) break;
        const ProjectionPlan<Real>& p = plan_.projections.data()[q];
        for (Size m = p.row_begin(unit); m < p.row_end(unit) && !needed; ++m) {
          const Id target = p.target_of(unit, m);
          const Size place = index_.anchor(target, spikes_.times[k] + p.delay_of(m));
          // The spike ahead may be this one or come before it (an arrival in refractory time), and
          // is then not marked yet; the one after it is.
          for (Size a = place; a < index_.end(target) && a < place + 2; ++a)
            needed |= program_.rows[index_.spike(a)].needed;
        }
      }
      if (!needed && index_.place(k) + 1 < index_.end(j))
        needed = program_.rows[index_.spike(index_.place(k) + 1)].needed;
      program_.rows[k].neuron = j;
      program_.rows[k].needed = needed;
    }
  }

  // Calls visit(spike, held, arrival) for every arrival that a needed spike depends on, volley by
  // volley. Along one projection a target's arrivals come nearly in
  // order: the place of the last one is where the search for the next starts.
  template <class Visit>
  void each_arrival(Visit visit) const {
    Vector<Size> last(plan_.n_neurons);
    for (Id j = 0; j < plan_.n_neurons; ++j) last[j] = index_.first(j);
    Size volley = 0;
    const auto fan_out = [&](Id q, Id unit, Real sent) {
      if (volley % 64 == 0) watch_.look();
      const ProjectionPlan<Real>& p = plan_.projections.data()[q];
      const Size end = p.row_end(unit);
      for (Size m = p.row_begin(unit); m < end; ++m) {
        const Id j = p.target_of(unit, m);
        const Real time = sent + p.delay_of(m);
        Size place = last[j];
        while (place > index_.first(j) && !(index_.last_held(place - 1) < time)) --place;
        while (place < index_.end(j) && index_.last_held(place) < time) ++place;
        last[j] = place;
        if (place == index_.end(j)) continue;
        Size k = index_.spike(place);
        const bool held = !(time < spikes_.times[k]);
        if (held) {
          if (place + 1 == index_.end(j)) continue;
          k = index_.spike(place + 1);
        }
        if (program_.rows[k].needed) visit(k, held, Incoming{volley, m});
      }
      ++volley;
    };
    each_volley([&](Id q, Id unit, Real sent, Size, Size) { fan_out(q, unit, sent); });
  }

  // Calls visit(projection, source unit, time, spike or -1, input column or -1), inputs first.
  template <class Visit>
  void each_volley(Visit visit) const {
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g) {
      const InputSpikes<Real>& in = input_.groups[g];
      const Size column = columns_.input_time[g] < 0 ? -1 : columns_.input_time[g] + in.first;
      for (const Id q : plan_.from_input.data()[g])
        for (Size k = 0; k < in.count; ++k)
          visit(q, in.units[k], in.times[k], Size(-1), column < 0 ? Size(-1) : column + k);
    }
    for (Size k = 0; k < spikes_.count; ++k) {
      const Id j = spikes_.neurons[k];
      const Id population = plan_.population_of.data()[j];
      for (const Id q : plan_.from_population.data()[population])
        visit(q, j - plan_.population_offsets.data()[population], spikes_.times[k], k, Size(-1));
    }
  }

  void sort_arrivals() {
    each_volley([&](Id q, Id, Real sent, Size sender, Size input_column) {
      volleys_.push_back({sent, q, sender, input_column});
    });
    ranges_.assign(spikes_.count, {0, 0, 0});
    each_arrival([&](Size k, bool held, const Incoming& a) {
      ++(held ? ranges_[k].free : ranges_[k].end);
      n_sent_ += volleys_[a.volley].sender >= 0;
    });
    Size total = 0;
    for (Range& r : ranges_) {
      r.held = total;
      r.free = total += r.free;
      r.end = total += r.end;
    }
    Vector<Size> held_next(spikes_.count), free_next(spikes_.count);
    for (Size k = 0; k < spikes_.count; ++k) {
      held_next[k] = ranges_[k].held;
      free_next[k] = ranges_[k].free;
    }
    arrivals_.reset(new Incoming[total]);
    each_arrival([&](Size k, bool held, const Incoming& arrival) {
      arrivals_[held ? held_next[k]++ : free_next[k]++] = arrival;
    });
  }

  Size column(Id j, NeuronParameter p) const {
    const Id population = plan_.population_of.data()[j];
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return -1;
    return columns_.neuron[at] +
           (columns_.neuron_shared[at] ? 0 : j - plan_.population_offsets.data()[population]);
  }
  // The wanted parameters of the neuron that its spike k depends on by itself.
  template <class Visit>
  void own_columns(Size k, Visit visit) const {
    const Id j = spikes_.neurons[k];
    const bool first = index_.place(k) == index_.first(j);
    for (int i = 0; i < n_neuron_parameters; ++i) {
      const NeuronParameter p = NeuronParameter(i);
      const bool of_reset = p == NeuronParameter::t_refractory || p == NeuronParameter::v_reset;
      const Size c = column(j, p);
      if (c >= 0 && !(first && of_reset)) visit(c, p);
    }
  }

  // The columns that move an arrival: its input spike's time, its delay.
  template <class Own, class Shared>
  void time_columns(const Incoming& a, Own own, Shared shared) const {
    const Volley& v = volleys_[a.volley];
    if (v.input_column >= 0) own(v.input_column);
    if (columns_.delay[v.projection] < 0) return;
    if (plan_.projections.data()[v.projection].shared_delay) {
      shared(v.projection);
    } else {
      own(columns_.delay[v.projection] + a.synapse);
    }
  }

  // Lays the entries out by block of columns.
  void count_entries() {
    const auto asked = [](const Size* columns, std::size_t n) {
      return std::any_of(columns, columns + n, [](Size c) { return c >= 0; });
    };
    moves_arrivals_ = asked(columns_.delay, plan_.projections.size()) ||
                      asked(columns_.input_time, plan_.from_input.size());
    delay_sums_.assign(plan_.projections.size(), {-1, Real(0), Real(0)});
    Vector<Size>& begin = program_.block_begin;
    begin.assign((columns_.count + width - 1) / width + 1, 0);
    Size* const next = begin.data() + 1;
    const auto count = [next](Size c) { ++next[static_cast<std::size_t>(c) / width]; };
    for (Size k = 0; k < spikes_.count; ++k) {
      if (!program_.rows[k].needed) continue;
      own_columns(k, [&](Size c, NeuronParameter) { count(c); });
      for (Size q = ranges_[k].held; q < ranges_[k].end; ++q) {
        const Incoming& a = arrivals_[q];
        const Size first = columns_.weight[volleys_.data()[a.volley].projection];
        if (first >= 0) count(first + a.synapse);
        if (!moves_arrivals_) continue;
        time_columns(a, count, [&](Id projection) {
          if (delay_sums_[projection].spike == k) return;
          delay_sums_[projection].spike = k;
          count(columns_.delay[projection]);
        });
      }
    }
    for (std::size_t b = 1; b < begin.size(); ++b) begin[b] += begin[b - 1];
    // Not cleared, and in one piece, which allocators are more ready to keep for the next sample.
    program_.memory.reset(new Term<Real>[begin.back() + n_sent_ + 2 * spikes_.count]);
    program_.entries = program_.memory.get();
    program_.terms = program_.entries + begin.back();
    next_entry_.assign(begin.begin(), begin.end() - 1);
    for (DelaySum& d : delay_sums_) d.spike = -1;
  }

  void add_entry(Size k, Size c, Real t, Real s) {
    const auto at = static_cast<std::size_t>(c);
    program_.entries[next_entry_.data()[at / width]++] = {k * width + Size(at % width), t, s};
    reaches_.data()[k] = 1;
  }

  // Coefficients of the arrivals of one spike, all of one neuron: a pack of them at a time. Lanes
  // past the end, and those of the other kind, compute what nobody reads.
  void weigh_arrivals(const Neuron<Real>& n, Size k, Real from_current) {
    using P = Pack<Real>;
    const Range r = ranges_[k];
    const Size count = r.end - r.held, n_held = r.free - r.held;
    if (Size(time_.size()) < count) {
      for (Vector<Real>* v : {&time_, &weight_, &t_, &s_, &t_weight_, &s_weight_})
        v->resize(2 * padded<Real>(count));
      for (Vector<Size>* v : {&sender_, &weight_column_}) v->resize(2 * padded<Real>(count));
    }
    for (Size q = 0; q < count; ++q) {
      const Incoming& a = arrivals_[r.held + q];
      const Volley& v = volleys_.data()[a.volley];
      const ProjectionPlan<Real>& p = plan_.projections.data()[v.projection];
      const Size first = columns_.weight[v.projection];
      time_.data()[q] = v.sent + p.delay_of(a.synapse);
      weight_.data()[q] = p.weight[a.synapse];
      sender_.data()[q] = v.sender;
      weight_column_.data()[q] = first < 0 ? -1 : first + a.synapse;
    }
    const Size place = index_.place(k);
    const P release(index_.release(place)), spike(spikes_.times[k]), zero(Real(0));
    const P alpha(n.alpha), beta(n.beta), difference(n.difference),
        inv_difference(n.inv_difference), scale(n.inv_c / spikes_.slopes[k]);
    for (Size q = n_held / P::width * P::width; q < count; q += P::width) {
      const P d = larger(spike - P::load(&time_[q]), zero);
      const Decay<P> e = decay(d, alpha, beta, difference, inv_difference);
      (-e.kappa * scale).store(&t_weight_[q]);
      (P::load(&weight_[q]) * scale * (e.mem - alpha * e.kappa)).store(&t_[q]);
    }
    if (n_held > 0) {
      const Real before = index_.release(place - 1);
      for (Size q = 0; q < n_held; ++q) {
        t_weight_[q] = from_current * exp_of(-n.alpha * (before - time_[q]));
        t_[q] = n.alpha * weight_[q] * t_weight_[q];
      }
    }
    for (Size q = 0; q < count; q += P::width) {
      const P left = exp_of(-alpha * larger(release - P::load(&time_[q]), zero));
      left.store(&s_weight_[q]);
      (alpha * P::load(&weight_[q]) * left).store(&s_[q]);
    }
  }

  void fill_row(Size k, Vector<Term<Real>>& terms) {
    const Id j = program_.rows[k].neuron;
    const Neuron<Real> n(plan_.neurons, j);
    const Size place = index_.place(k);
    const Size before = place > index_.first(j) ? index_.spike(place - 1) : -1;
    const Flight<Real> from = flight_before(index_, input_, spikes_, n, j, place);
    const Real d = spikes_.times[k] - from.start;
    const Real inv_slope = Real(1) / spikes_.slopes[k];
    const Decay<Real> e = decay(d, n);
    // By the previous spike's time, and by the current at its release: what remains of it at this
    // release too.
    const Real from_before =
        before >= 0 ? e.mem * release_slope(n, from.i) * inv_slope : Real(0);
    const Real from_current = -e.kappa * n.inv_c * inv_slope;
    const Real carry = exp_of(-n.alpha * (index_.release(place) - from.start));

    weigh_arrivals(n, k, from_current);
    terms.clear();
    const auto add_term = [&](Size from_row, Real t, Real s) {
      if (reaches_.data()[from_row]) terms.push_back({from_row, t, s});
    };
    if (before >= 0) {
      add_term(before, from_before, Real(0));
      add_term(spikes_.count + j, from_current, carry);
    }
    const Range r = ranges_[k];
    const Size count = r.end - r.held;
    // What has no weight moves nothing, but might be given some.
    for (Size q = 0; q < count; ++q)
      if (sender_.data()[q] >= 0 && weight_.data()[q] != Real(0))
        add_term(sender_.data()[q], t_.data()[q], s_.data()[q]);
    for (Size q = 0; q < count; ++q)
      if (weight_column_.data()[q] >= 0)
        add_entry(k, weight_column_.data()[q], t_weight_.data()[q], s_weight_.data()[q]);
    if (moves_arrivals_)
      for (Size q = 0; q < count; ++q)
        time_columns(arrivals_[r.held + q], [&](Size c) { add_entry(k, c, t_[q], s_[q]); },
                     [&](Id projection) { add_shared_delay(k, projection, t_[q], s_[q]); });
    for (const Id q : shared_delays_) {
      add_entry(k, columns_.delay[q], delay_sums_[q].t, delay_sums_[q].s);
      delay_sums_[q] = {-1, Real(0), Real(0)};
    }
    shared_delays_.clear();
    own_columns(k, [&](Size c, NeuronParameter p) {
      Real t = Real(0), s = Real(0);
      switch (p) {
        case NeuronParameter::threshold: t = inv_slope; break;
        case NeuronParameter::t_refractory: t = from_before; break;
        case NeuronParameter::v_reset: t = -e.mem * inv_slope; break;
        case NeuronParameter::bias:
          t = -n.inv_c * step_response(d, n.beta) * inv_slope;
          break;
        case NeuronParameter::capacitance:
          t = n.inv_c * (n.threshold - e.mem * from.v) * inv_slope;
          break;
        case NeuronParameter::tau_mem: t = by_tau_mem(n, from, d, e, k) * inv_slope; break;
        case NeuronParameter::tau_syn: by_tau_syn(n, from, d, k, from_current, carry, t, s);
      }
      add_entry(k, c, t, s);
    });
    if (!terms.empty()) reaches_[k] = 1;
    reaches_[spikes_.count + j] = reaches_[k];
  }

  // Writes the terms of one spike, or of two with those of the same rows together.
  void write_terms(Size k, Size k_second) {
    Term<Real>* out = program_.terms + n_terms_;
    SpikeRow& row = program_.rows[k];
    row.both = n_terms_;
    if (k_second >= 0) {
      for (std::size_t i = 0; i < first_.size(); ++i) place_[first_[i].at] = Size(i);
      Size rest = 0;
      for (const Term<Real>& term : second_) {
        Size& place = place_[term.at];
        if (place < 0) {
          second_[rest++] = term;
        } else {
          *out++ = first_[place];
          *out++ = term;
          first_[place].at = -1;
          place = -1;
        }
      }
      second_.resize(rest);
    }
    row.begin = out - program_.terms;
    for (const Term<Real>& term : first_)
      if (term.at >= 0) {
        *out++ = term;
        place_[term.at] = -1;
      }
    row.end = out - program_.terms;
    if (k_second >= 0) {
      SpikeRow& second = program_.rows[k_second];
      second.second = true;
      second.both = second.begin = row.end;
      out = std::copy(second_.begin(), second_.end(), out);
      second.end = out - program_.terms;
    }
    n_terms_ = out - program_.terms;
  }

  void add_shared_delay(Size k, Id projection, Real t, Real s) {
    DelaySum& sum = delay_sums_[projection];
    if (sum.spike != k) {
      sum.spike = k;
      shared_delays_.push_back(projection);
    }
    sum.t += t;
    sum.s += s;
  }

  Real by_tau_mem(const Neuron<Real>& n, const Flight<Real>& from, Real d, const Decay<Real>& e,
                  Size k) const {
    Real sum = -d * e.mem * from.v + n.drive * step_response_by_beta(d, n) +
               n.inv_c * from.i * kappa_by_beta(d, n);
    const Range r = ranges_[k];
    for (Size q = r.free; q < r.end; ++q)
      sum += weight_[q - r.held] * n.inv_c *
             kappa_by_beta(spikes_.times[k] - time_[q - r.held], n);
    return n.beta * n.beta * sum;
  }

  void by_tau_syn(const Neuron<Real>& n, const Flight<Real>& from, Real d, Size k,
                  Real from_current, Real carry, Real& t, Real& s) const {
    const Range r = ranges_[k];
    const Size place = index_.place(k);
    const Real release = index_.release(place);
    Real sum_t = from.i * kappa_by_alpha(d, n);
    Real sum_s = from.i * (release - from.start) * carry;
    Real held = Real(0);
    for (Size i = 0; i < r.free - r.held; ++i) {
      const Real rest = from.start - time_[i];
      held += weight_[i] * rest * exp_of(-n.alpha * rest);
    }
    for (Size i = r.free - r.held; i < r.end - r.held; ++i) {
      sum_t += weight_[i] * kappa_by_alpha(spikes_.times[k] - time_[i], n);
      sum_s += weight_[i] * (release - time_[i]) * s_weight_[i];
    }
    const Real square = n.alpha * n.alpha;
    t = square * (n.inv_c * sum_t / spikes_.slopes[k] + from_current * held);
    s = square * (sum_s + carry * held);
  }

  struct DelaySum {
    Size spike;
    Real t, s;
  };

  const Plan<Real>& plan_;
  const SampleInput<Real>& input_;
  const SampleSpikes<Real>& spikes_;
  const Columns& columns_;
  const SpikeIndex<Real> index_;
  ForwardProgram<Real>& program_;
  Vector<Volley> volleys_;
  std::unique_ptr<Incoming[]> arrivals_;  // by spike, held ones first
  Size n_sent_ = 0;   // arrivals whose sender is a spike
  Size n_terms_ = 0;
  Vector<Range> ranges_;
  Vector<Size> next_entry_;
  Vector<unsigned char> reaches_;  // rows that some column is upstream of
  Vector<Term<Real>> first_, second_;  // of the spikes that come next
  Vector<Size> place_;                 // of a row among the terms of the first, or -1
  Vector<DelaySum> delay_sums_;    // a projection with one delay for all
  Vector<Id> shared_delays_;
  bool moves_arrivals_ = false;  // some column moves arrivals: a delay, an input time
  // Of one spike's arrivals.
  Vector<Real> time_, weight_, t_, s_, t_weight_, s_weight_;
  Vector<Size> sender_, weight_column_;
  const Watch& watch_;
};

SNNFP_ISA_END
