// The C interface: handles, copies and statuses around the C++ one, and nothing of its own.

#include <algorithm>
#include <exception>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "snnfp/snnfp.h"
#include "snnfp/snnfp.hpp"

struct snnfp_network {
  snnfp::Network<double> network;
  std::vector<snnfp::Source> groups;
};

struct snnfp_record {
  snnfp::Record<double> record;
  std::vector<snnfp::Source> groups;
};

namespace {

using snnfp::Array;
using snnfp::Id;
using snnfp::InvalidArgument;
using snnfp::Size;
using snnfp::Source;
using snnfp::Span;
using std::to_string;

struct Stopped {};

thread_local std::string message;
thread_local const char* last_error = "";

snnfp_status failed(snnfp_status status, const char* why) noexcept {
  try {
    message = why;
    last_error = message.c_str();
  } catch (...) {
    last_error = "out of memory";
  }
  return status;
}

// No exception leaves through C.
template <class Work>
snnfp_status guarded(Work work) noexcept {
  try {
    work();
    return SNNFP_OK;
  } catch (const Stopped&) {
    return failed(SNNFP_STOPPED, "stopped by the caller's poll");
  } catch (const snnfp::EventLimitError& error) {
    return failed(SNNFP_EVENT_LIMIT, error.what());
  } catch (const snnfp::ClockError& error) {
    return failed(SNNFP_CLOCK, error.what());
  } catch (const snnfp::RecordedSpikeError& error) {
    return failed(SNNFP_RECORDED_SPIKES, error.what());
  } catch (const snnfp::Error& error) {
    return failed(SNNFP_INVALID_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return failed(SNNFP_NO_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(SNNFP_FAILED, error.what());
  } catch (...) {
    return failed(SNNFP_FAILED, "unknown failure");
  }
}

template <class T>
T& given(const char* what, T* pointer) {
  if (!pointer) throw InvalidArgument(std::string(what) + " is NULL");
  return *pointer;
}

template <class T>
Span<T> view(const char* what, T* values, Size count) {
  if (count < 0)
    throw InvalidArgument(std::string(what) + " has " + to_string(count) +
                          " values, expected at least 0");
  if (count > 0 && !values)
    throw InvalidArgument(std::string(what) + " is NULL, expected " + to_string(count) + " values");
  return {values, count};
}

template <class T>
std::vector<T> copied(const char* what, const T* values, Size count) {
  const auto all = view(what, values, count);
  return count > 0 ? std::vector<T>(all.begin(), all.end()) : std::vector<T>();
}

// Room for what is written there, exactly.
template <class T>
Span<T> room(const char* what, T* values, Size count, Size expected) {
  if (count != expected)
    throw InvalidArgument(std::string(what) + " has room for " + to_string(count) +
                          " values, expected " + to_string(expected));
  return view(what, values, count);
}

Source group_of(const std::vector<Source>& groups, const char* what, int32_t group) {
  snnfp::check_index(what, group, static_cast<Size>(groups.size()));
  return groups[group];
}

Id population_of(const std::vector<Source>& groups, const char* what, int32_t group) {
  const Source source = group_of(groups, what, group);
  if (source.kind != Source::Kind::population)
    throw InvalidArgument(std::string(what) + " is " + to_string(group) + ", the input group '" +
                          source.name + "', expected a population");
  return source.index;
}

snnfp::NeuronParameter neuron_parameter(int32_t parameter) {
  snnfp::check_index("parameter", parameter, snnfp::n_neuron_parameters);
  return static_cast<snnfp::NeuronParameter>(parameter);
}

std::string name_or_default(const char* name) { return name ? name : ""; }

snnfp::SpikeBatch<double> batch_of(const std::string& what, const snnfp_spikes& spikes) {
  if (spikes.samples < 0)
    throw InvalidArgument(what + ".samples is " + to_string(spikes.samples) +
                          ", expected at least 0");
  auto offsets = copied((what + ".offsets").c_str(), spikes.offsets, spikes.samples + 1);
  const Size count = offsets.back();
  return {copied((what + ".times").c_str(), spikes.times, count),
          copied((what + ".units").c_str(), spikes.units, count), std::move(offsets)};
}

snnfp::Input<double> input_of(const snnfp_spikes* inputs, int32_t count) {
  const auto all = view("inputs", inputs, count);
  snnfp::Input<double> input;
  for (Size k = 0; k < all.size; ++k)
    input.push_back(batch_of("inputs[" + to_string(k) + "]", all[k]));
  return input;
}

std::vector<Id> populations_of(const std::vector<Source>& groups, const char* what,
                               const int32_t* given_groups, int32_t count) {
  std::vector<Id> populations;
  for (const int32_t group : view(what, given_groups, count))
    populations.push_back(population_of(groups, what, group));
  return populations;
}

snnfp::SimulateOptions<double> options_of(const std::vector<Source>& groups,
                                          const snnfp_options* chosen) {
  snnfp::SimulateOptions<double> options;
  if (!chosen) return options;
  options.until = chosen->until;
  options.samples = chosen->samples;
  options.spike_limit = chosen->spike_limit;
  options.n_threads = chosen->n_threads;
  options.first_spikes_of = populations_of(groups, "first_spikes_of", chosen->first_spikes_of,
                                           chosen->first_spikes_of_count);
  options.stop_after =
      populations_of(groups, "stop_after", chosen->stop_after, chosen->stop_after_count);
  if (const auto poll = chosen->poll)
    options.poll = [poll, context = chosen->context] {
      if (poll(context) != 0) throw Stopped{};
    };
  return options;
}

std::vector<snnfp::Parameter> parameters_of(const snnfp_record& record, const snnfp_parameter* wrt,
                                            int32_t count) {
  using Kind = snnfp::Parameter::Kind;
  std::vector<snnfp::Parameter> parameters;
  for (const snnfp_parameter& wanted : view("wrt", wrt, count)) {
    const std::string what = "wrt[" + to_string(parameters.size()) + "]";
    snnfp::check_index((what + ".kind").c_str(), wanted.kind, 4);
    const auto kind = static_cast<Kind>(wanted.kind);
    Id index = wanted.index;
    auto neuron = snnfp::NeuronParameter::tau_mem;
    if (kind == Kind::neuron) {
      index = population_of(record.groups, (what + ".index").c_str(), wanted.index);
      neuron = neuron_parameter(wanted.neuron);
    } else if (kind == Kind::input_times) {
      const Source source = group_of(record.groups, (what + ".index").c_str(), wanted.index);
      if (source.kind != Source::Kind::input)
        throw InvalidArgument(what + ".index is " + to_string(wanted.index) + ", the population '" +
                              source.name + "', expected an input group");
      index = source.index;
    }
    parameters.push_back({kind, index, neuron});
  }
  return parameters;
}

snnfp::ExecutionOptions threads(int32_t n_threads) {
  snnfp::ExecutionOptions options;
  options.n_threads = n_threads;
  return options;
}

void written(const std::vector<double>& values, Span<double> out) {
  std::copy(values.begin(), values.end(), out.begin());
}

int32_t added(snnfp_network& network, Source source) {
  network.groups.push_back(std::move(source));
  return static_cast<int32_t>(network.groups.size()) - 1;
}

}  // namespace

extern "C" {

const char* snnfp_last_error() { return last_error; }

const char* snnfp_version() { return snnfp::version; }

snnfp_status snnfp_network_new(snnfp_network** network) {
  return guarded([&] {
    snnfp_network*& made = given("network", network);
    made = new snnfp_network;
  });
}

void snnfp_network_free(snnfp_network* network) { delete network; }

snnfp_status snnfp_add_input(snnfp_network* network, const char* name, int32_t size,
                             int32_t* group) {
  return guarded([&] {
    auto& to = given("network", network);
    int32_t& number = given("group", group);
    to.groups.reserve(to.groups.size() + 1);  // so that the last step cannot fail
    number = added(to, to.network.add_input(&given("name", name), size));
  });
}

snnfp_status snnfp_add_population(snnfp_network* network, const char* name, int32_t size,
                                  double tau_mem, double tau_syn, int64_t max_spikes,
                                  int32_t* group) {
  return guarded([&] {
    auto& to = given("network", network);
    int32_t& number = given("group", group);
    snnfp::Lif<double> neuron;
    neuron.tau_mem = tau_mem;
    neuron.tau_syn = tau_syn;
    to.groups.reserve(to.groups.size() + 1);
    number = added(to, to.network.add_population(&given("name", name), size, std::move(neuron),
                                                 max_spikes == 0 ? snnfp::any_number : max_spikes));
  });
}

snnfp_status snnfp_set_neuron(snnfp_network* network, int32_t group, int32_t parameter,
                              const double* values, int64_t count) {
  return guarded([&] {
    auto& of = given("network", network);
    of.network.set_parameter(population_of(of.groups, "group", group), neuron_parameter(parameter),
                             copied("values", values, count));
  });
}

snnfp_status snnfp_connect_dense(snnfp_network* network, int32_t source, int32_t target,
                                 const double* weight, int64_t weight_count, const double* delay,
                                 int64_t delay_count, const char* name, int32_t* projection) {
  return guarded([&] {
    auto& in = given("network", network);
    int32_t& number = given("projection", projection);
    number = in.network.connect_dense(group_of(in.groups, "source", source),
                                      group_of(in.groups, "target", target),
                                      copied("weight", weight, weight_count),
                                      copied("delay", delay, delay_count), name_or_default(name));
  });
}

snnfp_status snnfp_connect_one_to_one(snnfp_network* network, int32_t source, int32_t target,
                                      const double* weight, int64_t weight_count,
                                      const double* delay, int64_t delay_count, const char* name,
                                      int32_t* projection) {
  return guarded([&] {
    auto& in = given("network", network);
    int32_t& number = given("projection", projection);
    number = in.network.connect_one_to_one(
        group_of(in.groups, "source", source), group_of(in.groups, "target", target),
        copied("weight", weight, weight_count), copied("delay", delay, delay_count),
        name_or_default(name));
  });
}

snnfp_status snnfp_connect_sparse(snnfp_network* network, int32_t source, int32_t target,
                                  const int64_t* row_offsets, const int32_t* targets,
                                  const double* weight, int64_t weight_count,
                                  const int32_t* weight_of, const double* delay,
                                  int64_t delay_count, const char* name, int32_t* projection) {
  return guarded([&] {
    auto& in = given("network", network);
    int32_t& number = given("projection", projection);
    const Source from = group_of(in.groups, "source", source);
    auto offsets = copied("row_offsets", row_offsets, in.network.source_size(from) + 1);
    const Size synapses = offsets.back();
    snnfp::Weight<double> weights = copied("weight", weight, weight_count);
    if (weight_of) weights.of = copied("weight_of", weight_of, synapses);
    number =
        in.network.connect_sparse(from, group_of(in.groups, "target", target), std::move(offsets),
                                  copied("targets", targets, synapses), std::move(weights),
                                  copied("delay", delay, delay_count), name_or_default(name));
  });
}

snnfp_status snnfp_set_weight(snnfp_network* network, int32_t projection, const double* values,
                              int64_t count) {
  return guarded([&] {
    given("network", network).network.set_weight(projection, copied("values", values, count));
  });
}

snnfp_status snnfp_set_delay(snnfp_network* network, int32_t projection, int32_t per,
                             const double* values, int64_t count) {
  return guarded([&] {
    snnfp::check_index("per", per, 5);
    snnfp::Delay<double> delay;
    delay.per = static_cast<snnfp::DelayPer>(per);
    delay.values = copied("values", values, count);
    given("network", network).network.set_delay(projection, std::move(delay));
  });
}

void snnfp_options_init(snnfp_options* options) {
  if (!options) return;
  const snnfp::SimulateOptions<double> defaults;
  *options = {};
  options->until = defaults.until;
  options->spike_limit = defaults.spike_limit;
}

snnfp_status snnfp_simulate(const snnfp_network* network, const snnfp_spikes* inputs,
                            int32_t input_count, const snnfp_options* options,
                            snnfp_record** record) {
  return guarded([&] {
    const auto& of = given("network", network);
    snnfp_record*& made = given("record", record);
    made = new snnfp_record{snnfp::simulate<double>(of.network, input_of(inputs, input_count),
                                                    options_of(of.groups, options)),
                            of.groups};
  });
}

snnfp_status snnfp_record_from_spikes(const snnfp_network* network, const snnfp_spikes* inputs,
                                      int32_t input_count, const snnfp_spikes* spikes,
                                      double tolerance, const snnfp_options* options,
                                      snnfp_record** record) {
  return guarded([&] {
    const auto& of = given("network", network);
    snnfp_record*& made = given("record", record);
    const auto fired = batch_of("spikes", given("spikes", spikes));
    made = new snnfp_record{
        snnfp::record_from_spikes<double>(of.network, input_of(inputs, input_count),
                                          {fired.times, fired.units, fired.offsets}, tolerance,
                                          options_of(of.groups, options)),
        of.groups};
  });
}

void snnfp_record_free(snnfp_record* record) { delete record; }

snnfp_status snnfp_record_spikes(const snnfp_record* record, snnfp_spikes* spikes) {
  return guarded([&] {
    const auto& of = given("record", record).record;
    given("spikes", spikes) = {of.times.data(), of.neurons.data(), of.offsets.data(), of.samples()};
  });
}

snnfp_status snnfp_first_neuron(const snnfp_record* record, int32_t group, int32_t* neuron) {
  return guarded([&] {
    const auto& of = given("record", record);
    given("neuron", neuron) =
        of.record.population_offsets[population_of(of.groups, "group", group)];
  });
}

snnfp_status snnfp_first_spikes(const snnfp_record* record, int32_t group, int64_t* indices,
                                int64_t count) {
  return guarded([&] {
    const auto& of = given("record", record);
    const auto first = of.record.first_spikes(population_of(of.groups, "group", group));
    const auto out = room("indices", indices, count, static_cast<Size>(first.size()));
    std::copy(first.begin(), first.end(), out.begin());
  });
}

snnfp_status snnfp_voltages(const snnfp_record* record, const int32_t* neurons,
                            int64_t neuron_count, const double* times, int64_t time_count,
                            double* voltages, int64_t count) {
  return guarded([&] {
    const auto& of = given("record", record).record;
    const auto who = view("neurons", neurons, neuron_count);
    const auto when = view("times", times, time_count);
    // In numbers that cannot overflow: nobody has that much room.
    const double values = double(of.samples()) * double(who.size) * double(when.size);
    if (values > double(std::numeric_limits<Size>::max() / 2))
      throw InvalidArgument("voltages of so many neurons and times do not fit into memory");
    const auto out = room("voltages", voltages, count, of.samples() * who.size * when.size);
    written(snnfp::probe<double>(
                of, {copied("neurons", neurons, neuron_count), copied("times", times, time_count)})
                .voltage,
            out);
  });
}

snnfp_status snnfp_layout(const snnfp_record* record, const snnfp_parameter* wrt,
                          int32_t parameter_count, int64_t* offsets) {
  return guarded([&] {
    const auto& of = given("record", record);
    const auto layout = snnfp::layout(of.record, parameters_of(of, wrt, parameter_count));
    std::copy(layout.offsets.begin(), layout.offsets.end(), &given("offsets", offsets));
  });
}

snnfp_status snnfp_vjp(const snnfp_record* record, const double* cotangents, int64_t spike_count,
                       const snnfp_parameter* wrt, int32_t parameter_count, int32_t n_threads,
                       double* gradient, int64_t count) {
  return guarded([&] {
    const auto& of = given("record", record);
    const auto parameters = parameters_of(of, wrt, parameter_count);
    const auto out = room("gradient", gradient, count, snnfp::layout(of.record, parameters).size());
    written(snnfp::vjp<double>(of.record, view("cotangents", cotangents, spike_count), parameters,
                               threads(n_threads)),
            out);
  });
}

snnfp_status snnfp_jvp(const snnfp_record* record, const double* tangents, int64_t count,
                       const snnfp_parameter* wrt, int32_t parameter_count, int32_t n_threads,
                       double* derivatives, int64_t spike_count) {
  return guarded([&] {
    const auto& of = given("record", record);
    const auto out = room("derivatives", derivatives, spike_count, of.record.spikes());
    written(snnfp::jvp<double>(of.record, parameters_of(of, wrt, parameter_count),
                               view("tangents", tangents, count), threads(n_threads)),
            out);
  });
}

snnfp_status snnfp_jacobian(const snnfp_record* record, const int64_t* rows, int64_t row_count,
                            const snnfp_parameter* wrt, int32_t parameter_count, int32_t n_threads,
                            double* derivatives, int64_t count) {
  return guarded([&] {
    const auto& of = given("record", record);
    const auto parameters = parameters_of(of, wrt, parameter_count);
    const Size columns = snnfp::layout(of.record, parameters).size();
    const auto chosen = view("rows", rows, row_count);
    const auto out = room("derivatives", derivatives, count, chosen.size * columns);
    snnfp::jacobian<double>(of.record, chosen, parameters, 0, columns, out, threads(n_threads));
  });
}

}  // extern "C"
