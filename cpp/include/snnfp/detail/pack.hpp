#pragma once
// As many numbers as the instruction set computes at once. Formulas are written once, on a type T
// that is Real or Pack<Real>; each lane of a pack has the bits that Real would have.

#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "snnfp/detail/isa.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

SNNFP_INLINE double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
SNNFP_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
SNNFP_INLINE double sqrt_of(double x) { return __builtin_sqrt(x); }
SNNFP_INLINE float sqrt_of(float x) { return __builtin_sqrtf(x); }
SNNFP_INLINE double size_of(double x) { return __builtin_fabs(x); }
SNNFP_INLINE float size_of(float x) { return __builtin_fabsf(x); }
template <class Real>
SNNFP_INLINE Real select(bool which, Real yes, Real no) {
  return which ? yes : no;
}
SNNFP_INLINE bool any(bool mask) { return mask; }

// 2^k for the k that the caller added to 1.5 * 2^(digits - 1): its low bits hold it.
SNNFP_INLINE double scale_from_bits(double shifted) {
  std::uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023u) << 52;
  double scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return scale;
}
SNNFP_INLINE float scale_from_bits(float shifted) {
  std::uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127u) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return scale;
}

// The k with 2^k <= x < 2^(k + 1), for normal x > 0.
SNNFP_INLINE double exponent_of(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return double(int(bits >> 52) - 1023);
}
SNNFP_INLINE float exponent_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return float(int(bits >> 23) - 127);
}

template <class T>
struct ScalarOf {
  using type = T;
};
template <class T>
using Scalar = typename ScalarOf<T>::type;

#if defined(__AVX2__)

// What packs of both widths have, by the prefix m of the instructions.
#define SNNFP_PACK_ARITHMETIC(Real, Vector, s, m)                                      \
  Vector x;                                                                            \
  Pack() = default;                                                                    \
  Pack(Vector v) : x(v) {}                                                             \
  Pack(Real v) : x(m##_set1_##s(v)) {}                                                 \
  static Pack load(const Real* p) { return m##_loadu_##s(p); }                         \
  void store(Real* p) const { m##_storeu_##s(p, x); }                                  \
  friend Pack operator+(Pack a, Pack b) { return m##_add_##s(a.x, b.x); }              \
  friend Pack operator-(Pack a, Pack b) { return m##_sub_##s(a.x, b.x); }              \
  friend Pack operator*(Pack a, Pack b) { return m##_mul_##s(a.x, b.x); }              \
  friend Pack operator/(Pack a, Pack b) { return m##_div_##s(a.x, b.x); }              \
  friend Pack operator-(Pack a) { return m##_xor_##s(a.x, m##_set1_##s(Real(-0.0))); } \
  friend Mask##Real operator<(Pack a, Pack b) { return {compare<_CMP_LT_OQ>(a, b)}; }  \
  friend Mask##Real operator<=(Pack a, Pack b) { return {compare<_CMP_LE_OQ>(a, b)}; } \
  friend Mask##Real operator>(Pack a, Pack b) { return {compare<_CMP_GT_OQ>(a, b)}; }  \
  friend Mask##Real operator>=(Pack a, Pack b) { return {compare<_CMP_GE_OQ>(a, b)}; } \
  friend Mask##Real operator==(Pack a, Pack b) { return {compare<_CMP_EQ_OQ>(a, b)}; } \
  friend Pack fma(Pack a, Pack b, Pack c) { return m##_fmadd_##s(a.x, b.x, c.x); }     \
  friend Pack sqrt_of(Pack a) { return m##_sqrt_##s(a.x); }                            \
  friend Pack larger(Pack a, Pack b) { return m##_max_##s(a.x, b.x); }                 \
  friend Pack smaller(Pack a, Pack b) { return m##_min_##s(a.x, b.x); }

#endif

#if defined(__AVX512F__)

#define SNNFP_PACK_OPERATIONS(Real, Vector, Bits, s, Index, load_index, Whole, whole, k)          \
  struct Mask##Real {                                                                             \
    Bits bits;                                                                                    \
    friend Mask##Real operator&(Mask##Real a, Mask##Real b) { return {Bits(a.bits & b.bits)}; }   \
    friend Mask##Real operator|(Mask##Real a, Mask##Real b) { return {Bits(a.bits | b.bits)}; }   \
    friend Mask##Real operator!(Mask##Real a) { return {Bits(~a.bits)}; }                         \
    friend bool any(Mask##Real a) { return a.bits != 0; }                                         \
    friend unsigned bits_of(Mask##Real a) { return a.bits; }                                      \
  };                                                                                              \
  template <>                                                                                     \
  struct Pack<Real> {                                                                             \
    static constexpr int width = 64 / int(sizeof(Real));                                          \
    SNNFP_PACK_ARITHMETIC(Real, Vector, s, _mm512)                                                \
    /* The first n values, zeros after them; no more is read. */                                  \
    static Pack load_first(const Real* p, int n) {                                                \
      return _mm512_maskz_loadu_##s(Bits((1u << n) - 1), p);                                      \
    }                                                                                             \
    static Pack gather(const Real* p, const Id* at) {                                             \
      return _mm512_i32gather_##s(load_index(reinterpret_cast<const Index*>(at)), p,              \
                                  sizeof(Real));                                                  \
    }                                                                                             \
    /* The lanes whose bits are set, side by side; what is left of a pack is overwritten. */      \
    void store_lanes(unsigned lanes, Real* p) const {                                             \
      _mm512_storeu_##s(p, _mm512_maskz_compress_##s(Bits(lanes), x));                            \
    }                                                                                             \
    void store_first(Real* p, int n) const { _mm512_mask_storeu_##s(p, Bits((1u << n) - 1), x); } \
    friend Pack size_of(Pack a) { return _mm512_abs_##s(a.x); }                                   \
    friend Pack select(Mask##Real m, Pack yes, Pack no) {                                         \
      return _mm512_mask_blend_##s(m.bits, no.x, yes.x);                                          \
    }                                                                                             \
    friend Pack exponent_of(Pack a) { return _mm512_getexp_##s(a.x); }                            \
    friend Pack scale_from_bits(Pack a) {                                                         \
      const __m512i bits = _mm512_cast##s##_si512(a.x);                                           \
      return _mm512_castsi512_##s(_mm512_slli_##whole(                                            \
          _mm512_add_##whole(bits, _mm512_set1_##whole(Whole(k))), sizeof(Real) == 8 ? 52 : 23)); \
    }                                                                                             \
                                                                                                  \
   private:                                                                                       \
    template <int Relation>                                                                       \
    static Bits compare(Pack a, Pack b) {                                                         \
      return _mm512_cmp_##s##_mask(a.x, b.x, Relation);                                           \
    }                                                                                             \
  }

template <class Real>
struct Pack;
SNNFP_PACK_OPERATIONS(double, __m512d, __mmask8, pd, __m256i_u, _mm256_loadu_si256, std::int64_t,
                      epi64, 1023);
SNNFP_PACK_OPERATIONS(float, __m512, __mmask16, ps, void, _mm512_loadu_si512, int, epi32, 127);
#undef SNNFP_PACK_OPERATIONS

// Positions in an array, one a lane.
template <class Real>
struct Ids;
template <>
struct Ids<double> {
  __m256i x;
  static Ids load(const Id* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(p))};
  }
  void store(Id* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), x); }
  void store_lanes(unsigned lanes, Id* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p),
                        _mm256_maskz_compress_epi32(__mmask8(lanes), x));
  }
  Ids plus(Id step, Maskdouble where) const {
    return {_mm256_mask_add_epi32(x, where.bits, x, _mm256_set1_epi32(step))};
  }
  Ids plus(Id step) const { return {_mm256_add_epi32(x, _mm256_set1_epi32(step))}; }
  // The lanes that hold one of 0 .. n - 1.
  unsigned below(Id n) const { return _mm256_cmplt_epu32_mask(x, _mm256_set1_epi32(n)); }
  Pack<double> gather(const double* p) const { return _mm512_i32gather_pd(x, p, 8); }
};
template <>
struct Ids<float> {
  __m512i x;
  static Ids load(const Id* p) { return {_mm512_loadu_si512(p)}; }
  void store(Id* p) const { _mm512_storeu_si512(p, x); }
  void store_lanes(unsigned lanes, Id* p) const {
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(__mmask16(lanes), x));
  }
  Ids plus(Id step, Maskfloat where) const {
    return {_mm512_mask_add_epi32(x, where.bits, x, _mm512_set1_epi32(step))};
  }
  Ids plus(Id step) const { return {_mm512_add_epi32(x, _mm512_set1_epi32(step))}; }
  unsigned below(Id n) const { return _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(n)); }
  Pack<float> gather(const float* p) const { return _mm512_i32gather_ps(x, p, 4); }
};

#elif defined(__AVX2__)

// For each set of lanes the bytes, `parts` a lane, that bring these lanes to the front.
template <int lanes, int parts>
struct Compression {
  std::uint8_t order[1 << lanes][8] = {};
  constexpr Compression() {
    for (int set = 0; set < 1 << lanes; ++set)
      for (int lane = 0, to = 0; lane < lanes; ++lane)
        if (set >> lane & 1)
          for (int part = 0; part < parts; ++part)
            order[set][to++] = std::uint8_t(parts * lane + part);
  }
  __m256i of(unsigned set) const {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i_u*>(order[set])));
  }
};
// Of doubles as pairs of words, of their Ids, and of floats and theirs.
constexpr Compression<4, 2> compress_double;
constexpr Compression<4, 1> compress_four;
constexpr Compression<8, 1> compress_eight;

SNNFP_INLINE void store_lanes_of(__m256d x, unsigned lanes, double* p) {
  const __m256 moved = _mm256_permutevar8x32_ps(_mm256_castpd_ps(x), compress_double.of(lanes));
  _mm256_storeu_pd(p, _mm256_castps_pd(moved));
}
SNNFP_INLINE void store_lanes_of(__m256 x, unsigned lanes, float* p) {
  _mm256_storeu_ps(p, _mm256_permutevar8x32_ps(x, compress_eight.of(lanes)));
}
SNNFP_INLINE void store_lanes_of(__m256i x, unsigned lanes, Id* p) {
  _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p),
                      _mm256_permutevar8x32_epi32(x, compress_eight.of(lanes)));
}
SNNFP_INLINE void store_lanes_of(__m128i x, unsigned lanes, Id* p) {
  const __m128i order = _mm256_castsi256_si128(compress_four.of(lanes));
  _mm_storeu_ps(reinterpret_cast<float*>(p), _mm_permutevar_ps(_mm_castsi128_ps(x), order));
}

// All bits of the first n lanes.
template <class Real>
SNNFP_INLINE __m256i first_lanes(int n) {
  static constexpr std::int32_t bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  const int words = n * int(sizeof(Real) / sizeof *bits);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(bits + 8 - words));
}

#define SNNFP_PACK_OPERATIONS(Real, Vector, s, Index, load_index, Whole, whole, set_whole, k)   \
  struct Mask##Real {                                                                           \
    Vector bits;                                                                                \
    friend Mask##Real operator&(Mask##Real a, Mask##Real b) {                                   \
      return {_mm256_and_##s(a.bits, b.bits)};                                                  \
    }                                                                                           \
    friend Mask##Real operator|(Mask##Real a, Mask##Real b) {                                   \
      return {_mm256_or_##s(a.bits, b.bits)};                                                   \
    }                                                                                           \
    friend Mask##Real operator!(Mask##Real a) {                                                 \
      return {_mm256_xor_##s(a.bits, _mm256_cast##whole##_##s(_mm256_set1_epi32(-1)))};         \
    }                                                                                           \
    friend bool any(Mask##Real a) { return _mm256_movemask_##s(a.bits) != 0; }                  \
    friend unsigned bits_of(Mask##Real a) { return unsigned(_mm256_movemask_##s(a.bits)); }     \
  };                                                                                            \
  template <>                                                                                   \
  struct Pack<Real> {                                                                           \
    static constexpr int width = 32 / int(sizeof(Real));                                        \
    SNNFP_PACK_ARITHMETIC(Real, Vector, s, _mm256)                                              \
    /* The first n values, zeros after them; no more is read. */                                \
    static Pack load_first(const Real* p, int n) {                                              \
      return _mm256_maskload_##s(p, first_lanes<Real>(n));                                      \
    }                                                                                           \
    static Pack gather(const Real* p, const Id* at) {                                           \
      return _mm256_i32gather_##s(p, load_index(reinterpret_cast<const Index*>(at)),            \
                                  sizeof(Real));                                                \
    }                                                                                           \
    void store_lanes(unsigned lanes, Real* p) const { store_lanes_of(x, lanes, p); }            \
    void store_first(Real* p, int n) const {                                                    \
      Real values[width];                                                                       \
      store(values);                                                                            \
      std::memcpy(p, values, n * sizeof(Real));                                                 \
    }                                                                                           \
    friend Pack size_of(Pack a) { return _mm256_andnot_##s(_mm256_set1_##s(Real(-0.0)), a.x); } \
    friend Pack select(Mask##Real m, Pack yes, Pack no) {                                       \
      return _mm256_blendv_##s(no.x, yes.x, m.bits);                                            \
    }                                                                                           \
    /* The exponent's bits become the last ones of a number whose last bit stands for 1. */     \
    friend Pack exponent_of(Pack a) {                                                           \
      constexpr Real whole = sizeof(Real) == 8 ? Real(0x1p52) : Real(0x1p23);                   \
      const __m256i bits =                                                                      \
          _mm256_srli_##Whole(_mm256_cast##s##_si256(a.x), sizeof(Real) == 8 ? 52 : 23);        \
      const Vector shifted = _mm256_or_##s(_mm256_castsi256_##s(bits), _mm256_set1_##s(whole)); \
      return _mm256_sub_##s(shifted, _mm256_set1_##s(whole + Real(k)));                         \
    }                                                                                           \
    friend Pack scale_from_bits(Pack a) {                                                       \
      const __m256i bits = _mm256_cast##s##_si256(a.x);                                         \
      return _mm256_castsi256_##s(_mm256_slli_##Whole(_mm256_add_##Whole(bits, set_whole(k)),   \
                                                      sizeof(Real) == 8 ? 52 : 23));            \
    }                                                                                           \
                                                                                                \
   private:                                                                                     \
    template <int Relation>                                                                     \
    static Vector compare(Pack a, Pack b) {                                                     \
      return _mm256_cmp_##s(a.x, b.x, Relation);                                                \
    }                                                                                           \
  }

template <class Real>
struct Pack;
SNNFP_PACK_OPERATIONS(double, __m256d, pd, __m128i, _mm_loadu_si128, epi64, si256,
                      _mm256_set1_epi64x, 1023);
SNNFP_PACK_OPERATIONS(float, __m256, ps, __m256i, _mm256_loadu_si256, epi32, si256,
                      _mm256_set1_epi32, 127);
#undef SNNFP_PACK_OPERATIONS

template <class Real>
struct Ids;
template <>
struct Ids<double> {
  __m128i x;
  static Ids load(const Id* p) { return {_mm_loadu_si128(reinterpret_cast<const __m128i_u*>(p))}; }
  void store(Id* p) const { _mm_storeu_si128(reinterpret_cast<__m128i_u*>(p), x); }
  void store_lanes(unsigned lanes, Id* p) const { store_lanes_of(x, lanes, p); }
  Ids plus(Id step, Maskdouble where) const {
    const __m128 low = _mm_castpd_ps(_mm256_castpd256_pd128(where.bits));
    const __m128 high = _mm_castpd_ps(_mm256_extractf128_pd(where.bits, 1));
    const __m128i which = _mm_castps_si128(_mm_shuffle_ps(low, high, 0x88));
    return {_mm_add_epi32(x, _mm_and_si128(which, _mm_set1_epi32(step)))};
  }
  Ids plus(Id step) const { return {_mm_add_epi32(x, _mm_set1_epi32(step))}; }
  unsigned below(Id n) const {
    const __m128i inside = _mm_cmpeq_epi32(_mm_min_epu32(x, _mm_set1_epi32(n - 1)), x);
    return n > 0 ? unsigned(_mm_movemask_ps(_mm_castsi128_ps(inside))) : 0;
  }
  Pack<double> gather(const double* p) const { return _mm256_i32gather_pd(p, x, 8); }
};
template <>
struct Ids<float> {
  __m256i x;
  static Ids load(const Id* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(p))};
  }
  void store(Id* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(p), x); }
  void store_lanes(unsigned lanes, Id* p) const { store_lanes_of(x, lanes, p); }
  Ids plus(Id step, Maskfloat where) const {
    const __m256i which = _mm256_castps_si256(where.bits);
    return {_mm256_add_epi32(x, _mm256_and_si256(which, _mm256_set1_epi32(step)))};
  }
  Ids plus(Id step) const { return {_mm256_add_epi32(x, _mm256_set1_epi32(step))}; }
  unsigned below(Id n) const {
    const __m256i inside = _mm256_cmpeq_epi32(_mm256_min_epu32(x, _mm256_set1_epi32(n - 1)), x);
    return n > 0 ? unsigned(_mm256_movemask_ps(_mm256_castsi256_ps(inside))) : 0;
  }
  Pack<float> gather(const float* p) const { return _mm256_i32gather_ps(p, x, 4); }
};

#else

// One at a time.
template <class Real>
struct Pack {
  static constexpr int width = 1;
  Real x;
  Pack() = default;
  Pack(Real v) : x(v) {}
  static Pack load(const Real* p) { return *p; }
  static Pack load_first(const Real* p, int) { return *p; }
  static Pack gather(const Real* p, const Id* at) { return p[*at]; }
  void store(Real* p) const { *p = x; }
  void store_lanes(unsigned, Real* p) const { *p = x; }
  void store_first(Real* p, int) const { *p = x; }
  friend Pack operator+(Pack a, Pack b) { return a.x + b.x; }
  friend Pack operator-(Pack a, Pack b) { return a.x - b.x; }
  friend Pack operator*(Pack a, Pack b) { return a.x * b.x; }
  friend Pack operator/(Pack a, Pack b) { return a.x / b.x; }
  friend Pack operator-(Pack a) { return -a.x; }
  friend bool operator<(Pack a, Pack b) { return a.x < b.x; }
  friend bool operator<=(Pack a, Pack b) { return a.x <= b.x; }
  friend bool operator>(Pack a, Pack b) { return a.x > b.x; }
  friend bool operator>=(Pack a, Pack b) { return a.x >= b.x; }
  friend bool operator==(Pack a, Pack b) { return a.x == b.x; }
  friend Pack fma(Pack a, Pack b, Pack c) { return detail::fma(a.x, b.x, c.x); }
  friend Pack sqrt_of(Pack a) { return detail::sqrt_of(a.x); }
  friend Pack size_of(Pack a) { return detail::size_of(a.x); }
  friend Pack select(bool m, Pack yes, Pack no) { return m ? yes : no; }
  friend Pack exponent_of(Pack a) { return detail::exponent_of(a.x); }
  friend Pack scale_from_bits(Pack a) { return detail::scale_from_bits(a.x); }
};
SNNFP_INLINE unsigned bits_of(bool m) { return m ? 1u : 0u; }

template <class Real>
struct Ids {
  Id x;
  static Ids load(const Id* p) { return {*p}; }
  void store(Id* p) const { *p = x; }
  void store_lanes(unsigned, Id* p) const { *p = x; }
  Ids plus(Id step, bool where) const { return {x + (where ? step : 0)}; }
  Ids plus(Id step) const { return {x + step}; }
  unsigned below(Id n) const { return x >= 0 && x < n ? 1u : 0u; }
  Pack<Real> gather(const Real* p) const { return p[x]; }
};

#endif

#undef SNNFP_PACK_ARITHMETIC

// As many of the first n values as there are lanes, zeros after them; n may be 0 or less.
template <class Real>
SNNFP_INLINE Pack<Real> load_up_to(const Real* p, Size n) {
  using P = Pack<Real>;
  if (n >= P::width) return P::load(p);
  return n > 0 ? P::load_first(p, static_cast<int>(n)) : P(Real(0));
}

template <class Real>
struct ScalarOf<Pack<Real>> {
  using type = Real;
};

// b where they are equal or one is no number; the packs' instructions do the same.
template <class T>
SNNFP_INLINE T larger(T a, T b) {
  return select(a > b, a, b);
}
template <class T>
SNNFP_INLINE T smaller(T a, T b) {
  return select(a < b, a, b);
}

// Arrays that packs run over are padded to a multiple of this many values.
template <class Real>
constexpr int lane_width = 64 / int(sizeof(Real));

template <class Real>
constexpr Size padded(Size n) {
  return (n + lane_width<Real> - 1) / lane_width<Real> * lane_width<Real>;
}

SNNFP_ISA_END
