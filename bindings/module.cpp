// The table of contents of snnfp._core.

#include "module.hpp"

#include "snnfp/detail/parallel.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace snnfp;
  python::bind_errors(m);
  py::class_<python::Execution>(m, "Execution")
      .def(py::init<int, int, bool>(), py::arg("n_threads"), py::arg("isa"), py::arg("poll"));
  python::bind_network<float>(m, "NetworkFloat32");
  python::bind_network<double>(m, "NetworkFloat64");
  python::bind_record<float>(m, "RecordFloat32");
  python::bind_record<double>(m, "RecordFloat64");
  m.def("resolve_isa", [](int wanted) { return isa_name(resolve_isa(static_cast<Isa>(wanted))); },
        py::arg("wanted"));
  m.def("default_threads", &detail::default_threads);
  m.def("parallel_runtime", &detail::parallel_runtime);
  m.def("release_threads", &detail::release_threads);
  m.attr("version") = version;
  m.attr("compiler") = SNNFP_COMPILER;
  m.attr("build_type") = SNNFP_BUILD_TYPE;
}
