#pragma once
// The adjoint of one population, or of some of its neurons, when all that its spikes caused is
// known: in a graph without loops, population by population from the last to the first. MATH.md
// E12-E14. Between its own spikes a neuron's adjoint is a closed form of its value at the next one,
// so the spikes' own adjoints come first, and what arrives is tied to them afterwards: for few
// neurons each spike with all arrivals of the flight before it, side by side; for many neurons all
// of them side by side, arrival by arrival.

#include "snnfp/impl/reverse_sample.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ReverseLayer {
 public:
  explicit ReverseLayer(const Plan<Real>& plan) : c_(plan.neurons), later_(plan.n_neurons, -1) {
    for (std::size_t p = 0; p + 1 < plan.population_offsets.size(); ++p)
      traits_.emplace_back(c_, plan.population_offsets[p], plan.population_offsets[p + 1]);
  }

  // The neurons [begin, end) of a population. From `sample.known` only the lI of its spikes is to be
  // found, for the weights of the projections left for later.
  void run(ReverseSample<Real>& sample, Id population, Id begin, Id end, const Watch& watch) {
    population_ = population;
    begin_ = begin;
    size_ = end - begin;
    first_ = sample.plan.population_offsets.data()[population] + begin;
    collect(sample, watch);
    if (count_ == 0) return;
    watch.look();
    own(sample);
    watch.look();
    for (const Id q : sample.plan.into_population.data()[population])
      if (bool(sample.columns.later[q]) == (sample.known != nullptr))
        pull(sample, sample.plan.projections.data()[q], watch);
  }

 private:
  using P = Pack<Real>;

  // Of a population's neurons.
  struct Traits {
    bool uniform = true;    // one tau_mem, one tau_syn
    bool identical = true;  // one capacitance too
    bool held = false;      // some refractory time
    bool few;               // less than a vector

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

  // The spikes, latest first, but for the last ones of a neuron that nothing depends on.
  void collect(ReverseSample<Real>& s, const Watch& watch) {
    const Size from = s.first[population_], to = s.first[population_ + 1];
    for (Vector<Real>* v : {&time_, &lv_, &li_, &slope_}) make_room(*v, padded<Real>(to - from));
    for (Vector<Size>* v : {&place_, &end_, &before_}) make_room(*v, to - from);
    make_room(unit_, to - from);
    count_ = 0;
    pairs_.clear();
    for (Size m = to; m-- > from;) {
      if (m % 4096 == 0) watch.look();
      const Id unit = s.unit[m] - begin_;
      if (unit < 0 || unit >= size_) continue;
      const Size k = s.spike[m];
      const Real adjoint = s.known ? s.known[k] : s.mu[m];
      const Size next = later_[unit];
      if (adjoint == Real(0) && next < 0) {
        if (s.voltage_adjoint) s.voltage_adjoint[k] = Real(0);
        continue;
      }
      const Size e = count_++;
      time_[e] = s.time[m];
      unit_[e] = unit;
      place_[e] = m;
      lv_[e] = adjoint;
      li_[e] = Real(0);
      slope_[e] = s.spikes.slopes[k];
      before_[e] = -1;
      if (next >= 0) {
        before_[next] = Size(pairs_.size());
        pairs_.push_back({e, next, s.time[m] + c_.t_refractory.data()[first_ + unit], Real(0), 0});
      }
      later_[unit] = e;
    }
    for (Size e = 0; e < count_; ++e) later_[unit_[e]] = -1;
  }

  // Calls use(b, decay, constants) for packs of the first n entries of span_, of neurons neuron_.
  template <class Use>
  void decays(Size n, Use use) {
    const Size end = padded<Real>(n);
    std::fill(span_.data() + n, span_.data() + end, Real(0));
    if (traits().identical) {
      const Neuron<P> all(c_, first_);
      for (Size b = 0; b < end; b += P::width) use(b, decay(P::load(&span_[b]), all), all);
      return;
    }
    std::fill(neuron_.data() + n, neuron_.data() + end, first_);
    for (Size b = 0; b < end; b += P::width) {
      const Neuron<P> each = Neuron<P>::gather(c_, &neuron_[b]);
      use(b, decay(P::load(&span_[b]), each), each);
    }
  }
  void room_for_spans(Size n) {
    make_room(span_, padded<Real>(n));
    make_room(neuron_, padded<Real>(n));
  }

  // E14: lV just before each spike and lI there, from mu and from the neuron's next spike.
  void own(ReverseSample<Real>& s) {
    if (!s.known) {
      const Size end = padded<Real>(count_);
      std::fill(slope_.data() + count_, slope_.data() + end, Real(1));
      std::fill(lv_.data() + count_, lv_.data() + end, Real(0));
      for (Size b = 0; b < end; b += P::width)
        (-(P::load(&lv_[b]) / P::load(&slope_[b]))).store(&lv_[b]);
    }
    if (!pairs_.empty()) carry(s);
    if (s.known) return;
    if (s.voltage_adjoint)
      for (Size e = 0; e < count_; ++e) s.voltage_adjoint[s.spike[place_[e]]] = lv_[e];
    if (s.wants(population_, NeuronParameter::threshold))
      for (Size e = 0; e < count_; ++e)
        s.add(population_, unit_[e] + begin_, NeuronParameter::threshold, -lv_[e]);
    if (s.wants(population_, NeuronParameter::bias) ||
        s.wants(population_, NeuronParameter::capacitance))
      for (Size e = 0; e < count_; ++e) flight(s, e);
  }

  void carry(ReverseSample<Real>& s) {
    const Size n = Size(pairs_.size());
    room_for_spans(n);
    for (Vector<Real>* v : {&mem_, &syn_, &kappa_, &syn_held_}) make_room(*v, padded<Real>(n));
    for (Size c = 0; c < n; ++c) {
      span_[c] = time_[pairs_[c].next] - pairs_[c].release;
      neuron_[c] = first_ + unit_[pairs_[c].spike];
    }
    decays(n, [&](Size b, const Decay<P>& e, const Neuron<P>& k) {
      e.mem.store(&mem_[b]);
      e.syn.store(&syn_[b]);
      (e.kappa * k.inv_c).store(&kappa_[b]);
    });
    if (traits().held) {
      for (Size c = 0; c < n; ++c) span_[c] = pairs_[c].release - time_[pairs_[c].spike];
      decays(n, [&](Size b, const Decay<P>& e, const Neuron<P>&) { e.syn.store(&syn_held_[b]); });
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
      s.mu[m] -= after * lv;
      s.add(population_, unit, NeuronParameter::t_refractory, -after * lv);
      s.add(population_, unit, NeuronParameter::v_reset, lv);
      lv_[e] = -(s.mu[m] / slope_[e]);
    }
  }

  // What acts along the free flight that ended in a spike.
  void flight(ReverseSample<Real>& s, Size e) {
    const Id unit = unit_[e] + begin_;
    const Neuron<Real> n(c_, first_ + unit_[e]);
    Real start = Real(0), v = s.input->voltage ? s.input->voltage[first_ + unit_[e]] : Real(0);
    if (before_[e] >= 0) {
      start = pairs_[before_[e]].release;
      v = n.v_reset;
    }
    const Real d = time_[e] - start, lv = lv_[e] * n.inv_c;
    s.add(population_, unit, NeuronParameter::bias, lv * step_response(d, n.beta));
    s.add(population_, unit, NeuronParameter::capacitance, -lv * (n.threshold - decay(d, n).mem * v));
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
    if (timed) {
      make_room(by_time_, n + 2 * lane_width<Real>);
      std::fill_n(by_time_.data(), n, Real(0));
    }
    if (traits().few) {
      flights(q, out, timed, watch);
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

  // The arrivals that some spike comes after; returns how many there are. Finds for each spike and
  // for each release how many arrivals come before it: those at its moment come after a spike, and
  // before a release that ends a refractory time.
  Size arrive(const Real* times, const Id* units, Size count, const ProjectionPlan<Real>& q) {
    const Real delay = q.delay[0];
    Size n = std::lower_bound(times, times + count, time_[0],
                              [&](Real t, Real bound) { return t + delay < bound; }) -
             times;
    make_room(at_, n + 2 * lane_width<Real>);
    make_room(row_, n + 2 * lane_width<Real>);
    for (Size a = 0; a < n; ++a) at_[a] = times[a] + delay;
    for (Size a = 0; a < n; ++a) row_[a] = q.row_begin(units[a]);
    std::fill_n(at_.data() + n, lane_width<Real>, never<Real>);
    std::fill_n(row_.data() + n, lane_width<Real>, Size(0));
    Size a = n;
    for (Size e = 0; e < count_; ++e) {
      while (a > 0 && !(at_[a - 1] < time_[e])) --a;
      end_[e] = a;
    }
    for (Pair& pair : pairs_) {
      pair.end = end_[pair.spike];
      if (pair.release > time_[pair.spike])
        pair.end = std::upper_bound(at_.data() + pair.end, at_.data() + n, pair.release) -
                   at_.data();
    }
    return n;
  }

  // Few neurons: each spike with the arrivals of the flight before it, and each release with those
  // that came while the neuron was held.
  void flights(const ProjectionPlan<Real>& q, Real* out, bool timed, const Watch& watch) {
    for (Size e = 0; e < count_; ++e) {
      if (e % 64 == 0) watch.look();
      flight(q, before_[e] < 0 ? 0 : pairs_[before_[e]].end, end_[e], time_[e], lv_[e], li_[e],
             unit_[e], out, timed);
    }
    for (const Pair& pair : pairs_)
      flight(q, end_[pair.spike], pair.end, pair.release, Real(0), pair.li, unit_[pair.spike], out,
             timed);
  }

  void flight(const ProjectionPlan<Real>& q, Size begin, Size end, Real time, Real lv, Real li,
              Id unit, Real* out, bool timed) {
    if (begin == end || (lv == Real(0) && li == Real(0))) return;
    const Neuron<P> n(c_, first_ + unit);
    const P last(at_[end - 1]);
    for (Size a = begin; a < end; a += P::width) {
      const P t = P::load(&at_[a]);
      const Decay<P> e = decay(P(time) - t, n);
      const P by_weight = fma(e.kappa * n.inv_c, P(lv), e.syn * P(li));
      Real value[P::width];
      const int lanes = int(std::min<Size>(P::width, end - a));
      if (out) {
        by_weight.store(value);
        for (int l = 0; l < lanes; ++l) out[row_[a + l] + unit] += value[l];
      }
      if (!timed) continue;
      for (int l = 0; l < P::width; ++l) value[l] = q.weight[row_[a + l] + begin_ + unit];
      const P by_time =
          P::load(value) * fma(n.alpha, by_weight, -n.inv_c * (e.mem * P(lv)));
      (P::load(&by_time_[a]) + select(t <= last, by_time, P(Real(0)))).store(&by_time_[a]);
    }
  }

  // Many neurons: all of them back from arrival to arrival; each takes its new adjoint at the last
  // arrival before a spike or a release.
  template <bool weights, bool timed>
  void lanes(const ProjectionPlan<Real>& q, Size n, Real* out, const Watch& watch) {
    const Size width = padded<Real>(size_);
    make_room(lane_lv_, width);
    make_room(lane_li_, width);
    std::fill_n(lane_lv_.data(), width, Real(0));
    std::fill_n(lane_li_.data(), width, Real(0));
    enter();
    room_for_spans(n);
    for (Vector<Real>* v : {&mem_, &syn_, &kappa_}) make_room(*v, padded<Real>(n));
    span_[0] = Real(0);
    for (Size a = 1; a < n; ++a) span_[a] = at_[a] - at_[a - 1];
    if (traits().uniform) {
      const Neuron<P> shared(c_, first_);
      const Size end = padded<Real>(n);
      std::fill(span_.data() + n, span_.data() + end, Real(0));
      for (Size b = 0; b < end; b += P::width) {
        const Decay<P> e = decay(P::load(&span_[b]), shared);
        e.mem.store(&mem_[b]);
        e.syn.store(&syn_[b]);
        e.kappa.store(&kappa_[b]);
      }
    }
    Size e = 0, r = 0, looked = n;
    for (Size a = n; a-- > 0;) {
      if (looked - a >= 64) {
        watch.look();
        looked = a;
      }
      for (; e < count_ && end_[e] == a + 1; ++e) {
        lane_lv_[unit_[e]] = enter_lv_[e];
        lane_li_[unit_[e]] = enter_li_[e];
      }
      for (; r < Size(held_.size()) && held_[r].end == a + 1; ++r) {
        lane_lv_[held_[r].unit] = Real(0);
        lane_li_[held_[r].unit] = held_[r].li;
      }
      if (!timed && traits().uniform) {
        Size next = e < count_ ? end_[e] : 0;
        if (r < Size(held_.size())) next = std::max(next, held_[r].end);
        undisturbed(a, next, out);
        a = next;
        continue;
      }
      const Real total = pass<weights, timed>(a, weights ? out + row_[a] : nullptr,
                                              q.weight + row_[a] + begin_);
      if (timed) by_time_[a] = total;
    }
  }

  // The adjoint of each spike's neuron at the last arrival before it.
  void enter() {
    Size n = 0;
    while (n < count_ && end_[n] > 0) ++n;
    room_for_spans(n);
    make_room(enter_lv_, padded<Real>(n));
    make_room(enter_li_, padded<Real>(n));
    for (Size e = 0; e < n; ++e) {
      span_[e] = time_[e] - at_[end_[e] - 1];
      neuron_[e] = first_ + unit_[e];
    }
    decays(n, [&](Size b, const Decay<P>& e, const Neuron<P>& k) {
      const P lv = P::load(&lv_[b]), li = P::load(&li_[b]);
      fma(e.kappa * k.inv_c, lv, e.syn * li).store(&enter_li_[b]);
      (e.mem * lv).store(&enter_lv_[b]);
    });
    held_.clear();
    for (const Pair& pair : pairs_)
      if (pair.end > end_[pair.spike]) {
        const Id unit = unit_[pair.spike];
        const Real d = pair.release - at_[pair.end - 1];
        held_.push_back(
            {pair.end, unit, exp_of(-c_.alpha.data()[first_ + unit] * d) * pair.li});
      }
    std::sort(held_.begin(), held_.end(),
              [](const Held& a, const Held& b) { return a.end > b.end; });
  }

  // E13 at arrival a, dL/dw = lI and by its time alpha w lI - (w/C) lV; then E12, back to the arrival
  // before it.
  template <bool weights, bool timed>
  Real pass(Size a, Real* out, const Real* w) {
    const P span(span_[a]);
    const Decay<P> shared{P(mem_[a]), P(syn_[a]), P(kappa_[a])};
    const bool uniform = traits().uniform, identical = traits().identical;
    const P first_alpha(c_.alpha.data()[first_]), first_inv_c(c_.inv_c.data()[first_]);
    const Size whole = size_ / lane_width<Real> * lane_width<Real>;
    const auto back = [&](Size k, P lv, P li, P inv_c) {
      const Decay<P> e =
          uniform ? shared : decay(span, Neuron<P>::load(c_, first_ + static_cast<Id>(k)));
      fma(e.kappa * inv_c, lv, e.syn * li).store(&lane_li_[k]);
      (e.mem * lv).store(&lane_lv_[k]);
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
        back(k, lv, li, inv_c);
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
      back(k, P::load(&lane_lv_[k]), P::load(&lane_li_[k]),
           identical ? first_inv_c : P::load(c_.inv_c.data() + first_ + k));
    return timed ? part[0] : Real(0);
  }

  // The same for weights alone, from one arrival back through another between which no neuron takes
  // a new adjoint: a few vectors at a time stay in registers.
  void undisturbed(Size from, Size to, Real* out) {
    const Size whole = size_ / lane_width<Real> * lane_width<Real>;
    Size k = 0;
    const auto add = [&](Real* row, P li) { (P::load(row) + li).store(row); };
    for (; k + 4 * P::width <= whole; k += 4 * P::width) back<4>(from, to, k, out, add);
    for (; k < whole; k += P::width) back<1>(from, to, k, out, add);
    for (; k < size_; k += P::width) {
      const int rest = int(std::min<Size>(P::width, size_ - k));
      back<1>(from, to, k, out, [&](Real* row, P li) {
        Real value[P::width];
        li.store(value);
        for (int l = 0; l < rest; ++l) row[l] += value[l];
      });
    }
  }

  template <int n, class Add>
  SNNFP_INLINE void back(Size from, Size to, Size k, Real* out, Add add) {
    P lv[n], li[n], inv_c[n];
    for (int u = 0; u < n; ++u) {
      const Size at = k + u * P::width;
      lv[u] = P::load(&lane_lv_[at]);
      li[u] = P::load(&lane_li_[at]);
      inv_c[u] = P::load(c_.inv_c.data() + first_ + at);
    }
    for (Size a = from; a >= to; --a) {
      Real* row = out + row_[a] + k;
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

  // A spike and its neuron's next one, with the release between them and the adjoint there: lI is
  // `li`, lV becomes 0. `end`: the arrivals up to the release.
  struct Pair {
    Size spike, next;
    Real release, li;
    Size end;
  };
  struct Held {
    Size end;
    Id unit;
    Real li;
  };

  const NeuronConstants<Real>& c_;
  Vector<Traits> traits_;
  Id population_ = 0, begin_ = 0, first_ = 0;  // the neurons: from where in the population, in all
  Size size_ = 0;

  // Spikes, latest first.
  Size count_ = 0;
  Vector<Real> time_, lv_, li_, slope_;
  Vector<Id> unit_;      // from begin_
  Vector<Size> place_;   // in the sample
  Vector<Size> before_;  // the pair that it is the later of, or -1
  Vector<Size> end_;     // the arrivals before it
  Vector<Pair> pairs_;
  Vector<Size> later_;  // the neuron's next spike, while they are collected

  // Arrivals.
  Vector<Real> at_, by_time_;
  Vector<Size> row_;

  Vector<Real> span_, mem_, syn_, kappa_, syn_held_;
  Vector<Id> neuron_;
  Vector<Real> lane_lv_, lane_li_, enter_lv_, enter_li_;
  Vector<Held> held_;
};

SNNFP_ISA_END
