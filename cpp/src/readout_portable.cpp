// A readout's inner loops for any processor.
#define SNNFP_ISA portable
#include "snnfp/impl/readout_engine.hpp"

namespace snnfp::detail {
const ReadoutTable<float>& portable_readouts(float) { return ReadoutFunctions<float>::table; }
const ReadoutTable<double>& portable_readouts(double) { return ReadoutFunctions<double>::table; }
}  // namespace snnfp::detail
