// How fast does this machine multiply and add, and move memory? One thread; the rates the other
// benchmarks stand beside.
#include "machine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bench {
namespace {

template <class Work>
double best_seconds(int repeats, Work work) {
  double best = 1e300;
  for (int r = 0; r < repeats; ++r) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> d = std::chrono::steady_clock::now() - start;
    best = std::min(best, d.count());
  }
  return best;
}

constexpr int steps = 200000, chains = 12;

// Twelve chains of multiply-adds: enough to hide their latency. Each returns its result and how
// many lanes a step has.
template <class Real>
double portable_chains(double& lanes) {
  Real x[chains] = {};
  for (int k = 0; k < steps; ++k)
    for (Real& v : x) v = v * Real(0.5) + Real(1);
  Real sum = 0;
  for (Real v : x) sum += v;
  lanes = 1;
  return double(sum) / chains;
}

#if defined(__x86_64__)
#define SNNFP_CHAINS(name, isa, Vector, Real, set, fmadd, store) \
  __attribute__((target(isa))) double name(double& lanes) {      \
    Vector x[chains];                                            \
    for (Vector& v : x) v = set(Real(0));                        \
    const Vector half = set(Real(0.5)), one = set(Real(1));      \
    for (int k = 0; k < steps; ++k)                              \
      for (Vector& v : x) v = fmadd(v, half, one);               \
    constexpr int width = sizeof(Vector) / sizeof(Real);         \
    Real values[width];                                          \
    double sum = 0;                                              \
    for (Vector& v : x) {                                        \
      store(values, v);                                          \
      for (Real value : values) sum += double(value);            \
    }                                                            \
    lanes = width;                                               \
    return sum / (chains * width);                               \
  }
SNNFP_CHAINS(avx2_double, "avx2,fma", __m256d, double, _mm256_set1_pd, _mm256_fmadd_pd,
             _mm256_storeu_pd)
SNNFP_CHAINS(avx2_float, "avx2,fma", __m256, float, _mm256_set1_ps, _mm256_fmadd_ps,
             _mm256_storeu_ps)
SNNFP_CHAINS(avx512_double, "avx512f", __m512d, double, _mm512_set1_pd, _mm512_fmadd_pd,
             _mm512_storeu_pd)
SNNFP_CHAINS(avx512_float, "avx512f", __m512, float, _mm512_set1_ps, _mm512_fmadd_ps,
             _mm512_storeu_ps)
#endif

using Chains = double (*)(double& lanes);

Chains chains_of(bool is_double) {
#if defined(__x86_64__)
  switch (snnfp::resolve_isa(snnfp::Isa::best)) {
    case snnfp::Isa::avx512: return is_double ? avx512_double : avx512_float;
    case snnfp::Isa::avx2: return is_double ? avx2_double : avx2_float;
    default: break;
  }
#endif
  return is_double ? portable_chains<double> : portable_chains<float>;
}

double measure_gflops(bool is_double) {
  const Chains run = chains_of(is_double);
  double lanes = 1, result = 0;
  const double seconds = best_seconds(15, [&] {
    result = run(lanes);
    benchmark::DoNotOptimize(result);
  });
  return 2e-9 * steps * chains * lanes / seconds;
}

struct Triad {
  std::vector<double> a, b, c;
  Triad() : a(1 << 23, 0.0), b(1 << 23, 1.0), c(1 << 23, 2.0) {}
  void run() {
    for (std::size_t k = 0; k < a.size(); ++k) a[k] = b[k] + 3.0 * c[k];
    benchmark::DoNotOptimize(a.data());
    benchmark::ClobberMemory();
  }
};

void multiply_add(benchmark::State& state, bool is_double) {
  const Chains run = chains_of(is_double);
  double lanes = 1, result = 0;
  for (auto _ : state) {
    result = run(lanes);
    benchmark::DoNotOptimize(result);
  }
  if (std::abs(result - 2) > 1e-6) state.SkipWithError("the chains do not end at 2");
  state.counters["flops"] = benchmark::Counter(
      2.0 * steps * chains * lanes * double(state.iterations()), benchmark::Counter::kIsRate);
}

void triad(benchmark::State& state) {
  Triad t;
  for (auto _ : state) t.run();
  if (t.a[12345] != 7.0) state.SkipWithError("the sum is wrong");
  state.counters["bytes"] = benchmark::Counter(
      24.0 * double(t.a.size()) * double(state.iterations()), benchmark::Counter::kIsRate);
}

BENCHMARK_CAPTURE(multiply_add, double, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(multiply_add, float, false)->Unit(benchmark::kMicrosecond);
BENCHMARK(triad)->Unit(benchmark::kMillisecond);

}  // namespace

const Machine& machine() {
  static const Machine measured = [] {
    Triad t;
    t.run();
    const double triad_seconds = best_seconds(7, [&] { t.run(); });
    return Machine{measure_gflops(true), measure_gflops(false),
                   24e-9 * double(t.a.size()) / triad_seconds};
  }();
  return measured;
}

}  // namespace bench
