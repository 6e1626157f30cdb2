#pragma once
// Everything that inner loops inline lives in a namespace named after the instruction set it is
// compiled for, so that the linker can never put AVX-512 code where the portable one was asked for.

#ifndef SNNFP_ISA
#define SNNFP_ISA portable
#endif

#define SNNFP_ISA_BEGIN     \
  namespace snnfp::detail { \
  inline namespace SNNFP_ISA {
#define SNNFP_ISA_END \
  }                   \
  }

// Arithmetic on packs loses all it wins if it goes through memory to a function and back.
#define SNNFP_INLINE inline __attribute__((always_inline))
