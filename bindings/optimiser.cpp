// The optimiser's step, and transforms.

#include "snnfp/optimiser.hpp"

#include <pybind11/native_enum.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "module.hpp"
#include "snnfp/transform.hpp"

namespace snnfp::python {
namespace {

template <class T>
T* data_of(std::optional<In<T>>& array, Size size, const char* what) {
  if (!array) return nullptr;
  if (array->size() != size)
    throw InvalidArgument(std::string(what) + " has " + std::to_string(array->size()) +
                          " elements, expected " + std::to_string(size));
  return array->mutable_data();
}

template <class Real>
Span<const Real> limit_of(const std::optional<In<Real>>& array, Size size, const char* what) {
  if (!array) return {};
  if (array->size() != size && array->size() != 1)
    throw InvalidArgument(std::string(what) + " has " + std::to_string(array->size()) +
                          " elements, expected 1 or " + std::to_string(size));
  return {array->data(), static_cast<Size>(array->size())};
}

const std::uint8_t* bytes(const std::optional<In<bool>>& mask) {
  static_assert(sizeof(bool) == 1);
  return mask ? reinterpret_cast<const std::uint8_t*>(mask->data()) : nullptr;
}

// A parameter array's own: kept from step to step, worked on in place.
template <class Real>
struct Slot {
  Size size = 0;
  Size row = 1;
  std::optional<In<Real>> first, second, low, high;
  std::optional<In<bool>> frozen;
  std::vector<std::uint8_t> quiet;
  py::object latest, latest_average;  // what the last step has made

  StepArrays<Real> arrays(const In<Real>& parameter, const In<Real>& gradient,
                          const std::optional<In<Real>>& average) {
    for (const auto* given : {&parameter, &gradient, average ? &*average : &gradient})
      if (given->size() != size)
        throw InvalidArgument("a parameter, gradient or average has " +
                              std::to_string(given->size()) + " elements, expected " +
                              std::to_string(size));
    const bool same = parameter.is(latest) && (!average || average->is(latest_average));
    if (!same) std::fill(quiet.begin(), quiet.end(), std::uint8_t(0));
    StepArrays<Real> a;
    a.size = size;
    a.row = row;
    a.parameter = parameter.data();
    a.gradient = gradient.data();
    a.first = data_of(first, size, "first");
    a.second = data_of(second, size, "second");
    if (average) a.average = average->data();
    a.frozen = bytes(frozen);
    a.low = limit_of(low, size, "low");
    a.high = limit_of(high, size, "high");
    a.quiet = quiet.data();
    return a;
  }
};

// One a slot: None where no average is kept; scale, rate, decay and blend.
template <class Real>
using Averages = std::vector<std::optional<In<Real>>>;
using Numbers = std::vector<std::tuple<double, double, double, double>>;

template <class Real>
py::array_t<Real> like(const In<Real>& array) {
  return py::array_t<Real>(std::vector<py::ssize_t>(array.shape(), array.shape() + array.ndim()));
}

// The new parameter, and the new average where one is kept.
template <class Real>
using Made = std::vector<std::pair<py::array_t<Real>, std::optional<py::array_t<Real>>>>;

template <class Real, class Rule>
Made<Real> take(const Rule& rule, const std::vector<Slot<Real>*>& slots,
                const std::vector<In<Real>>& parameters, const std::vector<In<Real>>& gradients,
                const Averages<Real>& averages, const Numbers& numbers,
                const Execution& execution) {
  const std::size_t n = slots.size();
  if (parameters.size() != n || gradients.size() != n || averages.size() != n ||
      numbers.size() != n)
    throw InvalidArgument("expected a parameter, gradient, average and numbers for each slot");
  for (std::size_t k = 0; k < n; ++k)
    if (!slots[k] || std::find(slots.begin(), slots.begin() + k, slots[k]) != slots.begin() + k)
      throw InvalidArgument("slot " + std::to_string(k) +
                            (slots[k] ? " is there twice" : " is None") +
                            ", expected one for each parameter");
  ExecutionOptions options;
  execution.apply(options);
  Made<Real> made;
  std::vector<StepArrays<Real>> arrays;
  for (std::size_t k = 0; k < n; ++k) {
    StepArrays<Real> a = slots[k]->arrays(parameters[k], gradients[k], averages[k]);
    made.emplace_back(like(parameters[k]), std::nullopt);
    a.next = made.back().first.mutable_data();
    if (averages[k]) {
      made.back().second = like(*averages[k]);
      a.next_average = made.back().second->mutable_data();
    }
    std::tie(a.scale, a.rate, a.decay, a.blend) = numbers[k];
    arrays.push_back(a);
  }
  {
    const py::gil_scoped_release release;
    take_step(rule, Span<const StepArrays<Real>>(arrays), options);
  }
  for (std::size_t k = 0; k < n; ++k) {
    slots[k]->latest = made[k].first;
    slots[k]->latest_average = averages[k] ? py::object(*made[k].second) : py::object();
  }
  return made;
}

template <class Real>
using Map = void (*)(const Transform&, Span<const Real>, Span<Real>);

template <class Real, Map<Real> map>
py::array_t<Real> mapped(const Transform& transform, const In<Real>& values) {
  py::array_t<Real> out = like(values);
  map(transform, {values.data(), static_cast<Size>(values.size())},
      {out.mutable_data(), static_cast<Size>(values.size())});
  return out;
}

}  // namespace

template <class Real>
void bind_optimiser(py::module_& m, const char* name) {
  using Values = std::optional<In<Real>>;
  py::class_<Slot<Real>>(m, name)
      .def(py::init([](Size size, Size row, Values first, Values second, Values low, Values high,
                       std::optional<In<bool>> frozen) {
             Slot<Real> slot;
             if (size < 0)
               throw InvalidArgument("size is " + std::to_string(size) + ", expected at least 0");
             slot.size = size;
             slot.row = std::max<Size>(1, row);
             slot.first = std::move(first);
             slot.second = std::move(second);
             slot.low = std::move(low);
             slot.high = std::move(high);
             if (frozen && frozen->size() != size)
               throw InvalidArgument("frozen has " + std::to_string(frozen->size()) +
                                     " elements, expected " + std::to_string(size));
             slot.frozen = std::move(frozen);
             slot.quiet.resize(quiet_blocks(size, slot.row));
             return slot;
           }),
           py::arg("size"), py::arg("row"), py::arg("first").noconvert(),
           py::arg("second").noconvert(), py::arg("low").noconvert(), py::arg("high").noconvert(),
           py::arg("frozen").noconvert())
      .def_property_readonly("quiet", [](const Slot<Real>& s) {
        return std::count(s.quiet.begin(), s.quiet.end(), std::uint8_t(1));
      });
  m.def(
      "adam_step",
      [](double beta1, double beta2, double eps, Size step, const std::vector<Slot<Real>*>& slots,
         const std::vector<In<Real>>& parameters, const std::vector<In<Real>>& gradients,
         const Averages<Real>& averages, const Numbers& numbers, const Execution& execution) {
        return take(Adam{beta1, beta2, eps, step}, slots, parameters, gradients, averages, numbers,
                    execution);
      },
      py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("step"), py::arg("slots"),
      py::arg("parameters").noconvert(), py::arg("gradients").noconvert(),
      py::arg("averages").noconvert(), py::arg("numbers"), py::arg("execution"));
  m.def(
      "sgd_step",
      [](double momentum, bool nesterov, const std::vector<Slot<Real>*>& slots,
         const std::vector<In<Real>>& parameters, const std::vector<In<Real>>& gradients,
         const Averages<Real>& averages, const Numbers& numbers, const Execution& execution) {
        return take(Sgd{momentum, nesterov}, slots, parameters, gradients, averages, numbers,
                    execution);
      },
      py::arg("momentum"), py::arg("nesterov"), py::arg("slots"), py::arg("parameters").noconvert(),
      py::arg("gradients").noconvert(), py::arg("averages").noconvert(), py::arg("numbers"),
      py::arg("execution"));
  m.def(
      "square_sums",
      [](const std::vector<In<Real>>& values, const std::vector<std::optional<In<bool>>>& frozen,
         const Execution& execution) {
        if (frozen.size() != values.size())
          throw InvalidArgument("expected what is frozen, or None, for each array");
        ExecutionOptions options;
        execution.apply(options);
        std::vector<Span<const Real>> given;
        std::vector<const std::uint8_t*> masks;
        for (std::size_t k = 0; k < values.size(); ++k) {
          if (frozen[k] && frozen[k]->size() != values[k].size())
            throw InvalidArgument("frozen has " + std::to_string(frozen[k]->size()) +
                                  " elements, expected " + std::to_string(values[k].size()));
          given.emplace_back(values[k].data(), static_cast<Size>(values[k].size()));
          masks.push_back(bytes(frozen[k]));
        }
        std::vector<double> sums;
        const py::gil_scoped_release release;
        for (std::size_t k = 0; k < values.size(); ++k)
          sums.push_back(square_sum<Real>(given[k], masks[k], options));
        return sums;
      },
      py::arg("values").noconvert(), py::arg("frozen").noconvert(), py::arg("execution"));
  m.def(
      "attainable",
      [](const Transform& transform, const In<Real>&) {
        const Attainable<Real> ends = attainable<Real>(transform);
        return std::make_tuple(ends.lowest, ends.highest);
      },
      py::arg("transform"), py::arg("like").noconvert());
  m.def("constrain", &mapped<Real, &constrain<Real>>, py::arg("transform"),
        py::arg("free").noconvert());
  m.def("release", &mapped<Real, &release<Real>>, py::arg("transform"),
        py::arg("parameter").noconvert());
  m.def(
      "chain",
      [](const Transform& transform, const In<Real>& free, const In<Real>& gradient) {
        if (free.size() != gradient.size())
          throw InvalidArgument("the gradient has " + std::to_string(gradient.size()) +
                                " elements, expected " + std::to_string(free.size()));
        py::array_t<Real> out = like(gradient);
        const Size size = static_cast<Size>(free.size());
        chain<Real>(transform, {free.data(), size}, {gradient.data(), size},
                    {out.mutable_data(), size});
        return out;
      },
      py::arg("transform"), py::arg("free").noconvert(), py::arg("gradient").noconvert());
}

void bind_transforms(py::module_& m) {
  py::native_enum<TransformKind>(m, "TransformKind", "enum.Enum")
      .value("exponential", TransformKind::exponential)
      .value("softplus", TransformKind::softplus)
      .value("sigmoid", TransformKind::sigmoid)
      .finalize();
  py::class_<Transform>(m, "Transform")
      .def(py::init([](TransformKind kind, double scale, double low, double high) {
             return Transform{kind, scale, low, high};
           }),
           py::arg("kind"), py::arg("scale"), py::arg("low"), py::arg("high"));
}

template void bind_optimiser<float>(py::module_&, const char*);
template void bind_optimiser<double>(py::module_&, const char*);

}  // namespace snnfp::python
