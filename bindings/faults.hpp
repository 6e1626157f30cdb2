#pragma once
// What does not fit in a recording, as columns.

#include <tuple>

#include "arrays.hpp"

namespace snnfp::python {

using MissingColumns = std::tuple<In<Size>, In<Id>, In<double>, In<double>>;
using ImpossibleColumns =
    std::tuple<In<Size>, In<Size>, In<Id>, In<double>, In<std::uint8_t>, In<double>>;

template <class Row, class Get>
auto column(const std::vector<Row>& rows, Get get) {
  std::vector<std::decay_t<decltype(get(rows[0]))>> values;
  for (const Row& row : rows) values.push_back(get(row));
  return give(std::move(values));
}

// sample, neuron, time, excess
inline py::tuple missing_columns(const RecordingFaults& faults) {
  const auto& rows = faults.missing;
  using Row = MissingSpike;
  return py::make_tuple(column(rows, [](const Row& r) { return r.sample; }),
                        column(rows, [](const Row& r) { return r.neuron; }),
                        column(rows, [](const Row& r) { return r.time; }),
                        column(rows, [](const Row& r) { return r.excess; }));
}

// spike, sample, neuron, time, reason, value
inline py::tuple impossible_columns(const RecordingFaults& faults) {
  const auto& rows = faults.impossible;
  using Row = ImpossibleSpike;
  return py::make_tuple(column(rows, [](const Row& r) { return r.spike; }),
                        column(rows, [](const Row& r) { return r.sample; }),
                        column(rows, [](const Row& r) { return r.neuron; }),
                        column(rows, [](const Row& r) { return r.time; }),
                        column(rows, [](const Row& r) { return std::uint8_t(r.reason); }),
                        column(rows, [](const Row& r) { return r.value; }));
}

inline RecordingFaults faults_of(const MissingColumns& missing,
                                 const ImpossibleColumns& impossible) {
  RecordingFaults faults;
  const auto& [m_sample, m_neuron, m_time, excess] = missing;
  for (py::ssize_t k = 0; k < m_sample.size(); ++k)
    faults.missing.push_back({m_sample.at(k), m_neuron.at(k), m_time.at(k), excess.at(k)});
  const auto& [spike, sample, neuron, time, reason, value] = impossible;
  for (py::ssize_t k = 0; k < spike.size(); ++k) {
    check_index("reason", reason.at(k), Size(ImpossibleSpike::Reason::residual) + 1);
    faults.impossible.push_back({spike.at(k), sample.at(k), neuron.at(k), time.at(k),
                                 ImpossibleSpike::Reason(reason.at(k)), value.at(k)});
  }
  return faults;
}

}  // namespace snnfp::python
