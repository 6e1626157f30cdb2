#pragma once
// The border between the library and its inner loops. Each instruction set fills one table of
// functions; nothing but plain data crosses.

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "snnfp/detail/parallel.hpp"
#include "snnfp/detail/plan.hpp"
#include "snnfp/recording.hpp"
#include "snnfp/simulate.hpp"

namespace snnfp::detail {

// Stops the work of all threads when the caller's poll throws.
class Interrupt {
 public:
  explicit Interrupt(const std::function<void()>& poll) : poll_(poll) {}
  // True where another thread's poll asked to stop; throws what the poll throws.
  bool check(int worker);

 private:
  const std::function<void()>& poll_;
  std::atomic<bool> stop_{false};
};

// Does the work that no interrupt has stopped; the calling thread looks for one also while it waits
// for the others.
template <class Work>
void parallel_for(Size count, int n_threads, Interrupt& interrupt, const Work& work) {
  const auto unless_stopped = [&](Size i, int worker) {
    if (!interrupt.check(worker)) work(i, worker);
  };
  parallel_for(count, n_threads, unless_stopped, [&] { interrupt.check(0); });
}

// For loops deep inside: leaves by an exception where the work is to stop.
struct Watch {
  Interrupt& interrupt;
  int worker;
  // Cheap enough for every few microseconds.
  void check() const;
};

// For loops whose turns differ in length: looks once in so many steps.
class PacedWatch {
 public:
  PacedWatch(Interrupt& interrupt, int worker) : watch_{interrupt, worker} {}
  void did(Size steps) {
    if ((since_ += steps) < 4096) return;
    since_ = 0;
    watch_.check();
  }

 private:
  Watch watch_;
  Size since_ = 0;
};

// The input spikes of one sample in one group; `first` is the index of the first in the batch.
template <class Real>
struct InputSpikes {
  const Real* times;
  const Id* units;
  Size first;
  Size count;
};

template <class Real>
struct SampleInput {
  Size sample;
  const InputSpikes<Real>* groups;  // one an input group
  const Real* voltage;              // initial state, one a neuron; null: 0
  const Real* current;
};

// The spikes of one sample, ordered by (time, neuron).
template <class Real>
struct SampleSpikes {
  Size count = 0;
  const Real* times = nullptr;
  const Id* neurons = nullptr;
  const Real* slopes = nullptr;
  const Real* release_currents = nullptr;
};

template <class Real>
struct Spike {
  Real time, slope, release_current;
  Id neuron;

  Spike() = default;
  // Made in place, field by field: a copy of one just put together waits for its stores.
  Spike(Real t, Real v1, Real i, Id j) : time(t), slope(v1), release_current(i), neuron(j) {}
};

// Takes the spikes of samples from the inner loops, one sample after the other.
template <class Real>
struct SpikeSink {
  virtual ~SpikeSink() = default;
  // Where the spikes of the next sample, so many, are to be put in order.
  virtual Spike<Real>* next(Size count) = 0;
  virtual void write(const Spike<Real>* spikes, Size count, const Real* residuals) = 0;
};

// Simulates samples, a few at a time; none depends on which others are there. Keeps its memory for
// the next ones.
template <class Real>
struct Simulator {
  virtual ~Simulator() = default;
  virtual void run(const SampleInput<Real>* inputs, Size samples, SpikeSink<Real>& sink) = 0;
};

struct RunLimits {
  double until;
  Size spike_limit;
  const Solver* solvers;  // of each component; null: the queue for the whole network
  int worker;
  // Populations; a sample ends as soon as all their neurons have fired. None: at `until`.
  const Id* stop_after = nullptr;
  Size n_stop_after = 0;
};

// How recorded spikes are judged; takes what cannot be, in order of time.
struct ReplayJudge {
  double tolerance;  // largest |V(f-) - threshold|
  bool drop;         // impossible spikes are taken out; else they are kept

  virtual ~ReplayJudge() = default;
  virtual void missing(Id neuron, double time, double excess) = 0;
  // `spike`: which of the sample's.
  virtual void impossible(Size spike, ImpossibleSpike::Reason reason, double value) = 0;
};

template <class Real>
struct ProbePoints {
  Size n_neurons = 0;
  const Id* neurons = nullptr;
  Size n_times = 0;
  const Real* times = nullptr;  // ascending
  Real* voltage = nullptr;      // [n_neurons, n_times]
  Real* current = nullptr;
};

// What a gradient is taken with respect to, as column offsets; -1: not asked for.
struct Columns {
  const Size* neuron;                  // [populations * 7]
  const Size* weight;                  // [projections]
  const Size* delay;                   // [projections]
  const Size* input_time;              // [groups]
  const unsigned char* neuron_shared;  // [populations * 7] one value for the population
  // [projections] 1: from an input, large, and wanted for its weights only: `reverse` leaves it to
  // `reverse_weights`.
  const unsigned char* deferred;
  // [projections] Null: one column a synapse, or a delay. Else synapses share columns (forward
  // propagation only: the adjoint adds up afterwards): that of each synapse, or -1.
  const Id* const* weight_of;
  const Id* const* delay_of;
  Size count;

  // The column of a synapse's weight, and that of a delay by its ProjectionPlan::delay_index; -1.
  Size of_weight(Id projection, Size synapse) const {
    return of(weight[projection], weight_of[projection], synapse);
  }
  Size of_delay(Id projection, Size index) const {
    return of(delay[projection], delay_of[projection], index);
  }
  static Size of(Size first, const Id* shared, Size k) {
    if (first < 0 || !shared) return first < 0 ? -1 : first + k;
    return shared[k] < 0 ? -1 : first + shared[k];
  }
};

// Columns are solved this many at a time: a row of a block is 256 bytes.
template <class Real>
constexpr Size column_block = 256 / Size(sizeof(Real));

// Derivatives of one sample's spikes as a sparse triangular system; made by one instruction set's
// engine and read only by it.
struct Program {
  virtual ~Program() = default;
  Size scratch_size = 0;  // values that `rows` and `contract` work in, aligned to 64 bytes
  Size bytes = 0;
};

// A program that is laid out, to be filled in part by part, in any order and side by side.
struct Draft {
  virtual ~Draft() = default;
  std::unique_ptr<Program> program;
  Size parts = 0;
};

// Scratch memory of a worker's adjoints, kept from one call to the next; made by one instruction
// set's engine and used only by it.
struct Workspace {
  virtual ~Workspace() = default;
};

// Where the row of a spike goes: column c of the layout to to[c].
template <class Real>
struct RowTarget {
  Size spike;
  Real* to;
};

template <class Real>
struct EngineTable {
  Simulator<Real>* (*simulator)(const Plan<Real>&, const RunLimits&, Interrupt&);
  // Drives the neurons with given spikes; fills slopes, release currents, residuals and probes.
  // Without a judge all spikes are kept.
  void (*replay)(const Plan<Real>&, const SampleInput<Real>&, const SampleSpikes<Real>&,
                 const RunLimits&, Interrupt&, ReplayJudge*, SpikeSink<Real>*,
                 const ProbePoints<Real>*);
  // For `reverse` and `reverse_weights` with this plan and these columns.
  Workspace* (*workspace)(const Plan<Real>&, const Columns&);
  // Adds the share of a few samples, in order, to `gradient`; input times are written to
  // `input_times[group][index in the batch]`, null where not asked for. `cotangents` and
  // `voltage_adjoints` (null: not asked for) belong to the spikes of the whole batch, of which
  // `first_spikes` says where each sample's begin.
  void (*reverse)(const SampleInput<Real>* inputs, const SampleSpikes<Real>* spikes, Size samples,
                  Workspace&, const Size* first_spikes, const Real* cotangents, Real* gradient,
                  Real* const* input_times, Real* voltage_adjoints, const Watch&);
  // Adds a few samples' derivatives by the deferred weights, to the neurons [begin, end) of a
  // population. `voltage_adjoints` are those that `reverse` wrote, one a spike.
  void (*reverse_weights)(const SampleInput<Real>* inputs, const SampleSpikes<Real>* spikes,
                          Size samples, Workspace&, const Size* first_spikes,
                          const Real* voltage_adjoints, Id population, Id begin, Id end,
                          Real* gradient, const Watch&);
  // The arguments' arrays must last until all parts are filled. `wanted` marks spikes; null: all.
  Draft* (*draft)(const Plan<Real>&, const SampleInput<Real>&, const SampleSpikes<Real>&,
                  const Columns&, const unsigned char* wanted, const Watch&);
  void (*fill)(const Draft&, Size part, const Watch&);
  // The columns [begin, end) of block `block` (of column_block columns) of the rows asked for,
  // whose spikes do not decrease.
  void (*rows)(const Program&, Size block, Size begin, Size end, const RowTarget<Real>* targets,
               Size n_targets, Real* scratch, const Watch&);
  // gradient[column] += sum over spikes of cotangents * derivative, for the columns of the block.
  void (*contract)(const Program&, Size block, const Real* cotangents, Real* gradient,
                   Real* scratch, const Watch&);
  // The derivative of every spike along `tangent` (one value a column).
  void (*along)(const Program&, const Real* tangent, Real* out, const Watch&);
};

template <class Real>
const EngineTable<Real>& engine_table(Isa isa);

// Made outside the inner loops.
template <class Real>
[[noreturn]] void throw_spike_limit(const PlanGraph<Real>&, Size sample, Id neuron, Real time,
                                    Size count);
// Of `pending` arrivals on their way, more than `most`.
template <class Real>
[[noreturn]] void throw_runaway(const PlanGraph<Real>&, Size sample, Id neuron, Real time,
                                Size count, Size pending, Size most);
template <class Real>
[[noreturn]] void throw_clock(const PlanGraph<Real>&, Size sample, Id neuron, Real time,
                              const std::string& time_constants);
template <class Real, class Constants>
[[noreturn]] void throw_clock(const ModelPlan<Real, Constants>& plan, Size sample, Id neuron,
                              Real time) {
  throw_clock(plan, sample, neuron, time, plan.neurons.time_constants(neuron));
}

}  // namespace snnfp::detail
