#pragma once
// Input spikes of a batch: ragged, one entry of the vector an input group.

#include <vector>

#include "snnfp/export.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

// Sample s has the spikes [offsets[s], offsets[s+1]); their times, finite and >= 0, do not
// decrease. `units` are channels of the group, from 0 on. `offsets` begins with 0.
template <class Real>
struct SpikeBatch {
  Array<Real> times;
  Array<Id> units;
  Array<Size> offsets;

  Size samples() const { return offsets.size() - 1; }
};

template <class Real>
using Input = std::vector<SpikeBatch<Real>>;

// One sample from (time, unit) pairs, sorted by time.
template <class Real>
SNNFP_EXPORT SpikeBatch<Real> single_sample(std::vector<std::pair<Real, Id>> spikes);

extern template SpikeBatch<float> single_sample(std::vector<std::pair<float, Id>>);
extern template SpikeBatch<double> single_sample(std::vector<std::pair<double, Id>>);

}  // namespace snnfp
