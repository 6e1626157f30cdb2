#pragma once
// The solvers chosen beside the event queue, on every instruction set that runs here.

#include <string>

#include "isas.hpp"
#include "same_record.hpp"
#include "snnfp/snnfp.hpp"

// All records have the same bits. Calls visit(record) for those of the solvers chosen; returns the
// queue's.
template <class Real, class Visit>
snnfp::Record<Real> check_beside_queue(const snnfp::Network<Real>& network,
                                       const snnfp::Input<Real>& input,
                                       snnfp::SimulateOptions<Real> options, const Visit& visit) {
  options.engine = snnfp::Engine::queue;
  options.isa = snnfp::Isa::portable;
  const snnfp::Record<Real> reference = simulate(network, input, options);
  options.engine = snnfp::Engine::automatic;
  for (const snnfp::Isa isa : isas_here()) {
    CAPTURE(isa_name(isa));
    options.isa = isa;
    const snnfp::Record<Real> record = simulate(network, input, options);
    check_same(reference, record);
    CHECK(record.isa == isa);
    visit(record);
  }
  return reference;
}

// What an EventLimitError says, or nothing.
template <class Real>
std::string limit_error(const snnfp::Network<Real>& network, const snnfp::Input<Real>& input,
                        snnfp::SimulateOptions<Real> options, snnfp::Engine engine) {
  options.engine = engine;
  try {
    simulate(network, input, options);
  } catch (const snnfp::EventLimitError& e) {
    return e.what();
  }
  return "";
}
