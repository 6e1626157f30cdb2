// The inner loops of a step for processors with AVX-512 (x86-64-v4).
#define SNNFP_ISA avx512
#include "snnfp/impl/step.hpp"

namespace snnfp::detail {
const StepTable<float>& avx512_steps(float) { return StepFunctions<float>::table; }
const StepTable<double>& avx512_steps(double) { return StepFunctions<double>::table; }
}  // namespace snnfp::detail
