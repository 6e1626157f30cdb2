#pragma once
// Two records, bit by bit.

#include <doctest/doctest.h>

#include "snnfp/record.hpp"

template <class Real>
void check_same(const snnfp::Record<Real>& a, const snnfp::Record<Real>& b) {
  REQUIRE(a.offsets == b.offsets);
  CHECK(a.times == b.times);
  CHECK(a.neurons == b.neurons);
  CHECK(a.slopes == b.slopes);
  CHECK(a.release_currents == b.release_currents);
}
