#pragma once
// NumPy arrays as the library's arrays, without a copy in either direction.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <functional>

#include "snnfp/snnfp.hpp"

namespace snnfp::python {

namespace py = pybind11;

// Exactly this dtype, contiguous: Python converts and explains, nothing is cast here.
template <class T>
using In = py::array_t<T, py::array::c_style>;

// Uses the buffer in place; the last copy gives the reference back under the GIL.
template <class T>
Array<T> share(const In<T>& array) {
  auto* held = new py::object(array);
  std::shared_ptr<const void> owner(held, [](const void* p) {
    const py::gil_scoped_acquire gil;
    delete static_cast<const py::object*>(p);
  });
  return Array<T>(std::move(owner), array.data(), static_cast<Size>(array.size()));
}

// A read-only array over memory that lives as long as `owner`.
template <class T>
py::array_t<T> view(const std::vector<T>& values, py::handle owner) {
  py::array_t<T> array(static_cast<py::ssize_t>(values.size()), values.data(), owner);
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

// Hands a vector over to NumPy.
template <class T>
py::array_t<T> give(std::vector<T> values) {
  auto* held = new std::vector<T>(std::move(values));
  const py::capsule owner(held, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return py::array_t<T>(static_cast<py::ssize_t>(held->size()), held->data(), owner);
}

// Looks for Ctrl-C, at most every 50 ms: taking the GIL more often could wait for other threads.
inline std::function<void()> signal_poll(bool wanted) {
  if (!wanted) return {};
  return [last = std::chrono::steady_clock::now()]() mutable {
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) return;
    last = now;
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

struct Execution {
  int n_threads;
  Isa isa;
  bool poll;
  void apply(ExecutionOptions& options) const {
    options.n_threads = n_threads;
    options.isa = isa;
    options.poll = signal_poll(poll);
  }
};

}  // namespace snnfp::python
