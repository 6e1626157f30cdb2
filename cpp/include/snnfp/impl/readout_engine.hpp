#pragma once
// The table of a readout's inner loops of one instruction set.

#include "snnfp/impl/readout_values.hpp"

SNNFP_ISA_BEGIN

template <class Real>
struct ReadoutFunctions {
  static Vector<Peak<Real>> peaks(const ReadingJob<Real>& job, const SampleInput<Real>& input) {
    const PeakFinder<Real> finder(job, input);
    Vector<Peak<Real>> peaks(static_cast<std::size_t>(job.size));
    for (Id j = job.from; j < job.upto; ++j) peaks[j] = finder.of(j);
    return peaks;
  }

  // Calls use(sums) for what the job reads.
  template <class Use>
  static void with_sums(const ReadingJob<Real>& job, const SampleInput<Real>& input,
                        const Use& use) {
    if (job.value == ReadoutValue::integral) {
      ReadoutSums<Real, IntegralResponse<Real>> sums(job, input, {job.rate});
      use(sums);
      return;
    }
    Vector<Peak<Real>> found;
    const bool maximum = job.value == ReadoutValue::maximum;
    if (maximum) found = peaks(job, input);
    ReadoutSums<Real, VoltageResponse> sums(job, input, {}, maximum ? &found : nullptr);
    use(sums);
  }

  static void values(const ReadingJob<Real>& job, const SampleInput<Real>& input, Real* out) {
    if (job.value == ReadoutValue::maximum) {
      for (const Peak<Real>& peak : peaks(job, input)) *out++ = peak.value;
      return;
    }
    with_sums(job, input, [&](auto& sums) { sums.values(out); });
  }
  static void reverse(const ReadingJob<Real>& job, const SampleInput<Real>& input,
                      const Real* cotangents, const Columns& columns, Real* gradient,
                      Real* const* senders) {
    with_sums(job, input,
              [&](auto& sums) { sums.reverse(cotangents, columns, gradient, senders); });
  }
  static void forward(const ReadingJob<Real>& job, const SampleInput<Real>& input,
                      const Columns& columns, const Real* tangents, const Real* const* senders,
                      Real* out) {
    with_sums(job, input, [&](auto& sums) { sums.forward(columns, tangents, senders, out); });
  }

  static constexpr ReadoutTable<Real> table{&values, &reverse, &forward};
};

SNNFP_ISA_END
