#pragma once
// What the machine can do, measured in the same run.

#include <benchmark/benchmark.h>

#include "snnfp/snnfp.hpp"

namespace bench {

struct Machine {
  double double_gflops, float_gflops;  // multiply-adds from registers, one thread, two flops each
  double triad_gbytes;                 // a = b + c x over 3 x 64 MiB, one thread, 24 bytes a value
};

// Measured at the first call.
const Machine& machine();

// Whether the processor runs the code of crossing.cpp and event_queue.cpp.
inline bool runs_header_code() {
  return snnfp::resolve_isa(snnfp::Isa::avx2) == snnfp::Isa::avx2 ||
         snnfp::resolve_isa(snnfp::Isa::best) == snnfp::Isa::portable;
}

// Adds `events` an iteration as a rate called `name`, the cost of one, and the machine's figures.
inline void rate(benchmark::State& state, const char* name, double events) {
  using benchmark::Counter;
  const double total = events * double(state.iterations());
  state.counters[name] = Counter(total, Counter::kIsRate);
  state.counters["each"] = Counter(total, Counter::kIsRate | Counter::kInvert);
  state.counters["machine_flops"] = machine().double_gflops * 1e9;
  state.counters["machine_bytes"] = machine().triad_gbytes * 1e9;
}

}  // namespace bench
