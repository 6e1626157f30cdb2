#include <benchmark/benchmark.h>

#include <cstdio>

#include "machine.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const auto& m = bench::machine();
  std::fprintf(stderr,
               "snnfp %s; one thread of this machine: %.1f GFlop/s (double), %.1f (float), "
               "triad %.1f GB/s\n",
               snnfp::isa_name(snnfp::resolve_isa(snnfp::Isa::best)), m.double_gflops,
               m.float_gflops, m.triad_gbytes);
  benchmark::RunSpecifiedBenchmarks();
}
