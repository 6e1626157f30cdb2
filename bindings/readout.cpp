// Readouts: what they hear, what is read off them, derivatives.

#include <pybind11/stl.h>

#include "module.hpp"

namespace snnfp::python {
namespace {

template <class Real>
Reading<Real> reading_of(Id readout, ReadoutValue value, const In<Real>& times, Real time_scale) {
  return {readout, value, {times.data(), times.data() + times.size()}, time_scale};
}

template <class Real>
Span<const Real> values_of(const In<Real>& array) {
  return {array.data(), static_cast<Size>(array.size())};
}

}  // namespace

template <class Real>
void bind_readouts(py::module_& m) {
  using Rec = Record<Real>;
  using Wrt = std::vector<Parameter>;
  m.def(
      "listen",
      [](const Rec& record, const Network<Real>& readouts,
         const std::vector<std::tuple<bool, Id>>& senders, const In<Real>& voltage,
         const In<Real>& current) {
        std::vector<Source> sources;
        for (const auto& [is_input, index] : senders)
          sources.push_back({is_input ? Source::Kind::input : Source::Kind::population, index});
        InitialState<Real> initial;
        if (voltage.size()) initial.voltage = share(voltage);
        if (current.size()) initial.current = share(current);
        const Network<Real> now = readouts;
        const py::gil_scoped_release release;
        return listen(record, now, sources, initial);
      },
      py::arg("record"), py::arg("readouts"), py::arg("senders"), py::arg("voltage").noconvert(),
      py::arg("current").noconvert());
  m.def(
      "read",
      [](const Rec& heard, Id readout, ReadoutValue value, const In<Real>& times, Real time_scale,
         const Execution& e) {
        ExecutionOptions options;
        e.apply(options);
        const Reading<Real> reading = reading_of(readout, value, times, time_scale);
        std::vector<Real> out;
        {
          const py::gil_scoped_release release;
          out = read(heard, reading, options);
        }
        return give(std::move(out));
      },
      py::arg("heard"), py::arg("readout"), py::arg("value"), py::arg("times").noconvert(),
      py::arg("time_scale"), py::arg("execution"));
  // By the parameters, and by the spikes of each sender.
  m.def(
      "read_vjp",
      [](const Rec& heard, Id readout, ReadoutValue value, const In<Real>& times, Real time_scale,
         const In<Real>& cotangents, const Wrt& wrt, const Execution& e) {
        ExecutionOptions options;
        e.apply(options);
        const Reading<Real> reading = reading_of(readout, value, times, time_scale);
        ReadoutGradient<Real> gradient;
        {
          const py::gil_scoped_release release;
          gradient = read_vjp(heard, reading, values_of(cotangents), wrt, options);
        }
        std::vector<py::array_t<Real>> senders;
        for (std::vector<Real>& s : gradient.senders) senders.push_back(give(std::move(s)));
        return std::make_pair(give(std::move(gradient.parameters)), std::move(senders));
      },
      py::arg("heard"), py::arg("readout"), py::arg("value"), py::arg("times").noconvert(),
      py::arg("time_scale"), py::arg("cotangents").noconvert(), py::arg("wrt"),
      py::arg("execution"));
  // By the parameters, a row a value; by the spikes of each sender that is asked for, a row a value
  // of its sample.
  m.def(
      "read_jacobian",
      [](const Rec& heard, Id readout, ReadoutValue value, const In<Real>& times, Real time_scale,
         const Wrt& wrt, const std::vector<Id>& asked, const Execution& e) {
        ExecutionOptions options;
        e.apply(options);
        const Reading<Real> reading = reading_of(readout, value, times, time_scale);
        ReadoutJacobian<Real> jacobian;
        {
          const py::gil_scoped_release release;
          jacobian = read_jacobian(heard, reading, wrt, asked, options);
        }
        std::vector<py::array_t<Real>> senders;
        for (std::vector<Real>& s : jacobian.senders) senders.push_back(give(std::move(s)));
        return std::make_pair(give(std::move(jacobian.parameters)), std::move(senders));
      },
      py::arg("heard"), py::arg("readout"), py::arg("value"), py::arg("times").noconvert(),
      py::arg("time_scale"), py::arg("wrt"), py::arg("senders"), py::arg("execution"));
  m.def(
      "read_jvp",
      [](const Rec& heard, Id readout, ReadoutValue value, const In<Real>& times, Real time_scale,
         const Wrt& wrt, const In<Real>& tangents, const std::vector<In<Real>>& sender_tangents,
         const Execution& e) {
        ExecutionOptions options;
        e.apply(options);
        const Reading<Real> reading = reading_of(readout, value, times, time_scale);
        std::vector<Span<const Real>> senders;
        for (const In<Real>& s : sender_tangents) senders.push_back(values_of(s));
        std::vector<Real> out;
        {
          const py::gil_scoped_release release;
          out = read_jvp(heard, reading, wrt, values_of(tangents), senders, options);
        }
        return give(std::move(out));
      },
      py::arg("heard"), py::arg("readout"), py::arg("value"), py::arg("times").noconvert(),
      py::arg("time_scale"), py::arg("wrt"), py::arg("tangents").noconvert(),
      py::arg("sender_tangents"), py::arg("execution"));
}

template void bind_readouts<float>(py::module_&);
template void bind_readouts<double>(py::module_&);

}  // namespace snnfp::python
