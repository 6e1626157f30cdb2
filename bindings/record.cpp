// Record: simulation, recorded spikes, probes, derivatives.

#include <pybind11/stl.h>

#include "faults.hpp"
#include "module.hpp"

namespace snnfp::python {
namespace {

template <class Real>
using InputTuple = std::tuple<In<Real>, In<Id>, In<Size>>;  // times, units, offsets

template <class Real>
Input<Real> input_of(const std::vector<InputTuple<Real>>& groups) {
  Input<Real> input;
  for (const auto& [times, units, offsets] : groups)
    input.push_back({share(times), share(units), share(offsets)});
  return input;
}

template <class Real>
InitialState<Real> initial_of(const In<Real>& voltage, const In<Real>& current) {
  InitialState<Real> initial;
  if (voltage.size()) initial.voltage = share(voltage);
  if (current.size()) initial.current = share(current);
  return initial;
}

template <class T>
std::vector<T> copy(const In<T>& array) {
  return {array.data(), array.data() + array.size()};
}

template <class T>
py::array_t<T> copy(const Array<T>& array) {
  return give(std::vector<T>(array.begin(), array.end()));
}

template <class T>
Span<T> written(In<T>& array) {
  return {array.mutable_data(), static_cast<Size>(array.size())};
}

template <class T>
Span<const T> span(const In<T>& array) {
  return {array.data(), static_cast<Size>(array.size())};
}

}  // namespace

template <class Real>
void bind_record(py::module_& m, const char* name) {
  using Rec = Record<Real>;
  using Wrt = std::vector<Parameter>;
  const auto vector_view = [](auto member) {
    return [member](py::object self) { return view(self.cast<const Rec&>().*member, self); };
  };
  py::class_<Jacobian<Real>>(m, (std::string(name) + "Jacobian").c_str())
      .def(
          "solve",
          [](Jacobian<Real>& j, Size begin, Size end, In<Real> out) {
            const Span<Real> target = written(out);
            const py::gil_scoped_release release;
            j.solve(begin, end, target);
          },
          py::arg("begin"), py::arg("end"), py::arg("out").noconvert());
  py::class_<Rec>(m, name)
      .def_property_readonly("offsets", vector_view(&Rec::offsets))
      .def_property_readonly("times", vector_view(&Rec::times))
      .def_property_readonly("neurons", vector_view(&Rec::neurons))
      .def_property_readonly("slopes", vector_view(&Rec::slopes))
      .def_property_readonly("release_currents", vector_view(&Rec::release_currents))
      .def_property_readonly("residuals", vector_view(&Rec::residuals))
      .def_property_readonly("ran",
                             [](const Rec& r) {
                               std::vector<std::tuple<std::vector<Id>, Solver, Adjoint>> ran;
                               for (const ComponentRun& c : r.ran)
                                 ran.emplace_back(c.populations, c.solver, c.adjoint);
                               return ran;
                             })
      .def_property_readonly("isa", [](const Rec& r) { return r.isa; })
      .def_property_readonly("missing", [](const Rec& r) { return missing_columns(r.faults); })
      .def_property_readonly("impossible",
                             [](const Rec& r) { return impossible_columns(r.faults); })
      .def_property_readonly("initial",
                             [](const Rec& r) {
                               return py::make_tuple(copy(r.initial.voltage),
                                                     copy(r.initial.current));
                             })
      .def_readonly("first_spikes_of", &Rec::first_spikes_of)
      .def_readonly("stop_after", &Rec::stop_after)
      .def(
          "first_spikes", [](const Rec& r, Id p) { return give(r.first_spikes(p)); },
          py::arg("population"))
      .def("ends",
           [](const Rec& r) {
             std::vector<Real> ends;
             for (Size s = 0; s < r.samples(); ++s) ends.push_back(r.end(s));
             return give(std::move(ends));
           })
      .def("silent", &Rec::silent, py::arg("population"))
      .def(
          "vjp",
          [](const Rec& r, const In<Real>& cotangents, const Wrt& wrt, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            std::vector<Real> out;
            {
              const py::gil_scoped_release release;
              out = vjp<Real>(r, span(cotangents), wrt, options);
            }
            return give(std::move(out));
          },
          py::arg("cotangents").noconvert(), py::arg("wrt"), py::arg("execution"))
      .def(
          "forward_gradient",
          [](const Rec& r, const In<Real>& cotangents, const Wrt& wrt, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            std::vector<Real> out;
            {
              const py::gil_scoped_release release;
              out = forward_gradient<Real>(r, span(cotangents), wrt, options);
            }
            return give(std::move(out));
          },
          py::arg("cotangents").noconvert(), py::arg("wrt"), py::arg("execution"))
      .def(
          "jvp",
          [](const Rec& r, const Wrt& wrt, const In<Real>& tangents, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            std::vector<Real> out;
            {
              const py::gil_scoped_release release;
              out = jvp<Real>(r, wrt, span(tangents), options);
            }
            return give(std::move(out));
          },
          py::arg("wrt"), py::arg("tangents").noconvert(), py::arg("execution"))
      .def(
          "jacobian",
          [](const Rec& r, const In<Size>& rows, const Wrt& wrt, In<Real> out, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            const Span<Real> target = written(out);
            const py::gil_scoped_release release;
            jacobian<Real>(r, span(rows), wrt, 0, layout(r, wrt).size(), target, options);
          },
          py::arg("rows").noconvert(), py::arg("wrt"), py::arg("out").noconvert(),
          py::arg("execution"))
      .def(
          "jacobian_columns",
          [](const Rec& r, const In<Size>& rows, const Wrt& wrt, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            return Jacobian<Real>(r, span(rows), wrt, options);
          },
          py::arg("rows").noconvert(), py::arg("wrt"), py::arg("execution"), py::keep_alive<0, 1>())
      .def(
          "probe",
          [](const Rec& r, std::vector<Id> neurons, std::vector<Real> times, const Execution& e) {
            ExecutionOptions options;
            e.apply(options);
            ProbeResult<Real> result;
            {
              const py::gil_scoped_release release;
              result = probe<Real>(r, {std::move(neurons), std::move(times)}, options);
            }
            return py::make_tuple(give(std::move(result.voltage)), give(std::move(result.current)));
          },
          py::arg("neurons"), py::arg("times"), py::arg("execution"));

  m.def(
      "simulate",
      [](const Network<Real>& network, const std::vector<InputTuple<Real>>& input, Size samples,
         Real until, Size spike_limit, Engine engine, const In<Real>& voltage,
         const In<Real>& current, std::vector<Id> first_spikes_of, std::vector<Id> stop_after,
         const Execution& e) {
        SimulateOptions<Real> options;
        e.apply(options);
        options.samples = samples;
        options.until = until;
        options.spike_limit = spike_limit;
        options.first_spikes_of = std::move(first_spikes_of);
        options.stop_after = std::move(stop_after);
        options.engine = engine;
        options.initial = initial_of(voltage, current);
        const Input<Real> shared = input_of<Real>(input);
        const Network<Real> now = network;  // from here on another thread may change it
        const py::gil_scoped_release release;
        return simulate(now, shared, options);
      },
      py::arg("network"), py::arg("input"), py::arg("samples"), py::arg("until"),
      py::arg("spike_limit"), py::arg("engine"), py::arg("voltage").noconvert(),
      py::arg("current").noconvert(), py::arg("first_spikes_of"), py::arg("stop_after"),
      py::arg("execution"));
  m.def(
      "record_from_spikes",
      [](const Network<Real>& network, const std::vector<InputTuple<Real>>& input,
         const InputTuple<Real>& spikes, Real tolerance, Real until, const In<Real>& voltage,
         const In<Real>& current, OnFault on_fault, const Execution& e) {
        SimulateOptions<Real> options;
        e.apply(options);
        options.until = until;
        options.initial = initial_of(voltage, current);
        const Input<Real> shared = input_of<Real>(input);
        const auto& [times, neurons, offsets] = spikes;
        const RecordedSpikes<Real> given{share(times), share(neurons), share(offsets)};
        const Network<Real> now = network;
        const py::gil_scoped_release release;
        return record_from_spikes(now, shared, given, tolerance, options, on_fault);
      },
      py::arg("network"), py::arg("input"), py::arg("spikes"), py::arg("tolerance"),
      py::arg("until"), py::arg("voltage").noconvert(), py::arg("current").noconvert(),
      py::arg("on_fault"), py::arg("execution"));
  // `spikes`: offsets, times, neurons, slopes, release currents, residuals.
  m.def(
      "restore",
      [](const Network<Real>& network, const std::vector<InputTuple<Real>>& input,
         const std::tuple<In<Size>, In<Real>, In<Id>, In<Real>, In<Real>, In<Real>>& spikes,
         const MissingColumns& missing, const ImpossibleColumns& impossible, Real until,
         const In<Real>& voltage, const In<Real>& current, std::vector<Id> first_spikes_of,
         std::vector<Id> stop_after) {
        SimulateOptions<Real> options;
        options.until = until;
        options.initial = initial_of(voltage, current);
        options.first_spikes_of = std::move(first_spikes_of);
        options.stop_after = std::move(stop_after);
        const auto& [offsets, times, neurons, slopes, currents, residuals] = spikes;
        return restore<Real>(network, input_of<Real>(input),
                             {copy(offsets), copy(times), copy(neurons), copy(slopes),
                              copy(currents), copy(residuals), faults_of(missing, impossible)},
                             options);
      },
      py::arg("network"), py::arg("input"), py::arg("spikes"), py::arg("missing"),
      py::arg("impossible"), py::arg("until"), py::arg("voltage").noconvert(),
      py::arg("current").noconvert(), py::arg("first_spikes_of"), py::arg("stop_after"));
}

template void bind_record<float>(py::module_&, const char*);
template void bind_record<double>(py::module_&, const char*);

}  // namespace snnfp::python
