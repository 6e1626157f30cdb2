#pragma once
// What is read off a readout in one sample, as sums over its arrivals, with the derivatives of
// these sums in reverse and forward. MATH.md E16.

#include <algorithm>

#include "snnfp/impl/readout_responses.hpp"

SNNFP_ISA_BEGIN

// Values are numbered [time, neuron].
template <class Real, class Kind>
class ReadoutSums {
 public:
  ReadoutSums(const ReadingJob<Real>& job, const SampleInput<Real>& input, Kind kind,
              const Vector<Peak<Real>>* peaks = nullptr)
      : job_(job),
        input_(input),
        kind_(kind),
        responses_(job, input, kind, peaks),
        n_(job.size),
        from_(job.from),
        upto_(job.upto),
        values_(job.n_times * job.size),
        c_(job.plan.neurons) {}

  void values(Real* out) {
    std::fill_n(out, values_, Real(0));
    responses_.each(
        false,
        [&](const Sent& sent, Size q, const auto& r) {
          const Real* const w = weights(sent);
          Real* const to = out + q * n_;
          for (Size j = from_; j < upto_; ++j) to[j] += r.value(j) * w[j];
        },
        [&](const Sent& sent, Size q, Size k, Id j, const Response<Real>& r) {
          out[q * n_ + j] += r.value * sent.p.weight[k];
        });
    each_own(false,
             [&](Size at, Id j, const OwnResponse<Real>& own, const Response<Real>& current) {
               const Id i = job_.first + j;
               const Real sum = out[at] + current.value * start(input_.current, j);
               out[at] = per_charge(c_, i) * sum + c_.drive.data()[i] * own.drive +
                         start(input_.voltage, j) * own.start;
             });
    if (!job_.alone)
      for (Size at = 0; at < values_; ++at) out[at] *= per_charge(c_, job_.first + at % n_);
  }

  void reverse(const Real* cotangents, const Columns& columns, Real* gradient,
               Real* const* senders) {
    if (std::all_of(cotangents, cotangents + values_, [](Real x) { return x == Real(0); })) return;
    const NeuronColumns to(job_, columns);
    // For each unit of a weight.
    Vector<Real> scaled(cotangents, cotangents + values_);
    for (Size at = 0; at < values_; ++at) scaled[at] *= per_charge(c_, job_.first + at % n_);
    Vector<Real> by_syn(to.rates() ? n_ : 0), by_mem(by_syn);
    responses_.each(
        to.rates(),
        [&](const Sent& sent, Size q, const auto& r) {
          const Real* const c = scaled.data() + q * n_;
          const Real* const w = weights(sent);
          if (const Size column = columns.weight[sent.p.index]; column >= 0) {
            Real* const by_weight = gradient + column + sent.row();
            for (Size j = from_; j < upto_; ++j) by_weight[j] += r.value(j) * c[j];
          }
          const Real total = sum_of<Real>(upto_ - from_, [&](Size k) {
            const Size j = from_ + k;
            return r.by_time(j) * (w[j] * c[j]);
          });
          add_time(sent, columns, sent.row(), total, gradient, senders);
          for (Size j = from_; to.rates() && j < upto_; ++j) {
            by_syn[j] += r.by_syn(j) * (w[j] * c[j]);
            by_mem[j] += r.by_mem(j) * (w[j] * c[j]);
          }
        },
        [&](const Sent& sent, Size q, Size k, Id j, const Response<Real>& r) {
          const Real c = scaled[q * n_ + j], w = sent.p.weight[k];
          if (const Size column = columns.weight[sent.p.index]; column >= 0)
            gradient[column + k] += r.value * c;
          add_time(sent, columns, k, r.by_time * (w * c), gradient, senders);
          if (!to.rates()) return;
          by_syn[j] += r.by_syn * (w * c);
          by_mem[j] += r.by_mem * (w * c);
        });
    for (Id j = from_; to.rates() && j < upto_; ++j) {
      const Neuron<Real> n(c_, job_.first + j);
      to.add(NeuronParameter::tau_syn, j, flight_unit(NeuronParameter::tau_syn, n) * by_syn[j],
             gradient);
      to.add(NeuronParameter::tau_mem, j, flight_unit(NeuronParameter::tau_mem, n) * by_mem[j],
             gradient);
    }
    if (to.wants(NeuronParameter::capacitance)) {
      Vector<Real> value(values_);
      values(value.data());
      for (Size at = 0; at < values_; ++at)
        to.add(NeuronParameter::capacitance, Id(at % n_), -(scaled[at] * value[at]), gradient);
    }
    each_own(to.wants(NeuronParameter::bias),
             [&](Size at, Id j, const OwnResponse<Real>& own, const Response<Real>& current) {
               for (int p = 0; p < n_neuron_parameters; ++p)
                 if (to.wants(NeuronParameter(p)))
                   to.add(NeuronParameter(p), j,
                          cotangents[at] * by_own(NeuronParameter(p), j, own, current), gradient);
             });
  }

  void forward(const Columns& columns, const Real* tangents, const Real* const* senders,
               Real* out) {
    const NeuronColumns to(job_, columns);
    Vector<Real> syn(to.rates() ? n_ : 0), mem(syn), value;
    for (Id j = 0; to.rates() && j < n_; ++j) {
      const Neuron<Real> n(c_, job_.first + j);
      syn[j] =
          flight_unit(NeuronParameter::tau_syn, n) * to.get(NeuronParameter::tau_syn, j, tangents);
      mem[j] =
          flight_unit(NeuronParameter::tau_mem, n) * to.get(NeuronParameter::tau_mem, j, tangents);
    }
    if (to.wants(NeuronParameter::capacitance)) {
      value.resize(values_);
      values(value.data());
    }
    std::fill_n(out, values_, Real(0));
    // What a synapse adds, by its weight, its arrival, and the rates.
    const auto along = [&](const Sent& sent, Size k, Size j, Real by_weight, Real by_time,
                           Real by_syn, Real by_mem) {
      const Real* const of = senders[sent.group];
      const Size weight = columns.weight[sent.p.index], delay = columns.delay[sent.p.index];
      const Real arrival =
          (of ? of[sent.index] : Real(0)) +
          (delay < 0 ? Real(0) : tangents[delay + sent.p.delay_index(sent.unit, k)]);
      const Real rates = to.rates() ? by_syn * syn[j] + by_mem * mem[j] : Real(0);
      return by_weight * (weight < 0 ? Real(0) : tangents[weight + k]) +
             (by_time * arrival + rates) * sent.p.weight[k];
    };
    responses_.each(
        to.rates(),
        [&](const Sent& sent, Size q, const auto& r) {
          for (Size j = from_; j < upto_; ++j)
            out[q * n_ + j] +=
                along(sent, sent.row() + j, j, r.value(j), r.by_time(j), r.by_syn(j), r.by_mem(j));
        },
        [&](const Sent& sent, Size q, Size k, Id j, const Response<Real>& r) {
          out[q * n_ + j] += along(sent, k, j, r.value, r.by_time, r.by_syn, r.by_mem);
        });
    for (Size at = 0; at < values_; ++at) {
      const Id j = Id(at % n_);
      const Real by_charge =
          value.empty() ? Real(0) : value[at] * to.get(NeuronParameter::capacitance, j, tangents);
      out[at] = per_charge(c_, job_.first + j) * (out[at] - by_charge);
    }
    each_own(to.wants(NeuronParameter::bias),
             [&](Size at, Id j, const OwnResponse<Real>& own, const Response<Real>& current) {
               for (int p = 0; p < n_neuron_parameters; ++p)
                 if (to.wants(NeuronParameter(p)))
                   out[at] += to.get(NeuronParameter(p), j, tangents) *
                              by_own(NeuronParameter(p), j, own, current);
             });
  }

 private:
  using Sent = SentSpike<Real>;

  // The columns of the readout's own parameters.
  struct NeuronColumns {
    NeuronColumns(const ReadingJob<Real>& job, const Columns& columns)
        : column(columns.neuron + job.readout * n_neuron_parameters),
          shared(columns.neuron_shared + job.readout * n_neuron_parameters) {}
    bool wants(NeuronParameter p) const { return column[int(p)] >= 0; }
    bool rates() const {
      return wants(NeuronParameter::tau_mem) || wants(NeuronParameter::tau_syn);
    }
    Size at(NeuronParameter p, Id j) const { return column[int(p)] + (shared[int(p)] ? 0 : j); }
    void add(NeuronParameter p, Id j, Real value, Real* gradient) const {
      if (wants(p)) gradient[at(p, j)] += value;
    }
    Real get(NeuronParameter p, Id j, const Real* tangents) const {
      return wants(p) ? tangents[at(p, j)] : Real(0);
    }
    const Size* column;
    const unsigned char* shared;
  };

  const Real* weights(const Sent& sent) const { return sent.p.weight + sent.row(); }
  Real start(const Real* state, Id j) const { return state ? state[job_.first + j] : Real(0); }

  void add_time(const Sent& sent, const Columns& columns, Size k, Real value, Real* gradient,
                Real* const* senders) const {
    if (const Size column = columns.delay[sent.p.index]; column >= 0)
      gradient[column + sent.p.delay_index(sent.unit, k)] += value;
    if (Real* const to = senders[sent.group]) to[sent.index] += value;
  }

  // Calls use(value, neuron, what bias and start give, what a current at the start gives).
  template <class Use>
  void each_own(bool by_bias, const Use& use) const {
    if (!job_.alone && !by_bias) return;
    const bool together = responses_.together();
    for (Size q = 0; q < job_.n_times; ++q) {
      OwnResponse<Real> own{};
      Response<Real> current{};
      for (Id j = from_; j < upto_; ++j) {
        if (j == from_ || !together) {
          const Neuron<Real> n(c_, job_.first + j);
          const Real span = responses_.time_of(q, j);
          own = kind_.own(span, n);
          current = kind_.of_arrival(Real(0), span, n, true);
        }
        use(q * n_ + j, j, own, current);
      }
    }
  }

  // The derivative of a value by a parameter, as far as it is by way of bias and start.
  Real by_own(NeuronParameter p, Id j, const OwnResponse<Real>& own,
              const Response<Real>& current) const {
    const Neuron<Real> n(c_, job_.first + j);
    const Real inverse = per_charge(c_, job_.first + j);
    const Real i = inverse * start(input_.current, j), v = start(input_.voltage, j);
    switch (p) {
      case NeuronParameter::tau_syn: return flight_unit(p, n) * (i * current.by_syn);
      case NeuronParameter::tau_mem:
        return flight_unit(p, n) *
               (i * current.by_mem + n.drive * own.drive_by_mem + v * own.start_by_mem);
      case NeuronParameter::bias: return inverse * own.drive;
      // V at the start is no current's: it was taken for one.
      case NeuronParameter::capacitance: return inverse * (v * own.start);
      default: return Real(0);
    }
  }

  const ReadingJob<Real>& job_;
  const SampleInput<Real>& input_;
  const Kind kind_;
  ReadoutResponses<Real, Kind> responses_;
  const Id n_, from_, upto_;
  const Size values_;
  const NeuronConstants<Real>& c_;
};

SNNFP_ISA_END
