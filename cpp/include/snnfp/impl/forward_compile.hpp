#pragma once
// The coefficients of a sample's ForwardProgram, for one run of its spikes. MATH.md E7-E10. A row
// of E9 is the adjoint of its spike's time, back to the spike before, and a row of E10 that of the
// current at the release: the rules of E12-E14 give both.

#include <cmath>

#include "snnfp/impl/forward_layout.hpp"
#include "snnfp/model/derivatives.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ForwardCompiler {
 public:
  ForwardCompiler(const ForwardLayout<Real>& layout, Size part)
      : layout_(layout),
        plan_(layout.plan_),
        input_(layout.input_),
        spikes_(layout.spikes_),
        columns_(layout.columns_),
        index_(layout.index_),
        program_(layout.program_),
        sent_rows_(layout.sent_rows_),
        ranges_(layout.ranges_),
        reaches_(layout.reaches_),
        arrivals_(layout.arrivals_),
        begin_(layout.parts_[part]),
        end_(layout.parts_[part + 1]),
        next_entry_(layout.next_entry_.begin() + part * layout.n_blocks(),
                    layout.next_entry_.begin() + (part + 1) * layout.n_blocks()),
        place_(spikes_.count + plan_.n_neurons, -1),
        delay_sums_(plan_.projections.size(), {-1, -1, Real(0), Real(0)}) {}

  void run(const Watch& watch) {
    for (Size i = begin_; i < end_; ++i) {
      if (i % 32 == 0) watch.check();
      const SpikePair& pair = layout_.pairs_[i];
      fill_row(pair.first, first_);
      if (pair.second >= 0) fill_row(pair.second, second_);
      write_terms(pair);
    }
  }

 private:
  static constexpr int width = ForwardProgram<Real>::width;
  using P = Pack<Real>;
  using SentRow = typename ForwardLayout<Real>::SentRow;
  using Incoming = typename ForwardLayout<Real>::Incoming;
  using Range = typename ForwardLayout<Real>::Range;

  struct Term {
    Id from;
    Real t, s;
  };
  struct DelaySum {
    Size spike, column;
    Real t, s;
  };

  void add_entry(Size k, Size c, Real t, Real s) {
    const auto at = static_cast<std::size_t>(c);
    program_.entries[next_entry_.data()[at / width]++] = {k * width + Size(at % width), t, s};
  }

  // Coefficients of the arrivals of one spike, all of one neuron, given lV / C at the spike and lI
  // at the release before it: a pack of them at a time. Lanes past the end, and those of the other
  // kind, compute what nobody reads.
  void weigh_arrivals(Id j, Size k, Real at_spike, Real from_current) {
    const Range r = ranges_[k];
    const Size count = r.end - r.held, n_held = r.free - r.held;
    if (Size(time_.size()) < count) {
      for (Vector<Real>* v : {&time_, &weight_, &t_, &s_, &t_weight_, &s_weight_})
        v->resize(2 * padded<Real>(count));
      for (Vector<Size>* v : {&sender_, &weight_column_}) v->resize(2 * padded<Real>(count));
    }
    for (Size q = 0; q < count; ++q) {
      const Incoming& a = arrivals_[r.held + q];
      const SentRow& v = sent_rows_.data()[a.sent_row];
      const ProjectionPlan<Real>& p = plan_.projections.data()[v.projection];
      time_.data()[q] = v.sent + p.delay_of(v.unit, a.synapse);
      weight_.data()[q] = p.weight[a.synapse];
      sender_.data()[q] = v.sender;
      weight_column_.data()[q] = columns_.of_weight(v.projection, a.synapse);
    }
    const Size place = index_.place(k);
    const Neuron<P> n(plan_.neurons, j);
    const P release(index_.release(place)), spike(spikes_.times[k]), zero(Real(0));
    const auto put = [&](Size q, const MembraneAdjoint<P>& a, Vector<Real>& weight,
                         Vector<Real>& time) {
      by_weight(a).store(&weight[q]);
      (P::load(&weight_[q]) * by_time(a, n)).store(&time[q]);
    };
    for (Size q = n_held / P::width * P::width; q < count; q += P::width) {
      const P d = larger(spike - P::load(&time_[q]), zero);
      put(q, adjoint_step<P>({P(at_spike), zero}, decay(d, n)), t_weight_, t_);
    }
    if (n_held > 0) {
      const Neuron<Real> one(plan_.neurons, j);
      const Real before = index_.release(place - 1);
      for (Size q = 0; q < n_held; ++q) {
        const Real left = left_of_current(before - time_[q], one);
        const MembraneAdjoint<Real> a = MembraneAdjoint<Real>::held(held_step(from_current, left));
        t_weight_[q] = by_weight(a);
        t_[q] = weight_[q] * by_time(a, one);
      }
    }
    for (Size q = 0; q < count; q += P::width) {
      const P left = left_of_current(larger(release - P::load(&time_[q]), zero), n);
      put(q, MembraneAdjoint<P>::held(left), s_weight_, s_);
    }
  }

  void fill_row(Size k, Vector<Term>& terms) {
    const Id j = program_.rows[k].neuron;
    const Neuron<Real> n(plan_.neurons, j);
    const Size place = index_.place(k);
    const Size before = place > index_.first(j) ? index_.spike(place - 1) : -1;
    const FlightStart<Real> from = flight_before(index_, input_, spikes_, n, j, place);
    FreeFlight<Real> flight;
    flight.start = from.state;
    flight.d = spikes_.times[k] - from.time;
    flight.e = decay(flight.d, n);
    flight.further = index_.release(place) - from.time;
    flight.left = left_of_current(flight.further, n);
    // lV just before the spike and, at the release before it, lV and lI: the derivatives by that
    // spike's time and by the current then, of which something remains at this release too.
    const Real lv = spike_adjoint(Real(1), spikes_.slopes[k]);
    const MembraneAdjoint<Real> back =
        adjoint_step<Real>({lv, Real(0)}, decay_of_adjoint(flight.e, n));
    const Real moved = release_slope(n, from.state.i), carry = flight.left;

    weigh_arrivals(j, k, adjoint_before(lv, Real(0), n).v, back.i);
    terms.clear();
    const auto add_term = [&](Size from_row, Size spike, Real t, Real s) {
      if (reaches_.data()[spike]) terms.push_back({Id(from_row), t, s});
    };
    if (before >= 0) {
      add_term(before, before, by_release(back.v, moved), Real(0));
      add_term(spikes_.count + j, before, back.i, carry);
    }
    const Range r = ranges_[k];
    const Size count = r.end - r.held;
    // What has no weight moves nothing, but might be given some.
    for (Size q = 0; q < count; ++q)
      if (sender_.data()[q] >= 0 && weight_.data()[q] != Real(0))
        add_term(sender_.data()[q], sender_.data()[q], t_.data()[q], s_.data()[q]);
    for (Size q = 0; q < count; ++q)
      if (weight_column_.data()[q] >= 0)
        add_entry(k, weight_column_.data()[q], t_weight_.data()[q], s_weight_.data()[q]);
    if (layout_.moves_arrivals_)
      for (Size q = 0; q < count; ++q)
        layout_.time_columns(
            arrivals_[r.held + q], [&](Size c) { add_entry(k, c, t_[q], s_[q]); },
            [&](Id projection, Size c) { add_shared_delay(k, projection, c, t_[q], s_[q]); });
    for (const Id q : shared_delays_) {
      add_entry(k, delay_sums_[q].column, delay_sums_[q].t, delay_sums_[q].s);
      delay_sums_[q] = {-1, -1, Real(0), Real(0)};
    }
    shared_delays_.clear();
    layout_.own_columns(k, [&](Size c, NeuronParameter p) {
      if (acts_in_flight(p)) {
        add_flight(k, c, p, n, flight, lv, back.i);
      } else {
        add_entry(k, c, acts_at_release(p) ? by_release(p, back.v, moved) : by_spike(p, lv),
                  Real(0));
      }
    });
    layout_.ties_.of_spike(k, [&](const OneSidedTerm<Real>& tie) {
      add_entry(k, tie.column, -lv * tie.by_voltage, Real(0));
    });
  }

  // Writes the terms of one spike, or of two with those of the same rows together.
  void write_terms(const SpikePair& pair) {
    SpikeRow& row = program_.rows[pair.first];
    Id* from = program_.from + pair.terms;
    Real* by = program_.by + 2 * pair.terms;
    row.both = pair.terms;
    row.by = 2 * pair.terms;
    const auto write = [&](const Term& term) {
      *by++ = term.t;
      *by++ = term.s;
    };
    if (pair.second >= 0) {
      for (std::size_t i = 0; i < first_.size(); ++i) place_[first_[i].from] = Id(i);
      Size rest = 0;
      for (const Term& term : second_) {
        Id& place = place_[term.from];
        if (place < 0) {
          second_[rest++] = term;
        } else {
          *from++ = term.from;
          write(first_[place]);
          write(term);
          first_[place].from = -1;
          place = -1;
        }
      }
      second_.resize(rest);
    }
    row.begin = from - program_.from;
    for (const Term& term : first_)
      if (term.from >= 0) {
        *from++ = term.from;
        write(term);
        place_[term.from] = -1;
      }
    row.end = from - program_.from;
    if (pair.second < 0) return;
    SpikeRow& second = program_.rows[pair.second];
    second.second = true;
    second.both = second.begin = row.end;
    second.by = by - program_.by;
    for (const Term& term : second_) {
      *from++ = term.from;
      write(term);
    }
    second.end = from - program_.from;
  }

  void add_shared_delay(Size k, Id projection, Size column, Real t, Real s) {
    DelaySum& sum = delay_sums_[projection];
    if (sum.spike != k) {
      sum.spike = k;
      sum.column = column;
      shared_delays_.push_back(projection);
    }
    sum.t += t;
    sum.s += s;
  }

  // E7 by one parameter: along the flight, and of what arrived on the way and while the neuron was
  // held before it.
  void add_flight(Size k, Size c, NeuronParameter p, const Neuron<Real>& n,
                  const FreeFlight<Real>& flight, Real lv, Real from_current) {
    FlightTerm<Real> sum = flight_term(p, flight, n);
    Real held = Real(0);
    if (is_rate(p)) {
      const Range r = ranges_[k];
      const Size place = index_.place(k);
      const Real release = index_.release(place);
      FreeFlight<Real> way{};
      for (Size q = 0; q < r.free - r.held; ++q) {
        way.further = index_.release(place - 1) - time_[q];
        way.left = left_of_current(way.further, n);
        held += arrival_term(p, weight_[q], way, n).i;
      }
      for (Size q = r.free - r.held; q < r.end - r.held; ++q) {
        way.d = spikes_.times[k] - time_[q];
        way.e = decay(way.d, n);
        way.further = release - time_[q];
        way.left = s_weight_[q];
        const FlightTerm<Real> term = arrival_term(p, weight_[q], way, n);
        sum.v += term.v;
        sum.i += term.i;
      }
    }
    const Real unit = flight_unit(p, n);
    add_entry(k, c, unit * (lv * sum.v + from_current * held), unit * (sum.i + flight.left * held));
  }

  const ForwardLayout<Real>& layout_;
  const Plan<Real>& plan_;
  const SampleInput<Real>& input_;
  const SampleSpikes<Real>& spikes_;
  const Columns& columns_;
  const SpikeIndex<Real>& index_;
  ForwardProgram<Real>& program_;
  const Vector<SentRow>& sent_rows_;
  const Vector<Range>& ranges_;
  const Vector<unsigned char>& reaches_;
  const Room<Incoming>& arrivals_;
  const Size begin_, end_;       // pairs
  Vector<Size> next_entry_;      // of each block
  Vector<Term> first_, second_;  // of a pair
  Vector<Id> place_;             // of a row among the terms of the first, or -1
  Vector<DelaySum> delay_sums_;  // of projections
  Vector<Id> shared_delays_;
  // Of one spike's arrivals.
  Vector<Real> time_, weight_, t_, s_, t_weight_, s_weight_;
  Vector<Size> sender_, weight_column_;
};

SNNFP_ISA_END
