#pragma once
// What the kernels ask of a neuron model. A model names its types here, and its functions are found
// by them, so that kernels call them by name and compile to what a model's own kernel would be.
//
// Constants<Real>   all neurons' constants in arrays: threshold, v_reset, t_refractory;
//                   append, pad, same_decay, same_response, same_motion, driven, fast_rate,
//                   time_constants
// Neuron<T>         one neuron's, or a pack's: made of (constants, j); load, gather
// State<T>          v, and i, which an arrival adds its weight to
//   propagate(s, d, n)   slope(s, n)   slope_after(s, d, end, n)            between events: E2, E5
//   crossing_time(constants, j, s, t)   clock_hides_spike(s, n)             the next spike: E4, E6
//   next_crossing(s, n)   highest(s, end, d, n)   never_above(s, end, d, n)   at_rest(s, n)
//                                                                    where a recording is judged
// Denormal<Real>    how states are kept whose arithmetic meets denormal numbers (see NoDenormal)
// Step<T>           E2 over a time as coefficients, which the adjoint's E12 has too: decay(d, n)
// Adjoint<T>        what a loss owes to the state, as an arrival needs it
//   adjoint_step(a, step)   decay_of_adjoint(step, n)   decay_to_arrival(d, n)                 E12
//   left_of_current(d, n)   step.current_left()   Adjoint::held(li)                E12, while held
//   by_weight(a)   by_time(a, n)                                                               E13
//   adjoint_before(lv, li, n)   release_slope(n, i)   by_time_at_release(w, d, n)          E14, E8
// FreeFlight<Real>  a flight to a spike, and the explicit derivatives along it by the parameters
//   acts_in_flight(p)   flight_term(p, flight, n)   flight_unit(p, n)                           E7
//
// Step and Adjoint are structs of numbers (struct_of_arrays.hpp). E12 and E13 are asked for on
// packs, all else above on numbers only. So much gives the queue and the adjoint row by row,
// without derivatives by time constants, for any graph: tests/cpp/test_model.cpp does with it. A
// model that is `side_by_side` has layers, loops and windows, forward propagation, an adjoint in
// lanes and derivatives by time constants as well; it adds all that LIF has here on packs: E2 in
// parts, the bounds, the steps of the search for a crossing, `joined`, InverseDecay, RateAdjoint.
//
// The interface rests on two things. The derivatives of a free neuron's state flow by coefficients
// of time alone; where they depend on V too, as with a quadratic V', arrivals have to be gone
// through in order, by another adjoint. And of a state at release records keep the current, and the
// adjoint's lists lI: a model that has more of them (currents of two kinds, a threshold that moves)
// needs a column more in both.

#include <type_traits>

#include "snnfp/detail/plan.hpp"
#include "snnfp/model/crossing.hpp"
#include "snnfp/model/denormal.hpp"
#include "snnfp/model/derivatives.hpp"

SNNFP_ISA_BEGIN

struct LifModel {
  static constexpr bool side_by_side = true;
  static constexpr bool acts_in_flight(NeuronParameter p) { return detail::acts_in_flight(p); }

  template <class Real>
  using Constants = NeuronConstants<Real>;
  template <class T>
  using Neuron = detail::Neuron<T>;
  template <class T>
  using State = Membrane<T>;
  template <class Real>
  using Denormal = detail::Denormal<Real>;
  template <class T>
  using Step = Decay<T>;
  template <class T>
  using Adjoint = MembraneAdjoint<T>;
  template <class Real>
  using FreeFlight = detail::FreeFlight<Real>;
};

template <class Model, class Real>
using PlanOf = ModelPlan<Real, typename Model::template Constants<Real>>;
template <class Model, class T>
using NeuronOf = typename Model::template Neuron<T>;
template <class Model, class T>
using StateOf = typename Model::template State<T>;
template <class Model, class T>
using StepOf = typename Model::template Step<T>;
template <class Model, class T>
using AdjointOf = typename Model::template Adjoint<T>;

// The compiler's answer names the function of the queue or of the adjoint row by row that a model
// lacks, or that gives something else.
template <class Model, class Real>
struct ModelCheck {
  using State = StateOf<Model, Real>;
  using Step = StepOf<Model, Real>;
  using Adjoint = AdjointOf<Model, Real>;
  static const typename Model::template Constants<Real>& c;
  static const NeuronOf<Model, Real>& n;
  static const State s;
  static const Step e;
  static const Adjoint a;
  static const Real x;

#define SNNFP_GIVES(Type, call) static_assert(std::is_same_v<Type, decltype(call)>, #call)
  SNNFP_GIVES(State, propagate(s, x, n));
  SNNFP_GIVES(Real, slope_after(s, x, s, n));
  SNNFP_GIVES(Real, crossing_time(c, Id(), s, x));
  SNNFP_GIVES(bool, clock_hides_spike(s, n));
  SNNFP_GIVES(Step, decay(x, n));
  SNNFP_GIVES(Step, decay_of_adjoint(e, n));
  SNNFP_GIVES(Real, e.current_left());
  SNNFP_GIVES(Real, left_of_current(x, n));
  SNNFP_GIVES(Adjoint, adjoint_step(a, e));
  SNNFP_GIVES(Adjoint, Adjoint::held(x));
  SNNFP_GIVES(Adjoint, adjoint_before(x, x, n));
  SNNFP_GIVES(Real, by_weight(a));
  SNNFP_GIVES(Real, by_time(a, n));
  SNNFP_GIVES(Real, release_slope(n, x));
  SNNFP_GIVES(Real, by_time_at_release(x, x, n));
  SNNFP_GIVES(Real, flight_unit(NeuronParameter(), n));
#undef SNNFP_GIVES
  static constexpr bool passed = true;
};
static_assert(ModelCheck<LifModel, double>::passed && ModelCheck<LifModel, float>::passed);

// For a model whose states are never so small.
template <class Model, class Real>
struct NoDenormal {
  using State = StateOf<Model, Real>;
  static bool may_suit(State) { return false; }
  static bool suits(State, const NeuronOf<Model, Real>&) { return false; }
  static State raised(State s) { return s; }
  static State lowered(State s) { return s; }
  static State moved(State s, Real, const NeuronOf<Model, Real>&) { return s; }
};

SNNFP_ISA_END
