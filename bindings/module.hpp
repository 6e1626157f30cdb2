#pragma once

#include "arrays.hpp"

namespace py = pybind11;

namespace snnfp::python {

void bind_enums(py::module_& m);
void bind_errors(py::module_& m);
template <class Real>
void bind_network(py::module_& m, const char* name);
template <class Real>
void bind_optimiser(py::module_& m, const char* name);
void bind_transforms(py::module_& m);
template <class Real>
void bind_first_spikes(py::module_& m);
void bind_take_samples(py::module_& m);
template <class Real>
void bind_record(py::module_& m, const char* name);
template <class Real>
void bind_readouts(py::module_& m);

}  // namespace snnfp::python
