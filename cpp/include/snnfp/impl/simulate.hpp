#pragma once
// Bodies of simulate and probe: checks, samples in parallel, one record.

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "snnfp/detail/adjoint.hpp"
#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/parallel.hpp"
#include "snnfp/error.hpp"
#include "snnfp/impl/horizon.hpp"
#include "snnfp/impl/network.hpp"
#include "snnfp/impl/scales.hpp"
#include "snnfp/impl/solver.hpp"
#include "snnfp/simulate.hpp"

namespace snnfp {
namespace detail {

// Returns the number of samples: that of the input, or `samples` where there is none.
template <class Real>
Size check_input(const Network<Real>& network, const Input<Real>& input, Size samples) {
  if (input.size() != network.inputs().size())
    invalid("input has ", input.size(), " groups of spikes, expected ", network.inputs().size(),
            " (one an input group of the network)");
  if (input.empty()) {
    if (samples < 1)
      invalid("the network has no input group and samples is ", samples, ", expected at least 1");
    return samples;
  }
  for (std::size_t g = 0; g < input.size(); ++g) {
    const SpikeBatch<Real>& b = input[g];
    const std::string& name = network.inputs()[g].name;
    const Id size = network.inputs()[g].size;
    if (b.offsets.size() < 2)
      invalid(name, ".offsets has ", b.offsets.size(), " values, expected at least 2 (one sample)");
    if (b.samples() != input[0].samples())
      invalid(name, " has ", b.samples(), " samples, expected ", input[0].samples(), " as in ",
              network.inputs()[0].name);
    if (b.offsets[0] != 0) invalid(name, ".offsets[0] is ", b.offsets[0], ", expected 0");
    if (b.times.size() != b.units.size() || b.offsets[b.samples()] != b.times.size())
      invalid(name, " has ", b.times.size(), " times, ", b.units.size(), " units and last offset ",
              b.offsets[b.samples()], ", expected the same number");
    // All of them before any time is read: one in the middle may be past the end.
    for (Size s = 0; s < b.samples(); ++s)
      if (b.offsets[s + 1] < b.offsets[s])
        invalid(name, ".offsets[", s + 1, "] is ", b.offsets[s + 1], ", expected at least ",
                b.offsets[s]);
    for (Size s = 0; s < b.samples(); ++s) {
      Real last = 0;
      for (Size k = b.offsets[s]; k < b.offsets[s + 1]; ++k) {
        const Real t = b.times[k];
        const auto where = [&] {
          return name + ": sample " + std::to_string(s) + ", spike " +
                 std::to_string(k - b.offsets[s]) + ": ";
        };
        if (!(t >= Real(0)) || !std::isfinite(t))
          invalid(where(), "time ", t, ", expected a finite time >= 0");
        if (t < last)
          invalid(where(), "time ", t, " after ", last, ", expected times that do not decrease");
        if (b.units[k] < 0 || b.units[k] >= size)
          invalid(where(), "unit ", b.units[k], ", expected 0 <= unit < ", size);
        last = t;
      }
    }
  }
  return input[0].samples();
}

template <class Real>
void check_initial(const Network<Real>& network, const Plan<Real>& plan,
                   const InitialState<Real>& initial, Size samples) {
  const auto check = [&](const Array<Real>& a, const char* name) {
    if (a.size() == 0) return;
    if (a.size() != plan.n_neurons && a.size() != samples * plan.n_neurons)
      invalid("initial ", name, " has ", a.size(), " values, expected ", plan.n_neurons,
              " (one a neuron) or ", samples * plan.n_neurons, " (samples x neurons)");
    for (Size k = 0; k < a.size(); ++k)
      if (!std::isfinite(a[k]))
        invalid("initial ", name, "[", k, "] is ", a[k], ", expected a finite number");
    check_initial_scale(network, plan, a, name);
  };
  check(initial.voltage, "voltage");
  check(initial.current, "current");
  if (plan.n_neurons == 0) return;
  const Size rows = std::max<Size>(1, initial.voltage.size() / plan.n_neurons);
  for (Size s = 0; s < rows; ++s)
    for (Id j = 0; j < plan.n_neurons; ++j) {
      const Real v = initial.voltage.size() ? initial.voltage[s * plan.n_neurons + j] : Real(0);
      if (v < plan.neurons.threshold[j]) continue;
      const Id population = plan.population_of[j];
      invalid("the initial voltage of neuron ", j - plan.population_offsets[population],
              " of population ", network.populations()[population].name, " is ", v,
              ", expected a value below its threshold ", plan.neurons.threshold[j],
              initial.voltage.size() ? ""
                                     : " (V is measured from rest: subtract the resting voltage "
                                       "from threshold and v_reset, or give an initial voltage)");
    }
}

// The inputs and initial state of one sample, as the inner loops read them. Fills `groups`, one an
// input group.
template <class Real>
SampleInput<Real> sample_input(const Record<Real>& record, Size sample, InputSpikes<Real>* groups) {
  for (std::size_t g = 0; g < record.input.size(); ++g) {
    const SpikeBatch<Real>& b = record.input[g];
    const Size begin = b.offsets[sample];
    groups[g] = {b.times.data() + begin, b.units.data() + begin, begin,
                 b.offsets[sample + 1] - begin};
  }
  const Size n = record.population_offsets.back();
  const auto row = [&](const Array<Real>& a) -> const Real* {
    if (a.size() == 0) return nullptr;
    return a.data() + (a.size() == n ? 0 : sample * n);
  };
  return {sample, groups, row(record.initial.voltage), row(record.initial.current)};
}

template <class Real>
class SampleView {
 public:
  SampleView(const Record<Real>& record, Size sample)
      : groups_(record.input.size()), view_(sample_input(record, sample, groups_.data())) {}
  const SampleInput<Real>& get() const { return view_; }

 private:
  std::vector<InputSpikes<Real>> groups_;
  SampleInput<Real> view_;
};

template <class Real>
SampleSpikes<Real> sample_spikes(const Record<Real>& record, Size sample) {
  const Size begin = record.offsets[sample];
  return {record.offsets[sample + 1] - begin, record.times.data() + begin,
          record.neurons.data() + begin, record.slopes.data() + begin,
          record.release_currents.data() + begin};
}

// Spikes of groups of samples that finish in any order, put together in the order of the samples.
template <class Real>
class Collector {
 public:
  // `samples`: of a group.
  Collector(Size groups, Size samples) : parts_(static_cast<std::size_t>(groups)) {
    for (Part& p : parts_) p.samples = samples;
  }

  struct Part final : SpikeSink<Real> {
    std::vector<Size> counts;               // of each sample
    std::unique_ptr<Spike<Real>[]> spikes;  // of `size`; not initialised where std::vector would
    Size samples, size = 0, capacity = 0;
    std::vector<Real> residuals;

    Spike<Real>* next(Size count) override {
      counts.push_back(count);
      if (size + count > capacity) {
        // The first sample speaks for the others.
        capacity = std::max(counts.size() == 1 ? samples * (count + count / 8) : 2 * capacity,
                            size + count);
        std::unique_ptr<Spike<Real>[]> larger(new Spike<Real>[capacity]);
        std::copy_n(spikes.get(), size, larger.get());
        spikes = std::move(larger);
      }
      size += count;
      return spikes.get() + size - count;
    }
    void write(const Spike<Real>* more, Size count, const Real* residual) override {
      std::copy_n(more, count, next(count));
      if (residual) residuals.insert(residuals.end(), residual, residual + count);
    }
  };
  Part& part(Size group) { return parts_[group]; }

  void finish(Record<Real>& record, int n_threads) const {
    std::vector<Size> begin;
    record.offsets.assign(1, 0);
    for (const Part& p : parts_) {
      begin.push_back(record.offsets.back());
      for (const Size count : p.counts) record.offsets.push_back(record.offsets.back() + count);
    }
    const std::size_t n = static_cast<std::size_t>(record.offsets.back());
    record.times.resize(n);
    record.neurons.resize(n);
    record.slopes.resize(n);
    record.release_currents.resize(n);
    parallel_for(static_cast<Size>(parts_.size()), n_threads, [&](Size g, int) {
      Size to = begin[g];
      for (Size k = 0; k < parts_[g].size; ++k, ++to) {
        const Spike<Real>& s = parts_[g].spikes[k];
        record.times[to] = s.time;
        record.neurons[to] = s.neuron;
        record.slopes[to] = s.slope;
        record.release_currents[to] = s.release_current;
      }
    });
    record.residuals.clear();
    for (const Part& p : parts_)
      record.residuals.insert(record.residuals.end(), p.residuals.begin(), p.residuals.end());
  }

 private:
  std::vector<Part> parts_;
};

template <class Real>
Record<Real> begin_record(const Network<Real>& network, const Input<Real>& input,
                          const SimulateOptions<Real>& options, Size samples_without_input) {
  const Size samples = check_input(network, input, samples_without_input);
  // Of inputs alone there is nothing to simulate, but readouts may listen to them.
  if (network.populations().empty() && network.inputs().empty())
    invalid("the network has no population and no input, expected at least one");
  Record<Real> record;
  record.network = network;
  record.input = input;
  record.initial = options.initial;
  record.until = options.until;
  const auto check = [&](const std::vector<Id>& populations, const char* name) {
    for (std::size_t k = 0; k < populations.size(); ++k)
      if (populations[k] < 0 || populations[k] >= Id(network.populations().size()))
        invalid(name, "[", k, "] is ", populations[k], ", expected one of ",
                network.populations().size(), " populations");
  };
  check(options.first_spikes_of, "first_spikes_of");
  check(options.stop_after, "stop_after");
  record.first_spikes_of = options.first_spikes_of;
  record.stop_after = options.stop_after;
  std::sort(record.stop_after.begin(), record.stop_after.end());
  record.stop_after.erase(std::unique(record.stop_after.begin(), record.stop_after.end()),
                          record.stop_after.end());
  auto plan = std::make_shared<Plan<Real>>(make_plan(record.network, options.first_spikes_of));
  check_scales(network, *plan);
  check_initial(network, *plan, options.initial, samples);
  record.population_offsets = plan->population_offsets;
  record.plan = std::move(plan);
  record.offsets.assign(static_cast<std::size_t>(samples) + 1, 0);
  return record;
}

// Chooses a solver for each component, and notes it in the record; empty: the queue for all at
// once.
template <class Real>
std::vector<Solver> plan_run(Record<Real>& record, const SimulateOptions<Real>& options) {
  const Plan<Real>& plan = *record.plan;
  std::vector<double> input_spikes;
  for (const SpikeBatch<Real>& group : record.input)
    input_spikes.push_back(double(group.times.size()) / double(record.samples()));
  std::vector<Solver> solvers;
  for (Size c = 0; c < plan.n_components(); ++c) {
    solvers.push_back(options.engine == Engine::queue
                          ? Solver::queue
                          : choose_solver(plan, c, input_spikes, double(options.until)));
    record.ran.push_back({{plan.component_begin(c), plan.component_end(c)},
                          solvers.back(),
                          adjoint_of(plan, static_cast<Id>(c))});
  }
  record.isa = resolve_isa(options.isa);
  if (options.engine == Engine::queue) solvers.clear();
  return solvers;
}

}  // namespace detail

template <class Real>
Record<Real> simulate(const Network<Real>& network, const Input<Real>& input,
                      const SimulateOptions<Real>& options) {
  detail::check_until(network, options.until, options.first_spikes_of);
  if (options.spike_limit < 1)
    detail::invalid("spike_limit is ", options.spike_limit, ", expected at least 1");
  check_index("engine", Size(options.engine), 2);
  Record<Real> record = detail::begin_record(network, input, options, options.samples);
  const auto& engine = detail::engine_table<Real>(options.isa);
  const Size samples = record.samples();
  const std::vector<Solver> solvers = detail::plan_run(record, options);
  if (record.plan->n_neurons == 0) return record;
  const Real horizon = detail::horizon(network, options.until, options.first_spikes_of);
  // Samples go in groups that share scratch memory and vector lanes.
  const Size threads = detail::thread_count(options.n_threads);
  const Size group = std::clamp<Size>(samples / (4 * threads), 1, 32);
  const Size groups = (samples + group - 1) / group;
  detail::Collector<Real> collector(groups, group);
  detail::Interrupt interrupt(options.poll);
  std::vector<std::unique_ptr<detail::Simulator<Real>>> simulators(
      static_cast<std::size_t>(threads));
  const auto run = [&](Size g, Size begin, Size end, int worker, Real until) {
    std::vector<detail::SampleView<Real>> views;
    std::vector<detail::SampleInput<Real>> inputs;
    for (Size s = begin; s < end; ++s) {
      views.emplace_back(record, s);
      inputs.push_back(views.back().get());
    }
    auto& simulator = simulators[worker];
    if (!simulator)
      simulator.reset(engine.simulator(
          *record.plan,
          {double(until), options.spike_limit, solvers.empty() ? nullptr : solvers.data(), worker,
           record.stop_after.data(), Size(record.stop_after.size())},
          interrupt));
    simulator->run(inputs.data(), end - begin, collector.part(g));
  };
  // Components of the graph run one after the other: a later one may go over the limit before the
  // one that was found to.
  const auto raise_first = [&](Size g, Size sample, int worker) {
    std::optional<EventLimitError> first;
    for (Real until = horizon;;) {
      simulators[worker].reset();
      try {
        run(g, sample, sample + 1, worker, until);
        break;
      } catch (const EventLimitError& error) {
        first = error;
      }
      until = std::nextafter(static_cast<Real>(first->time), Real(0));
    }
    if (first) throw *first;
  };
  detail::parallel_for(groups, options.n_threads, interrupt, [&](Size g, int worker) {
    const Size begin = g * group, end = std::min(samples, begin + group);
    try {
      run(g, begin, end, worker, horizon);
    } catch (const EventLimitError&) {
      const bool one = record.plan->n_components() == 1 && end - begin == 1;
      if (one || options.engine == Engine::queue) throw;
      // The error that is reported is the first one of the first sample that has one.
      for (Size s = begin; s < end; ++s) raise_first(g, s, worker);
      throw;
    } catch (const ClockError&) {
      for (Size s = begin; s < end; ++s) raise_first(g, s, worker);
      throw;
    }
  });
  collector.finish(record, options.n_threads);
  detail::check_clock(record);
  return record;
}

template <class Real>
ProbeResult<Real> probe(const Record<Real>& record, const Probe<Real>& probe,
                        const ExecutionOptions& options) {
  using detail::invalid;
  const Size n = static_cast<Size>(probe.neurons.size()), m = static_cast<Size>(probe.times.size());
  const Id n_neurons = record.population_offsets.back();
  for (Size q = 0; q < n; ++q)
    if (probe.neurons[q] < 0 || probe.neurons[q] >= n_neurons)
      invalid("probe neuron ", q, " is ", probe.neurons[q], ", expected 0 <= neuron < ", n_neurons);
  for (Size k = 0; k < m; ++k) {
    const Real t = probe.times[k];
    if (!(t >= Real(0)) || !std::isfinite(t) || t > record.until)
      invalid("probe time ", k, " is ", t,
              ", expected a finite time >= 0 and <= until = ", record.until);
    if (k > 0 && t < probe.times[k - 1])
      invalid("probe time ", k, " is ", t, " after ", probe.times[k - 1],
              ", expected times that do not decrease");
  }
  const Size samples = record.samples();
  for (Size s = 0; m > 0 && s < samples && !record.stop_after.empty(); ++s)
    if (const Real end = record.end(s); probe.times[m - 1] > end)
      invalid("probe time ", m - 1, " is ", probe.times[m - 1], ", expected a time <= ", end,
              ", where sample ", s, " ends (stop_after)");
  ProbeResult<Real> result;
  result.voltage.resize(static_cast<std::size_t>(samples * n * m));
  result.current.resize(result.voltage.size());
  if (record.plan->n_neurons == 0) return result;
  const Real horizon = detail::horizon(record.network, record.until, record.first_spikes_of);
  const auto& engine = detail::engine_table<Real>(options.isa);
  detail::Interrupt interrupt(options.poll);
  detail::parallel_for(samples, options.n_threads, interrupt, [&](Size s, int worker) {
    const detail::SampleView<Real> view(record, s);
    const detail::ProbePoints<Real> points{n,
                                           probe.neurons.data(),
                                           m,
                                           probe.times.data(),
                                           result.voltage.data() + s * n * m,
                                           result.current.data() + s * n * m};
    const detail::RunLimits limits{double(horizon), 0, nullptr, worker};
    engine.replay(*record.plan, view.get(), detail::sample_spikes(record, s), limits, interrupt,
                  nullptr, nullptr, &points);
  });
  return result;
}

}  // namespace snnfp
