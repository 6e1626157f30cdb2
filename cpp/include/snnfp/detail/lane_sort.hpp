#pragma once
// Lanes of a pack sorted side by side: each lane of a matrix [n][width] of its own.

#include "snnfp/detail/pack.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

// Sorts each lane by (key, place), ascending; `place` moves with its key. Batcher's merge exchange
// (Knuth, The Art of Computer Programming 3, 5.2.2 M): about n (log2 n)^2 / 4 exchanges of whole
// packs, none of which depends on what the keys are.
template <class Real>
inline void sort_lanes(Real* key, Real* place, Size n) {
  using P = Pack<Real>;
  if (n < 2) return;
  const auto exchange = [=](Size low, Size high) {
    const P a = P::load(key + low * P::width), b = P::load(key + high * P::width);
    const P at_a = P::load(place + low * P::width), at_b = P::load(place + high * P::width);
    const auto swap = (b < a) | ((a == b) & (at_b < at_a));
    if (!any(swap)) return;
    select(swap, b, a).store(key + low * P::width);
    select(swap, a, b).store(key + high * P::width);
    select(swap, at_b, at_a).store(place + low * P::width);
    select(swap, at_a, at_b).store(place + high * P::width);
  };
  Size top = 1;
  while (2 * top < n) top *= 2;
  for (Size p = top; p > 0; p /= 2) {
    Size q = top, r = 0, d = p;
    for (;;) {
      for (Size block = r; block + d < n; block += 2 * p)
        for (Size i = block; i < block + p && i + d < n; ++i) exchange(i, i + d);
      if (q == p) break;
      d = q - p;
      q /= 2;
      r = p;
    }
  }
}

SNNFP_ISA_END
