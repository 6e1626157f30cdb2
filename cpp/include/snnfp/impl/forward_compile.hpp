#pragma once
// The coefficients of a sample's ForwardProgram, for one run of its spikes. MATH.md E7-E10.

#include <cmath>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/impl/forward_layout.hpp"

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
        volleys_(layout.volleys_),
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
      if (i % 32 == 0) watch.look();
      const SpikePair& pair = layout_.pairs_[i];
      fill_row(pair.first, first_);
      if (pair.second >= 0) fill_row(pair.second, second_);
      write_terms(pair);
    }
  }

 private:
  static constexpr int width = ForwardProgram<Real>::width;
  using Volley = typename ForwardLayout<Real>::Volley;
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
      time_.data()[q] = v.sent + p.delay_of(v.unit, a.synapse);
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

  void fill_row(Size k, Vector<Term>& terms) {
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
    const Real from_before = before >= 0 ? e.mem * release_slope(n, from.i) * inv_slope : Real(0);
    const Real from_current = -e.kappa * n.inv_c * inv_slope;
    const Real carry = exp_of(-n.alpha * (index_.release(place) - from.start));

    weigh_arrivals(n, k, from_current);
    terms.clear();
    const auto add_term = [&](Size from_row, Size spike, Real t, Real s) {
      if (reaches_.data()[spike]) terms.push_back({Id(from_row), t, s});
    };
    if (before >= 0) {
      add_term(before, before, from_before, Real(0));
      add_term(spikes_.count + j, before, from_current, carry);
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
      Real t = Real(0), s = Real(0);
      switch (p) {
        case NeuronParameter::threshold: t = inv_slope; break;
        case NeuronParameter::t_refractory: t = from_before; break;
        case NeuronParameter::v_reset: t = -e.mem * inv_slope; break;
        case NeuronParameter::bias: t = -n.inv_c * step_response(d, n.beta) * inv_slope; break;
        case NeuronParameter::capacitance:
          t = n.inv_c * (n.threshold - e.mem * from.v) * inv_slope;
          break;
        case NeuronParameter::tau_mem: t = by_tau_mem(n, from, d, e, k) * inv_slope; break;
        case NeuronParameter::tau_syn: by_tau_syn(n, from, d, k, from_current, carry, t, s);
      }
      add_entry(k, c, t, s);
    });
    layout_.ties_.of_spike(k, [&](const OneSidedTerm<Real>& tie) {
      add_entry(k, tie.column, tie.by_voltage * inv_slope, Real(0));
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

  Real by_tau_mem(const Neuron<Real>& n, const Flight<Real>& from, Real d, const Decay<Real>& e,
                  Size k) const {
    Real sum = -d * e.mem * from.v + n.drive * step_response_by_beta(d, n) +
               n.inv_c * from.i * kappa_by_beta(d, n);
    const Range r = ranges_[k];
    for (Size q = r.free; q < r.end; ++q)
      sum += weight_[q - r.held] * n.inv_c * kappa_by_beta(spikes_.times[k] - time_[q - r.held], n);
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

  const ForwardLayout<Real>& layout_;
  const Plan<Real>& plan_;
  const SampleInput<Real>& input_;
  const SampleSpikes<Real>& spikes_;
  const Columns& columns_;
  const SpikeIndex<Real>& index_;
  ForwardProgram<Real>& program_;
  const Vector<Volley>& volleys_;
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
