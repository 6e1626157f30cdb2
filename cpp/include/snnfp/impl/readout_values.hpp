#pragma once
// What is read off a readout in one sample, as sums over its arrivals, with the derivatives of
// these sums in reverse and forward. MATH.md E16.

#include <algorithm>
#include <vector>

#include "snnfp/impl/readout_peak.hpp"

SNNFP_ISA_BEGIN

// Kind: VoltageResponse or IntegralResponse. Values are numbered [time, neuron].
template <class Real, class Kind>
class ReadoutSums {
 public:
  ReadoutSums(const ReadingJob<Real>& job, const SampleInput<Real>& input, Kind response)
      : job_(job),
        input_(input),
        response_(response),
        n_(job.size),
        values_(job.n_times * job.size),
        c_(job.plan.neurons) {}

  void values(Real* out) const {
    std::fill_n(out, values_, Real(0));
    each_response(
        false,
        [&](const Sent& sent, Size q, const ArrivalResponse& r) {
          add_times(r.value, weights(sent), out + q * n_, n_);
        },
        [&](const Sent& sent, Size q, Size k, Id j, const ArrivalResponse& r) {
          out[q * n_ + j] += r.value * sent.p.weight[k];
        });
    each_own(false,
             [&](Size at, Id j, const OwnResponse<Real>& own, const ArrivalResponse& current) {
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
    std::vector<Real> scaled(cotangents, cotangents + values_);
    for (Size at = 0; at < values_; ++at) scaled[at] *= per_charge(c_, job_.first + at % n_);
    std::vector<Real> by_syn(to.rates() ? n_ : 0), by_mem(by_syn);
    each_response(
        to.rates(),
        [&](const Sent& sent, Size q, const ArrivalResponse& r) {
          const Real* const c = scaled.data() + q * n_;
          if (const Size column = columns.weight[sent.p.index]; column >= 0)
            add_times(r.value, c, gradient + column + sent.row(), n_);
          const Real* const w = weights(sent);
          add_time(sent, columns, sent.row(), r.by_time * dot(w, c, n_), gradient, senders);
          if (!to.rates()) return;
          for (Size j = 0; j < n_; ++j) {
            by_syn[j] += r.by_syn * (w[j] * c[j]);
            by_mem[j] += r.by_mem * (w[j] * c[j]);
          }
        },
        [&](const Sent& sent, Size q, Size k, Id j, const ArrivalResponse& r) {
          const Real c = scaled[q * n_ + j], w = sent.p.weight[k];
          if (const Size column = columns.weight[sent.p.index]; column >= 0)
            gradient[column + k] += r.value * c;
          add_time(sent, columns, k, r.by_time * (w * c), gradient, senders);
          if (!to.rates()) return;
          by_syn[j] += r.by_syn * (w * c);
          by_mem[j] += r.by_mem * (w * c);
        });
    for (Id j = 0; to.rates() && j < n_; ++j) {
      const Neuron<Real> n(c_, job_.first + j);
      to.add(NeuronParameter::tau_syn, j, flight_unit(NeuronParameter::tau_syn, n) * by_syn[j],
             gradient);
      to.add(NeuronParameter::tau_mem, j, flight_unit(NeuronParameter::tau_mem, n) * by_mem[j],
             gradient);
    }
    std::vector<Real> value;
    if (to.wants(NeuronParameter::capacitance)) {
      value.resize(values_);
      values(value.data());
      for (Size at = 0; at < values_; ++at)
        to.add(NeuronParameter::capacitance, Id(at % n_), -(scaled[at] * value[at]), gradient);
    }
    each_own(to.wants(NeuronParameter::bias),
             [&](Size at, Id j, const OwnResponse<Real>& own, const ArrivalResponse& current) {
               for (int p = 0; p < n_neuron_parameters; ++p)
                 if (to.wants(NeuronParameter(p)))
                   to.add(NeuronParameter(p), j,
                          cotangents[at] * by_own(NeuronParameter(p), j, own, current), gradient);
             });
  }

  void forward(const Columns& columns, const Real* tangents, const Real* const* senders,
               Real* out) {
    std::fill_n(out, values_, Real(0));
    const NeuronColumns to(job_, columns);
    std::vector<Real> syn(to.rates() ? n_ : 0), mem(syn);
    for (Id j = 0; to.rates() && j < n_; ++j) {
      const Neuron<Real> n(c_, job_.first + j);
      syn[j] =
          flight_unit(NeuronParameter::tau_syn, n) * to.get(NeuronParameter::tau_syn, j, tangents);
      mem[j] =
          flight_unit(NeuronParameter::tau_mem, n) * to.get(NeuronParameter::tau_mem, j, tangents);
    }
    // The tangents of a sent spike's arrival and of a weight.
    const auto arrival = [&](const Sent& sent, Size k) {
      const Real* const of = senders[sent.group];
      const Size column = columns.delay[sent.p.index];
      return (of ? of[sent.index] : Real(0)) +
             (column < 0 ? Real(0) : tangents[column + sent.p.delay_index(sent.unit, k)]);
    };
    const auto weight = [&](const Sent& sent, Size k) {
      const Size column = columns.weight[sent.p.index];
      return column < 0 ? Real(0) : tangents[column + k];
    };
    each_response(
        to.rates(),
        [&](const Sent& sent, Size q, const ArrivalResponse& r) {
          const Real by_time = r.by_time * arrival(sent, sent.row());
          const Real* const w = weights(sent);
          for (Size j = 0; j < n_; ++j) {
            const Real rates = to.rates() ? r.by_syn * syn[j] + r.by_mem * mem[j] : Real(0);
            out[q * n_ + j] += r.value * weight(sent, sent.row() + j) + (by_time + rates) * w[j];
          }
        },
        [&](const Sent& sent, Size q, Size k, Id j, const ArrivalResponse& r) {
          const Real rates = to.rates() ? r.by_syn * syn[j] + r.by_mem * mem[j] : Real(0);
          out[q * n_ + j] +=
              r.value * weight(sent, k) + (r.by_time * arrival(sent, k) + rates) * sent.p.weight[k];
        });
    std::vector<Real> value;
    if (to.wants(NeuronParameter::capacitance)) {
      value.resize(values_);
      values(value.data());
    }
    for (Size at = 0; at < values_; ++at) {
      const Id j = Id(at % n_);
      const Real dc = to.get(NeuronParameter::capacitance, j, tangents);
      const Real scaled = value.empty() ? out[at] : out[at] - value[at] * dc;
      out[at] = per_charge(c_, job_.first + j) * scaled;
    }
    each_own(to.wants(NeuronParameter::bias),
             [&](Size at, Id j, const OwnResponse<Real>& own, const ArrivalResponse& current) {
               for (int p = 0; p < n_neuron_parameters; ++p)
                 if (to.wants(NeuronParameter(p)))
                   out[at] += to.get(NeuronParameter(p), j, tangents) *
                              by_own(NeuronParameter(p), j, own, current);
             });
  }

  // Values are V at these peaks, one a neuron, instead of at times of the job.
  void at(const std::vector<Peak<Real>>& peaks) { peaks_ = &peaks; }

 private:
  using Sent = SentSpike<Real>;
  using ArrivalResponse = Response<Real>;

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
  Real time_of(Size q, Id j) const { return peaks_ ? (*peaks_)[j].time : job_.times[q]; }

  // Calls by_row(sent, time, response) where all neurons share it, and by_synapse(sent, time,
  // synapse, neuron, response).
  template <class ByRow, class BySynapse>
  void each_response(bool rates, const ByRow& by_row, const BySynapse& by_synapse) const {
    std::vector<ArrivalResponse> of_row(static_cast<std::size_t>(job_.n_times));
    std::vector<Size> reached;  // the times after the arrival
    each_sent<Real>(job_, input_, [&](const Sent& sent) {
      const bool together = sent.p.arrives_at_once() && job_.alike && !peaks_;
      if (together) {
        const Neuron<Real> n(c_, job_.first);
        const Real time = sent.time + sent.p.row_delay(sent.unit);
        reached.clear();
        for (Size q = 0; q < job_.n_times; ++q)
          if (const Real d = job_.times[q] - time; d >= Real(0)) {
            of_row[q] = response_.of_arrival(time, d, n, rates);
            reached.push_back(q);
          }
        if (comes_in_rows(sent.p)) {
          for (const Size q : reached) by_row(sent, q, of_row[q]);
          return;
        }
        each_synapse(sent, [&](Size k, Id j, Real) {
          for (const Size q : reached) by_synapse(sent, q, k, j, of_row[q]);
        });
        return;
      }
      each_synapse(sent, [&](Size k, Id j, Real time) {
        const Neuron<Real> n(c_, job_.first + j);
        for (Size q = 0; q < job_.n_times; ++q)
          if (peaks_ ? (*peaks_)[j].has_come(time, sent.order(k)) : time <= job_.times[q]) {
            by_synapse(sent, q, k, j, response_.of_arrival(time, time_of(q, j) - time, n, rates));
          } else if (peaks_ && (*peaks_)[j].turns() && (*peaks_)[j].upto == sent.order(k)) {
            turn_at(sent, q, k, j, by_synapse);
          }
      });
    });
  }

  // A peak where V turns at an arrival goes with it. Of w / C: as what else is by time.
  template <class BySynapse>
  void turn_at(const Sent& sent, Size q, Size k, Id j, const BySynapse& by_synapse) const {
    const Real w = sent.p.weight[k] * per_charge(c_, job_.first + j);
    by_synapse(sent, q, k, j, {Real(0), (*peaks_)[j].slope / w, Real(0), Real(0)});
  }

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
    for (Size q = 0; q < job_.n_times; ++q)
      for (Id j = 0; j < n_; ++j) {
        const Neuron<Real> n(c_, job_.first + j);
        const Real span = time_of(q, j);
        use(q * n_ + j, j, response_.own(span, n), response_.of_arrival(Real(0), span, n, true));
      }
  }

  // The derivative of a value by a parameter, as far as it is by way of bias and start.
  Real by_own(NeuronParameter p, Id j, const OwnResponse<Real>& own,
              const ArrivalResponse& current) const {
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
  const Kind response_;
  const Id n_;
  const Size values_;
  const NeuronConstants<Real>& c_;
  const std::vector<Peak<Real>>* peaks_ = nullptr;
};

SNNFP_ISA_END
