// The library compiled for double.

#include "snnfp/gradient.hpp"
#include "snnfp/impl/gradient.hpp"
#include "snnfp/impl/jacobian.hpp"
#include "snnfp/impl/network.hpp"
#include "snnfp/impl/plan.hpp"
#include "snnfp/impl/recorded.hpp"
#include "snnfp/impl/restore.hpp"
#include "snnfp/impl/simulate.hpp"

namespace snnfp {
template class Network<double>;
template SpikeBatch<double> single_sample(std::vector<std::pair<double, Id>>);
template detail::Plan<double> detail::make_plan(const Network<double>&, const std::vector<Id>&);
SNNFP_SIMULATE_TEMPLATES(, double)
SNNFP_GRADIENT_TEMPLATES(, double)
}  // namespace snnfp
