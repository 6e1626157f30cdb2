// Transforms, in double precision whatever the arrays are.

#include "snnfp/transform.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/exponential.hpp"
#include "snnfp/detail/logarithm.hpp"

namespace snnfp {
namespace {

using detail::log1p_of;
using detail::log_of;

double exp_negative(double x) { return detail::exp_of(x); }  // x <= 0

double exp_any(double x) { return x <= 0 ? exp_negative(x) : 1 / exp_negative(-x); }

double sigmoid(double v) {
  const double e = exp_negative(-std::fabs(v));
  return (v >= 0 ? 1.0 : e) / (1 + e);
}

// O6 of one number each.
class Function {
 public:
  explicit Function(const Transform& t)
      : t_(t), middle_(t.low + (t.high - t.low) / 2), quarter_((t.high - t.low) / 4) {}

  double value(double u) const {
    switch (t_.kind) {
      case TransformKind::exponential: return exp_any(u);
      case TransformKind::softplus: {
        const double v = u / t_.scale;
        return t_.scale * (std::max(v, 0.0) + log1p_of(exp_negative(-std::fabs(v))));
      }
      case TransformKind::sigmoid: break;
    }
    // From the nearer end: never beyond it, and with all digits near it.
    const double v = (u - middle_) / quarter_;
    return v < 0 ? t_.low + 4 * quarter_ * sigmoid(v) : t_.high - 4 * quarter_ * sigmoid(-v);
  }

  double slope(double u) const {
    switch (t_.kind) {
      case TransformKind::exponential: return exp_any(u);
      case TransformKind::softplus: return sigmoid(u / t_.scale);
      case TransformKind::sigmoid: break;
    }
    const double v = (u - middle_) / quarter_;
    return 4 * sigmoid(v) * sigmoid(-v);
  }

  double inverse(double p) const {
    switch (t_.kind) {
      case TransformKind::exponential: return log_of(p);
      case TransformKind::softplus: {
        const double v = p / t_.scale;
        if (v < smallest_normal) return t_.scale * (log_of(p) - log_of(t_.scale));
        const auto e = detail::exponential_parts(-v);
        return t_.scale * (v + (v > 1 ? log1p_of(-e.exp()) : log_of(-e.expm1())));
      }
      case TransformKind::sigmoid: break;
    }
    return middle_ + quarter_ * (log_of(p - t_.low) - log_of(t_.high - p));
  }

 private:
  static constexpr double smallest_normal = std::numeric_limits<double>::min();
  const Transform& t_;
  const double middle_, quarter_;
};

}  // namespace

template <class Real>
Attainable<Real> attainable(const Transform& transform) {
  constexpr Real infinity = std::numeric_limits<Real>::infinity();
  if (transform.kind != TransformKind::sigmoid)
    return {std::numeric_limits<Real>::denorm_min(), infinity};
  Real lowest = Real(transform.low), highest = Real(transform.high);
  if (!(double(lowest) > transform.low)) lowest = std::nextafter(lowest, infinity);
  if (!(double(highest) < transform.high)) highest = std::nextafter(highest, -infinity);
  return {lowest, highest};
}
template <class Real>
void constrain(const Transform& transform, Span<const Real> free, Span<Real> out) {
  const Function f(transform);
  const Attainable<Real> ends = attainable<Real>(transform);
  for (Size i = 0; i < out.size; ++i) {
    const Real value = Real(f.value(double(free[i])));
    out[i] = value < ends.lowest ? ends.lowest : value > ends.highest ? ends.highest : value;
  }
}
template <class Real>
void release(const Transform& transform, Span<const Real> parameter, Span<Real> out) {
  const Function f(transform);
  for (Size i = 0; i < out.size; ++i) out[i] = Real(f.inverse(double(parameter[i])));
}
template <class Real>
void chain(const Transform& transform, Span<const Real> free, Span<const Real> gradient,
           Span<Real> out) {
  const Function f(transform);
  for (Size i = 0; i < out.size; ++i) out[i] = Real(double(gradient[i]) * f.slope(double(free[i])));
}

SNNFP_TRANSFORM_TEMPLATES(, float)
SNNFP_TRANSFORM_TEMPLATES(, double)

}  // namespace snnfp
