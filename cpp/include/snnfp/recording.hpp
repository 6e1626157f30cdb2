#pragma once
// Spikes that another simulator or a chip recorded, and what a comparison with the network finds.

#include <string>
#include <vector>

#include "snnfp/types.hpp"

namespace snnfp {

// Ordered by (time, neuron) within a sample; neurons are numbered through the populations.
template <class Real>
struct RecordedSpikes {
  Array<Real> times;
  Array<Id> neurons;
  Array<Size> offsets;
};

// A crossing of the threshold without a recorded spike: when V crosses, and how far above it goes
// before it comes down again, the neuron's next recorded spike, or the end of the recording.
struct MissingSpike {
  Size sample;
  Id neuron;
  double time;
  double excess;
};

// A recorded spike that the network cannot have fired.
struct ImpossibleSpike {
  enum class Reason : unsigned char {
    outside,     // not within 0 < time <= until; value: until
    refractory,  // not later than the end of the refractory time; value: that end
    falling,     // V does not rise there; value: V'
    residual     // V is not at the threshold there; value: V - threshold
  };
  Size spike;  // its index in the recording
  Size sample;
  Id neuron;
  double time;
  Reason reason;
  double value;
};

struct RecordingFaults {
  std::vector<MissingSpike> missing;        // by sample and time
  std::vector<ImpossibleSpike> impossible;  // by index
};

// What becomes of a recording with faults. Spikes outside 0 < time <= until never enter a record.
enum class OnFault {
  raise,  // RecordedSpikeError, which holds them all
  drop,   // impossible spikes are taken out, as if they had not been recorded
  keep    // they stay and reach their receivers. One with V at a distance from the threshold is
          // differentiated like any other; one in a refractory time or where V falls resets its
          // neuron at a time that depends on nothing: its slope is infinite, its derivatives are 0
};

}  // namespace snnfp
