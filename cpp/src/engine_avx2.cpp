// The inner loops for processors with AVX2 and FMA (x86-64-v3).
#define SNNFP_ISA avx2
#include "snnfp/impl/engine.hpp"

namespace snnfp::detail {
const EngineTable<float>& avx2_table(float) { return EngineFunctions<float>::table; }
const EngineTable<double>& avx2_table(double) { return EngineFunctions<double>::table; }
}  // namespace snnfp::detail
