#pragma once
// Every exception the library throws on purpose. Messages name the thing, the index, the value and
// what was expected.

#include <stdexcept>
#include <string>
#include <utility>

#include "snnfp/export.hpp"
#include "snnfp/recording.hpp"
#include "snnfp/types.hpp"

namespace snnfp {

struct SNNFP_EXPORT Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// An argument that cannot be meant: NaN, out of range, the wrong size.
struct SNNFP_EXPORT InvalidArgument : Error {
  using Error::Error;
};

inline void check_index(const char* what, Size index, Size count) {
  if (index < 0 || index >= count)
    throw InvalidArgument(std::string(what) + " is " + std::to_string(index) +
                          ", expected 0 <= " + what + " < " + std::to_string(count));
}

// More spikes of one neuron in one sample than the caller allowed, or more on their way around
// loops.
struct SNNFP_EXPORT EventLimitError : Error {
  EventLimitError(const std::string& message, Size sample, std::string population, Id neuron,
                  double time, Size count)
      : Error(message),
        sample(sample),
        population(std::move(population)),
        neuron(neuron),
        time(time),
        count(count) {}
  Size sample;
  std::string population;
  Id neuron;  // within the population
  double time;
  Size count;
};

// Times so large that the next one is further away than a neuron's time constants allow.
struct SNNFP_EXPORT ClockError : InvalidArgument {
  using InvalidArgument::InvalidArgument;
};

// A recording that the network cannot have fired, with all that speaks against it.
struct SNNFP_EXPORT RecordedSpikeError : InvalidArgument {
  explicit RecordedSpikeError(const std::string& message, RecordingFaults found = {})
      : InvalidArgument(message), faults(std::move(found)) {}
  RecordingFaults faults;
};

}  // namespace snnfp
