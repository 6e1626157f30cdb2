#pragma once
// Forward propagation: the derivatives of a sample's spikes as a sparse lower-triangular system,
// solved forward in time for blocks of columns (parameters). MATH.md E9-E11.

#include <cstring>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/spike_index.hpp"

SNNFP_ISA_BEGIN

// One arrival as the spike it acts on sees it: how the sender's row, and the explicit columns of
// the synapse, enter that spike's row (t) and the current at its release (s).
template <class Real>
struct Term {
  Size sender;         // spike, or -1 for an input
  Size weight_column;  // -1: not asked for
  Size delay_column, input_column;
  Real t, s;                // by arrival time
  Real t_weight, s_weight;  // by weight
};

template <class Real>
struct SpikeRow {
  bool needed = false;
  bool carries = false;  // a later needed spike of the neuron needs the current at release
  Id neuron;
  Size before;  // the neuron's previous spike, or -1
  Real inv_slope;
  Real from_before;   // e^(-beta d) V'(r+): by the previous spike's time and by t_refractory
  Real from_reset;    // e^(-beta d)
  Real from_current;  // kappa(d)/C: by the current at the previous release
  Real carry;         // e^(-alpha (r' - r)): what is left of that current at this release
  Real by_bias, by_capacitance, by_tau_mem, by_tau_syn, current_by_tau_syn;
  Size free_begin, held_begin, end;  // terms: arrivals in free flight, then in refractory time
};

template <class Real>
class ForwardProgram final : public Program {
 public:
  ForwardProgram(const Plan<Real>& plan, const SampleInput<Real>& input,
                 const SampleSpikes<Real>& spikes, const Columns& columns,
                 const unsigned char* wanted)
      : plan_(plan), columns_(columns), index_(plan, spikes), rows_(spikes.count) {
    mark_needed(spikes, wanted);
    for (Size k = 0; k < spikes.count; ++k)
      if (rows_[k].needed) fill_row(input, spikes, k);
    count_terms(input, spikes);
    fill_terms(input, spikes);
  }

  // Columns [begin, begin + width), width <= Width. `visit(k, row)` sees each needed spike's row in
  // time order; row is null where the derivative is zero for every column of the block.
  template <int Width, class Visit>
  void solve(Size begin, Visit visit) const {
    const Size n = static_cast<Size>(rows_.size());
    Vector<Real> t(static_cast<std::size_t>(n) * Width);
    Vector<Real> s(static_cast<std::size_t>(plan_.n_neurons) * Width);
    Vector<unsigned char> t_active(rows_.size(), 0), s_active(plan_.n_neurons, 0);
    for (Size k = 0; k < n; ++k) {
      const SpikeRow<Real>& row = rows_[k];
      if (!row.needed) continue;
      Real* row_t = &t[k * Width];
      Real* row_s = &s[Size(row.neuron) * Width];
      Real sum_t[Width] = {}, sum_s[Width] = {};
      bool active_t = false, active_s = false;
      if (row.before >= 0) {
        // Only now is every sender into the refractory time after the previous spike known.
        if (held_arrivals<Width>(rows_[row.before], begin, t, t_active, row_s,
                                 s_active[row.neuron]))
          s_active[row.neuron] = 1;
        if (t_active[row.before]) {
          active_t = true;
          const Real* previous = &t[row.before * Width];
          for (int c = 0; c < Width; ++c) sum_t[c] = row.from_before * previous[c];
        }
        if (s_active[row.neuron]) {
          active_t = active_s = true;
          for (int c = 0; c < Width; ++c) {
            sum_t[c] = fma(-row.from_current, row_s[c], sum_t[c]);
            sum_s[c] = row.carry * row_s[c];
          }
        }
      }
      active_t |= own_columns<Width>(row, begin, sum_t, sum_s, active_s);
      for (Size q = row.free_begin; q < row.held_begin; ++q) {
        const Term<Real>& term = terms_[q];
        if (term.sender >= 0 && t_active[term.sender]) {
          active_t = active_s = true;
          const Real* sender = &t[term.sender * Width];
          const Real a = term.t, b = term.s;
          for (int c = 0; c < Width; ++c) {
            sum_t[c] = fma(a, sender[c], sum_t[c]);
            sum_s[c] = fma(b, sender[c], sum_s[c]);
          }
        }
        if (explicit_columns<Width>(term, begin, sum_t, sum_s)) active_t = active_s = true;
      }
      if (active_t)
        for (int c = 0; c < Width; ++c) row_t[c] = sum_t[c] * row.inv_slope;
      t_active[k] = active_t;
      if (row.carries) {
        for (int c = 0; c < Width; ++c) row_s[c] = sum_s[c];
        s_active[row.neuron] = active_s;
      }
      visit(k, active_t ? row_t : nullptr);
    }
  }

  // The derivative of every needed spike along one direction.
  void along(const Real* tangent, Real* out) const {
    const auto at = [&](Size column) { return column < 0 ? Real(0) : tangent[column]; };
    Vector<Real> s(plan_.n_neurons, Real(0));
    for (Size k = 0; k < static_cast<Size>(rows_.size()); ++k) {
      const SpikeRow<Real>& row = rows_[k];
      if (!row.needed) continue;
      const Id j = row.neuron;
      const auto arrival = [&](const Term<Real>& term) {
        return (term.sender >= 0 ? out[term.sender] : at(term.input_column)) + at(term.delay_column);
      };
      if (row.before >= 0)
        for (Size q = rows_[row.before].held_begin; q < rows_[row.before].end; ++q)
          s[j] += terms_[q].s * arrival(terms_[q]) +
                  terms_[q].s_weight * at(terms_[q].weight_column);
      Real sum_t = at(column(j, NeuronParameter::threshold)) -
                   row.by_bias * at(column(j, NeuronParameter::bias)) -
                   row.by_capacitance * at(column(j, NeuronParameter::capacitance)) -
                   row.by_tau_mem * at(column(j, NeuronParameter::tau_mem)) -
                   row.by_tau_syn * at(column(j, NeuronParameter::tau_syn));
      Real sum_s = row.carry * s[j] + row.current_by_tau_syn * at(column(j, NeuronParameter::tau_syn));
      if (row.before >= 0) {
        sum_t += row.from_before *
                     (out[row.before] + at(column(j, NeuronParameter::t_refractory))) -
                 row.from_reset * at(column(j, NeuronParameter::v_reset)) -
                 row.from_current * s[j];
      }
      for (Size q = row.free_begin; q < row.held_begin; ++q) {
        const Term<Real>& term = terms_[q];
        const Real moved = arrival(term), weight = at(term.weight_column);
        sum_t += term.t * moved + term.t_weight * weight;
        sum_s += term.s * moved + term.s_weight * weight;
      }
      out[k] = sum_t * row.inv_slope;
      s[j] = sum_s;
    }
  }

 private:
  Size column(Id j, NeuronParameter p) const {
    const Id population = plan_.population_of.data()[j];
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return -1;
    return columns_.neuron[at] +
           (columns_.neuron_shared[at] ? 0 : j - plan_.population_offsets.data()[population]);
  }

  // Adds the arrivals in refractory time to the current at release; true if any is not zero.
  template <int Width>
  bool held_arrivals(const SpikeRow<Real>& row, Size begin, const Vector<Real>& t,
                     const Vector<unsigned char>& t_active, Real* sum_s, bool active) const {
    if (!active && row.held_begin < row.end) std::fill_n(sum_s, Width, Real(0));
    bool any = false;
    for (Size q = row.held_begin; q < row.end; ++q) {
      const Term<Real>& term = terms_[q];
      if (term.sender >= 0 && t_active[term.sender]) {
        any = true;
        const Real* sender = &t[term.sender * Width];
        for (int c = 0; c < Width; ++c) sum_s[c] = fma(term.s, sender[c], sum_s[c]);
      }
      Real unused[Width] = {};
      any |= explicit_columns<Width>(term, begin, unused, sum_s);
    }
    return any;
  }

  template <int Width>
  bool own_columns(const SpikeRow<Real>& row, Size begin, Real* sum_t, Real* sum_s,
                   bool& active_s) const {
    bool any = false;
    const auto put = [&](NeuronParameter p, Real value_t, Real value_s) {
      const Size c = column(row.neuron, p) - begin;
      if (c < 0 || c >= Width || column(row.neuron, p) < 0) return;
      sum_t[c] += value_t;
      any = true;
      if (value_s != Real(0)) {
        sum_s[c] += value_s;
        active_s = true;
      }
    };
    put(NeuronParameter::threshold, Real(1), Real(0));
    put(NeuronParameter::bias, -row.by_bias, Real(0));
    put(NeuronParameter::capacitance, -row.by_capacitance, Real(0));
    put(NeuronParameter::tau_mem, -row.by_tau_mem, Real(0));
    put(NeuronParameter::tau_syn, -row.by_tau_syn, row.current_by_tau_syn);
    if (row.before >= 0) {
      put(NeuronParameter::t_refractory, row.from_before, Real(0));
      put(NeuronParameter::v_reset, -row.from_reset, Real(0));
    }
    return any;
  }

  template <int Width>
  static bool explicit_columns(const Term<Real>& term, Size begin, Real* sum_t, Real* sum_s) {
    bool any = false;
    const auto put = [&](Size column, Real value_t, Real value_s) {
      const Size c = column - begin;
      if (column < 0 || c < 0 || c >= Width) return;
      sum_t[c] += value_t;
      sum_s[c] += value_s;
      any = true;
    };
    put(term.weight_column, term.t_weight, term.s_weight);
    put(term.delay_column, term.t, term.s);
    put(term.input_column, term.t, term.s);
    return any;
  }

  // Calls visit(sender spike or -1, input column, projection, synapse, target, arrival time) for
  // every arrival, inputs first, in time order of the senders.
  template <class Visit>
  void each_arrival(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
                    Visit visit) const {
    const auto fan_out = [&](const ProjectionPlan<Real>& p, Id unit, Real time, Size sender,
                             Size input_column) {
      for (Size m = p.row_begin(unit); m < p.row_end(unit); ++m)
        visit(sender, input_column, p, m, p.target_of(unit, m), time + p.delay_of(m));
    };
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g) {
      const InputSpikes<Real>& in = input.groups[g];
      const Size first = columns_.input_time[g] < 0 ? -1 : columns_.input_time[g] + in.first;
      for (Size k = 0; k < in.count; ++k)
        for (const Id p : plan_.from_input.data()[g])
          fan_out(plan_.projections.data()[p], in.units[k], in.times[k], -1,
                  first < 0 ? -1 : first + k);
    }
    for (Size k = 0; k < spikes.count; ++k) {
      const Id j = spikes.neurons[k];
      const Id population = plan_.population_of.data()[j];
      for (const Id p : plan_.from_population.data()[population])
        fan_out(plan_.projections.data()[p], j - plan_.population_offsets.data()[population],
                spikes.times[k], k, -1);
    }
  }

  // A spike is needed if a wanted spike depends on it: through an arrival or as its neuron's
  // previous spike. Causes come before effects, so one sweep back in time finds them all.
  void mark_needed(const SampleSpikes<Real>& spikes, const unsigned char* wanted) {
    for (Size k = spikes.count; k-- > 0;) {
      const Id j = spikes.neurons[k];
      bool needed = wanted == nullptr || wanted[k];
      const Id population = plan_.population_of.data()[j];
      const Id unit = j - plan_.population_offsets.data()[population];
      for (const Id q : plan_.from_population.data()[population]) {
        if (needed) break;
        const ProjectionPlan<Real>& p = plan_.projections.data()[q];
        for (Size m = p.row_begin(unit); m < p.row_end(unit) && !needed; ++m) {
          const Id target = p.target_of(unit, m);
          const Size place = index_.anchor(target, spikes.times[k] + p.delay_of(m));
          // The spike ahead may be this one or come before it (an arrival in refractory time), and
          // is then not marked yet; the one after it is.
          for (Size a = place; a < index_.end(target) && a < place + 2; ++a)
            needed |= rows_[index_.spike(a)].needed;
        }
      }
      if (!needed && index_.place(k) + 1 < index_.end(j))
        needed = rows_[index_.spike(index_.place(k) + 1)].needed;
      rows_[k].needed = needed;
    }
  }

  void fill_row(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes, Size k) {
    SpikeRow<Real>& row = rows_[k];
    const Id j = spikes.neurons[k];
    const Neuron<Real> n(plan_.neurons, j);
    const Size place = index_.place(k);
    const Flight<Real> from = flight_before(index_, input, spikes, n, j, place);
    const Real d = spikes.times[k] - from.start;
    const Real d_release = index_.release(place) - from.start;
    const Decay<Real> e = decay(d, n);
    row.neuron = j;
    row.before = place > index_.first(j) ? index_.spike(place - 1) : -1;
    row.carries = place + 1 < index_.end(j) && rows_[index_.spike(place + 1)].needed;
    row.inv_slope = Real(1) / spikes.slopes[k];
    row.from_reset = e.mem;
    row.from_before = row.before >= 0 ? e.mem * release_slope(n, from.i) : Real(0);
    row.from_current = e.kappa * n.inv_c;
    row.carry = exp_of(-n.alpha * d_release);
    row.by_bias = n.inv_c * step_response(d, n.beta);
    row.by_capacitance = -n.inv_c * (n.threshold - e.mem * from.v);
    row.by_tau_mem = row.by_tau_syn = row.current_by_tau_syn = Real(0);
    if (column(j, NeuronParameter::tau_mem) >= 0)
      row.by_tau_mem = -n.beta * n.beta *
                       (-d * e.mem * from.v + n.drive * step_response_by_beta(d, n) +
                        n.inv_c * from.i * kappa_by_beta(d, n));
    if (column(j, NeuronParameter::tau_syn) >= 0) {
      row.by_tau_syn = -n.alpha * n.alpha * n.inv_c * from.i * kappa_by_alpha(d, n);
      row.current_by_tau_syn = n.alpha * n.alpha * from.i * d_release * row.carry;
    }
  }

  // The needed spike that an arrival acts on, or -1. An arrival before one that is not needed
  // cannot matter: the earlier spikes of a neuron with a needed one are all needed.
  Size spike_ahead(Id j, Real time) const {
    const Size place = index_.anchor(j, time);
    if (place == index_.end(j)) return -1;
    const Size k = index_.spike(place);
    return rows_[k].needed ? k : -1;
  }

  void count_terms(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes) {
    Vector<Size> free_count(spikes.count, 0), held_count(spikes.count, 0);
    each_arrival(input, spikes,
                 [&](Size, Size, const ProjectionPlan<Real>&, Size, Id j, Real time) {
                   const Size k = spike_ahead(j, time);
                   if (k < 0) return;
                   if (time < spikes.times[k]) {
                     ++free_count[k];
                   } else if (rows_[k].carries) {
                     ++held_count[k];
                   }
                 });
    Size total = 0;
    for (Size k = 0; k < spikes.count; ++k) {
      rows_[k].free_begin = total;
      rows_[k].held_begin = total += free_count[k];
      rows_[k].end = total += held_count[k];
    }
    terms_.resize(static_cast<std::size_t>(total));
  }

  void fill_terms(const SampleInput<Real>& input, const SampleSpikes<Real>& spikes) {
    Vector<Size> free_next(spikes.count), held_next(spikes.count);
    for (Size k = 0; k < spikes.count; ++k) {
      free_next[k] = rows_[k].free_begin;
      held_next[k] = rows_[k].held_begin;
    }
    each_arrival(input, spikes, [&](Size sender, Size input_column, const ProjectionPlan<Real>& p,
                                    Size m, Id j, Real time) {
      const Size k = spike_ahead(j, time);
      if (k < 0) return;
      SpikeRow<Real>& row = rows_[k];
      const bool free = time < spikes.times[k];
      if (!free && !row.carries) return;
      const Neuron<Real> n(plan_.neurons, j);
      const Real w = p.weight[m];
      const Real d_release = index_.release(index_.place(k)) - time;
      Term<Real>& term = terms_[free ? free_next[k]++ : held_next[k]++];
      term.sender = sender;
      term.input_column = input_column;
      term.weight_column = columns_.weight[p.index] < 0 ? -1 : columns_.weight[p.index] + m;
      term.delay_column = columns_.delay[p.index] < 0
                              ? -1
                              : columns_.delay[p.index] + (p.shared_delay ? 0 : m);
      term.s_weight = exp_of(-n.alpha * d_release);
      term.s = n.alpha * w * term.s_weight;
      term.t = term.t_weight = Real(0);
      row.current_by_tau_syn += n.alpha * n.alpha * w * d_release * term.s_weight;
      if (!free) return;
      const Real d = spikes.times[k] - time;
      const Decay<Real> e = decay(d, n);
      term.t = w * n.inv_c * (e.mem - n.alpha * e.kappa);
      term.t_weight = -e.kappa * n.inv_c;
      if (column(j, NeuronParameter::tau_mem) >= 0)
        row.by_tau_mem += -n.beta * n.beta * w * n.inv_c * kappa_by_beta(d, n);
      if (column(j, NeuronParameter::tau_syn) >= 0)
        row.by_tau_syn += -n.alpha * n.alpha * w * n.inv_c * kappa_by_alpha(d, n);
    });
  }

  const Plan<Real>& plan_;
  const Columns columns_;
  const SpikeIndex<Real> index_;
  Vector<SpikeRow<Real>> rows_;
  Vector<Term<Real>> terms_;
};

SNNFP_ISA_END
