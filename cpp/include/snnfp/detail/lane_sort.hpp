#pragma once
// Lanes of a pack sorted side by side: each lane of a matrix [n][width] by its own keys.

#include <algorithm>
#include <cmath>
#include <limits>

#include "snnfp/detail/pack.hpp"
#include "snnfp/detail/vector.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

// Stable. Deals what is to be sorted into as many spans of keys as there are rows, then puts right
// what a span holds more of than one, whole packs at a time: O(n) where keys are spread evenly.
template <class Real>
class LaneSorter {
 public:
  // Sorts the lanes of key[n][width], and `value` with it, to `to_key` and `to_value`. Keys may be
  // infinite.
  void sort(const Real* key, const Real* value, Size n, Real* to_key, Real* to_value) {
    const P endless(std::numeric_limits<Real>::infinity());
    P low = endless, high = P(Real(0)) - endless;
    bool sorted = true;
    for (Size r = 0; r < n; ++r) {
      const P k = P::load(key + r * width);
      low = smaller(low, k);
      high = larger(high, select(k < endless, k, high));
      sorted = sorted && (r == 0 || !any(k < P::load(key + (r - 1) * width)));
    }
    if (sorted) {
      std::copy_n(key, n * width, to_key);
      std::copy_n(value, n * width, to_value);
      return;
    }
    Real lows[width], highs[width];
    low.store(lows);
    high.store(highs);
    const Real first = *std::min_element(lows, lows + width);
    const Real scale = static_cast<Real>(n) / (*std::max_element(highs, highs + width) - first);
    deal(key, value, n, first, scale, to_key, to_value);
    insert(n, to_key, to_value);
  }

 private:
  using P = Pack<Real>;
  static constexpr int width = P::width;

  void deal(const Real* key, const Real* value, Size n, Real first, Real scale, Real* to_key,
            Real* to_value) {
    // Infinite keys, and all where one span is as good as many, go to the last. In Real n may be
    // rounded up.
    const Real rounded = static_cast<Real>(n);
    const P last(static_cast<Size>(rounded) > n ? std::nextafter(rounded, Real(0)) : rounded);
    span_.resize(n * width);
    next_.assign((n + 2) * width, 0);
    for (Size r = 0; r < n; ++r) {
      const P at = (P::load(key + r * width) - P(first)) * P(scale);
      Real spans[width];
      select(at < last, at, last).store(spans);
      for (int l = 0; l < width; ++l) {
        const Id span = static_cast<Id>(spans[l]);
        span_[r * width + l] = span;
        ++next_[(span + 1) * width + l];
      }
    }
    for (Size k = width; k < (n + 1) * width; ++k) next_[k] += next_[k - width];
    for (Size r = 0; r < n; ++r)
      for (int l = 0; l < width; ++l) {
        const Size from = r * width + l;
        const Size to = Size(next_[span_[from] * width + l]++) * width + l;
        to_key[to] = key[from];
        to_value[to] = value[from];
      }
  }

  static void insert(Size n, Real* key, Real* value) {
    for (Size r = 1; r < n; ++r)
      for (Size k = r; k > 0; --k) {
        Real *below = key + (k - 1) * width, *here = key + k * width;
        const P a = P::load(below), b = P::load(here);
        const auto swap = b < a;
        if (!any(swap)) break;
        select(swap, b, a).store(below);
        select(swap, a, b).store(here);
        Real *value_below = value + (k - 1) * width, *value_here = value + k * width;
        const P x = P::load(value_below), y = P::load(value_here);
        select(swap, y, x).store(value_below);
        select(swap, x, y).store(value_here);
      }
  }

  Vector<Id> span_, next_;
};

SNNFP_ISA_END
