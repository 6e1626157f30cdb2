// A readout's inner loops for processors with AVX-512 (x86-64-v4).
#define SNNFP_ISA avx512
#include "snnfp/impl/readout_engine.hpp"

namespace snnfp::detail {
const ReadoutTable<float>& avx512_readouts(float) { return ReadoutFunctions<float>::table; }
const ReadoutTable<double>& avx512_readouts(double) { return ReadoutFunctions<double>::table; }
}  // namespace snnfp::detail
