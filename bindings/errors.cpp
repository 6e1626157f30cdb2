// The one table from C++ exceptions to Python's.

#include "faults.hpp"
#include "module.hpp"

namespace snnfp::python {

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr p) {
    const auto python_class = [](const char* name) -> py::object {
      return py::module_::import("snnfp.errors").attr(name);
    };
    try {
      if (p) std::rethrow_exception(p);
    } catch (const EventLimitError& e) {
      py::object error = python_class("EventLimitError")(e.what());
      error.attr("sample") = e.sample;
      error.attr("population") = e.population;
      error.attr("neuron") = e.neuron;
      error.attr("time") = e.time;
      error.attr("count") = e.count;
      PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
    } catch (const RecordedSpikeError& e) {
      py::object error = python_class("RecordedSpikeError")(e.what());
      error.attr("missing") = missing_columns(e.faults);
      error.attr("impossible") = impossible_columns(e.faults);
      PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
    } catch (const ClockError& e) {
      PyErr_SetString(python_class("ClockError").ptr(), e.what());
    } catch (const InvalidArgument& e) {
      PyErr_SetString(PyExc_ValueError, e.what());
    }
  });
}

}  // namespace snnfp::python
