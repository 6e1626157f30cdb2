// Which inner loops run here, and the errors and interrupts they raise.

#include "snnfp/detail/engine.hpp"

#include <cmath>
#include <limits>

#include "snnfp/error.hpp"
#include "snnfp/impl/network.hpp"

namespace snnfp {
namespace detail {

#define SNNFP_DECLARE_TABLE(isa)                \
  const EngineTable<float>& isa##_table(float); \
  const EngineTable<double>& isa##_table(double);
SNNFP_DECLARE_TABLE(portable)
#ifdef SNNFP_HAVE_X86_VARIANTS
SNNFP_DECLARE_TABLE(avx2)
SNNFP_DECLARE_TABLE(avx512)
#endif

template <class Real>
const EngineTable<Real>& engine_table(Isa isa) {
  switch (resolve_isa(isa)) {
#ifdef SNNFP_HAVE_X86_VARIANTS
    case Isa::avx2: return avx2_table(Real());
    case Isa::avx512: return avx512_table(Real());
#endif
    default: break;
  }
  return portable_table(Real());
}
template const EngineTable<float>& engine_table(Isa);
template const EngineTable<double>& engine_table(Isa);

bool Interrupt::check(int worker) {
  if (stop_.load(std::memory_order_relaxed)) return true;
  if (worker == 0 && poll_) {
    try {
      poll_();
    } catch (...) {
      stop_.store(true, std::memory_order_relaxed);
      throw;
    }
  }
  return false;
}

void Watch::check() const {
  if (interrupt.check(worker)) throw Stopped();
}

namespace {
std::string neuron_text(Id neuron, const std::vector<Id>& population_of,
                        const std::vector<Id>& offsets, const std::vector<std::string>& names) {
  const Id p = population_of[neuron];
  return "neuron " + std::to_string(neuron - offsets[p]) + " of population " + names[p];
}
std::string number(double x) {
  std::ostringstream out;
  out.precision(17);
  out << x;
  return out.str();
}
}  // namespace

namespace {
template <class Real>
[[noreturn]] void throw_limit(const PlanGraph<Real>& plan, Size sample, Id neuron, Real time,
                              Size count, const std::string& reason) {
  const Id p = plan.population_of[neuron];
  throw EventLimitError(
      neuron_text(neuron, plan.population_of, plan.population_offsets, plan.population_names) +
          " fired " + std::to_string(count) + " spikes by time " + number(time) + " in sample " +
          std::to_string(sample) + ", " + reason +
          "; raise spike_limit if this is meant, or look for runaway feedback",
      sample, plan.population_names[p], neuron - plan.population_offsets[p], time, count);
}
}  // namespace

template <class Real>
void throw_spike_limit(const PlanGraph<Real>& plan, Size sample, Id neuron, Real time, Size count) {
  throw_limit(plan, sample, neuron, time, count,
              "more than spike_limit = " + std::to_string(count - 1));
}
template void throw_spike_limit(const PlanGraph<float>&, Size, Id, float, Size);
template void throw_spike_limit(const PlanGraph<double>&, Size, Id, double, Size);

// Whose delays let arrivals pile up.
template <class Real>
static std::string with_own_delays(const PlanGraph<Real>& plan) {
  bool synapses = false, targets = false;
  for (const ProjectionPlan<Real>& p : plan.projections) {
    synapses |= p.within_component && p.delay_per == DelayPer::synapse;
    targets |= p.within_component && p.delay_per == DelayPer::target;
  }
  if (!synapses) return "target neurons";
  return targets ? "synapses or target neurons" : "synapses";
}

template <class Real>
void throw_runaway(const PlanGraph<Real>& plan, Size sample, Id neuron, Real time, Size count,
                   Size pending, Size most) {
  throw_limit(plan, sample, neuron, time, count,
              "and " + std::to_string(pending) + " arrivals are on their way in loops whose " +
                  with_own_delays(plan) + " have their own delays, more than " +
                  std::to_string(most) + " (see spike_limit)");
}
template void throw_runaway(const PlanGraph<float>&, Size, Id, float, Size, Size, Size);
template void throw_runaway(const PlanGraph<double>&, Size, Id, double, Size, Size, Size);

template <class Real>
void throw_clock(const PlanGraph<Real>& plan, Size sample, Id neuron, Real time,
                 const std::string& time_constants) {
  const Real step = std::nextafter(time, std::numeric_limits<Real>::infinity()) - time;
  throw ClockError(
      neuron_text(neuron, plan.population_of, plan.population_offsets, plan.population_names) +
      " crosses its threshold at time " + number(time) + " in sample " + std::to_string(sample) +
      ", where times are " + number(step) + " apart: that does not resolve its " + time_constants +
      ", expected earlier times or longer time constants" +
      (sizeof(Real) == 4 ? ", or float64" : ""));
}
template void throw_clock(const PlanGraph<float>&, Size, Id, float, const std::string&);
template void throw_clock(const PlanGraph<double>&, Size, Id, double, const std::string&);

}  // namespace detail

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::best: return "best";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    default: return "portable";
  }
}

const char* solver_name(Solver solver) {
  switch (solver) {
    case Solver::layer: return "layer";
    case Solver::loop: return "loop";
    case Solver::windows: return "windows";
    default: return "queue";
  }
}

const char* adjoint_name(Adjoint adjoint) { return adjoint == Adjoint::layer ? "layer" : "loop"; }

Isa resolve_isa(Isa wanted) {
  check_index("isa", Size(wanted), 4);
#ifdef SNNFP_HAVE_X86_VARIANTS
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw");
  if (avx512 && (wanted == Isa::best || wanted == Isa::avx512)) return Isa::avx512;
  if (avx2 && wanted != Isa::portable) return Isa::avx2;
#endif
  (void)wanted;
  return Isa::portable;
}

}  // namespace snnfp
