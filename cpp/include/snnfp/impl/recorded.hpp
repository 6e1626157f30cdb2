#pragma once
// Body of record_from_spikes: recorded spikes are checked, driven through the network, and judged.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>

#include "snnfp/impl/simulate.hpp"

namespace snnfp {
namespace detail {

template <class Real>
void check_recorded(const RecordedSpikes<Real>& spikes, Size samples, Id n_neurons) {
  if (spikes.offsets.size() != samples + 1)
    invalid("recorded spikes have ", spikes.offsets.size() - 1, " samples, expected ", samples,
            " as in the input");
  if (spikes.offsets[0] != 0) invalid("recorded offsets[0] is ", spikes.offsets[0], ", expected 0");
  if (spikes.times.size() != spikes.neurons.size() ||
      spikes.offsets[samples] != spikes.times.size())
    invalid("recorded spikes have ", spikes.times.size(), " times, ", spikes.neurons.size(),
            " neurons and last offset ", spikes.offsets[samples], ", expected the same number");
  // All of them before any time is read: one in the middle may be past the end.
  for (Size s = 0; s < samples; ++s)
    if (spikes.offsets[s + 1] < spikes.offsets[s])
      invalid("recorded offsets[", s + 1, "] is ", spikes.offsets[s + 1], ", expected at least ",
              spikes.offsets[s]);
  for (Size s = 0; s < samples; ++s) {
    for (Size k = spikes.offsets[s]; k < spikes.offsets[s + 1]; ++k) {
      const auto fail = [&](const auto&... what) {
        invalid("recorded spike ", k - spikes.offsets[s], " of sample ", s, ": ", what...);
      };
      const Real t = spikes.times[k];
      const Id j = spikes.neurons[k];
      if (!std::isfinite(t)) fail("time ", t, ", expected a finite time");
      if (j < 0 || j >= n_neurons) fail("neuron ", j, ", expected 0 <= neuron < ", n_neurons);
      if (k > spikes.offsets[s] &&
          std::make_pair(t, j) < std::make_pair(spikes.times[k - 1], spikes.neurons[k - 1]))
        fail("before its predecessor, expected order by (time, neuron)");
    }
  }
}

// Collects the faults of one sample.
template <class Real>
struct SampleJudge final : ReplayJudge {
  const RecordedSpikes<Real>* spikes = nullptr;
  Size sample = 0;
  Size begin = 0;  // of the spikes that are replayed
  RecordingFaults faults;

  void missing(Id neuron, double time, double excess) override {
    faults.missing.push_back({sample, neuron, time, excess});
  }
  void impossible(Size spike, ImpossibleSpike::Reason reason, double value) override {
    at(begin + spike, reason, value);
  }
  void at(Size k, ImpossibleSpike::Reason reason, double value) {
    // A neuron that is held for ever is so up to the last number that times can be.
    if (reason == ImpossibleSpike::Reason::refractory && value >= double(forever<Real>))
      value = std::numeric_limits<double>::infinity();
    faults.impossible.push_back(
        {k, sample, spikes->neurons[k], double(spikes->times[k]), reason, value});
  }
  void sort() {
    std::sort(faults.missing.begin(), faults.missing.end(),
              [](const MissingSpike& a, const MissingSpike& b) {
                return a.time != b.time ? a.time < b.time : a.neuron < b.neuron;
              });
    std::sort(faults.impossible.begin(), faults.impossible.end(),
              [](const ImpossibleSpike& a, const ImpossibleSpike& b) { return a.spike < b.spike; });
  }
};

// Says what is wrong with a recording: how many faults of which kind, and the first few of each.
template <class Real>
class FaultText {
 public:
  FaultText(const Plan<Real>& plan, const RecordedSpikes<Real>& spikes,
            const RecordingFaults& faults, double tolerance)
      : plan_(plan), spikes_(spikes), faults_(faults), tolerance_(tolerance) {
    out_.precision(12);
  }

  std::string text() {
    using Reason = ImpossibleSpike::Reason;
    for (const ImpossibleSpike& s : faults_.impossible) ++count_[int(s.reason)];
    out_ << "the network cannot have fired this recording: "
         << counted(Size(faults_.impossible.size()), "impossible spike");
    const char* separator = " (";
    for (const auto& [reason, what] :
         {std::pair(Reason::refractory, " in a refractory time"),
          std::pair(Reason::falling, " where V does not rise"),
          std::pair(Reason::residual, " with V away from the threshold"),
          std::pair(Reason::outside, " not within 0 < time <= until")})
      if (const Size n = count_[int(reason)]) {
        out_ << separator << n << what;
        separator = ", ";
      }
    out_ << (faults_.impossible.empty() ? "" : ")") << ", "
         << counted(Size(faults_.missing.size()), "crossing") << " without a spike";
    for (int reason = 0; reason < 4; ++reason) {
      Size told = 0;
      for (const ImpossibleSpike& s : faults_.impossible)
        if (int(s.reason) == reason && told++ < most) tell(s);
      more(told, count_[reason]);
    }
    Size told = 0;
    for (const MissingSpike& m : faults_.missing)
      if (told++ < most) tell(m);
    more(told, Size(faults_.missing.size()));
    out_ << "\non_fault \"drop\" takes impossible spikes out, \"keep\" goes on with them";
    return out_.str();
  }

 private:
  static constexpr Size most = 3;

  static std::string counted(Size n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  }
  void where(Id neuron, Size sample, double time) {
    const Id p = plan_.population_of[neuron];
    out_ << "\n  neuron " << neuron - plan_.population_offsets[p] << " of population "
         << plan_.population_names[p] << ", sample " << sample << ", time " << time << ": ";
  }
  void tell(const ImpossibleSpike& s) {
    where(s.neuron, s.sample, s.time);
    switch (s.reason) {
      case ImpossibleSpike::Reason::outside:
        out_ << "expected 0 < time <= until = " << s.value;
        break;
      case ImpossibleSpike::Reason::refractory:
        if (std::isinf(s.value))
          tell_last(s);
        else
          out_ << "the neuron is refractory until " << s.value << ", expected a later spike";
        break;
      case ImpossibleSpike::Reason::falling:
        out_ << "V is not rising there (V' = " << s.value
             << "), expected a crossing from below: is the spike before its cause?";
        break;
      case ImpossibleSpike::Reason::residual:
        out_ << "V - threshold = " << s.value << ", expected at most " << tolerance_
             << " in size: is it the right neuron and time?";
    }
  }
  // A spike after the last one that there can be.
  void tell_last(const ImpossibleSpike& s) {
    const Size most = plan_.max_spikes.empty() ? any_number : plan_.max_spikes[s.neuron];
    const bool by_number =
        most == 1 || (most < any_number && plan_.neurons.t_refractory[s.neuron] < forever<Real>);
    if (!by_number) {
      out_ << "the neuron is refractory for ever after a spike, expected no other";
      return;
    }
    const Id* const of = spikes_.neurons.data();
    const Size count =
        std::count(of + spikes_.offsets[s.sample], of + spikes_.offsets[s.sample + 1], s.neuron);
    out_ << "the population has max_spikes = " << most << ", but " << count
         << " of the neuron are recorded in this sample, expected at most " << most;
  }
  void tell(const MissingSpike& m) {
    where(m.neuron, m.sample, m.time);
    out_ << "V crosses the threshold and goes " << m.excess
         << " above it, expected a recorded spike";
  }
  void more(Size told, Size count) {
    if (told > most) out_ << "\n  and " << count - most << " more like it";
  }

  const Plan<Real>& plan_;
  const RecordedSpikes<Real>& spikes_;
  const RecordingFaults& faults_;
  double tolerance_;
  std::array<Size, 4> count_{};
  std::ostringstream out_;
};

}  // namespace detail

template <class Real>
Record<Real> record_from_spikes(const Network<Real>& network, const Input<Real>& input,
                                const RecordedSpikes<Real>& spikes, Real tolerance,
                                const SimulateOptions<Real>& options, OnFault on_fault) {
  using detail::invalid;
  if (!options.stop_after.empty())
    invalid("stop_after has ", options.stop_after.size(),
            " populations, expected none: recorded spikes are taken as they are");
  if (!(tolerance >= Real(0)))
    invalid("tolerance is ", tolerance, ", expected a voltage >= 0 (infinity allowed)");
  if (std::isnan(options.until) || options.until < Real(0))
    invalid("until is ", options.until, ", expected a time >= 0");
  if (on_fault != OnFault::raise && on_fault != OnFault::drop && on_fault != OnFault::keep)
    invalid("on_fault is ", int(on_fault), ", expected raise, drop or keep");
  Record<Real> record =
      detail::begin_record(network, input, options, Size(spikes.offsets.size()) - 1);
  const Size samples = record.samples();
  detail::check_recorded(spikes, samples, record.population_offsets.back());
  if (record.plan->n_neurons == 0) return record;

  const Real horizon = detail::horizon(network, options.until, options.first_spikes_of);
  const auto& engine = detail::engine_table<Real>(options.isa);
  detail::Collector<Real> collector(samples, 1);
  detail::Interrupt interrupt(options.poll);
  std::vector<detail::SampleJudge<Real>> judges(static_cast<std::size_t>(samples));
  detail::parallel_for(samples, options.n_threads, interrupt, [&](Size s, int worker) {
    detail::SampleJudge<Real>& judge = judges[s];
    judge.tolerance = double(tolerance);
    judge.drop = on_fault == OnFault::drop;
    judge.spikes = &spikes;
    judge.sample = s;
    Size begin = spikes.offsets[s], end = spikes.offsets[s + 1];
    const auto outside = [&](Size k) {
      judge.at(k, ImpossibleSpike::Reason::outside, double(options.until));
    };
    while (begin < end && !(spikes.times[begin] > Real(0))) outside(begin++);
    while (begin < end && spikes.times[end - 1] > options.until) outside(--end);
    judge.begin = begin;
    const detail::SampleView<Real> view(record, s);
    detail::SampleSpikes<Real> given;
    given.count = end - begin;
    given.times = spikes.times.data() + begin;
    given.neurons = spikes.neurons.data() + begin;
    const detail::RunLimits limits{double(horizon), options.spike_limit, nullptr, worker};
    engine.replay(*record.plan, view.get(), given, limits, interrupt, &judge, &collector.part(s),
                  nullptr);
    judge.sort();
  });
  RecordingFaults& faults = record.faults;
  for (const detail::SampleJudge<Real>& judge : judges) {
    const RecordingFaults& own = judge.faults;
    faults.missing.insert(faults.missing.end(), own.missing.begin(), own.missing.end());
    faults.impossible.insert(faults.impossible.end(), own.impossible.begin(), own.impossible.end());
  }
  // With no bound to go by, a crossing without a spike is told, but no fault.
  const bool lacks = !faults.missing.empty() && std::isfinite(tolerance);
  if (on_fault == OnFault::raise && (lacks || !faults.impossible.empty()))
    throw RecordedSpikeError(
        detail::FaultText<Real>(*record.plan, spikes, faults, double(tolerance)).text(), faults);
  collector.finish(record, options.n_threads);
  return record;
}

}  // namespace snnfp
