#pragma once
// SNNFP_EXPORT marks what a shared library offers; all else stays inside. Who builds or uses the
// library as a shared one has SNNFP_SHARED defined (the CMake target does); otherwise it is
// nothing.

#if defined(SNNFP_SHARED)
#define SNNFP_EXPORT __attribute__((visibility("default")))
#else
#define SNNFP_EXPORT
#endif
