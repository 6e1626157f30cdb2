#pragma once
// Structs of numbers in memory, each of their values in an array of its own: a pack of structs is
// loaded and stored like a pack of numbers. Such a struct says how many values it has (n_values),
// visits them (each) and is made of them (make).

#include "snnfp/detail/pack.hpp"

SNNFP_ISA_BEGIN

template <template <class> class Values, class Array>
struct StructOfArrays {
  static constexpr int n_values = Values<double>::n_values;
  Array of[n_values];

  // Structs k, k + 1, ...
  template <class P>
  SNNFP_INLINE void store(Size k, const Values<P>& x) {
    x.each([&](int m, P value) { value.store(&of[m][k]); });
  }
  template <class P>
  SNNFP_INLINE Values<P> load(Size k) const {
    return Values<P>::make([&](int m) { return P::load(&of[m][k]); });
  }
  // Of the first n from k on as many as there are lanes, zeros after them.
  template <class P>
  SNNFP_INLINE Values<P> load_up_to(Size k, Size n) const {
    return Values<P>::make([&](int m) { return detail::load_up_to(&of[m][k], n); });
  }
  // Whether some value of struct k is not 0.
  SNNFP_INLINE bool nonzero(Size k) const {
    for (int m = 0; m < n_values; ++m)
      if (of[m][k] != 0) return true;
    return false;
  }
  // All from struct k on, through plain pointers: loops that write to memory read these once.
  template <class Real>
  SNNFP_INLINE StructOfArrays<Values, const Real*> from(Size k) const {
    StructOfArrays<Values, const Real*> view;
    for (int m = 0; m < n_values; ++m) view.of[m] = &of[m][0] + k;
    return view;
  }
  // Struct k in every lane.
  template <class P>
  SNNFP_INLINE Values<P> spread(Size k) const {
    return Values<P>::make([&](int m) { return P(of[m][k]); });
  }
  // One of them.
  template <class Real>
  SNNFP_INLINE void set(Size k, const Values<Real>& x) {
    x.each([&](int m, Real value) { of[m][k] = value; });
  }
  template <class Real>
  SNNFP_INLINE Values<Real> get(Size k) const {
    return Values<Real>::make([&](int m) { return of[m][k]; });
  }
};

// Lane by lane one of two structs.
template <class Mask, template <class> class Values, class P>
SNNFP_INLINE Values<P> choose(Mask which, const Values<P>& yes, const Values<P>& no) {
  P first[Values<P>::n_values], second[Values<P>::n_values];
  yes.each([&](int m, P value) { first[m] = value; });
  no.each([&](int m, P value) { second[m] = value; });
  return Values<P>::make([&](int m) { return select(which, first[m], second[m]); });
}

// The same struct in every lane.
template <class P, template <class> class Values, class Real>
SNNFP_INLINE Values<P> everywhere(const Values<Real>& x) {
  Real values[Values<Real>::n_values];
  x.each([&](int m, Real value) { values[m] = value; });
  return Values<P>::make([&](int m) { return P(values[m]); });
}

SNNFP_ISA_END
