// The table of contents of snnfp._core.

#include "module.hpp"

#include <cstdlib>

#include "snnfp/detail/parallel.hpp"

namespace {

// glibc gives freed memory back to the system after every call, and each page of the next call's
// result is a page fault, until it has seen a block as large as this one freed.
void keep_freed_memory() {
  void* volatile block = std::malloc(std::size_t(8) << 20);
  std::free(block);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  using namespace snnfp;
  keep_freed_memory();
  python::bind_enums(m);
  python::bind_errors(m);
  py::class_<python::Execution>(m, "Execution")
      .def(py::init<int, Isa, bool>(), py::arg("n_threads"), py::arg("isa"), py::arg("poll"));
  python::bind_network<float>(m, "NetworkFloat32");
  python::bind_network<double>(m, "NetworkFloat64");
  python::bind_record<float>(m, "RecordFloat32");
  python::bind_record<double>(m, "RecordFloat64");
  python::bind_readouts<float>(m);
  python::bind_readouts<double>(m);
  python::bind_first_spikes<float>(m);
  python::bind_first_spikes<double>(m);
  python::bind_take_samples(m);
  python::bind_transforms(m);
  python::bind_optimiser<float>(m, "SlotFloat32");
  python::bind_optimiser<double>(m, "SlotFloat64");
  m.def("resolve_isa", &resolve_isa, py::arg("wanted"));
  m.def("default_threads", &detail::default_threads);
  m.def("parallel_runtime", &detail::parallel_runtime);
  m.def("wake_always", &detail::wake_always, py::arg("always"));
  m.def("pieces_by_others", &detail::pieces_by_others);
  m.attr("version") = version;
  m.attr("compiler") = SNNFP_COMPILER;
  m.attr("build_type") = SNNFP_BUILD_TYPE;
}
