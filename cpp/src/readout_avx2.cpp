// A readout's inner loops for processors with AVX2 and FMA (x86-64-v3).
#define SNNFP_ISA avx2
#include "snnfp/impl/readout_engine.hpp"

namespace snnfp::detail {
const ReadoutTable<float>& avx2_readouts(float) { return ReadoutFunctions<float>::table; }
const ReadoutTable<double>& avx2_readouts(double) { return ReadoutFunctions<double>::table; }
}  // namespace snnfp::detail
