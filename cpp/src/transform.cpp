// Transforms, in double precision whatever the arrays are.

#include "snnfp/transform.hpp"

#include <algorithm>
#include <cmath>

#include "snnfp/detail/exponential.hpp"

namespace snnfp {
namespace {

double artanh(double s) {  // |s| <= 1/3
  const double s2 = s * s;
  double sum = 0;
  for (int n = 17; n > 0; --n) sum = (sum + 1.0 / (2 * n + 1)) * s2;
  return s + s * sum;
}

double log1p_of(double y) { return 2 * artanh(y / (2 + y)); }  // -1/2 <= y <= 1

double log_of(double x) {  // x > 0
  constexpr double root_half = 0x1.6a09e667f3bcdp-1;
  constexpr double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
  int k;
  double m = std::frexp(x, &k);
  if (m < root_half) {
    m *= 2;
    --k;
  }
  return k * ln2_high + (k * ln2_low + 2 * artanh((m - 1) / (m + 1)));
}

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
        const auto e = detail::exponential_parts(-v);
        return t_.scale * (v + (v > 1 ? log1p_of(-e.exp()) : log_of(-e.expm1())));
      }
      case TransformKind::sigmoid: break;
    }
    return middle_ + quarter_ * (log_of(p - t_.low) - log_of(t_.high - p));
  }

 private:
  const Transform& t_;
  const double middle_, quarter_;
};

}  // namespace

template <class Real>
void constrain(const Transform& transform, Span<const Real> free, Span<Real> out) {
  const Function f(transform);
  for (Size i = 0; i < out.size; ++i) out[i] = Real(f.value(double(free[i])));
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
