#pragma once
// Bodies of listen, read and their derivatives: checks, who does which sample, and in which order
// shares are added.

#include <algorithm>
#include <cmath>
#include <memory>

#include "snnfp/detail/readout_engine.hpp"
#include "snnfp/impl/gradient.hpp"

namespace snnfp {
namespace detail {

// The spikes of a population as those of an input group.
template <class Real>
SpikeBatch<Real> spikes_of(const Record<Real>& record, Id population) {
  const Id first = record.population_offsets[population];
  const Id n = record.population_offsets[population + 1] - first;
  std::vector<Real> times;
  std::vector<Id> units;
  std::vector<Size> offsets{0};
  for (Size s = 0; s < record.samples(); ++s) {
    for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k)
      if (const Id unit = record.neurons[k] - first; unit >= 0 && unit < n) {
        times.push_back(record.times[k]);
        units.push_back(unit);
      }
    offsets.push_back(static_cast<Size>(times.size()));
  }
  return {std::move(times), std::move(units), std::move(offsets)};
}

// Whether later spikes of a population were left out.
template <class Real>
bool has_first_spikes_alone(const Record<Real>& record, Source sender) {
  const auto& only_first = record.first_spikes_of;
  if (sender.kind != Source::Kind::population ||
      std::count(only_first.begin(), only_first.end(), sender.index) == 0)
    return false;
  const Population<Real>& p = record.network.populations()[sender.index];
  if (p.max_spikes == 1) return false;  // that is all they fire
  const Array<Real>& held = p.parameters.t_refractory;
  return !std::all_of(held.begin(), held.end(), [](Real t) { return std::isinf(t); });
}

template <class Real>
void check_initial_readouts(const InitialState<Real>& initial, const Plan<Real>& plan,
                            Size samples) {
  const auto check = [&](const Array<Real>& a, const char* name) {
    if (a.size() == 0) return;
    if (a.size() != plan.n_neurons && a.size() != samples * plan.n_neurons)
      invalid("initial ", name, " of the readouts has ", a.size(), " values, expected ",
              plan.n_neurons, " (one a neuron) or ", samples * plan.n_neurons,
              " (samples x neurons)");
    for (Size k = 0; k < a.size(); ++k)
      if (!std::isfinite(a[k]))
        invalid("initial ", name, " of the readouts[", k, "] is ", a[k],
                ", expected a finite number");
  };
  check(initial.voltage, "voltage");
  check(initial.current, "current");
}

// A reading that was checked.
template <class Real>
class Reader {
 public:
  Reader(const Record<Real>& heard, const Reading<Real>& reading)
      : heard_(heard), reading_(reading), times_(reading.times) {
    check_index("readout", reading.readout, Size(heard.network.populations().size()));
    for (const Id q : heard.plan->into_population[reading.readout]) {
      const Id group = heard.plan->projections[q].from_input;
      if (group < 0)
        invalid("readout ", heard.network.populations()[reading.readout].name,
                " hears a population of its own network, expected a record that listen made");
      const auto& only_first = heard.first_spikes_of;  // input groups: see listen
      if (std::count(only_first.begin(), only_first.end(), group))
        invalid("projection ", heard.network.projections()[q].name,
                " to a readout starts at population ", heard.network.inputs()[group].name,
                ", of which the record has first spikes only (first_spikes_of): expected all its "
                "spikes");
    }
    check_index("the value of a reading", Size(reading.value), 3);
    const std::string& name = heard.network.populations()[reading.readout].name;
    if (reading.value == ReadoutValue::voltage) {
      for (std::size_t k = 0; k < times_.size(); ++k)
        if (!(times_[k] >= Real(0)) || !(times_[k] <= heard.until) || !std::isfinite(times_[k]))
          invalid("times[", k, "] of readout ", name, " is ", times_[k],
                  ", expected a finite time from 0 up to until = ", heard.until);
    } else {
      if (!std::isfinite(heard.until))
        invalid("the ", reading.value == ReadoutValue::maximum ? "maximum" : "integral",
                " of readout ", name, " is taken up to the end of the simulation, and until is ",
                heard.until, ": expected a finite until");
      times_.assign(1, heard.until);
    }
    if (!(reading.time_scale > Real(0)))
      invalid("time_scale is ", reading.time_scale, ", expected a time > 0");
  }

  ReadingJob<Real> job() const {
    const Plan<Real>& plan = *heard_.plan;
    const Id first = plan.population_offsets[reading_.readout];
    const Id size = n_neurons();
    bool alike = true, driven = false;
    for (Id j = first; j < first + size; ++j) {
      alike &= plan.neurons.same_decay(first, j);
      driven |= plan.neurons.driven(j);
    }
    const bool begun = heard_.initial.voltage.size() || heard_.initial.current.size();
    return {plan,
            reading_.readout,
            first,
            size,
            0,
            size,
            alike,
            driven || begun,
            reading_.value,
            times_.data(),
            n_times(),
            heard_.until,
            Real(1) / reading_.time_scale};
  }
  Size n_times() const { return static_cast<Size>(times_.size()); }
  // Of a sample.
  Size n_values() const { return n_times() * n_neurons(); }
  Id n_neurons() const { return heard_.network.populations()[reading_.readout].size; }
  Size values() const { return heard_.samples() * n_values(); }

  void check_finite(const std::vector<Real>& values) const {
    for (std::size_t k = 0; k < values.size(); ++k)
      if (!std::isfinite(values[k])) {
        invalid("what is read off ", name_of(Size(k)), " is ", values[k],
                ", beyond what the numbers can carry: expected weights, time constants and times "
                "in proportion, in a unit of time in which they are nearer to 1");
      }
  }
  // Whose value this is, in words.
  std::string name_of(Size value) const {
    const Population<Real>& p = heard_.network.populations()[reading_.readout];
    return "neuron " + std::to_string(value % p.size) + " of readout " + p.name + " in sample " +
           std::to_string(value / n_values());
  }

 private:
  const Record<Real>& heard_;
  const Reading<Real>& reading_;
  std::vector<Real> times_;
};

// Which of these numbers is the first that is not finite; -1: none.
template <class Real>
Size first_not_finite(const std::vector<Real>& values) {
  const auto bad =
      std::find_if_not(values.begin(), values.end(), [](Real x) { return std::isfinite(x); });
  return bad == values.end() ? Size(-1) : Size(bad - values.begin());
}

// `name(k)` says what the derivative is of, and by what; `given`: what the caller gave to multiply
// it with.
template <class Real, class Name>
void check_derivatives(const std::vector<Real>& values, const char* given, const Name& name) {
  const Size bad = first_not_finite(values);
  if (bad < 0) return;
  invalid("the derivative of what is read off ", name(bad), " is ", values[bad],
          ", beyond what the numbers can carry: expected ", given,
          "weights, time constants and times in proportion, in a unit of time in which they are "
          "nearer to 1");
}

// An element of a layout, in words.
template <class Real>
std::string element_name(const Record<Real>& record, const Layout& layout, Size column) {
  const auto after = std::upper_bound(layout.offsets.begin(), layout.offsets.end(), column);
  const Size k = after - layout.offsets.begin() - 1;
  const Parameter& p = layout.parameters[k];
  const std::string element = "[" + std::to_string(column - layout.offsets[k]) + "]";
  if (p.kind == Parameter::Kind::neuron)
    return record.network.populations()[p.index].name + "." +
           neuron_parameter_names[int(p.neuron)] + element;
  const char* const what = p.kind == Parameter::Kind::weight ? ".weight" : ".delay";
  return record.network.projections()[p.index].name + what + element;
}

// `derivatives`: a ReadoutGradient or ReadoutJacobian, whose rows have the columns of `layout`.
template <class Real, class Derivatives>
void check_jacobian(const Record<Real>& heard, Id readout, const Layout& layout,
                    const Derivatives& derivatives, const char* given) {
  const std::string by = "readout " + heard.network.populations()[readout].name + " by ";
  check_derivatives(derivatives.parameters, given,
                    [&](Size k) { return by + element_name(heard, layout, k % layout.size()); });
  for (std::size_t g = 0; g < derivatives.senders.size(); ++g)
    check_derivatives(derivatives.senders[g], given, [&](Size k) {
      return by + "the time of spike " + std::to_string(k % Size(heard.input[g].times.size())) +
             " of " + heard.network.inputs()[g].name;
    });
}

inline void refuse_input_times(const std::vector<Parameter>& wrt) {
  for (std::size_t k = 0; k < wrt.size(); ++k)
    if (wrt[k].kind == Parameter::Kind::input_times)
      invalid("parameter ", k,
              " of wrt are input times, which what is read off a readout gives by "
              "the spikes of its senders");
}

// From one value a parameter's element to one a synapse, where these are shared.
template <class Real>
std::vector<Real> of_each_synapse(const Record<Real>& record, const Layout& given,
                                  Span<const Real> values) {
  std::vector<Real> each;
  for (std::size_t k = 0; k < given.parameters.size(); ++k) {
    const Real* const from = values.data + given.offsets[k];
    const std::vector<Real> own(from, values.data + given.offsets[k + 1]);
    const Array<Id>* const of = sharing(record, given.parameters[k]);
    const Array<Real> all = of ? of_synapses(Array<Real>(own), *of) : Array<Real>(own);
    each.insert(each.end(), all.begin(), all.end());
  }
  return each;
}

}  // namespace detail

template <class Real>
Record<Real> listen(const Record<Real>& record, const Network<Real>& readouts,
                    const std::vector<Source>& senders, const InitialState<Real>& initial) {
  using detail::invalid;
  if (senders.size() != readouts.inputs().size())
    invalid(senders.size(), " senders, expected ", readouts.inputs().size(),
            ", one an input group of the readouts");
  for (Size s = 0; !record.stop_after.empty() && s < record.samples(); ++s)
    if (record.end(s) < record.until)
      invalid("sample ", s, " ended at ", record.end(s), ", before until = ", record.until,
              ": expected a record without stop_after for readouts");
  Record<Real> heard;
  heard.network = readouts;
  std::vector<unsigned char> listened(senders.size(), 0);
  for (const Projection<Real>& p : readouts.projections())
    if (p.source.kind == Source::Kind::input) listened[p.source.index] = 1;
  for (std::size_t g = 0; g < senders.size(); ++g) {
    const Id size = record.network.source_size(senders[g]);
    if (size != readouts.inputs()[g].size)
      invalid("sender ", g, " is ", record.network.source_name(senders[g]), " of size ", size,
              ", expected ", readouts.inputs()[g].size, " as input ", readouts.inputs()[g].name,
              " of the readouts");
    if (!listened[g]) {
      std::vector<Size> none(static_cast<std::size_t>(record.samples()) + 1, 0);
      heard.input.push_back({std::vector<Real>(), std::vector<Id>(), std::move(none)});
    } else if (senders[g].kind == Source::Kind::input) {
      heard.input.push_back(record.input[senders[g].index]);
    } else {
      heard.input.push_back(detail::spikes_of(record, senders[g].index));
      if (detail::has_first_spikes_alone(record, senders[g]))
        heard.first_spikes_of.push_back(static_cast<Id>(g));
    }
  }
  for (const Projection<Real>& p : readouts.projections())
    if (p.source.kind != Source::Kind::input)
      invalid("projection ", p.name, " starts at readout ",
              readouts.populations()[p.source.index].name, ", which sends no spikes");
  auto plan = std::make_shared<detail::Plan<Real>>(detail::make_plan(heard.network));
  detail::check_initial_readouts(initial, *plan, record.samples());
  heard.initial = initial;
  heard.until = record.until;
  heard.population_offsets = plan->population_offsets;
  heard.plan = std::move(plan);
  heard.offsets.assign(static_cast<std::size_t>(record.samples()) + 1, 0);
  return heard;
}

template <class Real>
std::vector<Real> read(const Record<Real>& heard, const Reading<Real>& reading,
                       const ExecutionOptions& options) {
  const detail::Reader<Real> reader(heard, reading);
  const detail::ReadingJob<Real> job = reader.job();
  const auto& table = detail::readout_table<Real>(options.isa);
  const detail::Batch<Real> batch(heard);
  std::vector<Real> out(static_cast<std::size_t>(reader.values()));
  detail::Interrupt interrupt(options.poll);
  detail::parallel_for(heard.samples(), options.n_threads, interrupt, [&](Size s, int) {
    table.values(job, batch.inputs[s], out.data() + s * reader.n_values());
  });
  reader.check_finite(out);
  return out;
}

template <class Real>
ReadoutGradient<Real> read_vjp(const Record<Real>& heard, const Reading<Real>& reading,
                               Span<const Real> cotangents, const std::vector<Parameter>& wrt,
                               const ExecutionOptions& options) {
  detail::refuse_input_times(wrt);
  const detail::Reader<Real> reader(heard, reading);
  if (cotangents.size != reader.values())
    detail::invalid("cotangents of a readout has ", cotangents.size, " values, expected ",
                    reader.values(), " (samples x times x neurons)");
  for (Size k = 0; k < cotangents.size; ++k)
    if (!std::isfinite(cotangents[k]))
      detail::invalid("cotangents of a readout[", k, "] is ", cotangents[k],
                      ", expected a finite number");
  // Kernels know what each synapse has, shared or not.
  const Layout columns = detail::layout_of(heard, wrt, true);
  const detail::ColumnMap<Real> map(heard, columns);
  const detail::ReadingJob<Real> job = reader.job();
  const auto& table = detail::readout_table<Real>(options.isa);
  const detail::Batch<Real> batch(heard);
  ReadoutGradient<Real> gradient;
  gradient.parameters.assign(static_cast<std::size_t>(columns.size()), Real(0));
  std::vector<Real*> senders;
  for (const SpikeBatch<Real>& b : heard.input)
    gradient.senders.emplace_back(static_cast<std::size_t>(b.times.size()), Real(0));
  for (std::vector<Real>& s : gradient.senders) senders.push_back(s.data());
  // As many blocks of samples as the work asks for, whose shares are added in order.
  const Size samples = heard.samples(), blocks = detail::sample_blocks(samples, columns.size());
  const Size stride = (columns.size() + 15) / 16 * 16;
  std::vector<Real> shares(static_cast<std::size_t>(blocks * stride), Real(0));
  detail::Interrupt interrupt(options.poll);
  detail::parallel_for(blocks, options.n_threads, interrupt, [&](Size b, int worker) {
    for (Size s = samples * b / blocks; s < samples * (b + 1) / blocks; ++s) {
      if (interrupt.check(worker)) return;
      table.reverse(job, batch.inputs[s], cotangents.data + s * reader.n_values(), map.get(),
                    shares.data() + b * stride, senders.data());
    }
  });
  for (Size b = 0; b < blocks; ++b)
    for (Size c = 0; c < columns.size(); ++c) gradient.parameters[c] += shares[b * stride + c];
  const Layout given = layout(heard, wrt);
  gradient.parameters = detail::add_up_shared(heard, columns, given, gradient.parameters);
  detail::check_jacobian(heard, reading.readout, given, gradient, "derivatives of the loss, ");
  return gradient;
}

template <class Real>
ReadoutJacobian<Real> read_jacobian(const Record<Real>& heard, const Reading<Real>& reading,
                                    const std::vector<Parameter>& wrt,
                                    const std::vector<Id>& senders,
                                    const ExecutionOptions& options) {
  detail::refuse_input_times(wrt);
  const detail::Reader<Real> reader(heard, reading);
  const Layout given = layout(heard, wrt), columns = detail::layout_of(heard, wrt, true);
  const detail::ColumnMap<Real> map(heard, columns);
  const detail::ReadingJob<Real> job = reader.job();
  const auto& table = detail::readout_table<Real>(options.isa);
  const detail::Batch<Real> batch(heard);
  const Size values = reader.n_values();
  ReadoutJacobian<Real> jacobian;
  jacobian.parameters.resize(static_cast<std::size_t>(reader.values() * given.size()));
  jacobian.senders.resize(heard.input.size());
  for (const Id g : senders) {
    check_index("sender", g, Size(heard.input.size()));
    jacobian.senders[g].assign(static_cast<std::size_t>(values * heard.input[g].times.size()),
                               Real(0));
  }
  // Row by row, each of its neuron and time alone.
  detail::Interrupt interrupt(options.poll);
  detail::parallel_for(reader.values(), options.n_threads, interrupt, [&](Size row, int) {
    const Size s = row / values, k = row % values, time = k / job.size;
    const Id neuron = static_cast<Id>(k % job.size);
    detail::ReadingJob<Real> own = job;
    own.from = neuron;
    own.upto = neuron + 1;
    own.times += time;
    own.n_times = 1;
    std::vector<Real> one(static_cast<std::size_t>(job.size));
    one[neuron] = Real(1);
    std::vector<Real> by(static_cast<std::size_t>(columns.size()));
    std::vector<Real*> to(heard.input.size(), nullptr);
    for (const Id g : senders)
      to[g] = jacobian.senders[g].data() + k * Size(heard.input[g].times.size());
    table.reverse(own, batch.inputs[s], one.data(), map.get(), by.data(), to.data());
    by = detail::add_up_shared(heard, columns, given, by);
    std::copy(by.begin(), by.end(), jacobian.parameters.begin() + row * given.size());
  });
  detail::check_jacobian(heard, reading.readout, given, jacobian, "");
  return jacobian;
}

template <class Real>
std::vector<Real> read_jvp(const Record<Real>& heard, const Reading<Real>& reading,
                           const std::vector<Parameter>& wrt, Span<const Real> tangents,
                           const std::vector<Span<const Real>>& sender_tangents,
                           const ExecutionOptions& options) {
  detail::refuse_input_times(wrt);
  const detail::Reader<Real> reader(heard, reading);
  const Layout given = layout(heard, wrt), columns = detail::layout_of(heard, wrt, true);
  if (tangents.size != given.size())
    detail::invalid("tangents has ", tangents.size, " values, expected ", given.size());
  const std::vector<Real> along = detail::of_each_synapse(heard, given, tangents);
  if (sender_tangents.size() != heard.input.size())
    detail::invalid("tangents of ", sender_tangents.size(), " senders, expected ",
                    heard.input.size());
  std::vector<const Real*> senders;
  for (std::size_t g = 0; g < heard.input.size(); ++g) {
    const Span<const Real> given = sender_tangents[g];
    if (!given.empty() && given.size != heard.input[g].times.size())
      detail::invalid("tangents of sender ", g, " has ", given.size, " values, expected ",
                      heard.input[g].times.size(), " (one a spike)");
    senders.push_back(given.empty() ? nullptr : given.data);
  }
  const detail::ColumnMap<Real> map(heard, columns);
  const detail::ReadingJob<Real> job = reader.job();
  const auto& table = detail::readout_table<Real>(options.isa);
  const detail::Batch<Real> batch(heard);
  std::vector<Real> out(static_cast<std::size_t>(reader.values()));
  detail::Interrupt interrupt(options.poll);
  detail::parallel_for(heard.samples(), options.n_threads, interrupt, [&](Size s, int) {
    table.forward(job, batch.inputs[s], map.get(), along.data(), senders.data(),
                  out.data() + s * reader.n_values());
  });
  detail::check_derivatives(out, "tangents, ",
                            [&](Size k) { return reader.name_of(k) + " along the tangents"; });
  return out;
}

}  // namespace snnfp
