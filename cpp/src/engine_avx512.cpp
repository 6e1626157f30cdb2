// The inner loops for processors with AVX-512 (x86-64-v4).
#define SNNFP_ISA avx512
#include "snnfp/impl/engine.hpp"

namespace snnfp::detail {
const EngineTable<float>& avx512_table(float) { return EngineFunctions<float>::table; }
const EngineTable<double>& avx512_table(double) { return EngineFunctions<double>::table; }
}  // namespace snnfp::detail
