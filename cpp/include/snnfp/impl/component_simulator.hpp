#pragma once
// The driver of a simulation: samples through the graph, component by component, each by the solver
// that suits it. What all solvers share is here: what they read and fill, samples that end early,
// who is named in an error, and the order of the spikes handed out.

#include <algorithm>
#include <memory>
#include <numeric>

#include "snnfp/error.hpp"
#include "snnfp/impl/block_layer.hpp"
#include "snnfp/impl/layer_simulator.hpp"
#include "snnfp/impl/loop_simulator.hpp"
#include "snnfp/impl/loop_windows.hpp"
#include "snnfp/impl/queue_simulator.hpp"
#include "snnfp/impl/solver.hpp"
#include "snnfp/impl/window_simulator.hpp"

SNNFP_ISA_BEGIN

// Keeps its solvers and their memory from one call to the next.
template <class Real>
class ComponentSimulator final : public Simulator<Real> {
 public:
  ComponentSimulator(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        limits_(limits),
        interrupt_(interrupt),
        sample_end_(plan, limits_),
        n_populations_(static_cast<Size>(plan.population_offsets.size()) - 1) {}

  void run(const SampleInput<Real>* inputs, Size samples, SpikeSink<Real>& sink) override {
    if (!limits_.solvers) return run_queue(inputs, samples, sink);
    try {
      if (!sample_end_.wanted()) {
        run_until(horizon(), inputs, samples);
        return write(spikes_, samples, sink);
      }
      run_to_end(inputs, samples);
    } catch (const ClockError&) {
      drop_solvers();
      if (sample_end_.wanted()) return run_queue(inputs, samples, sink);
      // The queue comes to the first of them in time, and says so.
      for (Size s = 0; s < samples; ++s) {
        WholeNetwork<Real> all(plan_, inputs[s], limits_);
        QueueSimulator<Real, false>(all.sample, limits_, interrupt_).run(nullptr);
      }
      throw;
    } catch (const Error&) {
      drop_solvers();
      if (!sample_end_.wanted()) throw;
      // The queue stops at the end of a sample; the others look beyond, where a neuron may run away
      // that never does in the sample.
      return run_queue(inputs, samples, sink);
    }
    write(ended_, samples, sink);
  }

 private:
  Real horizon() const { return static_cast<Real>(limits_.until); }
  SpikeList<Real>* lists(Size sample) { return &spikes_[sample * n_populations_]; }

  void write(const Vector<SpikeList<Real>>& lists, Size samples, SpikeSink<Real>& sink) const {
    for (Size s = 0; s < samples; ++s)
      write_merged(&lists[s * n_populations_], n_populations_, sink);
  }

  void run_queue(const SampleInput<Real>* inputs, Size samples, SpikeSink<Real>& sink) {
    for (Size s = 0; s < samples; ++s) {
      WholeNetwork<Real> all(plan_, inputs[s], limits_);
      QueueSimulator<Real, false> simulator(all.sample, limits_, interrupt_);
      simulator.run(nullptr);
      sink.write(simulator.spikes().data(), simulator.spikes().size(), nullptr);
    }
  }

  void drop_solvers() {
    block_layer_.reset();
    layer_.reset();
    loop_.reset();
    loop_windows_.reset();
    windows_.reset();
  }

  void run_until(Real until, const SampleInput<Real>* inputs, Size samples) {
    spikes_.resize(std::max<std::size_t>(spikes_.size(), samples * n_populations_));
    for (SpikeList<Real>& s : spikes_) s.clear();
    for (Size c = 0; c < plan_.n_components(); ++c) {
      if (limits_.solvers[c] == Solver::layer) {
        run_layer(c, until, inputs, samples);
        continue;
      }
      if (limits_.solvers[c] == Solver::windows && receives_rows_alone(plan_, c)) {
        if (!loop_windows_)
          loop_windows_ = std::make_unique<LoopWindows<Real>>(plan_, limits_, interrupt_);
        loop_windows_->run(c, inputs, samples, lists(0), n_populations_, until);
        continue;
      }
      for (Size s = 0; s < samples; ++s) {
        const Id *begin = plan_.component_begin(c), *end = plan_.component_end(c);
        for (const Id* p = begin; s > 0 && p != end; ++p)
          lists(s)[*p].reserve(lists(s - 1)[*p].size() + 16);
        if (sample_end_.wanted()) sample_end_.see_all(lists(s));
        run_one(c, {plan_, begin, end, inputs[s], lists(s), until, sample_end_});
      }
    }
  }

  void run_one(Size component, const ComponentSample<Real>& sample) {
    switch (limits_.solvers[component]) {
      case Solver::loop:
        if (!loop_) loop_ = std::make_unique<LoopSimulator<Real>>(plan_, limits_, interrupt_);
        return loop_->run(sample);
      case Solver::windows:
        if (!windows_)
          windows_ = std::make_unique<WindowSimulator<Real>>(plan_, limits_, interrupt_);
        if (windows_->run(sample)) return;
        for (const Id* p = sample.begin; p != sample.end; ++p) sample.spikes[*p].clear();
        if (sample_end_.wanted()) sample_end_.see_all(sample.spikes);
        [[fallthrough]];
      default: {
        QueueSimulator<Real, false> queue(sample, limits_, interrupt_);
        queue.run(nullptr);
        for (Size k = 0; k < queue.spikes().size(); ++k) {
          const Spike<Real>& spike = queue.spikes()[k];
          sample.spikes[plan_.population_of.data()[spike.neuron]].push_back(spike);
        }
      }
    }
  }

  // One population that feeds nothing back, in all samples: so many at a time as the cache holds.
  void run_layer(Size component, Real until, const SampleInput<Real>* inputs, Size samples) {
    constexpr Size most_arrivals = 8192;
    if (!layer_) layer_ = std::make_unique<LayerSimulator<Real>>(plan_, limits_, interrupt_);
    const Id* population = plan_.component_begin(component);
    if (plan_.hears_blocks.data()[component] && run_blocks(population, until, inputs, samples))
      return;
    LayerArrivals<Real>& arrivals = layer_->arrivals();
    for (Size s = 0; s < samples;) {
      const Size begin = s;
      arrivals.begin(*population);
      for (; s < samples && (s == begin || arrivals.sent() < most_arrivals); ++s)
        arrivals.add_sample(
            {plan_, population, population + 1, inputs[s], lists(s), until, sample_end_});
      layer_->run(*population, inputs + begin, until, lists(begin) + *population, n_populations_);
    }
  }

  // The same, block by block; false where that does not do, and nothing has been done.
  bool run_blocks(const Id* population, Real until, const SampleInput<Real>* inputs, Size samples) {
    for (Size s = 0; s < samples; ++s)
      if (inputs[s].voltage || inputs[s].current) return false;
    try {
      if (!block_layer_) block_layer_ = std::make_unique<BlockLayer<Real>>(plan_, *layer_);
      block_layer_->run(*population, samples, until, [&](Size s) -> ComponentSample<Real> {
        return {plan_, population, population + 1, inputs[s], lists(s), until, sample_end_};
      });
      return true;
    } catch (const Error&) {
      // Who is named is known to the layer as a whole.
      block_layer_.reset();
      layer_ = std::make_unique<LayerSimulator<Real>>(plan_, limits_, interrupt_);
      for (Size s = 0; s < samples; ++s) lists(s)[*population].clear();
      return false;
    }
  }

  // Samples that end early. Where they do is not known before their last population has run. So the
  // first few go to the horizon, the others to a guess made from these, and to the horizon what has
  // not ended there. The guess saves time and nothing else: every sample is cut where it ends.
  void run_to_end(const SampleInput<Real>* inputs, Size samples) {
    ended_.resize(std::max<std::size_t>(ended_.size(), samples * n_populations_));
    open_.resize(samples);
    std::iota(open_.begin(), open_.end(), Size(0));
    const bool guesses = plan_.n_components() > 1;
    if (guesses) {
      const Size unknown = EndGuess<Real>::enough - guess_.samples();
      run_open(inputs, std::min(samples, unknown), horizon());
    }
    run_open(inputs, static_cast<Size>(open_.size()), guesses ? guess_.time(horizon()) : horizon());
    run_open(inputs, static_cast<Size>(open_.size()), horizon());
  }

  // Runs the first `count` open samples; those that do not end by `until` are open again.
  void run_open(const SampleInput<Real>* inputs, Size count, Real until) {
    if (count == 0) return;
    chosen_.clear();
    for (Size k = 0; k < count; ++k) chosen_.push_back(inputs[open_[k]]);
    run_until(until, chosen_.data(), count);
    for (Size k = 0; k < count; ++k) {
      sample_end_.see_all(lists(k));
      const bool whole = !(until < horizon());
      if (whole) guess_.learn(sample_end_.time(), lists(k), n_populations_);
      if (whole || sample_end_.time() < never<Real>) {
        sample_end_.cut(lists(k), n_populations_);
        std::swap_ranges(lists(k), lists(k) + n_populations_, &ended_[open_[k] * n_populations_]);
      } else {
        open_.push_back(open_[k]);
      }
    }
    open_.erase(open_.begin(), open_.begin() + count);
  }

  const Plan<Real>& plan_;
  const RunLimits limits_;
  Interrupt& interrupt_;
  SampleEnd<Real> sample_end_;
  const Size n_populations_;

  std::unique_ptr<LayerSimulator<Real>> layer_;
  std::unique_ptr<BlockLayer<Real>> block_layer_;  // on layer_
  std::unique_ptr<LoopSimulator<Real>> loop_;
  std::unique_ptr<LoopWindows<Real>> loop_windows_;
  std::unique_ptr<WindowSimulator<Real>> windows_;

  Vector<SpikeList<Real>> spikes_;  // of each sample and population that runs
  Vector<SpikeList<Real>> ended_;   // of those that end early
  EndGuess<Real> guess_;
  Vector<Size> open_;  // samples that have not ended
  Vector<SampleInput<Real>> chosen_;
};

SNNFP_ISA_END
