#pragma once
// One vector register of Reals, for the loop that must keep its sums in registers. Every operation
// is the scalar one in each lane, so all instruction sets give the same bits.

#include "snnfp/detail/exponential.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

SNNFP_ISA_BEGIN

#if defined(__AVX512F__)

template <class Real>
struct Pack;
template <>
struct Pack<double> {
  static constexpr int size = 8;
  __m512d x;
  static Pack all(double value) { return {_mm512_set1_pd(value)}; }
  static Pack load(const double* from) { return {_mm512_load_pd(from)}; }
  void store(double* to) const { _mm512_store_pd(to, x); }
};
template <>
struct Pack<float> {
  static constexpr int size = 16;
  __m512 x;
  static Pack all(float value) { return {_mm512_set1_ps(value)}; }
  static Pack load(const float* from) { return {_mm512_load_ps(from)}; }
  void store(float* to) const { _mm512_store_ps(to, x); }
};
inline Pack<double> fma(Pack<double> a, Pack<double> b, Pack<double> c) {
  return {_mm512_fmadd_pd(a.x, b.x, c.x)};
}
inline Pack<float> fma(Pack<float> a, Pack<float> b, Pack<float> c) {
  return {_mm512_fmadd_ps(a.x, b.x, c.x)};
}

#elif defined(__AVX2__) && defined(__FMA__)

template <class Real>
struct Pack;
template <>
struct Pack<double> {
  static constexpr int size = 4;
  __m256d x;
  static Pack all(double value) { return {_mm256_set1_pd(value)}; }
  static Pack load(const double* from) { return {_mm256_load_pd(from)}; }
  void store(double* to) const { _mm256_store_pd(to, x); }
};
template <>
struct Pack<float> {
  static constexpr int size = 8;
  __m256 x;
  static Pack all(float value) { return {_mm256_set1_ps(value)}; }
  static Pack load(const float* from) { return {_mm256_load_ps(from)}; }
  void store(float* to) const { _mm256_store_ps(to, x); }
};
inline Pack<double> fma(Pack<double> a, Pack<double> b, Pack<double> c) {
  return {_mm256_fmadd_pd(a.x, b.x, c.x)};
}
inline Pack<float> fma(Pack<float> a, Pack<float> b, Pack<float> c) {
  return {_mm256_fmadd_ps(a.x, b.x, c.x)};
}

#else

// 16 bytes: what the compiler puts into one register of SSE2 or NEON.
template <class Real>
struct Pack {
  static constexpr int size = 16 / sizeof(Real);
  Real x[size];
  static Pack all(Real value) {
    Pack p;
    for (Real& lane : p.x) lane = value;
    return p;
  }
  static Pack load(const Real* from) {
    Pack p;
    for (int l = 0; l < size; ++l) p.x[l] = from[l];
    return p;
  }
  void store(Real* to) const {
    for (int l = 0; l < size; ++l) to[l] = x[l];
  }
};
template <class Real>
inline Pack<Real> fma(const Pack<Real>& a, const Pack<Real>& b, const Pack<Real>& c) {
  Pack<Real> p;
  for (int l = 0; l < Pack<Real>::size; ++l) p.x[l] = fma(a.x[l], b.x[l], c.x[l]);
  return p;
}

#endif

SNNFP_ISA_END
