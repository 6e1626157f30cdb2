#pragma once
// What each arrival at a readout gives to the values that are read, spike by spike: one response
// for all neurons where they share it, one each side by side in packs, or synapse by synapse.

#include "snnfp/impl/readout_peak.hpp"

SNNFP_ISA_BEGIN

// The responses of a readout's neurons to a spike that reaches all of them.
template <class Real>
struct SharedRow {
  Response<Real> r;
  Real value(Size) const { return r.value; }
  Real by_time(Size) const { return r.by_time; }
  Real by_syn(Size) const { return r.by_syn; }
  Real by_mem(Size) const { return r.by_mem; }
};
template <class Real>
struct OwnRow {
  const Real *values, *by_times, *by_syns, *by_mems;
  Real value(Size j) const { return values[j]; }
  Real by_time(Size j) const { return by_times[j]; }
  Real by_syn(Size j) const { return by_syns[j]; }
  Real by_mem(Size j) const { return by_mems[j]; }
};

// Kind: VoltageResponse or IntegralResponse. `peaks`: V at these, one a neuron, instead of at times
// of the job.
template <class Real, class Kind>
class ReadoutResponses {
 public:
  using Sent = SentSpike<Real>;

  ReadoutResponses(const ReadingJob<Real>& job, const SampleInput<Real>& input, Kind kind,
                   const Vector<Peak<Real>>* peaks)
      : job_(job), input_(input), kind_(kind), peaks_(peaks) {
    if (together()) return;
    for (Vector<Real>* v : {&times_, &value_, &by_time_, &by_syn_, &by_mem_})
      v->resize(padded<Real>(job.size));
    for (Id j = job.from; peaks && j < job.upto; ++j) times_[j] = (*peaks)[j].time;
  }

  // Whether all neurons have the same response to what reaches them at one time.
  bool together() const { return job_.alike && !peaks_; }
  Real time_of(Size q, Id j) const { return peaks_ ? (*peaks_)[j].time : job_.times[q]; }

  // Calls by_row(sent, time, row), where the spike reaches all neurons at once, and
  // by_synapse(sent, time, synapse, neuron, response).
  template <class ByRow, class BySynapse>
  void each(bool rates, const ByRow& by_row, const BySynapse& by_synapse) {
    each_sent<Real>(job_, input_, [&](const Sent& sent) {
      const bool rows = comes_in_rows(sent.p);
      if (!rows && !(together() && sent.p.arrives_at_once())) {
        each_synapse(job_, sent, [&](Size k, Id j, Real time) {
          for (Size q = 0; q < job_.n_times; ++q) alone(sent, q, k, j, time, rates, by_synapse);
        });
        return;
      }
      const Real time = sent.time + sent.p.row_delay(sent.unit);
      for (Size q = 0; q < job_.n_times; ++q) {
        if (!peaks_ && time > job_.times[q]) continue;
        if (!together()) {
          side_by_side(sent, q, time, rates);
          by_row(sent, q,
                 OwnRow<Real>{value_.data(), by_time_.data(), by_syn_.data(), by_mem_.data()});
          continue;
        }
        const Neuron<Real> n(job_.plan.neurons, job_.first);
        const Response<Real> r = kind_.of_arrival(time, job_.times[q] - time, n, rates);
        if (rows) {
          by_row(sent, q, SharedRow<Real>{r});
        } else {
          each_synapse(job_, sent, [&](Size k, Id j, Real) { by_synapse(sent, q, k, j, r); });
        }
      }
    });
  }

 private:
  template <class BySynapse>
  void alone(const Sent& sent, Size q, Size k, Id j, Real time, bool rates,
             const BySynapse& by_synapse) {
    const bool there = peaks_ ? (*peaks_)[j].has_come(time, sent.order(k)) : time <= job_.times[q];
    if (there) {
      const Neuron<Real> n(job_.plan.neurons, job_.first + j);
      by_synapse(sent, q, k, j, kind_.of_arrival(time, time_of(q, j) - time, n, rates));
    } else if (turns_at(sent, k, j)) {
      by_synapse(sent, q, k, j,
                 Response<Real>{Real(0), slope_of_turn(sent, k, j), Real(0), Real(0)});
    }
  }

  void side_by_side(const Sent& sent, Size q, Real time, bool rates) {
    using P = Pack<Real>;
    for (Id j = job_.from - job_.from % P::width; j < job_.upto; j += P::width) {
      const Neuron<P> n = Neuron<P>::load(job_.plan.neurons, job_.first + j);
      const P at = peaks_ ? P::load(times_.data() + j) : P(job_.times[q]);
      const Response<P> r = kind_.of_arrival(P(time), larger(at - P(time), P(Real(0))), n, rates);
      r.value.store(value_.data() + j);
      r.by_time.store(by_time_.data() + j);
      r.by_syn.store(by_syn_.data() + j);
      r.by_mem.store(by_mem_.data() + j);
    }
    for (Id j = job_.from; peaks_ && j < job_.upto; ++j) {
      const Size k = sent.row() + j;
      if ((*peaks_)[j].has_come(time, sent.order(k))) continue;
      value_[j] = by_syn_[j] = by_mem_[j] = Real(0);
      by_time_[j] = turns_at(sent, k, j) ? slope_of_turn(sent, k, j) : Real(0);
    }
  }

  // Whether V turns at this arrival in its peak, which then goes with it; how much, for each unit
  // of w / C.
  bool turns_at(const Sent& sent, Size k, Id j) const {
    return peaks_ && (*peaks_)[j].turns() && (*peaks_)[j].upto == sent.order(k);
  }
  Real slope_of_turn(const Sent& sent, Size k, Id j) const {
    const Real w = sent.p.weight[k] * per_charge(job_.plan.neurons, job_.first + j);
    return (*peaks_)[j].slope / w;
  }

  const ReadingJob<Real>& job_;
  const SampleInput<Real>& input_;
  const Kind kind_;
  const Vector<Peak<Real>>* peaks_;
  Vector<Real> times_, value_, by_time_, by_syn_, by_mem_;  // one a neuron, padded
};

SNNFP_ISA_END
