#pragma once
// Which adjoint a component of the graph takes: a function of its own projections alone, whatever
// the gradient is taken with respect to and whatever else the network has.

#include "snnfp/detail/isa.hpp"
#include "snnfp/detail/plan.hpp"
#include "snnfp/execution.hpp"

SNNFP_ISA_BEGIN

template <class Real>
Adjoint adjoint_of(const PlanGraph<Real>& plan, Id component) {
  for (Id c = plan.component_offsets.data()[component];
       c < plan.component_offsets.data()[component + 1]; ++c)
    for (const Id q : plan.into_population.data()[plan.components.data()[c]])
      if (plan.projections.data()[q].within_component) return Adjoint::loop;
  return Adjoint::layer;
}

SNNFP_ISA_END
