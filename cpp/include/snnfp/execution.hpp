#pragma once
// How work is carried out: instruction sets, threads and solvers. None of it changes a bit of a
// result.

#include <functional>
#include <vector>

#include "snnfp/export.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

// Which compiled variant of the inner loops runs; all give the same bits.
enum class Isa { best, portable, avx2, avx512 };

SNNFP_EXPORT const char* isa_name(Isa isa);
// The widest variant that this build has and this processor runs; `wanted` if it is one of those.
SNNFP_EXPORT Isa resolve_isa(Isa wanted);

// Which simulator runs; `automatic` chooses a solver for each component of the graph, `queue` takes
// the event queue for the whole network. Both give the same record.
enum class Engine { automatic, queue };

// What simulates one component: a group of mutually connected populations, or one population that
// feeds nothing back to itself.
enum class Solver {
  layer,    // one population: all its arrivals are known before it runs
  loop,     // dense, one delay a projection or a source unit: one vector loop an arrival, for
            // windows that would be short
  windows,  // no neuron hears of another within the shortest delay: each runs alone through it;
            // layers too whose neurons are often held
  queue,    // any graph, one event after the other
};

SNNFP_EXPORT const char* solver_name(Solver solver);

// How the adjoint goes back through the spikes of a component.
enum class Adjoint {
  layer,  // feeds nothing back: all spikes of the population at once
  loop    // in windows as long as the shortest delay within
};

SNNFP_EXPORT const char* adjoint_name(Adjoint adjoint);

// A component of the graph, what simulated it, and what differentiates it.
struct ComponentRun {
  std::vector<Id> populations;
  Solver solver;
  Adjoint adjoint;
};

struct ExecutionOptions {
  int n_threads = 0;  // 0: all that the machine offers; at most 4096
  Isa isa = Isa::best;
  // Called now and then from the calling thread; may throw to stop the work.
  std::function<void()> poll;
};

}  // namespace snnfp
