// The inner loops of a step for any processor.
#define SNNFP_ISA portable
#include "snnfp/impl/step.hpp"

namespace snnfp::detail {
const StepTable<float>& portable_steps(float) { return StepFunctions<float>::table; }
const StepTable<double>& portable_steps(double) { return StepFunctions<double>::table; }
}  // namespace snnfp::detail
