#pragma once
// What neurons of a layer receive that have arrivals of their own, a pack of them at a time: each
// lane its arrivals, in the order of the queue.

#include <algorithm>

#include "snnfp/detail/lane_sort.hpp"
#include "snnfp/impl/layer_arrivals.hpp"

SNNFP_ISA_BEGIN

// What a pack of neurons receives: interval a of lane l ends at time[a * width + l], with an
// arrival of weight[a * width + l], or at the horizon from interval last[l] on.
template <class Real>
struct OwnArrivals {
  Vector<Real> time, weight;
  Id intervals = 0;
  Id last[Pack<Real>::width];
};

// Owns nothing but room to work in: a table depends on the arrivals alone. In each lane times
// ascend up to its last arrival.
template <class Real>
class OwnTables {
 public:
  explicit OwnTables(const LayerArrivals<Real>& arrivals) : arrivals_(arrivals) {}

  // Fills the table of a pack of neurons that has its own arrivals.
  void build(Size sample, Size pack, Real until, OwnArrivals<Real>& to) {
    const Sample& s = arrivals_.sample(sample);
    Size n = s.in_order ? shift(s, pack, until, to.time, to.weight) : -1;
    const bool sorts = s.delays_differ && n < 0;
    if (n < 0) {
      Vector<Real>& time = sorts ? time_ : to.time;
      Vector<Real>& weight = sorts ? weight_ : to.weight;
      n = s.rows ? merge(s, pack, until, time, weight) : gather(s, pack, time, weight);
    }
    if (sorts) {
      make_room(to.time, n + 1);
      make_room(to.weight, n + 1);
      sorter_.sort(time_.data(), weight_.data(), n, to.time.data(), to.weight.data());
    }
    // Lanes that are not through, as bits; after its last arrival a lane has none.
    unsigned open = (1u << width) - 1;
    Size longest = 0;
    for (; longest < n; ++longest) {
      const unsigned arrives = bits_of(P::load(&to.time[longest * width]) < P(never<Real>));
      for (unsigned m = open & ~arrives; m != 0; m &= m - 1)
        to.last[__builtin_ctz(m)] = static_cast<Id>(longest);
      open = arrives;
      if (open == 0) break;
    }
    for (unsigned m = open; m != 0; m &= m - 1)
      to.last[__builtin_ctz(m)] = static_cast<Id>(longest);
    make_room(to.time, longest + 1);
    make_room(to.weight, longest + 1);
    // The horizon, at which those wait that have come through.
    for (Size r = 0; r <= longest; ++r) {
      const P t = r < longest ? P::load(&to.time[r * width]) : P(never<Real>);
      const auto arrives = t < P(never<Real>);
      select(arrives, t, P(until)).store(&to.time[r * width]);
      if (r == longest) P(Real(0)).store(&to.weight[r * width]);
    }
    to.intervals = static_cast<Id>(longest + 1);
  }

 private:
  using P = Pack<Real>;
  using Sent = typename LayerArrivals<Real>::Sent;
  using Sample = typename LayerArrivals<Real>::Sample;
  using Single = typename LayerArrivals<Real>::Single;
  static constexpr int width = P::width;
  static constexpr Size ahead = 8;  // rows of weights are asked for so many arrivals ahead

  Size first_single(const Sample& s, Size neuron) const {
    return arrivals_.first_single(s, neuron);
  }

  static void make_room(Vector<Real>& v, Size rows) {
    if (static_cast<Size>(v.size()) < rows * width) v.resize(rows * width);
  }

  // Lanes with single arrivals alone. Each of these returns how many rows it filled.
  Size gather(const Sample& s, Size pack, Vector<Real>& time, Vector<Real>& weight) const {
    const Single* const singles = arrivals_.singles();
    Size n = 0;
    for (Size j = pack * width; j < (pack + 1) * width; ++j)
      n = std::max(n, first_single(s, j + 1) - first_single(s, j));
    make_room(time, n + 1);
    make_room(weight, n + 1);
    for (int l = 0; l < width; ++l) {
      const Size first = first_single(s, pack * width + l);
      const Size count = first_single(s, pack * width + l + 1) - first;
      for (Size r = 0; r < count; ++r) {
        time[r * width + l] = singles[first + r].time;
        weight[r * width + l] = singles[first + r].weight;
      }
      for (Size r = count; r < n; ++r) nothing(time, weight, r, l);
    }
    return n;
  }

  // Rows of one projection with a delay a target neuron, in the order in which they were sent: each
  // lane receives them in that order too. Returns -1 where rounding lets two that were sent one
  // after the other arrive at once, in the order of their senders then.
  Size shift(const Sample& s, Size pack, Real until, Vector<Real>& time,
             Vector<Real>& weight) const {
    make_room(time, s.end - s.begin + 1);
    make_room(weight, s.end - s.begin + 1);
    const Sent* const sent_of = arrivals_.all_sent();
    const Size column = pack * width, rest = arrivals_.neurons() - column;
    const P zero(Real(0)), nowhere(never<Real>);
    const P delay = load_up_to(sent_of[s.begin].delay + column, rest);
    P last(-Real(1)), before = last;  // arrival of all rows so far, and of those sent earlier
    for (Size e = s.begin; e < s.end; ++e) {
      const Sent& sent = sent_of[e];
      if (e > s.begin && sent.time != sent_of[e - 1].time) before = last;
      // Each row lies in a page of its own.
      __builtin_prefetch(sent_of[std::min(e + ahead, s.end - 1)].row + column);
      const P w = load_up_to(sent.row + column, rest), t = P(sent.time) + delay;
      const auto nothing = w == zero;
      if (any(!nothing & (t <= before))) return -1;
      last = select(nothing, last, t);
      // A lane that receives nothing stands still.
      select(t <= P(until), larger(last, zero), nowhere).store(&time[(e - s.begin) * width]);
      w.store(&weight[(e - s.begin) * width]);
    }
    return s.end - s.begin;
  }

  // Rows, and in their order single arrivals, in rows of their own in which the other lanes stand
  // still.
  Size merge(const Sample& s, Size pack, Real until, Vector<Real>& time, Vector<Real>& weight) {
    const Single* const singles = arrivals_.singles();
    Size next[width], end[width], n_singles = 0;
    for (int l = 0; l < width; ++l) {
      next[l] = s.singles ? first_single(s, pack * width + l) : 0;
      end[l] = s.singles ? first_single(s, pack * width + l + 1) : 0;
      n_singles += end[l] - next[l];
    }
    make_room(time, s.end - s.begin + n_singles + 1);
    make_room(weight, s.end - s.begin + n_singles + 1);
    const auto soonest = [&] {
      Size e = s.end;
      for (int l = 0; l < width; ++l)
        if (next[l] < end[l]) e = std::min<Size>(e, singles[next[l]].sent);
      return e;
    };
    const Size column = pack * width, rest = arrivals_.neurons() - column;
    const P zero(Real(0)), nowhere(never<Real>);
    const Sent* sent_of = arrivals_.all_sent() + s.begin;
    if (s.in_order) {
      by_sender_.assign(sent_of, sent_of + (s.end - s.begin));
      std::sort(by_sender_.begin(), by_sender_.end(), LayerArrivals<Real>::by_sender);
      sent_of = by_sender_.data();
    }
    P before = s.delays_differ ? nowhere : zero;
    Size n = 0, single = soonest();
    for (Size e = s.begin; e < s.end; ++e) {
      for (; single == e; single = soonest(), ++n) {
        before.store(&time[n * width]);
        zero.store(&weight[n * width]);
        for (int l = 0; l < width; ++l) {
          if (next[l] == end[l] || singles[next[l]].sent != static_cast<Id>(e)) continue;
          time[n * width + l] = singles[next[l]].time;
          weight[n * width + l] = singles[next[l]++].weight;
        }
        if (!s.delays_differ) before = P::load(&time[n * width]);
      }
      const Sent& sent = sent_of[e - s.begin];
      __builtin_prefetch(sent_of[std::min(e + ahead, s.end - 1) - s.begin].row + column);
      if (!sent.row) continue;
      const P w = load_up_to(sent.row + column, rest);
      P t(sent.time);
      if (sent.delay) {
        t = t + load_up_to(sent.delay + column, rest);
        t = select((w == zero) | !(t <= P(until)), nowhere, t);
      }
      t.store(&time[n * width]);
      w.store(&weight[n * width]);
      if (!s.delays_differ) before = t;
      ++n;
    }
    return n;
  }

  static void nothing(Vector<Real>& time, Vector<Real>& weight, Size row, int lane) {
    time[row * width + lane] = never<Real>;
    weight[row * width + lane] = Real(0);
  }

  const LayerArrivals<Real>& arrivals_;
  Vector<Sent> by_sender_;
  Vector<Real> time_, weight_;  // of a pack, before it is sorted
  LaneSorter<Real> sorter_;
};

SNNFP_ISA_END
