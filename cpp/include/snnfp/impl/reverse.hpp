#pragma once
// The adjoint of one sample: spikes from last to first, each pulling from the spikes it caused.
// MATH.md E12-E14. Between a neuron's own spikes its adjoint (lV, lI) is a closed form of its value
// at the next one, so an arrival costs O(1) and nothing has to be kept a delivery.

#include <algorithm>

#include "snnfp/detail/crossing.hpp"
#include "snnfp/detail/one_sided.hpp"

SNNFP_ISA_BEGIN

// The adjoint of one neuron ahead of an arrival: at t <= `time`,
// lI = (kappa(time - t)/C) lv + e^(-alpha (time - t)) li,  lV = e^(-beta (time - t)) lv.
template <class Real>
struct Ahead {
  Vector<Real> time, lv, li;
  Vector<Real> refractory;  // of li: its true time is `time` + refractory
  Vector<Real> bound;       // an arrival at or before it needs the neuron's earlier spike
  Vector<Size> place;       // of the spike ahead; `held`: the arrival falls into its refractory time
  Vector<unsigned char> held;

  // A time far ahead at which nothing happens: its coefficients are finite, its adjoint is 0.
  static Real nowhere() { return sqrt_of(std::numeric_limits<Real>::max()); }

  explicit Ahead(Size n)
      : time(n, nowhere()),
        lv(n, Real(0)),
        li(n, Real(0)),
        refractory(n, Real(0)),
        bound(n, -never<Real>),
        place(n, Size(-1)),
        held(n, 0) {}
};

template <class Real>
class Reverse {
 public:
  Reverse(const Plan<Real>& plan, const SampleInput<Real>& input, const SampleSpikes<Real>& spikes,
          const Columns& columns, const Real* cotangents, Real* gradient, Real* const* input_times,
          const Watch& watch)
      : plan_(plan),
        input_(input),
        spikes_(spikes),
        columns_(columns),
        gradient_(gradient),
        input_times_(input_times),
        watch_(watch),
        index_(plan, spikes),
        mu_(cotangents, cotangents + spikes.count),
        lv_(spikes.count, Real(0)),
        li_(spikes.count, Real(0)),
        lv_release_(spikes.count, Real(0)) {
    Size longest = 0;
    for (const auto& p : plan.projections) {
      cursors_.emplace_back(p.shared_delay ? p.n_target : 0);
      if (p.shared_delay) place_last(p, cursors_.back());
      longest = std::max<Size>(longest, p.n_target);
      if (p.connectivity == Connectivity::sparse)
        for (Id u = 0; u < p.n_source; ++u)
          longest = std::max(longest, p.row_end(u) - p.row_begin(u));
    }
    stage_.resize(static_cast<std::size_t>(longest));
    time_constants_wanted_.assign(plan.population_offsets.size() - 1, 0);
    for (std::size_t q = 0; q < time_constants_wanted_.size(); ++q)
      time_constants_wanted_[q] = wanted(Id(q), NeuronParameter::tau_mem) ||
                                  wanted(Id(q), NeuronParameter::tau_syn);
  }

  void run() {
    for (Size k = spikes_.count; k-- > 0;) {
      if (k % 64 == 0) watch_.look();
      const Id j = spikes_.neurons[k];
      const Id population = plan_.population_of.data()[j];
      const Id unit = j - plan_.population_offsets.data()[population];
      for (const Id p : plan_.from_population.data()[population])
        mu_[k] += pull(plan_.projections.data()[p], unit, spikes_.times[k]);
      own(k, j, population);
    }
    for (std::size_t g = 0; g < plan_.from_input.size(); ++g) {
      const InputSpikes<Real>& in = input_.groups[g];
      for (Size k = in.count; k-- > 0;) {
        if (k % 64 == 0) watch_.look();
        Real mu = Real(0);
        for (const Id p : plan_.from_input.data()[g])
          mu += pull(plan_.projections.data()[p], in.units[k], in.times[k]);
        if (input_times_[g]) input_times_[g][in.first + k] = mu;
      }
    }
    OneSidedTerms<Real> ties(plan_, input_, spikes_, columns_);
    if (ties.possible()) ties.add_adjoint(ties.find(index_), lv_.data(), gradient_);
  }

 private:
  bool wanted(Id population, NeuronParameter p) const {
    return columns_.neuron[population * n_neuron_parameters + int(p)] >= 0;
  }
  void add(Id j, Id population, NeuronParameter p, Real value) {
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return;
    const Size element =
        columns_.neuron_shared[at] ? 0 : j - plan_.population_offsets.data()[population];
    gradient_[columns_.neuron[at] + element] += value;
  }

  // The spike's own adjoint, once all that it caused is known; then the adjoint at the release of
  // the neuron's spike before it, which arrivals may ask for before that spike's turn comes.
  void own(Size k, Id j, Id population) {
    const Neuron<Real> n(plan_.neurons, j);
    const Real at_release = release_slope(n, spikes_.release_currents[k]);
    mu_[k] -= at_release * lv_release_[k];
    add(j, population, NeuronParameter::t_refractory, -at_release * lv_release_[k]);
    add(j, population, NeuronParameter::v_reset, lv_release_[k]);
    const Real scaled = mu_[k] / spikes_.slopes[k];
    add(j, population, NeuronParameter::threshold, scaled);
    const Real lv = lv_[k] = -scaled;

    const Size place = index_.place(k);
    const Flight<Real> from = flight_before(index_, input_, spikes_, n, j, place);
    const Real d = spikes_.times[k] - from.start;
    const Decay<Real> e = decay(d, n);
    const Real d_release = index_.release(place) - from.start;
    const Real i_carried = exp_of(-n.alpha * d_release);
    if (place > index_.first(j)) {
      const Size before = index_.spike(place - 1);
      lv_release_[before] = e.mem * lv;
      li_[before] = fma(e.kappa * n.inv_c, lv, i_carried * li_[k]);
    }
    if (wanted(population, NeuronParameter::bias))
      add(j, population, NeuronParameter::bias, lv * n.inv_c * step_response(d, n.beta));
    add(j, population, NeuronParameter::capacitance,
        -lv * n.inv_c * (n.threshold - e.mem * from.v));
    if (!time_constants_wanted_[population]) return;
    // E7 over the flight, from the state it began with.
    const Real by_beta = lv * (-d * e.mem * from.v + n.drive * step_response_by_beta(d, n) +
                               n.inv_c * from.i * kappa_by_beta(d, n));
    const Real by_alpha = from.i * (lv * n.inv_c * kappa_by_alpha(d, n) -
                                    d_release * i_carried * li_[k]);
    add(j, population, NeuronParameter::tau_mem, -n.beta * n.beta * by_beta);
    add(j, population, NeuronParameter::tau_syn, -n.alpha * n.alpha * by_alpha);
  }

  void place_last(const ProjectionPlan<Real>& p, Ahead<Real>& ahead) const {
    for (Id t = 0; t < p.n_target; ++t) {
      const Id j = p.target_first + t;
      ahead.place[t] = index_.end(j);
      if (index_.end(j) > index_.first(j)) ahead.bound[t] = index_.last_held(index_.end(j) - 1);
    }
  }

  // Sets lane t to what lies ahead of an arrival at `time` at neuron j.
  void look(Ahead<Real>& ahead, Size t, Id j, Size place, Real time) const {
    const Size k = index_.spike(place);
    const bool held = time >= spikes_.times[k];
    Real refractory = plan_.neurons.t_refractory.data()[j];
    if (index_.release(place) < spikes_.times[k] + refractory)
      refractory = index_.release(place) - spikes_.times[k];
    ahead.place[t] = place;
    ahead.held[t] = held;
    if (held) {
      ahead.time[t] = index_.release(place);
      ahead.lv[t] = Real(0);
      ahead.li[t] = li_[k];
      ahead.refractory[t] = Real(0);
      ahead.bound[t] = std::nextafter(spikes_.times[k], -never<Real>);
    } else {
      ahead.time[t] = spikes_.times[k];
      ahead.lv[t] = lv_[k];
      ahead.li[t] = exp_of(-plan_.neurons.alpha.data()[j] * refractory) * li_[k];
      ahead.refractory[t] = refractory;
      ahead.bound[t] = place > index_.first(j) ? index_.last_held(place - 1) : -never<Real>;
    }
  }

  // Arrivals through one projection come latest first, so each target's spike ahead only moves back.
  void move_back(Ahead<Real>& ahead, Size t, Id j, Real time) const {
    Size place = ahead.place[t];
    while (place > index_.first(j) && time <= index_.last_held(place - 1)) --place;
    look(ahead, t, j, place, time);
  }

  // The cotangent that one spike of `unit` at `time` gets through one projection; adds to the
  // gradients of its weights and delays on the way.
  Real pull(const ProjectionPlan<Real>& p, Id unit, Real time) {
    const Size begin = p.row_begin(unit), count = p.row_end(unit) - begin;
    if (count == 0) return Real(0);
    const bool contiguous = p.connectivity == Connectivity::dense;
    Ahead<Real>& cursor = cursors_[p.index];
    if (p.shared_delay) {
      const Real at = time + p.delay[0];
      for (Size m = 0; m < count; ++m) {
        const Id j = p.target_of(unit, begin + m);
        if (cursor.bound[j - p.target_first] >= at) move_back(cursor, j - p.target_first, j, at);
      }
      if (contiguous) {
        lanes(count, at, nullptr, cursor.time.data(), cursor.lv.data(), cursor.li.data(),
              plan_.neurons.alpha.data() + p.target_first, plan_.neurons.beta.data() + p.target_first,
              plan_.neurons.difference.data() + p.target_first,
              plan_.neurons.inv_difference.data() + p.target_first,
              plan_.neurons.inv_c.data() + p.target_first, p.weight + begin);
        if (time_constants_wanted_[p.target_population])
          for (Size m = 0; m < count; ++m)
            explicit_terms(p, p.target_first + Id(m), p.weight[begin + m], at, cursor, m);
      } else {
        for (Size m = 0; m < count; ++m) {
          const Id j = p.target_of(unit, begin + m);
          stage_.load(m, at, cursor, j - p.target_first, plan_.neurons, j);
          if (time_constants_wanted_[p.target_population])
            explicit_terms(p, j, p.weight[begin + m], at, cursor, j - p.target_first);
        }
        lanes_staged(count, p.weight + begin);
      }
    } else {
      for (Size m = 0; m < count; ++m) {
        const Id j = p.target_of(unit, begin + m);
        const Real at = time + p.delay[begin + m];
        const Size place = index_.anchor(j, at);
        if (place == index_.end(j)) {
          stage_.load_nothing(m, at, plan_.neurons, j);
          continue;
        }
        look(single_, 0, j, place, at);
        stage_.load(m, at, single_, 0, plan_.neurons, j);
        if (time_constants_wanted_[p.target_population])
          explicit_terms(p, j, p.weight[begin + m], at, single_, 0);
      }
      lanes_staged(count, p.weight + begin);
    }
    return collect(p, begin, count);
  }

  void explicit_terms(const ProjectionPlan<Real>& p, Id j, Real w, Real at, const Ahead<Real>& ahead,
                      Size t) {
    const Neuron<Real> n(plan_.neurons, j);
    const Real d = ahead.time[t] - at, lv = ahead.lv[t], li = ahead.li[t];
    if (lv == Real(0) && li == Real(0)) return;
    const Real by_beta = w * lv * n.inv_c * kappa_by_beta(d, n);
    const Real by_alpha = w * (lv * n.inv_c * kappa_by_alpha(d, n) -
                               (d + ahead.refractory[t]) * exp_of(-n.alpha * d) * li);
    add(j, p.target_population, NeuronParameter::tau_mem, -n.beta * n.beta * by_beta);
    add(j, p.target_population, NeuronParameter::tau_syn, -n.alpha * n.alpha * by_alpha);
  }

  // E13 for many targets at once: by_weight = lI, by_time = alpha w lI - (w/C) lV.
  void lanes(Size count, Real shared, const Real* own, const Real* time, const Real* lv,
             const Real* li, const Real* alpha, const Real* beta, const Real* difference,
             const Real* inv_difference, const Real* inv_c, const Real* weight) {
    Real* __restrict by_weight = stage_.by_weight.data();
    Real* __restrict by_time = stage_.by_time.data();
#pragma GCC ivdep
    for (Size m = 0; m < count; ++m) {
      const Real d = time[m] - (own ? own[m] : shared);
      const Decay<Real> e = decay(d, alpha[m], beta[m], difference[m], inv_difference[m]);
      const Real at_i = fma(e.kappa * inv_c[m], lv[m], e.syn * li[m]);
      by_weight[m] = at_i;
      by_time[m] = weight[m] * fma(alpha[m], at_i, -inv_c[m] * (e.mem * lv[m]));
    }
  }
  void lanes_staged(Size count, const Real* weight) {
    lanes(count, Real(0), stage_.arrival.data(), stage_.time.data(), stage_.lv.data(),
          stage_.li.data(), stage_.alpha.data(), stage_.beta.data(), stage_.difference.data(),
          stage_.inv_difference.data(), stage_.inv_c.data(), weight);
  }

  Real collect(const ProjectionPlan<Real>& p, Size begin, Size count) {
    const Real* by_weight = stage_.by_weight.data();
    const Real* by_time = stage_.by_time.data();
    if (columns_.weight[p.index] >= 0) {
      Real* __restrict out = gradient_ + columns_.weight[p.index] + begin;
#pragma GCC ivdep
      for (Size m = 0; m < count; ++m) out[m] += by_weight[m];
    }
    // Eight partial sums in a fixed pattern: the same bits at every vector width.
    Real part[8] = {};
    Size m = 0;
    for (; m + 8 <= count; m += 8)
      for (int l = 0; l < 8; ++l) part[l] += by_time[m + l];
    for (int l = 0; m < count; ++m, ++l) part[l] += by_time[m];
    const Real sum = ((part[0] + part[4]) + (part[2] + part[6])) +
                     ((part[1] + part[5]) + (part[3] + part[7]));
    if (columns_.delay[p.index] >= 0) {
      Real* out = gradient_ + columns_.delay[p.index];
      if (p.shared_delay) {
        out[0] += sum;
      } else {
        for (Size q = 0; q < count; ++q) out[begin + q] += by_time[q];
      }
    }
    return sum;
  }

  // Lanes gathered from scattered targets.
  struct Stage {
    Vector<Real> arrival, time, lv, li, alpha, beta, difference, inv_difference, inv_c;
    Vector<Real> by_weight, by_time;
    Ahead<Real> nothing{1};
    void resize(std::size_t n) {
      for (Vector<Real>* v : {&arrival, &time, &lv, &li, &alpha, &beta, &difference,
                              &inv_difference, &inv_c, &by_weight, &by_time})
        v->resize(n);
    }
    void load(Size m, Real at, const Ahead<Real>& ahead, Size t, const NeuronConstants<Real>& c,
              Id j) {
      arrival[m] = at;
      time[m] = ahead.time[t];
      lv[m] = ahead.lv[t];
      li[m] = ahead.li[t];
      alpha[m] = c.alpha.data()[j];
      beta[m] = c.beta.data()[j];
      difference[m] = c.difference.data()[j];
      inv_difference[m] = c.inv_difference.data()[j];
      inv_c[m] = c.inv_c.data()[j];
    }
    void load_nothing(Size m, Real at, const NeuronConstants<Real>& c, Id j) {
      load(m, at, nothing, 0, c, j);
    }
  };

  const Plan<Real>& plan_;
  const SampleInput<Real>& input_;
  const SampleSpikes<Real>& spikes_;
  const Columns& columns_;
  Real* gradient_;
  Real* const* input_times_;
  const Watch& watch_;
  const SpikeIndex<Real> index_;
  Vector<Real> mu_;
  Vector<Real> lv_;          // lV just before each spike
  Vector<Real> li_;          // lI at each spike's release
  Vector<Real> lv_release_;  // lV just after each spike's release
  Vector<Ahead<Real>> cursors_;
  Ahead<Real> single_{1};
  Stage stage_;
  Vector<unsigned char> time_constants_wanted_;
};

SNNFP_ISA_END
