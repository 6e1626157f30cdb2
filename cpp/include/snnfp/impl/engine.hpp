#pragma once
// The table of inner loops of one instruction set.

#include <memory>

#include "snnfp/impl/component_simulator.hpp"
#include "snnfp/impl/forward_compile.hpp"
#include "snnfp/impl/reverse.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct EngineFunctions {
  static Simulator<Real>* simulator(const Plan<Real>& plan, const RunLimits& limits,
                                    Interrupt& interrupt) {
    return new ComponentSimulator<Real>(plan, limits, interrupt);
  }

  static void replay(const Plan<Real>& plan, const SampleInput<Real>& input,
                     const SampleSpikes<Real>& spikes, const RunLimits& limits,
                     Interrupt& interrupt, ReplayJudge* judge, SpikeSink<Real>* sink,
                     const ProbePoints<Real>* probe) {
    WholeNetwork<Real> all(plan, input, limits);
    QueueSimulator<Real, true> simulator(all.sample, limits, interrupt);
    simulator.give(spikes, judge);
    simulator.run(probe);
    if (sink)
      sink->write(simulator.spikes().data(), simulator.spikes().size(), simulator.residuals());
  }

  static Workspace* workspace(const Plan<Real>& plan, const Columns& columns) {
    return new Reverse<Real>(plan, columns);
  }

  static void reverse(const SampleInput<Real>* inputs, const SampleSpikes<Real>* spikes,
                      Size samples, Workspace& workspace, const Size* first_spikes,
                      const Real* cotangents, Real* gradient, Real* const* input_times,
                      Real* voltage_adjoints, const Watch& watch) {
    for (Size s = 0; s < samples; ++s)
      static_cast<Reverse<Real>&>(workspace).run(
          inputs[s], spikes[s], cotangents + first_spikes[s], gradient, input_times,
          voltage_adjoints ? voltage_adjoints + first_spikes[s] : nullptr, watch);
  }

  static void reverse_weights(const SampleInput<Real>* inputs, const SampleSpikes<Real>* spikes,
                              Size samples, Workspace& workspace, const Size* first_spikes,
                              const Real* voltage_adjoints, Id population, Id begin, Id end,
                              Real* gradient, const Watch& watch) {
    for (Size s = 0; s < samples; ++s)
      static_cast<Reverse<Real>&>(workspace).run_weights(inputs[s], spikes[s],
                                                         voltage_adjoints + first_spikes[s],
                                                         population, begin, end, gradient, watch);
  }

  static Draft* draft(const Plan<Real>& plan, const SampleInput<Real>& input,
                      const SampleSpikes<Real>& spikes, const Columns& columns,
                      const unsigned char* wanted, const Watch& watch) {
    auto layout = std::make_unique<ForwardLayout<Real>>(plan, input, spikes, columns);
    layout->run(wanted, watch);
    return layout.release();
  }

  static void fill(const Draft& draft, Size part, const Watch& watch) {
    ForwardCompiler<Real>(static_cast<const ForwardLayout<Real>&>(draft), part).run(watch);
  }

  static void rows(const Program& program, Size block, Size begin, Size end,
                   const RowTarget<Real>* targets, Size n_targets, Real* scratch,
                   const Watch& watch) {
    const auto& p = static_cast<const ForwardProgram<Real>&>(program);
    const Size skipped = begin - block * p.width;
    const RowTarget<Real>* next = targets;
    const RowTarget<Real>* const last = targets + n_targets;
    p.solve(block, scratch, watch, [&](Size k, const Real* row) {
      for (; next < last && next->spike < k; ++next)
        std::fill(next->to + begin, next->to + end, Real(0));
      for (; next < last && next->spike == k; ++next)
        std::memcpy(next->to + begin, row + skipped, (end - begin) * sizeof(Real));
    });
    for (; next < last; ++next) std::fill(next->to + begin, next->to + end, Real(0));
  }

  static void contract(const Program& program, Size block, const Real* cotangents, Real* gradient,
                       Real* scratch, const Watch& watch) {
    const auto& p = static_cast<const ForwardProgram<Real>&>(program);
    constexpr int width = ForwardProgram<Real>::width;
    Real sum[width] = {};
    p.solve(block, scratch, watch, [&](Size k, const Real* row) {
      if (cotangents[k] == Real(0)) return;
      for (int c = 0; c < width; ++c) sum[c] = fma(cotangents[k], row[c], sum[c]);
    });
    const Size end = std::min<Size>(p.n_columns - block * width, width);
    for (Size c = 0; c < end; ++c) gradient[block * width + c] += sum[c];
  }

  static void along(const Program& program, const Real* tangent, Real* out, const Watch& watch) {
    static_cast<const ForwardProgram<Real>&>(program).along(tangent, out, watch);
  }

  static constexpr EngineTable<Real> table = {
      simulator, replay, workspace, reverse, reverse_weights, draft, fill, rows, contract, along};
};

SNNFP_ISA_END
