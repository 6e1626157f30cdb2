#pragma once
// The table of inner loops of one instruction set.

#include "snnfp/impl/forward.hpp"
#include "snnfp/impl/queue_simulator.hpp"
#include "snnfp/impl/reverse.hpp"
#include "snnfp/impl/reverse_sweep.hpp"
#include "snnfp/impl/sweep_simulator.hpp"
#include "snnfp/impl/window_simulator.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct EngineFunctions {
  static void simulate(const Plan<Real>& plan, const SampleInput<Real>* inputs, Size samples,
                       const RunLimits& limits, Interrupt& interrupt, SpikeSink<Real>& sink) {
    if (!limits.queue_only && SweepSimulator<Real>::suits(plan)) {
      SweepSimulator<Real>(plan, limits, interrupt).run(inputs, samples, sink);
      return;
    }
    if (!limits.queue_only && WindowSimulator<Real>::suits(plan, inputs[0], limits)) {
      WindowSimulator<Real>(plan, limits, interrupt).run(inputs, samples, sink);
      return;
    }
    for (Size s = 0; s < samples; ++s) {
      QueueSimulator<Real, false> simulator(plan, inputs[s], limits, interrupt);
      simulator.run(nullptr);
      sink.write(simulator.spikes().data(), simulator.spikes().size(), nullptr);
    }
  }

  static void replay(const Plan<Real>& plan, const SampleInput<Real>& input,
                     const SampleSpikes<Real>& spikes, const RunLimits& limits,
                     Interrupt& interrupt, SpikeSink<Real>* sink,
                     const ProbePoints<Real>* probe) {
    QueueSimulator<Real, true> simulator(plan, input, limits, interrupt);
    simulator.give(spikes);
    simulator.run(probe);
    if (sink)
      sink->write(simulator.spikes().data(), simulator.spikes().size(), simulator.residuals());
  }

  static void reverse(const Plan<Real>& plan, const SampleInput<Real>* inputs,
                      const SampleSpikes<Real>* spikes, Size samples, const Columns& columns,
                      const Real* const* cotangents, Real* gradient, Real* const* input_times,
                      Interrupt& interrupt, int worker) {
    if (ReverseSweep<Real>::suits(plan, columns)) {
      ReverseSweep<Real> sweep(plan, columns, gradient, input_times);
      for (Size s = 0; s < samples && !interrupt.check(worker); ++s)
        sweep.run(inputs[s], spikes[s], cotangents[s]);
      return;
    }
    for (Size s = 0; s < samples && !interrupt.check(worker); ++s)
      Reverse<Real>(plan, inputs[s], spikes[s], columns, cotangents[s], gradient, input_times)
          .run();
  }

  static Program* compile(const Plan<Real>& plan, const SampleInput<Real>& input,
                          const SampleSpikes<Real>& spikes, const Columns& columns,
                          const unsigned char* wanted) {
    return new ForwardProgram<Real>(plan, input, spikes, columns, wanted);
  }

  static constexpr int width = 32;

  static void rows(const Program& program, Size begin, Size end, const Size* spikes, Size n_spikes,
                   Real* out, Size stride) {
    const auto& p = static_cast<const ForwardProgram<Real>&>(program);
    Size next = 0;
    // `spikes` may come in any order and repeat; visit them in time order.
    Vector<Size> order(n_spikes);
    for (Size i = 0; i < n_spikes; ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](Size a, Size b) {
      return spikes[a] != spikes[b] ? spikes[a] < spikes[b] : a < b;
    });
    p.template solve<width>(begin, [&](Size k, const Real* row) {
      for (; next < n_spikes && spikes[order[next]] == k; ++next)
        if (row) std::memcpy(out + order[next] * stride, row, (end - begin) * sizeof(Real));
    });
  }

  static void contract(const Program& program, Size begin, Size end, const Real* cotangents,
                       Real* gradient) {
    const auto& p = static_cast<const ForwardProgram<Real>&>(program);
    Real sum[width] = {};
    p.template solve<width>(begin, [&](Size k, const Real* row) {
      if (row == nullptr) return;
      for (int c = 0; c < width; ++c) sum[c] = fma(cotangents[k], row[c], sum[c]);
    });
    for (Size c = 0; c < end - begin; ++c) gradient[c] += sum[c];
  }

  static void along(const Program& program, const Real* tangent, Real* out) {
    static_cast<const ForwardProgram<Real>&>(program).along(tangent, out);
  }

  static constexpr EngineTable<Real> table = {simulate, replay, reverse, compile,
                                              rows,     contract, along};
};

SNNFP_ISA_END
