// Another neuron model through the same kernels: an integrator without a leak, without packs of its
// own beyond E12 and E13. A LIF neuron with tau_mem = infinity is the same neuron, so both must
// give the same record and the same gradient.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "snnfp/impl/engine.hpp"
#include "snnfp/impl/gradient.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/simulate.hpp"

namespace integrator {

using snnfp::Id;
using snnfp::NeuronParameter;

template <class Real>
struct Constants {
  std::vector<Real> rate, per_charge, threshold, v_reset, t_refractory;

  void append(const snnfp::Lif<Real>& p, Id k) {
    rate.push_back(1 / p.tau_syn.at_or_shared(k));
    per_charge.push_back(1 / p.capacitance.at_or_shared(k));
    threshold.push_back(p.threshold.at_or_shared(k));
    v_reset.push_back(p.v_reset.at_or_shared(k));
    t_refractory.push_back(p.t_refractory.at_or_shared(k));
  }
  void pad() {
    for (std::vector<Real>* x : {&rate, &per_charge, &threshold, &v_reset, &t_refractory})
      x->resize(x->size() + 64 / sizeof(Real), Real(1));
  }
  bool same_decay(Id j, Id k) const { return rate[j] == rate[k]; }
  bool same_response(Id j, Id k) const {
    return same_decay(j, k) && per_charge[j] == per_charge[k];
  }
  std::string time_constants(Id j) const { return "tau_syn = " + std::to_string(1 / rate[j]); }
};

template <class T>
struct Neuron {
  using Real = snnfp::detail::Scalar<T>;
  T rate, per_charge, threshold, v_reset, t_refractory;

  Neuron(const Constants<Real>& c, Id j) : Neuron(c, [j](const Real* x) { return T(x[j]); }) {}
  static Neuron load(const Constants<Real>& c, Id first) {
    return {c, [first](const Real* x) { return T::load(x + first); }};
  }
  static Neuron gather(const Constants<Real>& c, const Id* at) {
    return {c, [at](const Real* x) { return T::gather(x, at); }};
  }

 private:
  template <class Get>
  Neuron(const Constants<Real>& c, Get get)
      : rate(get(c.rate.data())),
        per_charge(get(c.per_charge.data())),
        threshold(get(c.threshold.data())),
        v_reset(get(c.v_reset.data())),
        t_refractory(get(c.t_refractory.data())) {}
};

template <class T>
struct State {
  T v, i;
};
// What is left of I, and what V gets of it.
template <class T>
struct Step {
  T left, given;
  T current_left() const { return left; }

  static constexpr int n_values = 2;
  template <class Use>
  void each(Use use) const {
    use(0, left);
    use(1, given);
  }
  template <class Get>
  static Step make(Get get) {
    return {get(0), get(1)};
  }
};
template <class T>
struct Adjoint {
  T v, i;

  static Adjoint held(T li) { return {T(0), li}; }
  static constexpr int n_values = 2;
  template <class Use>
  void each(Use use) const {
    use(0, v);
    use(1, i);
  }
  template <class Get>
  static Adjoint make(Get get) {
    return {get(0), get(1)};
  }
};
template <class Real>
struct Flight {
  State<Real> start;
  Real d;
  Step<Real> e;
  Real further, left;
};

// Motion.
template <class T>
Step<T> decay(T d, const Neuron<T>& n) {
  const auto parts = snnfp::detail::exponential_parts(-n.rate * d);
  return {parts.exp(), -parts.expm1() / n.rate};
}
template <class Real>
State<Real> propagate(State<Real> s, Real d, const Neuron<Real>& n) {
  const Step<Real> e = decay(d, n);
  return {s.v + e.given * n.per_charge * s.i, e.left * s.i};
}
template <class Real>
Real slope(State<Real> s, const Neuron<Real>& n) {
  return n.per_charge * s.i;
}
template <class Real>
Real slope_after(State<Real>, Real, State<Real> end, const Neuron<Real>& n) {
  return slope(end, n);
}
template <class Real>
Real crossing_time(const Constants<Real>& c, Id j, State<Real> s, Real time) {
  const Neuron<Real> n(c, j);
  const Real part = n.rate * (n.threshold - s.v) / slope(s, n);
  const Real d = -std::log1p(-part) / n.rate;
  return s.i > 0 && part > 0 && part < 1 ? time + d : std::numeric_limits<Real>::infinity();
}
template <class Real>
bool clock_hides_spike(State<Real>, const Neuron<Real>&) {
  return false;
}

// Derivatives.
template <class T>
Adjoint<T> adjoint_step(const Adjoint<T>& a, const Step<T>& e) {
  return {a.v, e.given * a.v + e.left * a.i};
}
template <class T>
Step<T> decay_of_adjoint(const Step<T>& e, const Neuron<T>& n) {
  return {e.left, e.given * n.per_charge};
}
template <class T>
T left_of_current(T d, const Neuron<T>& n) {
  return decay(d, n).left;
}
template <class T>
T by_weight(const Adjoint<T>& a) {
  return a.i;
}
template <class T>
T by_time(const Adjoint<T>& a, const Neuron<T>& n) {
  return n.rate * a.i - a.v;
}
template <class Real>
Adjoint<Real> adjoint_before(Real lv, Real li, const Neuron<Real>& n) {
  return {lv * n.per_charge, li};
}
template <class Real>
Real release_slope(const Neuron<Real>& n, Real i) {
  return n.per_charge * i;
}
template <class Real>
Real by_time_at_release(Real w, Real, const Neuron<Real>& n) {
  return w * n.per_charge;
}
template <class Real>
State<Real> flight_term(NeuronParameter, const Flight<Real>& f, const Neuron<Real>& n) {
  return {n.threshold - f.start.v, Real(0)};
}
template <class Real>
Real flight_unit(NeuronParameter, const Neuron<Real>& n) {
  return -n.per_charge;
}

struct Model {
  static constexpr bool side_by_side = false;
  static constexpr bool acts_in_flight(NeuronParameter p) {
    return p == NeuronParameter::capacitance;
  }
  template <class Real>
  using Constants = integrator::Constants<Real>;
  template <class T>
  using Neuron = integrator::Neuron<T>;
  template <class T>
  using State = integrator::State<T>;
  template <class Real>
  using Denormal = snnfp::detail::NoDenormal<Model, Real>;
  template <class T>
  using Step = integrator::Step<T>;
  template <class T>
  using Adjoint = integrator::Adjoint<T>;
  template <class Real>
  using FreeFlight = Flight<Real>;
};

}  // namespace integrator

static_assert(snnfp::detail::ModelCheck<integrator::Model, double>::passed);

using namespace snnfp;

namespace {

// A loop, a layer behind it, delays of every kind, refractory and reset neurons.
Network<double> network(unsigned seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> unit(0, 1);
  const auto values = [&](Size n, double low, double high) {
    std::vector<double> x(static_cast<std::size_t>(n));
    for (double& v : x) v = low + (high - low) * unit(random);
    return x;
  };
  const auto neurons = [&](Id n) {
    Lif<double> lif;
    lif.tau_mem = std::numeric_limits<double>::infinity();
    lif.tau_syn = values(n, 1, 4);
    lif.threshold = values(n, 0.8, 1.2);
    lif.v_reset = values(n, -0.2, 0.2);
    lif.t_refractory = seed % 2 ? values(n, 0, 1) : std::vector<double>{0};
    lif.capacitance = values(n, 0.5, 2);
    return lif;
  };
  Network<double> net;
  const auto x = net.add_input("x", 6);
  const auto h = net.add_population("h", 11, neurons(11)),
             y = net.add_population("y", 3, neurons(3));
  net.connect_dense(x, h, values(66, -0.2, 0.6), Array<double>(values(66, 0, 2)));
  net.connect_dense(h, h, values(121, -0.1, 0.1), 0.7);
  net.connect_dense(h, y, values(33, 0, 0.3));
  return net;
}

}  // namespace

TEST_CASE("a model of its own runs on the queue and the adjoint row by row") {
  using Plan = detail::PlanOf<integrator::Model, double>;
  Size spikes_in_all = 0;
  for (unsigned seed = 0; seed < 8; ++seed) {
    CAPTURE(seed);
    const Network<double> net = network(seed);
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> time(0, 8);
    std::vector<std::pair<double, Id>> input;
    for (Id k = 0; k < 30; ++k) input.push_back({time(random), k % 6});
    std::sort(input.begin(), input.end());
    SimulateOptions<double> options;
    options.until = 20;
    options.engine = Engine::queue;
    const Record<double> lif = simulate(net, {single_sample(input)}, options);

    Plan plan(*lif.plan);
    for (const Population<double>& p : net.populations())
      for (Id k = 0; k < p.size; ++k) plan.neurons.append(p.parameters, k);
    plan.neurons.pad();
    const detail::Batch<double> batch(lif);
    detail::Interrupt interrupt(options.poll);
    const detail::RunLimits limits{options.until, options.spike_limit, nullptr, 0};
    detail::WholeNetwork<double, integrator::Model> all(plan, batch.inputs[0], limits);
    detail::QueueSimulator<double, false, integrator::Model> queue(all.sample, limits, interrupt);
    queue.run(nullptr);

    const auto& found = queue.spikes();
    REQUIRE(found.size() == lif.spikes());
    spikes_in_all += found.size();
    std::vector<double> t, slopes, currents;
    std::vector<Id> neurons;
    for (Size k = 0; k < found.size(); ++k) {
      t.push_back(found[k].time);
      neurons.push_back(found[k].neuron);
      slopes.push_back(found[k].slope);
      currents.push_back(found[k].release_current);
      REQUIRE(neurons[k] == lif.neurons[k]);
      REQUIRE(t[k] == doctest::Approx(lif.times[k]).epsilon(1e-11));
      REQUIRE(slopes[k] == doctest::Approx(lif.slopes[k]).epsilon(1e-9));
    }

    std::vector<Parameter> wrt;
    for (Id p = 0; p < 2; ++p)
      for (const NeuronParameter q : {NeuronParameter::threshold, NeuronParameter::v_reset,
                                      NeuronParameter::t_refractory, NeuronParameter::capacitance})
        wrt.push_back({Parameter::Kind::neuron, p, q});
    for (Id q = 0; q < 3; ++q) {
      wrt.push_back({Parameter::Kind::weight, q});
      wrt.push_back({Parameter::Kind::delay, q});
    }
    wrt.push_back({Parameter::Kind::input_times, 0});
    const Layout columns = layout(lif, wrt);
    std::vector<double> cotangents;
    for (Size k = 0; k < found.size(); ++k) cotangents.push_back(std::cos(double(k)));
    const std::vector<double> wanted =
        vjp(lif, Span<const double>(cotangents), wrt, ExecutionOptions());

    const detail::ColumnMap<double> map(lif, columns);
    detail::Reverse<double, integrator::Model> reverse(plan, map.get());
    std::vector<double> gradient(static_cast<std::size_t>(columns.size()), 0.0);
    double* const input_times[] = {gradient.data() + columns.offsets[wrt.size() - 1]};
    reverse.run(batch.inputs[0],
                {found.size(), t.data(), neurons.data(), slopes.data(), currents.data()},
                cotangents.data(), gradient.data(), input_times, nullptr, {interrupt, 0});
    for (std::size_t k = 0; k < wrt.size(); ++k) {
      CAPTURE(k);
      double largest = 0;
      for (Size c = columns.offsets[k]; c < columns.offsets[k + 1]; ++c)
        largest = std::max(largest, std::abs(wanted[c]));
      for (Size c = columns.offsets[k]; c < columns.offsets[k + 1]; ++c)
        REQUIRE(std::abs(gradient[c] - wanted[c]) <= 1e-9 * largest);
    }
  }
  CHECK(spikes_in_all > 200);
}
