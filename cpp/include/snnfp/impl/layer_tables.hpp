#pragma once
// The intervals between the rows that arrive at a layer, in several samples, and what neurons with
// the same time constants share of them: exponentials, and the coefficients of the bound on V.

#include <algorithm>

#include "snnfp/detail/lanes.hpp"
#include "snnfp/impl/layer_arrivals.hpp"

SNNFP_ISA_BEGIN

// How the lanes of a pack are filled.
enum class LaneKind {
  rows,     // neurons of one sample that share all times
  late,     // the same, each later by a delay of its own
  own,      // neurons of one sample, each with its own
  samples,  // samples of one neuron
};

template <class Real>
class LayerTables {
 private:
  using P = Pack<Real>;
  static constexpr int width = P::width;

 public:
  // Rows of weights are asked for so many arrivals ahead: each lies in another page.
  static constexpr Size ahead = 8;

  // One interval after the other: the rows of a sample, then the horizon.
  void stage_rows(const Lanes<Real>& lanes, const LayerArrivals<Real>& arrivals, Real until) {
    const Size samples = arrivals.samples(), n = arrivals.rows() + samples;
    const Real* const times = arrivals.row_times();
    const Real* const* const rows = arrivals.row_weights();
    make_room(n);
    row_.resize(n + ahead);
    begin_.clear();
    last_.resize(samples * width);
    Size at = 0;
    bool all_late = true;
    for (Size s = 0; s < samples; ++s) {
      begin_.push_back(at);
      all_late &= arrivals.late(s);
      Real now = Real(0);
      for (Size k = arrivals.first_row(s); k < arrivals.end_row(s); ++k, ++at) {
        row_[at] = rows[k];
        time[at] = times[k];
        span[at] = time[at] - now;
        now = time[at];
      }
      time[at] = until;
      span[at] = until - now;
      // No row arrives at the horizon; what is asked for ahead there may be any.
      row_[at] =
          arrivals.rows() > 0 ? rows[std::min(arrivals.end_row(s), arrivals.rows() - 1)] : nullptr;
      std::fill_n(&last_[s * width], width, static_cast<Id>(at - begin_.back()));
      ++at;
    }
    begin_.push_back(at);
    for (; at < n + ahead; ++at) row_[at] = row_[n - 1];
    // Where every neuron is late by its own, no two share an interval.
    if (!all_late)
      take_exponentials(lanes, n, lanes.identical && !lanes.driven && n >= 65 * samples);
  }

  // The rows[n] of a window of one sample; they are reached from `now` on.
  template <class Row>
  void stage_window(const Lanes<Real>& lanes, Real now, const Row* rows, Size n) {
    make_room(n);
    if (static_cast<Size>(row_.size()) < n) row_.resize(n);
    for (Size k = 0; k < n; ++k) {
      row_[k] = rows[k].weight;
      for (int line = 0; line < 4; ++line) __builtin_prefetch(row_[k] + line * width);
      time[k] = rows[k].time;
      span[k] = time[k] - now;
      now = time[k];
    }
    take_exponentials(lanes, n, lanes.identical && !lanes.driven);
  }

  // The same for as many samples at once as a pack has lanes, of a population that receives rows
  // alone.
  void stage_samples(const Lanes<Real>& lanes, const LayerArrivals<Real>& arrivals, Real until) {
    const Size samples = arrivals.samples(), groups = (samples + width - 1) / width;
    const Size size = lanes.count;
    begin_.assign(1, 0);
    last_.resize(groups * width);
    for (Size g = 0; g < groups; ++g) {
      Size most = 0;
      for (Size s = g * width; s < (g + 1) * width; ++s) {
        const Size one = std::min(s, samples - 1);
        last_[s] = static_cast<Id>(arrivals.end_row(one) - arrivals.first_row(one));
        most = std::max<Size>(most, last_[s]);
      }
      begin_.push_back(begin_.back() + most + 1);
    }
    const Size n = begin_.back() * width;
    make_room(n);
    weight_.resize(n * size);
    for (Size g = 0; g < groups; ++g) stage_group(g, samples, size, arrivals, until);
    take_exponentials(lanes, n, false);
  }

  // The intervals of sample or pack of samples `s` are [begin(s), begin(s + 1)); its lanes come to
  // the horizon in the last ones of last(s).
  Size begin(Size s) const { return begin_[s]; }
  const Id* last(Size s) const { return &last_[s * width]; }

  // What arrives at the end of an interval, from the neuron in column `column` on.
  const Real* row(Size interval, Size column) const { return row_.data()[interval] + column; }
  SNNFP_INLINE Pack<Real> row(Size interval, Size column, Size size) const {
    const Real* const weights = row(interval, column);
    const Size rest = size - column;
    return rest >= width ? P::load(weights) : load_tail(weights, static_cast<int>(rest));
  }
  const Real* of_samples(Size interval, Size size, Size column) const {
    return &weight_.data()[(interval * size + column) * width];
  }

  // Takes a pack of free lanes of a population of `size` with state `s` at the start of interval k
  // on to the first interval in which one may cross, or to `end`: `s` stays at the start of the
  // last one. A function of its own, so that all of it stays in registers.
  [[gnu::noinline]] Size run(Size k, Size end, Size column, Size size, const Neuron<Pack<Real>>& n,
                             Membrane<Pack<Real>>& s) const {
    const auto steps = decays.template from<Real>(0);
    const Real *by_i = pull.data(), *bound = reach.data();
    Membrane<P> now = s;
    for (;; ++k) {
      if (any(!UpperBound<P>::stays_below(now, P(bound[k]), n))) {
        s = now;
        return k;
      }
      const Membrane<P> next = propagate_undriven(now, steps.template spread<P>(k), P(by_i[k]));
      if (k + 1 == end) return end;
      __builtin_prefetch(row(k + ahead, column));
      now = {next.v, next.i + row(k, column, size)};
    }
  }

  // Of each interval, by rows one value, by samples one a lane.
  Vector<Real> time, span, response, late, slack;
  StructOfArrays<Decay, Vector<Real>> decays;
  // Where `bounded`: the response to a current, and the reach of the UpperBound.
  Vector<Real> pull, reach;
  bool bounded = false;

 private:
  // Out of the loop's way: most packs are full.
  [[gnu::noinline]] static P load_tail(const Real* row, int n) { return P::load_first(row, n); }

  void make_room(Size n) {
    const std::size_t end = static_cast<std::size_t>(padded<Real>(n));
    for (Vector<Real>* x : {&time, &span, &response, &late, &slack, &pull, &reach})
      if (x->size() < end) x->resize(end);
    for (Vector<Real>& x : decays.of)
      if (x.size() < end) x.resize(end);
  }

  void stage_group(Size g, Size samples, Size size, const LayerArrivals<Real>& arrivals,
                   Real until) {
    const Real* const times = arrivals.row_times();
    const Real* const* const rows = arrivals.row_weights();
    // Of each lane: its next arrival, and the one past its last. Lanes that are through stand
    // still.
    Size next[width], end[width];
    Real now[width] = {};
    for (int l = 0; l < width; ++l) {
      const Size s = g * width + l;
      next[l] = s < samples ? arrivals.first_row(s) : 0;
      end[l] = s < samples ? arrivals.end_row(s) : 0;
      if (s >= samples) now[l] = until;
    }
    for (Size a = begin_[g]; a < begin_[g + 1]; ++a) {
      Real* const weight = &weight_[a * size * width];
      for (int l = 0; l < width; ++l) {
        const bool arrives = next[l] < end[l];
        const Size k = next[l], at = a * width + l;
        time[at] = arrives ? times[k] : until;
        span[at] = now[l] < time[at] ? time[at] - now[l] : Real(0);
        now[l] = time[at];
        for (Size j = 0; j < size; ++j) weight[j * width + l] = arrives ? rows[k][j] : Real(0);
        next[l] += arrives;
      }
    }
  }

  void take_exponentials(const Lanes<Real>& lanes, Size n, bool with_bound) {
    bounded = with_bound;
    std::fill(span.begin() + n, span.begin() + padded<Real>(n), Real(0));
    if (!lanes.uniform) return;
    const Neuron<P> one(lanes.constants, lanes.first);
    for (Size k = 0; k < n; k += width) {
      const P d = P::load(&span[k]);
      const Decay<P> e = decay(d, one);
      decays.store(k, e);
      const Margin<P> m = margin(d, P::load(&time[k]), one);
      m.late.store(&late[k]);
      m.slack.store(&slack[k]);
      if (bounded) {
        response_to_current(e, one).store(&pull[k]);
        UpperBound<P>::reach(d, P::load(&time[k]), e, one).store(&reach[k]);
      }
      if (lanes.driven) step_response(d, one).store(&response[k]);
    }
  }

  Vector<const Real*> row_;
  Vector<Real> weight_;  // by samples
  Vector<Size> begin_;
  Vector<Id> last_;
};

SNNFP_ISA_END
