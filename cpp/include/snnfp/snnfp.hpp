#pragma once
// Everything an embedding program needs.

#include "snnfp/error.hpp"
#include "snnfp/execution.hpp"
#include "snnfp/first_spikes.hpp"
#include "snnfp/gradient.hpp"
#include "snnfp/network.hpp"
#include "snnfp/optimiser.hpp"
#include "snnfp/readout.hpp"
#include "snnfp/record.hpp"
#include "snnfp/recording.hpp"
#include "snnfp/simulate.hpp"
#include "snnfp/spikes.hpp"
#include "snnfp/transform.hpp"
#include "snnfp/types.hpp"
#include "snnfp/version.hpp"
