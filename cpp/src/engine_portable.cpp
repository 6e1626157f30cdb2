// The inner loops for any processor.
#define SNNFP_ISA portable
#include "snnfp/impl/engine.hpp"

namespace snnfp::detail {
const EngineTable<float>& portable_table(float) { return EngineFunctions<float>::table; }
const EngineTable<double>& portable_table(double) { return EngineFunctions<double>::table; }
}  // namespace snnfp::detail
