#pragma once
// A step of training: what an optimiser does to parameter arrays, in one pass over each.

#include <cstdint>

#include "snnfp/execution.hpp"
#include "snnfp/export.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

// Adam (Kingma and Ba, 2015); `step` counts from 1.
struct Adam {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  Size step = 1;
};

// Stochastic gradient descent, the momentum by the convention of PyTorch.
struct Sgd {
  double momentum = 0;
  bool nesterov = false;
};

// One parameter array and what belongs to it, all of `size` elements unless said otherwise. What is
// worked on in place belongs to the caller, who keeps it from step to step.
template <class Real>
struct StepArrays {
  Size size = 0;
  const Real* parameter = nullptr;  // stays as it is: records keep it
  const Real* gradient = nullptr;
  Real* next = nullptr;   // the new parameter
  Real* first = nullptr;  // in place: Adam's mean, or the velocity; null where there is no momentum
  Real* second = nullptr;         // in place: Adam's mean square
  const Real* average = nullptr;  // stays as it is; null: none is kept
  Real* next_average = nullptr;
  const std::uint8_t* frozen = nullptr;  // elements that stay; null: none
  Span<const Real> low;                  // limits: none, one for all, or one an element
  Span<const Real> high;
  // Blocks in which nothing has ever moved, one flag each: see quiet_blocks. All 0 at the start and
  // whenever anything but a step has changed an array.
  std::uint8_t* quiet = nullptr;
  Size row = 1;      // elements that are mostly touched together
  double scale = 1;  // of the gradient
  double rate = 0;   // the learning rate
  double decay = 0;  // of the parameter is taken away, times the rate
  double blend = 0;  // of the new parameter in the average
};

// How many flags an array has.
SNNFP_EXPORT Size quiet_blocks(Size size, Size row);

// Takes a step of all arrays (O1 to O4). The same bits for every number of threads and every
// instruction set. It is not interrupted: what is done in place is done whole.
template <class Real>
SNNFP_EXPORT void take_step(const Adam& rule, Span<const StepArrays<Real>> arrays,
                            const ExecutionOptions& options = {});
template <class Real>
SNNFP_EXPORT void take_step(const Sgd& rule, Span<const StepArrays<Real>> arrays,
                            const ExecutionOptions& options = {});

// The sum of squares of what is not frozen (null: nothing is), in double precision (O5).
template <class Real>
SNNFP_EXPORT double square_sum(Span<const Real> values, const std::uint8_t* frozen,
                               const ExecutionOptions& options = {});

extern template void take_step(const Adam&, Span<const StepArrays<float>>, const ExecutionOptions&);
extern template void take_step(const Adam&, Span<const StepArrays<double>>,
                               const ExecutionOptions&);
extern template void take_step(const Sgd&, Span<const StepArrays<float>>, const ExecutionOptions&);
extern template void take_step(const Sgd&, Span<const StepArrays<double>>, const ExecutionOptions&);
extern template double square_sum(Span<const float>, const std::uint8_t*, const ExecutionOptions&);
extern template double square_sum(Span<const double>, const std::uint8_t*, const ExecutionOptions&);

}  // namespace snnfp
