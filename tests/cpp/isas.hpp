#pragma once
// The instruction sets that this processor runs. Another one that is asked for would be answered
// with the best there is, and a test of it would see nothing.

#include <vector>

#include "snnfp/snnfp.hpp"

inline std::vector<snnfp::Isa> isas_here() {
  std::vector<snnfp::Isa> found;
  for (const snnfp::Isa isa : {snnfp::Isa::portable, snnfp::Isa::avx2, snnfp::Isa::avx512})
    if (snnfp::resolve_isa(isa) == isa) found.push_back(isa);
  return found;
}
