// The library compiled for float.

#include "snnfp/gradient.hpp"
#include "snnfp/impl/gradient.hpp"
#include "snnfp/impl/jacobian.hpp"
#include "snnfp/impl/network.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/impl/recorded.hpp"
#include "snnfp/impl/restore.hpp"
#include "snnfp/impl/simulate.hpp"

namespace snnfp {
template class Network<float>;
template SpikeBatch<float> single_sample(std::vector<std::pair<float, Id>>);
template detail::Plan<float> detail::make_plan(const Network<float>&, const std::vector<Id>&);
SNNFP_SIMULATE_TEMPLATES(, float)
SNNFP_GRADIENT_TEMPLATES(, float)
}  // namespace snnfp
