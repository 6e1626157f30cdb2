#pragma once
// The border between a step and its inner loops, which each instruction set has compiled.

#include <cstdint>

#include "snnfp/types.hpp"

namespace snnfp::detail {

// The numbers of a step as the arrays have them.
template <class Real>
struct AdamNumbers {
  Real scale, keep1, take1, keep2, take2, correction, eps, rate, stays;
};
template <class Real>
struct SgdNumbers {
  Real scale, momentum, rate, stays;
  bool nesterov;
};

template <class Real>
struct StepTable {
  void (*adam)(const AdamNumbers<Real>&, Size, const Real* parameter, const Real* gradient,
               Real* mean, Real* square, Real* next);
  void (*sgd)(const SgdNumbers<Real>&, Size, const Real* parameter, const Real* gradient,
              Real* velocity, Real* next);
  void (*thaw)(Size, const std::uint8_t* frozen, const Real* values, Real* thawed);
  void (*keep)(Size, const std::uint8_t* frozen, const Real* parameter, Real* next);
  void (*raise)(Size, const Real* low, Size stride, Real* next);
  void (*lower)(Size, const Real* high, Size stride, Real* next);
  void (*blend)(Size, Real part, const Real* next, const Real* average, Real* blended);
  bool (*zero)(Size, const Real*);
  double (*squares)(Size, const Real*);
};

}  // namespace snnfp::detail
