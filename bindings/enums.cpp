// The library's enumerations as Python's, name by name.

#include <pybind11/native_enum.h>

#include "module.hpp"

namespace snnfp::python {

void bind_enums(py::module_& m) {
  py::native_enum<Isa>(m, "Isa", "enum.Enum")
      .value("best", Isa::best)
      .value("portable", Isa::portable)
      .value("avx2", Isa::avx2)
      .value("avx512", Isa::avx512)
      .finalize();
  py::native_enum<Engine>(m, "Engine", "enum.Enum")
      .value("automatic", Engine::automatic)
      .value("queue", Engine::queue)
      .finalize();
  py::native_enum<Solver>(m, "Solver", "enum.Enum")
      .value("layer", Solver::layer)
      .value("loop", Solver::loop)
      .value("windows", Solver::windows)
      .value("queue", Solver::queue)
      .finalize();
  py::native_enum<Adjoint>(m, "Adjoint", "enum.Enum")
      .value("layer", Adjoint::layer)
      .value("loop", Adjoint::loop)
      .finalize();
  py::native_enum<OnFault>(m, "OnFault", "enum.Enum")
      .value("raise", OnFault::raise)
      .value("drop", OnFault::drop)
      .value("keep", OnFault::keep)
      .finalize();
  using Reason = ImpossibleSpike::Reason;
  py::native_enum<Reason>(m, "ImpossibleReason", "enum.Enum")
      .value("outside", Reason::outside)
      .value("refractory", Reason::refractory)
      .value("falling", Reason::falling)
      .value("residual", Reason::residual)
      .finalize();
  py::native_enum<DelayPer>(m, "DelayPer", "enum.Enum")
      .value("projection", DelayPer::projection)
      .value("source", DelayPer::source)
      .value("target", DelayPer::target)
      .value("synapse", DelayPer::synapse)
      .value("weight", DelayPer::weight)
      .finalize();
  py::native_enum<ReadoutValue>(m, "ReadoutValue", "enum.Enum")
      .value("voltage", ReadoutValue::voltage)
      .value("maximum", ReadoutValue::maximum)
      .value("integral", ReadoutValue::integral)
      .finalize();
  py::native_enum<NeuronParameter> parameters(m, "NeuronParameter", "enum.Enum");
  for (int p = 0; p < n_neuron_parameters; ++p)
    parameters.value(neuron_parameter_names[p], NeuronParameter(p));
  parameters.finalize();
  using Kind = Parameter::Kind;
  py::native_enum<Kind>(m, "ParameterKind", "enum.Enum")
      .value("neuron", Kind::neuron)
      .value("weight", Kind::weight)
      .value("delay", Kind::delay)
      .value("input_times", Kind::input_times)
      .finalize();
  py::class_<Parameter>(m, "Parameter")
      .def(py::init([](Kind kind, Id index, NeuronParameter neuron) {
             return Parameter{kind, index, neuron};
           }),
           py::arg("kind"), py::arg("index"), py::arg("neuron"))
      .def_readonly("kind", &Parameter::kind)
      .def_readonly("index", &Parameter::index)
      .def_readonly("neuron", &Parameter::neuron)
      .def(py::pickle([](const Parameter& p) { return py::make_tuple(p.kind, p.index, p.neuron); },
                      [](const py::tuple& p) {
                        return Parameter{p[0].cast<Kind>(), p[1].cast<Id>(),
                                         p[2].cast<NeuronParameter>()};
                      }));
}

}  // namespace snnfp::python
