#pragma once
// Every exception the library throws on purpose. Messages name the thing, the index, the value and
// what was expected.

#include <stdexcept>
#include <string>

#include "snnfp/types.hpp"

namespace snnfp {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// An argument that cannot be meant: NaN, out of range, the wrong size.
struct InvalidArgument : Error {
  using Error::Error;
};

// More spikes of one neuron in one sample than the caller allowed, or more on their way around
// loops.
struct EventLimitError : Error {
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

// A recorded spike that the network cannot have fired.
struct RecordedSpikeError : InvalidArgument {
  using InvalidArgument::InvalidArgument;
};

}  // namespace snnfp
