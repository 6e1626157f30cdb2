// What a training asks of each record.

#include "snnfp/first_spikes.hpp"

#include <pybind11/stl.h>

#include "module.hpp"

namespace snnfp::python {
namespace {

template <class T>
Span<const T> span(const In<T>& array) {
  return {array.data(), static_cast<Size>(array.size())};
}

template <class T>
py::array_t<T> table(std::vector<T> values, Size rows) {
  const Size columns = rows > 0 ? static_cast<Size>(values.size()) / rows : 0;
  return give(std::move(values)).reshape({rows, columns});
}

}  // namespace

template <class Real>
void bind_first_spikes(py::module_& m) {
  m.def(
      "first_times",
      [](const Record<Real>& r, Id population) {
        return py::array_t<Real>(table(first_times(r, population), r.samples()));
      },
      py::arg("record"), py::arg("population"));
  m.def(
      "of_first_spikes",
      [](const Record<Real>& r, Id population, const In<Real>& derivative) {
        return give(of_first_spikes<Real>(r, population, span(derivative)));
      },
      py::arg("record"), py::arg("population"), py::arg("derivative").noconvert());
  m.def(
      "figures",
      [](const Record<Real>& r, double fraction) {
        RecordFigures f = figures(r, fraction);
        return std::make_tuple(f.min_slope, f.near_tangent, give(std::move(f.counts)));
      },
      py::arg("record"), py::arg("fraction"));
  m.def(
      "first_to_fire",
      [](const In<Real>& first, Size outputs) {
        return give(first_to_fire<Real>(span(first), outputs));
      },
      py::arg("first").noconvert(), py::arg("outputs"));
  m.def(
      "cross_entropy",
      [](const In<Real>& first, const In<Size>& labels, double tau0, double tau1, double gamma,
         double horizon) {
        CrossEntropyValue v =
            cross_entropy<Real>({tau0, tau1, gamma, horizon}, span(first), span(labels));
        return std::make_tuple(v.value,
                               py::array_t<double>(table(std::move(v.derivative), labels.size())),
                               v.late, v.beyond);
      },
      py::arg("first").noconvert(), py::arg("labels").noconvert(), py::arg("tau0"), py::arg("tau1"),
      py::arg("gamma"), py::arg("horizon"));
}

void bind_take_samples(py::module_& m) {
  m.def(
      "take_samples",
      [](const In<double>& times, const In<Id>& units, const In<Size>& offsets,
         const In<Size>& samples) {
        const SpikeBatch<double> taken =
            take_samples({share(times), share(units), share(offsets)}, span(samples));
        const auto copy = [](const auto& array) {
          using T = std::decay_t<decltype(array[0])>;
          return py::array_t<T>(static_cast<py::ssize_t>(array.size()), array.data());
        };
        return std::make_tuple(copy(taken.times), copy(taken.units), copy(taken.offsets));
      },
      py::arg("times").noconvert(), py::arg("units").noconvert(), py::arg("offsets").noconvert(),
      py::arg("samples").noconvert());
}

template void bind_first_spikes<float>(py::module_&);
template void bind_first_spikes<double>(py::module_&);

}  // namespace snnfp::python
