#pragma once
// The highest V of each neuron of a readout, and when: at the start, at the end, between two
// arrivals, or where an arrival ends the rise. MATH.md E16.

#include <algorithm>
#include <limits>

#include "snnfp/impl/readout_arrivals.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct Peak {
  Real value, time;
  // Of the arrivals at that time those before this one have come. If V turns at it, it is this
  // arrival, and `slope` is V' before it: the peak moves with it.
  ArrivalOrder upto;
  Real slope = Real(0);

  bool turns() const { return slope > Real(0); }
  bool has_come(Real arrival, const ArrivalOrder& order) const {
    return arrival < time || (arrival == time && order < upto);
  }
};

template <class Real>
class PeakFinder {
 public:
  PeakFinder(const ReadingJob<Real>& job, const SampleInput<Real>& input)
      : job_(job), input_(input), in_rows_(true) {
    for (const Id q : job.plan.into_population[job.readout])
      in_rows_ &= comes_in_rows(job.plan.projections[q]);
    arrivals_.resize(in_rows_ ? 1 : static_cast<std::size_t>(job.size));
    each_sent<Real>(job, input, [&](const SentSpike<Real>& sent) {
      const auto take = [&](Size synapse, Id j, Real time) {
        if (time <= job.until) arrivals_[j].push_back({time, sent.order(synapse), sent.p.weight});
      };
      if (in_rows_) {
        take(sent.row(), 0, sent.time + sent.p.row_delay(sent.unit));
      } else {
        each_synapse(job, sent, take);
      }
    });
    for (Vector<Arrival>& own : arrivals_) std::sort(own.begin(), own.end());
    if (in_rows_ && job.alike) share_decays();
  }

  Peak<Real> of(Id j) const {
    const Neuron<Real> n(job_.plan.neurons, job_.first + j);
    const Vector<Arrival>& own = arrivals_[in_rows_ ? 0 : j];
    Membrane<Real> s{at_start(input_.voltage, j), at_start(input_.current, j)};
    Peak<Real> best{s.v, Real(0), none};
    Real now = 0;
    for (std::size_t k = 0; k <= own.size(); ++k) {
      const bool last = k == own.size();
      const Real until = last ? job_.until : own[k].time;
      const Real d = until - now;
      if (d > Real(0)) {
        const Decay<Real> e = decays_.empty() ? decay(d, n) : decays_[k];
        const Real driven = n.drive == Real(0) ? Real(0) : n.drive * step_response(d, n);
        const Membrane<Real> end = propagate(s, e, driven, n);
        inside(s, end, d, now, until, n, best);
        s = end;
        now = until;
      }
      if (last) {
        if (s.v > best.value) best = {s.v, until, all};
        break;
      }
      const Real before = slope(s, n);
      s.i += own[k].weights[own[k].order.synapse + (in_rows_ ? j : 0)];
      if (before > Real(0) && slope(s, n) <= Real(0) && s.v > best.value) {
        ArrivalOrder turn = own[k].order;
        turn.synapse += in_rows_ ? j : 0;
        best = {s.v, until, turn, before};
      }
    }
    return best;
  }

 private:
  struct Arrival {
    Real time;
    ArrivalOrder order;  // of a row: its first synapse
    const Real* weights;
    friend bool operator<(const Arrival& a, const Arrival& b) {
      return a.time < b.time || (a.time == b.time && a.order < b.order);
    }
  };
  static constexpr ArrivalOrder none{-1, 0, 0, 0};
  static constexpr ArrivalOrder all{std::numeric_limits<Id>::max(), 0, 0, 0};

  Real at_start(const Real* state, Id j) const { return state ? state[job_.first + j] : Real(0); }

  // Time constants in common: so are the decays from one arrival to the next.
  void share_decays() {
    const Neuron<Real> n(job_.plan.neurons, job_.first);
    Real now = 0;
    for (const Arrival& a : arrivals_[0]) {
      decays_.push_back(decay(a.time - now, n));
      now = a.time;
    }
    decays_.push_back(decay(job_.until - now, n));
  }

  // A maximum between two arrivals, if it is the highest so far.
  static void inside(Membrane<Real> s, Membrane<Real> end, Real d, Real now, Real until,
                     const Neuron<Real>& n, Peak<Real>& best) {
    const Real top = top_between(s, end, d, best.value, n);
    if (!(top <= d)) return;
    const Real v = top < d ? propagate(s, top, n).v : end.v;
    // What arrives where the flight ends comes after the maximum, even where its time is rounded to
    // that; what arrived where it began has come.
    const Real time = std::min(now + top, until);
    if (v > best.value) best = {v, time, time > now ? none : all};
  }

  const ReadingJob<Real>& job_;
  const SampleInput<Real>& input_;
  bool in_rows_;
  Vector<Vector<Arrival>> arrivals_;  // by neuron, or once for all of them
  Vector<Decay<Real>> decays_;        // up to each arrival, and to the end
};

SNNFP_ISA_END
