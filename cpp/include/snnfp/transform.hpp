#pragma once
// Parameters that stay positive or between limits, by a variable without limits that is trained
// instead (O6). The same bits on every processor, and nothing of the system's mathematics.

#include "snnfp/export.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

// For a free variable u:
enum class TransformKind {
  exponential,  // e^u
  softplus,     // scale ln(1 + e^(u / scale)); near u where u is some scales above 0
  sigmoid       // between low and high; near u in the middle
};

struct Transform {
  TransformKind kind = TransformKind::exponential;
  double scale = 1;  // softplus
  double low = 0;    // sigmoid
  double high = 1;
};

// The smallest and the largest number that a transform gives: the ends of its range are left out,
// also where a value would round to one, so that every parameter has a free variable. Infinite
// where there is no upper end.
template <class Real>
struct Attainable {
  Real lowest, highest;
};
template <class Real>
SNNFP_EXPORT Attainable<Real> attainable(const Transform& transform);

// The parameter for a free variable.
template <class Real>
SNNFP_EXPORT void constrain(const Transform& transform, Span<const Real> free, Span<Real> out);
// The free variable for a parameter within the range of the transform (not at its ends).
template <class Real>
SNNFP_EXPORT void release(const Transform& transform, Span<const Real> parameter, Span<Real> out);
// The derivative by the free variable of what has `gradient` as that by the parameter.
template <class Real>
SNNFP_EXPORT void chain(const Transform& transform, Span<const Real> free,
                        Span<const Real> gradient, Span<Real> out);

#define SNNFP_TRANSFORM_TEMPLATES(prefix, Real)                                   \
  prefix template Attainable<Real> attainable(const Transform&);                  \
  prefix template void constrain(const Transform&, Span<const Real>, Span<Real>); \
  prefix template void release(const Transform&, Span<const Real>, Span<Real>);   \
  prefix template void chain(const Transform&, Span<const Real>, Span<const Real>, Span<Real>);
SNNFP_TRANSFORM_TEMPLATES(extern, float)
SNNFP_TRANSFORM_TEMPLATES(extern, double)

}  // namespace snnfp
