// Network: structure and parameters.

#include <pybind11/stl.h>

#include <map>
#include <optional>

#include "module.hpp"

namespace snnfp::python {
namespace {

Source source(bool is_input, Id index) {
  return {is_input ? Source::Kind::input : Source::Kind::population, index};
}

template <class Real>
Delay<Real> delays(const In<Real>& values, std::optional<DelayPer> per) {
  Delay<Real> all(share(values));
  if (per) all.per = *per;
  return all;
}

template <class Real>
Weight<Real> weights(const In<Real>& values, const std::optional<In<Id>>& of) {
  return of ? Weight<Real>::shared(share(values), share(*of)) : Weight<Real>(share(values));
}

}  // namespace

template <class Real>
void bind_network(py::module_& m, const char* name) {
  using Net = Network<Real>;
  py::class_<Net>(m, name)
      .def(py::init<>())
      .def("__copy__", [](const Net& n) { return Net(n); })
      .def(
          "add_input",
          [](Net& n, std::string name, Id size) {
            return n.add_input(std::move(name), size).index;
          },
          py::arg("name"), py::arg("size"))
      .def(
          "add_population",
          [](Net& n, std::string name, Id size, const std::map<NeuronParameter, In<Real>>& values,
             std::optional<Size> max_spikes) {
            if (values.size() != n_neuron_parameters)
              throw InvalidArgument(std::to_string(values.size()) + " parameters of " + name +
                                    ", expected " + std::to_string(n_neuron_parameters));
            Lif<Real> lif;
            for (const auto& [parameter, array] : values) lif[parameter] = share(array);
            return n
                .add_population(std::move(name), size, std::move(lif),
                                max_spikes.value_or(any_number))
                .index;
          },
          py::arg("name"), py::arg("size"), py::arg("parameters"),
          py::arg("max_spikes") = py::none())
      .def(
          "connect_dense",
          [](Net& n, bool from_input, Id from, Id to, const In<Real>& weight, const In<Real>& delay,
             std::string name, std::optional<DelayPer> per, const std::optional<In<Id>>& of) {
            return n.connect_dense(source(from_input, from), source(false, to), weights(weight, of),
                                   delays(delay, per), std::move(name));
          },
          py::arg("from_input"), py::arg("source"), py::arg("target"),
          py::arg("weight").noconvert(), py::arg("delay").noconvert(), py::arg("name"),
          py::arg("delay_per") = py::none(), py::arg("weight_of") = py::none())
      .def(
          "connect_one_to_one",
          [](Net& n, bool from_input, Id from, Id to, const In<Real>& weight, const In<Real>& delay,
             std::string name, std::optional<DelayPer> per, const std::optional<In<Id>>& of) {
            return n.connect_one_to_one(source(from_input, from), source(false, to),
                                        weights(weight, of), delays(delay, per), std::move(name));
          },
          py::arg("from_input"), py::arg("source"), py::arg("target"),
          py::arg("weight").noconvert(), py::arg("delay").noconvert(), py::arg("name"),
          py::arg("delay_per") = py::none(), py::arg("weight_of") = py::none())
      .def(
          "connect_sparse",
          [](Net& n, bool from_input, Id from, Id to, const In<Size>& row_offsets,
             const In<Id>& targets, const In<Real>& weight, const In<Real>& delay, std::string name,
             std::optional<DelayPer> per, const std::optional<In<Id>>& of) {
            return n.connect_sparse(source(from_input, from), source(false, to), share(row_offsets),
                                    share(targets), weights(weight, of), delays(delay, per),
                                    std::move(name));
          },
          py::arg("from_input"), py::arg("source"), py::arg("target"),
          py::arg("row_offsets").noconvert(), py::arg("targets").noconvert(),
          py::arg("weight").noconvert(), py::arg("delay").noconvert(), py::arg("name"),
          py::arg("delay_per") = py::none(), py::arg("weight_of") = py::none())
      .def(
          "set_parameter",
          [](Net& n, Id population, NeuronParameter parameter, const In<Real>& values) {
            n.set_parameter(population, parameter, share(values));
          },
          py::arg("population"), py::arg("parameter"), py::arg("values").noconvert())
      .def(
          "set_weight",
          [](Net& n, Id projection, const In<Real>& values) {
            n.set_weight(projection, share(values));
          },
          py::arg("projection"), py::arg("values").noconvert())
      .def(
          "set_delay",
          [](Net& n, Id projection, const In<Real>& values, std::optional<DelayPer> per) {
            n.set_delay(projection, delays(values, per));
          },
          py::arg("projection"), py::arg("values").noconvert(), py::arg("per") = py::none());
}

template void bind_network<float>(py::module_&, const char*);
template void bind_network<double>(py::module_&, const char*);

}  // namespace snnfp::python
