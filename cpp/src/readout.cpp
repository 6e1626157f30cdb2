// Readouts compiled for both precisions, and which of their inner loops run here.

#include "snnfp/impl/readout.hpp"

namespace snnfp {
namespace detail {

#define SNNFP_DECLARE_READOUTS(isa)                 \
  const ReadoutTable<float>& isa##_readouts(float); \
  const ReadoutTable<double>& isa##_readouts(double);
SNNFP_DECLARE_READOUTS(portable)
#ifdef SNNFP_HAVE_X86_VARIANTS
SNNFP_DECLARE_READOUTS(avx2)
SNNFP_DECLARE_READOUTS(avx512)
#endif

template <class Real>
const ReadoutTable<Real>& readout_table(Isa isa) {
  switch (resolve_isa(isa)) {
#ifdef SNNFP_HAVE_X86_VARIANTS
    case Isa::avx2: return avx2_readouts(Real());
    case Isa::avx512: return avx512_readouts(Real());
#endif
    default: break;
  }
  return portable_readouts(Real());
}
template const ReadoutTable<float>& readout_table(Isa);
template const ReadoutTable<double>& readout_table(Isa);

}  // namespace detail
SNNFP_READOUT_TEMPLATES(, float)
SNNFP_READOUT_TEMPLATES(, double)
}  // namespace snnfp
