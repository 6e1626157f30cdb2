#pragma once
// The adjoint of one population, or of some of its neurons, when all that its spikes caused is
// known: in a graph without loops, population by population from the last to the first. MATH.md
// E12-E14. Between its own spikes a neuron's adjoint is a closed form of its value at the next one,
// so the spikes' own adjoints come first. Then, for each projection, the neurons' adjoints go back
// from arrival to arrival, each changed at the last arrival before a spike of its neuron: for many
// neurons side by side, for few neurons with the arrivals between two changes side by side.

#include <algorithm>
#include <limits>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/impl/reverse_sample.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ReverseLayer {
 public:
  explicit ReverseLayer(const Plan<Real>& plan) : c_(plan.neurons), later_(plan.n_neurons, -1) {
    for (std::size_t p = 0; p + 1 < plan.population_offsets.size(); ++p)
      traits_.emplace_back(c_, plan.population_offsets[p], plan.population_offsets[p + 1]);
  }

  // The neurons [begin, end) of a population. Where `sample.known` only the lI of its spikes is to
  // be found, for the weights of the projections left for later.
  void run(ReverseSample<Real>& sample, Id population, Id begin, Id end, const Watch& watch) {
    population_ = population;
    begin_ = begin;
    size_ = end - begin;
    first_ = sample.plan.population_offsets.data()[population] + begin;
    collect(sample);
    if (count_ == 0) return;
    watch.look();
    own(sample);
    watch.look();
    for (const Id q : sample.plan.into_population.data()[population])
      if (bool(sample.columns.later[q]) == sample.known)
        pull(sample, sample.plan.projections.data()[q], watch);
  }

 private:
  using P = Pack<Real>;

  // Of a population's neurons.
  struct Traits {
    bool uniform = true;    // one tau_mem, one tau_syn
    bool identical = true;  // one capacitance too
    bool held = false;      // some refractory time
    bool few;               // less than a vector of the widest instruction set

    Traits(const NeuronConstants<Real>& c, Id begin, Id end)
        : few(end - begin < lane_width<Real>) {
      for (Id j = begin; j < end; ++j) {
        uniform &= c.alpha.data()[j] == c.alpha.data()[begin] &&
                   c.beta.data()[j] == c.beta.data()[begin];
        identical &= uniform && c.inv_c.data()[j] == c.inv_c.data()[begin];
        held |= c.t_refractory.data()[j] > Real(0);
      }
    }
  };
  const Traits& traits() const { return traits_[population_]; }

  // The spikes, but for those after the last one that anything depends on.
  void collect(ReverseSample<Real>& s) {
    const Size from = s.first[population_];
    Size to = s.first[population_ + 1];
    for (; to > from && s.mu[to - 1] == Real(0); --to)
      if (s.voltage_adjoint) s.voltage_adjoint[s.spike[to - 1]] = Real(0);
    const Size room = padded<Real>(to - from) + lane_width<Real>;
    for (Vector<Real>* v : {&time_, &lv_, &li_}) make_room(*v, room);
    for (Vector<Id>* v : {&unit_, &place_}) make_room(*v, room);
    make_room(end_, room);
    count_ = 0;
    for (Size m = from; m < to; m += P::width) {
      const Ids<Real> units = Ids<Real>::load(&s.unit[m]).plus(-begin_);
      unsigned mine = units.below(static_cast<Id>(size_));
      if (to - m < P::width) mine &= (1u << (to - m)) - 1;
      const P mu = P::load(&s.mu[m]);
      const P lv = s.known ? mu : spike_adjoint(mu, P::load(&s.slope[m]));
      P::load(&s.time[m]).store_lanes(mine, &time_[count_]);
      lv.store_lanes(mine, &lv_[count_]);
      units.store_lanes(mine, &unit_[count_]);
      Ids<Real>::load(lane_numbers).plus(static_cast<Id>(m)).store_lanes(mine, &place_[count_]);
      count_ += __builtin_popcount(mine);
    }
    std::fill_n(li_.data(), count_, Real(0));
    pair();
  }

  // E14: lV just before a spike; 0 where nothing depends on it, however flat V crosses.
  template <class T>
  static T spike_adjoint(T mu, T slope) {
    return select(mu == T(Real(0)), T(Real(0)), -(mu / slope));
  }

  // Finds the spikes of one neuron that follow each other, latest first.
  void pair() {
    make_room(pairs_, count_ + 1);
    Size n = 0;
    for (Size e = count_; e-- > 0;) {
      Size& later = later_[unit_[e]];
      pairs_[n].spike = static_cast<Id>(e);
      pairs_[n].next = static_cast<Id>(later - seen_);
      n += later >= seen_;
      later = seen_ + e;
    }
    n_pairs_ = n;
    seen_ += count_;
  }
  Real release(Size e) const {
    return traits().held ? time_[e] + c_.t_refractory.data()[first_ + unit_[e]] : time_[e];
  }

  // Calls use(b, decay, constants) for packs of the first n entries of span_; the k-th belongs to
  // the neuron of spike(k).
  template <class Spike, class Use>
  void decays(Size n, Spike spike, Use use) {
    const Size end = padded<Real>(n);
    std::fill(span_.data() + n, span_.data() + end, Real(0));
    if (traits().identical) {
      const Neuron<P> all(c_, first_);
      for (Size b = 0; b < end; b += P::width) use(b, decay(P::load(&span_[b]), all), all);
      return;
    }
    make_room(neuron_, end);
    for (Size k = 0; k < n; ++k) neuron_[k] = first_ + unit_[spike(k)];
    std::fill(neuron_.data() + n, neuron_.data() + end, first_);
    for (Size b = 0; b < end; b += P::width) {
      const Neuron<P> each = Neuron<P>::gather(c_, &neuron_[b]);
      use(b, decay(P::load(&span_[b]), each), each);
    }
  }

  // E14: lV just before each spike and lI there, from mu and from the neuron's next spike.
  void own(ReverseSample<Real>& s) {
    if (n_pairs_ > 0) carry(s);
    if (s.known) return;
    if (s.voltage_adjoint)
      for (Size e = 0; e < count_; ++e) s.voltage_adjoint[s.spike[place_[e]]] = lv_[e];
    if (s.wants(population_, NeuronParameter::threshold))
      for (Size e = 0; e < count_; ++e)
        s.add(population_, unit_[e] + begin_, NeuronParameter::threshold, -lv_[e]);
    if (s.wants(population_, NeuronParameter::bias) ||
        s.wants(population_, NeuronParameter::capacitance))
      flights(s);
  }

  void carry(ReverseSample<Real>& s) {
    const Size n = n_pairs_;
    for (Vector<Real>* v : {&span_, &mem_, &syn_, &kappa_, &syn_held_})
      make_room(*v, padded<Real>(n));
    const auto earlier = [&](Size c) { return pairs_[c].spike; };
    for (Size c = 0; c < n; ++c) span_[c] = time_[pairs_[c].next] - release(pairs_[c].spike);
    decays(n, earlier, [&](Size b, const Decay<P>& e, const Neuron<P>& k) {
      e.mem.store(&mem_[b]);
      e.syn.store(&syn_[b]);
      (e.kappa * k.inv_c).store(&kappa_[b]);
    });
    if (traits().held) {
      for (Size c = 0; c < n; ++c) span_[c] = release(pairs_[c].spike) - time_[pairs_[c].spike];
      decays(n, earlier,
             [&](Size b, const Decay<P>& e, const Neuron<P>&) { e.syn.store(&syn_held_[b]); });
    }
    for (Size c = 0; c < n; ++c) {
      Pair& pair = pairs_[c];
      const Size e = pair.spike, next = pair.next;
      pair.li = fma(kappa_[c], lv_[next], syn_[c] * li_[next]);
      li_[e] = traits().held ? syn_held_[c] * pair.li : pair.li;
      const Real lv = mem_[c] * lv_[next];
      if (s.known || lv == Real(0)) continue;
      const Size m = place_[e];
      const Id unit = unit_[e] + begin_;
      const Neuron<Real> neuron(c_, first_ + unit_[e]);
      const Real after = slope(
          Membrane<Real>{neuron.v_reset, s.spikes.release_currents[s.spike[m]]}, neuron);
      s.add(population_, unit, NeuronParameter::t_refractory, -after * lv);
      s.add(population_, unit, NeuronParameter::v_reset, lv);
      lv_[e] = spike_adjoint(s.mu[m] - after * lv, s.slope[m]);
    }
  }

  // What acts along the free flights that ended in the spikes.
  void flights(ReverseSample<Real>& s) {
    make_room(before_, count_);
    std::fill_n(before_.data(), count_, Size(-1));
    for (Size c = 0; c < n_pairs_; ++c) before_[pairs_[c].next] = pairs_[c].spike;
    for (Size e = 0; e < count_; ++e) {
      const Id unit = unit_[e] + begin_;
      const Neuron<Real> n(c_, first_ + unit_[e]);
      Real start = Real(0), v = s.input->voltage ? s.input->voltage[first_ + unit_[e]] : Real(0);
      if (before_[e] >= 0) {
        start = release(before_[e]);
        v = n.v_reset;
      }
      const Real d = time_[e] - start, lv = lv_[e] * n.inv_c;
      s.add(population_, unit, NeuronParameter::bias, lv * step_response(d, n.beta));
      s.add(population_, unit, NeuronParameter::capacitance,
            -lv * (n.threshold - decay(d, n).mem * v));
    }
  }

  // All that came through one projection.
  void pull(ReverseSample<Real>& s, const ProjectionPlan<Real>& q, const Watch& watch) {
    const bool timed = s.timed(q);
    Real* out = s.weights(q);
    if (!out && !timed) return;
    if (out) out += begin_;
    const bool inside = q.from_population >= 0;
    const Size place = inside ? s.first[q.from_population] : 0;
    const InputSpikes<Real>* in = inside ? nullptr : &s.input->groups[q.from_input];
    const Size n = arrive(inside ? &s.time[place] : in->times, inside ? &s.unit[place] : in->units,
                          inside ? s.first[q.from_population + 1] - place : in->count, q);
    if (n == 0) return;
    if (timed) make_room(by_time_, n);
    enter();
    const bool gathers = q.synapses() <= std::numeric_limits<Id>::max();
    if (traits().few && gathers) {
      few(q, n, out, timed, watch);
    } else if (!timed) {
      lanes<true, false>(q, n, out, watch);
    } else if (out) {
      lanes<true, true>(q, n, out, watch);
    } else {
      lanes<false, true>(q, n, out, watch);
    }
    if (!timed) return;
    if (s.columns.delay[q.index] >= 0) {
      Real sum = Real(0);
      for (Size a = n; a-- > 0;) sum += by_time_[a];
      s.gradient[s.columns.delay[q.index]] += sum;
    }
    Real* to = inside ? &s.mu[place]
                      : s.input_times[q.from_input] ? s.input_times[q.from_input] + in->first
                                                    : nullptr;
    if (to)
      for (Size a = 0; a < n; ++a) to[a] += by_time_[a];
  }

  // The arrivals that some spike comes after; returns how many there are. Finds for each spike how
  // many come before it, those at its moment not among them, and how long before it the last one.
  Size arrive(const Real* times, const Id* units, Size count, const ProjectionPlan<Real>& q) {
    const Real delay = q.delay[0];
    const Size n = std::lower_bound(times, times + count, time_[count_ - 1],
                                    [&](Real t, Real bound) { return t + delay < bound; }) -
                   times;
    if (n == 0) return 0;
    make_room(at_, n + lane_width<Real>);
    make_room(row_, n + lane_width<Real>);
    for (Size a = 0; a < n; ++a) at_[a] = times[a] + delay;
    for (Size a = 0; a < n; ++a) row_[a] = Size(units[a]) * q.n_target;
    std::fill_n(at_.data() + n, lane_width<Real>, never<Real>);
    std::fill_n(row_.data() + n, lane_width<Real>, Size(0));
    make_room(span_, padded<Real>(count_));
    Real last = at_[0];
    Size a = 0;
    for (Size e = 0; e < count_; ++e) {
      for (; at_[a] < time_[e]; ++a) last = at_[a];
      end_[e] = a;
      span_[e] = time_[e] - last;
    }
    return n;
  }

  // The adjoint of each spike's neuron at the last arrival before it, and after each release at the
  // last arrival while the neuron was held, those at the moment of release among them.
  void enter() {
    for (Vector<Real>* v : {&enter_lv_, &enter_li_}) make_room(*v, padded<Real>(count_));
    decays(
        count_, [](Size e) { return e; },
        [&](Size b, const Decay<P>& e, const Neuron<P>& k) {
          const P lv = P::load(&lv_[b]), li = P::load(&li_[b]);
          fma(e.kappa * k.inv_c, lv, e.syn * li).store(&enter_li_[b]);
          (e.mem * lv).store(&enter_lv_[b]);
        });
    held_.clear();
    if (!traits().held) return;
    const Real* const arrivals = at_.data();
    const Real* const last = arrivals + end_[count_ - 1];
    for (Size c = 0; c < n_pairs_; ++c) {
      const Size e = pairs_[c].spike;
      const Real released = release(e);
      const Size end = std::upper_bound(arrivals + end_[e], last, released) - arrivals;
      if (!(released > time_[e]) || end == end_[e]) continue;
      const Real d = released - at_[end - 1];
      const Real alpha = c_.alpha.data()[first_ + unit_[e]];
      held_.push_back({end, unit_[e], exp_of(-alpha * d) * pairs_[c].li});
    }
    std::sort(held_.begin(), held_.end(),
              [](const Held& a, const Held& b) { return a.end > b.end; });
  }

  // Calls go(begin, end) for the arrivals from the last to the first, with the neurons' adjoints at
  // arrival end - 1 in the lanes; no neuron takes a new one on the way to arrival begin - 1, where
  // `go` leaves them.
  template <class Go>
  void back_in_time(const Watch& watch, Go go) {
    for (Vector<Real>* v : {&lane_lv_, &lane_li_}) {
      make_room(*v, padded<Real>(size_));
      std::fill_n(v->data(), padded<Real>(size_), Real(0));
    }
    Size e = count_ - 1, r = 0, looked = end_[e];
    for (Size end = end_[e]; end > 0;) {
      for (; e >= 0 && end_[e] == end; --e) {
        lane_lv_[unit_[e]] = enter_lv_[e];
        lane_li_[unit_[e]] = enter_li_[e];
      }
      for (; r < Size(held_.size()) && held_[r].end == end; ++r) {
        lane_lv_[held_[r].unit] = Real(0);
        lane_li_[held_[r].unit] = held_[r].li;
      }
      Size begin = e >= 0 ? end_[e] : 0;
      if (r < Size(held_.size())) begin = std::max(begin, held_[r].end);
      go(begin, end);
      end = begin;
      if (looked - end < 64) continue;
      watch.look();
      looked = end;
    }
  }

  // Few neurons: arrivals side by side. Lanes left over add 0, so that every loop is as long.
  void few(const ProjectionPlan<Real>& q, Size n, Real* out, bool timed, const Watch& watch) {
    make_room(gather_row_, n + lane_width<Real>);
    for (Size a = 0; a < n + lane_width<Real>; ++a) gather_row_[a] = static_cast<Id>(row_[a]);
    const bool uniform = traits().uniform;
    back_in_time(watch, [&](Size begin, Size end) {
      Id live[lane_width<Real>];
      int n_live = 0;
      for (Id u = 0; u < size_; ++u) {
        live[n_live] = u;
        n_live += lane_lv_[u] != Real(0) || lane_li_[u] != Real(0);
      }
      const P last(at_[end - 1]);
      for (Size a = begin; a < end; a += P::width) {
        const P t = P::load(&at_[a]), span = last - t;
        Decay<P> e = decay(span, Neuron<P>(c_, first_));
        P by_time(Real(0));
        for (int l = 0; l < n_live; ++l) {
          const Id u = live[l];
          const Neuron<P> neuron(c_, first_ + u);
          if (!uniform) e = decay(span, neuron);
          const P lv(lane_lv_[u]);
          const P by_weight = fma(e.kappa * neuron.inv_c, lv, e.syn * P(lane_li_[u]));
          if (timed)
            by_time = by_time + P::gather(q.weight + begin_ + u, &gather_row_[a]) *
                                    fma(neuron.alpha, by_weight, -neuron.inv_c * (e.mem * lv));
          if (!out) continue;
          Real value[P::width];
          select(t <= last, by_weight, P(Real(0))).store(value);
          for (int k = 0; k < P::width; ++k) out[row_[a + k] + u] += value[k];
        }
        if (timed) by_time.store_first(&by_time_[a], int(std::min<Size>(P::width, end - a)));
      }
      if (begin == 0) return;
      const P span(at_[end - 1] - at_[begin - 1]);
      for (Size k = 0; k < size_; k += P::width) {
        const Neuron<P> each = Neuron<P>::load(c_, first_ + static_cast<Id>(k));
        back(k, decay(span, each), P::load(&lane_lv_[k]), P::load(&lane_li_[k]), each.inv_c);
      }
    });
  }

  // E12.
  void back(Size k, const Decay<P>& e, P lv, P li, P inv_c) {
    fma(e.kappa * inv_c, lv, e.syn * li).store(&lane_li_[k]);
    (e.mem * lv).store(&lane_lv_[k]);
  }

  // Many neurons: side by side.
  template <bool weights, bool timed>
  void lanes(const ProjectionPlan<Real>& q, Size n, Real* out, const Watch& watch) {
    const bool uniform = traits().uniform;
    for (Vector<Real>* v : {&span_, &mem_, &syn_, &kappa_}) make_room(*v, padded<Real>(n));
    span_[0] = Real(0);
    for (Size a = 1; a < n; ++a) span_[a] = at_[a] - at_[a - 1];
    if (uniform) {
      const Neuron<P> shared(c_, first_);
      std::fill(span_.data() + n, span_.data() + padded<Real>(n), Real(0));
      for (Size b = 0; b < n; b += P::width) {
        const Decay<P> e = decay(P::load(&span_[b]), shared);
        e.mem.store(&mem_[b]);
        e.syn.store(&syn_[b]);
        e.kappa.store(&kappa_[b]);
      }
    }
    back_in_time(watch, [&](Size begin, Size end) {
      if (!timed && uniform) {
        undisturbed(begin, end, out);
        return;
      }
      for (Size a = end; a-- > begin;) {
        if (a % 64 == 0) watch.look();
        const Real total = pass<weights, timed>(a, weights ? out + row_[a] : nullptr,
                                                q.weight + row_[a] + begin_);
        if (timed) by_time_[a] = total;
      }
    });
  }

  // E13 at arrival a, dL/dw = lI and by its time alpha w lI - (w/C) lV; then E12, back to the
  // arrival before it.
  template <bool weights, bool timed>
  Real pass(Size a, Real* out, const Real* w) {
    const P span(span_[a]);
    const Decay<P> shared{P(mem_[a]), P(syn_[a]), P(kappa_[a])};
    const bool uniform = traits().uniform, identical = traits().identical;
    const P first_alpha(c_.alpha.data()[first_]), first_inv_c(c_.inv_c.data()[first_]);
    const Size whole = size_ / lane_width<Real> * lane_width<Real>;
    const auto each = [&](Size k) {
      return uniform ? shared : decay(span, Neuron<P>::load(c_, first_ + static_cast<Id>(k)));
    };
    // A fixed pattern of partial sums: the same bits at every vector width.
    constexpr int parts = lane_width<Real> / P::width;
    P sum[parts];
    for (int u = 0; u < parts; ++u) sum[u] = P(Real(0));
    for (Size j = 0; j < whole; j += lane_width<Real>)
      for (int u = 0; u < parts; ++u) {
        const Size k = j + u * P::width;
        const P lv = P::load(&lane_lv_[k]), li = P::load(&lane_li_[k]);
        const P inv_c = identical ? first_inv_c : P::load(c_.inv_c.data() + first_ + k);
        if (weights) (P::load(out + k) + li).store(out + k);
        if (timed) {
          const P alpha = identical ? first_alpha : P::load(c_.alpha.data() + first_ + k);
          sum[u] = sum[u] + P::load(w + k) * fma(alpha, li, -inv_c * lv);
        }
        back(k, each(k), lv, li, inv_c);
      }
    if (weights)
      for (Size j = whole; j < size_; ++j) out[j] += lane_li_[j];
    Real part[lane_width<Real>];
    if (timed) {
      for (int u = 0; u < parts; ++u) sum[u].store(part + u * P::width);
      for (Size j = whole; j < size_; ++j)
        part[j - whole] += w[j] * fma(c_.alpha.data()[first_ + j], lane_li_[j],
                                      -c_.inv_c.data()[first_ + j] * lane_lv_[j]);
      for (int half = lane_width<Real> / 2; half > 0; half /= 2)
        for (int l = 0; l < half; ++l) part[l] += part[l + half];
    }
    for (Size k = whole; k < size_; k += P::width)
      back(k, each(k), P::load(&lane_lv_[k]), P::load(&lane_li_[k]),
           identical ? first_inv_c : P::load(c_.inv_c.data() + first_ + k));
    return timed ? part[0] : Real(0);
  }

  // The same for weights alone, through the arrivals [begin, end): a few vectors at a time stay in
  // registers.
  void undisturbed(Size begin, Size end, Real* out) {
    const Size whole = size_ / lane_width<Real> * lane_width<Real>;
    Size k = 0;
    const auto add = [&](Real* row, P li) { (P::load(row) + li).store(row); };
    for (; k + 4 * P::width <= whole; k += 4 * P::width) back<4>(begin, end, k, out, add);
    for (; k < whole; k += P::width) back<1>(begin, end, k, out, add);
    for (; k < size_; k += P::width) {
      const int rest = int(std::min<Size>(P::width, size_ - k));
      back<1>(begin, end, k, out, [&](Real* row, P li) {
        (P::load_first(row, rest) + li).store_first(row, rest);
      });
    }
  }

  template <int n, class Add>
  SNNFP_INLINE void back(Size begin, Size end, Size k, Real* out, Add add) {
    constexpr int line = 64 / sizeof(Real);
    P lv[n], li[n], inv_c[n];
    for (int u = 0; u < n; ++u) {
      const Size at = k + u * P::width;
      lv[u] = P::load(&lane_lv_[at]);
      li[u] = P::load(&lane_li_[at]);
      inv_c[u] = P::load(c_.inv_c.data() + first_ + at);
    }
    for (Size a = end; a-- > begin;) {
      Real* row = out + row_[a] + k;
      // Each row lies in a page of its own: asked for four arrivals ahead.
      const Real* ahead = out + row_[std::max<Size>(a - 4, 0)] + k;
      for (int u = 0; u < n * P::width; u += line) __builtin_prefetch(ahead + u, 1);
      const P mem(mem_[a]), syn(syn_[a]), kappa(kappa_[a]);
      for (int u = 0; u < n; ++u) {
        add(row + u * P::width, li[u]);
        li[u] = fma(kappa * inv_c[u], lv[u], syn * li[u]);
        lv[u] = mem * lv[u];
      }
    }
    for (int u = 0; u < n; ++u) {
      lv[u].store(&lane_lv_[k + u * P::width]);
      li[u].store(&lane_li_[k + u * P::width]);
    }
  }

  // A spike and its neuron's next one; lI just after the release between them, where lV becomes 0.
  struct Pair {
    Id spike, next;
    Real li;
  };
  // What lI is at the last arrival that a neuron is held at.
  struct Held {
    Size end;
    Id unit;
    Real li;
  };

  const NeuronConstants<Real>& c_;
  Vector<Traits> traits_;
  Id population_ = 0, begin_ = 0, first_ = 0;  // the neurons: from where in the population, in all
  Size size_ = 0;

  // Spikes in time order.
  Size count_ = 0;
  Vector<Real> time_, lv_, li_;
  Vector<Id> unit_;      // from begin_
  Vector<Id> place_;     // in the sample
  Vector<Size> end_;     // the arrivals before it
  Vector<Size> before_;  // the neuron's spike before it, or -1
  Vector<Pair> pairs_;
  Size n_pairs_ = 0;
  // The neuron's next spike while pairs are found, from seen_ on: lower ones are of earlier runs.
  Vector<Size> later_;
  Size seen_ = 0;

  // Arrivals.
  Vector<Real> at_, by_time_;
  Vector<Size> row_;
  Vector<Id> gather_row_;

  Vector<Real> span_, mem_, syn_, kappa_, syn_held_;
  Vector<Id> neuron_;
  Vector<Real> lane_lv_, lane_li_, enter_lv_, enter_li_;
  Vector<Held> held_;
};

SNNFP_ISA_END
