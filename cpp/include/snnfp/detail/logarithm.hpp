#pragma once
// Logarithms of the library's own: the same bits wherever it runs, whatever the system has.

#include <cmath>

namespace snnfp::detail {

inline double artanh_of(double s) {  // |s| <= 1/3
  const double s2 = s * s;
  double sum = 0;
  for (int n = 17; n > 0; --n) sum = (sum + 1.0 / (2 * n + 1)) * s2;
  return s + s * sum;
}

inline double log1p_of(double y) { return 2 * artanh_of(y / (2 + y)); }  // -1/2 <= y <= 1

inline double log_of(double x) {  // x > 0
  constexpr double root_half = 0x1.6a09e667f3bcdp-1;
  constexpr double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
  int k;
  double m = std::frexp(x, &k);
  if (m < root_half) {
    m *= 2;
    --k;
  }
  return k * ln2_high + (k * ln2_low + 2 * artanh_of((m - 1) / (m + 1)));
}

}  // namespace snnfp::detail
