// The inner loops of a step for processors with AVX2 and FMA (x86-64-v3).
#define SNNFP_ISA avx2
#include "snnfp/impl/step.hpp"

namespace snnfp::detail {
const StepTable<float>& avx2_steps(float) { return StepFunctions<float>::table; }
const StepTable<double>& avx2_steps(double) { return StepFunctions<double>::table; }
}  // namespace snnfp::detail
