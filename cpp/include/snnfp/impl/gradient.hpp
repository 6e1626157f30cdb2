#pragma once
// Bodies of layout and vjp: who does which sample or piece of a matrix, and in which order shares
// are added.

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "snnfp/detail/vector.hpp"
#include "snnfp/gradient.hpp"
#include "snnfp/impl/simulate.hpp"

namespace snnfp {
namespace detail {

// The columns of a layout, looked up by what they belong to. `shared`: synapses that share a weight
// or a delay share its column.
template <class Real>
class ColumnMap {
 public:
  ColumnMap(const Record<Real>& record, const Layout& layout, bool shared = false)
      : neuron_(record.network.populations().size() * n_neuron_parameters, -1),
        weight_(record.network.projections().size(), -1),
        delay_(weight_),
        input_time_(record.input.size(), -1),
        shared_(neuron_.size(), 1),
        deferred_(weight_.size(), 0),
        weight_of_(weight_.size(), nullptr),
        delay_of_(weight_.size(), nullptr) {
    const auto& projections = record.network.projections();
    for (std::size_t q = 0; shared && q < projections.size(); ++q) {
      if (projections[q].weight_of.size()) weight_of_[q] = projections[q].weight_of.data();
      if (projections[q].delay.per == DelayPer::weight) delay_of_[q] = weight_of_[q];
    }
    const auto& populations = record.network.populations();
    for (std::size_t p = 0; p < populations.size(); ++p)
      for (int q = 0; q < n_neuron_parameters; ++q)
        shared_[p * n_neuron_parameters + q] =
            populations[p].parameters[NeuronParameter(q)].size() == 1;
    for (std::size_t k = 0; k < layout.parameters.size(); ++k) {
      const Parameter& p = layout.parameters[k];
      Size* slot = nullptr;
      switch (p.kind) {
        case Parameter::Kind::neuron:
          slot = &neuron_[p.index * n_neuron_parameters + int(p.neuron)];
          break;
        case Parameter::Kind::weight: slot = &weight_[p.index]; break;
        case Parameter::Kind::delay: slot = &delay_[p.index]; break;
        default: slot = &input_time_[p.index];
      }
      if (*slot >= 0) invalid("parameter ", k, " of wrt is asked for twice");
      *slot = layout.offsets[k];
    }
    columns_ = {neuron_.data(),     weight_.data(),   delay_.data(),
                input_time_.data(), shared_.data(),   deferred_.data(),
                weight_of_.data(),  delay_of_.data(), layout.size()};
  }
  ColumnMap(const ColumnMap&) = delete;
  const Columns& get() const { return columns_; }
  void defer(Size projection) { deferred_[projection] = 1; }

 private:
  std::vector<Size> neuron_, weight_, delay_, input_time_;
  std::vector<unsigned char> shared_, deferred_;
  std::vector<const Id*> weight_of_, delay_of_;
  Columns columns_;
};

template <class Real>
void check_cotangents(const Record<Real>& record, Span<const Real> cotangents) {
  if (cotangents.size != record.spikes())
    invalid("cotangents has ", cotangents.size, " values, expected ", record.spikes(),
            " (one a spike)");
}

// The adjoint numbers a sample's spikes by Ids.
template <class Real>
void check_spike_counts(const Record<Real>& record) {
  for (Size s = 0; s < record.samples(); ++s)
    if (const Size n = record.offsets[s + 1] - record.offsets[s];
        n > std::numeric_limits<Id>::max())
      invalid("sample ", s, " has ", n, " spikes, the adjoint takes ",
              std::numeric_limits<Id>::max(), " at most");
}

// Samples are added up in blocks whose number depends on nothing but the work.
inline Size sample_blocks(Size samples, Size columns) {
  const Size by_size = columns <= 20000 ? samples : std::max<Size>(1, samples / 4);
  const Size by_memory = std::max<Size>(1, (Size(1) << 26) / std::max<Size>(1, columns));
  return std::min({by_size, by_memory, Size(32)});
}

// Which projections' weights the second pass of vjp is for: wanted, large, from an input and dense
// without delays a synapse, whatever else is wanted. (Those within loops gain nothing: 1.3 x slower
// with 256 neurons, even with 1024.)
template <class Real>
std::vector<unsigned char> deferred_weights(const Plan<Real>& plan, const Columns& columns) {
  std::vector<unsigned char> deferred(plan.projections.size(), 0);
  for (const ProjectionPlan<Real>& p : plan.projections)
    deferred[p.index] = p.from_input >= 0 && columns.weight[p.index] >= 0 &&
                        p.connectivity == Connectivity::dense && p.delay_per != DelayPer::synapse &&
                        p.synapses() >= 8192;
  return deferred;
}

// All samples of a record as the inner loops read them.
template <class Real>
struct Batch {
  std::vector<InputSpikes<Real>> groups;
  std::vector<SampleInput<Real>> inputs;
  std::vector<SampleSpikes<Real>> spikes;

  explicit Batch(const Record<Real>& record)
      : groups(record.input.size() * static_cast<std::size_t>(record.samples())) {
    inputs.reserve(static_cast<std::size_t>(record.samples()));
    spikes.reserve(static_cast<std::size_t>(record.samples()));
    for (Size s = 0; s < record.samples(); ++s) {
      inputs.push_back(sample_input(record, s, groups.data() + s * Size(record.input.size())));
      spikes.push_back(sample_spikes(record, s));
    }
  }
};

// Each worker's scratch memory for adjoints, made where it is first used.
template <class Real>
class Workspaces {
 public:
  Workspaces(const Record<Real>& record, const Columns& columns, const ExecutionOptions& options)
      : plan_(*record.plan),
        columns_(columns),
        engine_(engine_table<Real>(options.isa)),
        of_worker_(thread_count(options.n_threads)) {}
  Workspace& get(int worker) {
    auto& own = of_worker_[worker];
    if (!own) own.reset(engine_.workspace(plan_, columns_));
    return *own;
  }

 private:
  const Plan<Real>& plan_;
  const Columns& columns_;
  const EngineTable<Real>& engine_;
  std::vector<std::unique_ptr<Workspace>> of_worker_;
};

// The first pass of vjp: blocks of samples side by side, their shares added up in order.
template <class Real>
std::vector<Real> reverse_samples(const Record<Real>& record, const Batch<Real>& batch,
                                  Span<const Real> cotangents, const Columns& columns,
                                  const ExecutionOptions& options, Interrupt& interrupt,
                                  std::vector<Real>& voltage_adjoint) {
  const auto& engine = engine_table<Real>(options.isa);
  const Size samples = record.samples(), blocks = sample_blocks(samples, columns.count);
  std::vector<Real> gradient(static_cast<std::size_t>(columns.count));
  std::vector<Real> input_times;
  std::vector<Size> input_first;
  for (const SpikeBatch<Real>& b : record.input) {
    const std::size_t g = input_first.size();
    input_first.push_back(static_cast<Size>(input_times.size()));
    if (columns.input_time[g] >= 0) input_times.resize(input_times.size() + b.times.size());
  }
  std::vector<Real*> input_to;
  for (std::size_t g = 0; g < input_first.size(); ++g)
    input_to.push_back(columns.input_time[g] < 0 ? nullptr : input_times.data() + input_first[g]);
  Workspaces<Real> workspaces(record, columns, options);
  // Apart by whole cache lines; each block clears its own. Of large ones there are as many at a
  // time as threads, so that they are still in cache when they are added up.
  const Size stride = (columns.count + 15) / 16 * 16;
  const Size together =
      columns.count <= 20000 ? blocks : std::min<Size>(blocks, thread_count(options.n_threads));
  const std::unique_ptr<Real[]> shares(new Real[together * stride]);
  for (Size first = 0; first < blocks; first += together) {
    const Size some = std::min(together, blocks - first);
    parallel_for(some, options.n_threads, interrupt, [&](Size k, int worker) {
      Real* share = shares.get() + k * stride;
      std::fill_n(share, columns.count, Real(0));
      const Size b = first + k, begin = samples * b / blocks;
      engine.reverse(batch.inputs.data() + begin, batch.spikes.data() + begin,
                     samples * (b + 1) / blocks - begin, workspaces.get(worker),
                     record.offsets.data() + begin, cotangents.data, share, input_to.data(),
                     voltage_adjoint.empty() ? nullptr : voltage_adjoint.data(),
                     {interrupt, worker});
    });
    const Size chunk = 4096;
    parallel_for((columns.count + chunk - 1) / chunk, options.n_threads, [&](Size c, int) {
      const Size begin = c * chunk, end = std::min(columns.count, begin + chunk);
      for (Size k = 0; k < some; ++k) {
        const Real* share = shares.get() + k * stride;
        for (Size q = begin; q < end; ++q) gradient[q] += share[q];
      }
    });
  }
  for (std::size_t g = 0; g < input_to.size(); ++g)
    if (input_to[g])
      std::copy_n(input_to[g], record.input[g].times.size(),
                  gradient.data() + columns.input_time[g]);
  return gradient;
}

// The second pass of vjp: pieces of the deferred matrices side by side, each through all
// samples in order.
template <class Real>
void reverse_deferred(const Record<Real>& record, const Batch<Real>& batch, const Columns& columns,
                      const std::vector<unsigned char>& deferred, const ExecutionOptions& options,
                      Interrupt& interrupt, const std::vector<Real>& voltage_adjoint,
                      Real* gradient) {
  const auto& engine = engine_table<Real>(options.isa);
  Columns only = columns;
  only.deferred = deferred.data();
  struct Piece {
    Id population, begin, end;
  };
  std::vector<Piece> pieces;
  const Id threads = thread_count(options.n_threads);
  for (std::size_t p = 0; p + 1 < record.population_offsets.size(); ++p) {
    const auto& into = record.plan->into_population[p];
    if (std::none_of(into.begin(), into.end(), [&](Id q) { return deferred[q]; })) continue;
    // As many for each thread, of whole vectors. Wide ones, as each piece goes through all spikes
    // once more, but not so wide that they leave the cache (784 inputs: 384 to 1024 neurons are
    // best, 0.14 ns a delivery at 1000 neurons, 0.28 at 4000, where all at once take 0.36).
    const Id size = record.population_offsets[p + 1] - record.population_offsets[p];
    const Id most = 1024, rounds = (size + threads * most - 1) / (threads * most);
    const Id each = (size + rounds * threads - 1) / (rounds * threads);
    const Id width = std::max<Id>((each + 7) / 8 * 8, 16);
    for (Id begin = 0; begin < size; begin += width)
      pieces.push_back({Id(p), begin, std::min(size, begin + width)});
  }
  Workspaces<Real> workspaces(record, only, options);
  parallel_for(Size(pieces.size()), options.n_threads, interrupt, [&](Size k, int worker) {
    const Piece& piece = pieces[k];
    engine.reverse_weights(batch.inputs.data(), batch.spikes.data(), record.samples(),
                           workspaces.get(worker), record.offsets.data(), voltage_adjoint.data(),
                           piece.population, piece.begin, piece.end, gradient, {interrupt, worker});
  });
}

// `each_synapse`: of shared weights and delays, one value a synapse.
template <class Real>
Layout layout_of(const Record<Real>& record, const std::vector<Parameter>& wrt, bool each_synapse) {
  Layout result;
  result.parameters = wrt;
  result.offsets.push_back(0);
  for (std::size_t k = 0; k < wrt.size(); ++k) {
    const Parameter& p = wrt[k];
    const auto require = [&](Size count, const char* what) {
      if (p.index < 0 || p.index >= count)
        invalid("parameter ", k, " of wrt names ", what, " ", p.index, ", expected one of ", count);
    };
    Size size = 0;
    switch (p.kind) {
      case Parameter::Kind::neuron:
        require(Size(record.network.populations().size()), "population");
        check_index("neuron parameter", Size(p.neuron), n_neuron_parameters);
        size = record.network.populations()[p.index].parameters[p.neuron].size();
        break;
      case Parameter::Kind::weight:
        require(Size(record.network.projections().size()), "projection");
        size = each_synapse ? record.network.synapse_count(p.index)
                            : record.network.weight_count(p.index);
        break;
      case Parameter::Kind::delay:
        require(Size(record.network.projections().size()), "projection");
        size = each_synapse && record.network.projections()[p.index].delay.per == DelayPer::weight
                   ? record.network.synapse_count(p.index)
                   : record.network.projections()[p.index].delay.values.size();
        break;
      case Parameter::Kind::input_times:
        require(Size(record.input.size()), "input group");
        size = record.input[p.index].times.size();
        break;
      default:
        invalid("the kind of parameter ", k, " of wrt is ", Size(p.kind),
                ", expected a neuron's, a weight, a delay or input times");
    }
    result.offsets.push_back(result.offsets.back() + size);
  }
  return result;
}

// vjp with one value a synapse, shared or not.
template <class Real>
std::vector<Real> vjp_each_synapse(const Record<Real>& record, Span<const Real> cotangents,
                                   const std::vector<Parameter>& wrt, const Layout& columns,
                                   const ExecutionOptions& options) {
  const ColumnMap<Real> all(record, columns);
  const Batch<Real> batch(record);
  Interrupt interrupt(options.poll);
  std::vector<Real> voltage_adjoint;

  // Large weight matrices from inputs are left for a second pass: nothing depends on it, so it goes
  // over pieces of the matrix that stay in cache, and straight into the result.
  const std::vector<unsigned char> deferred = deferred_weights(*record.plan, all.get());
  if (std::none_of(deferred.begin(), deferred.end(), [](unsigned char l) { return l; }))
    return reverse_samples(record, batch, cotangents, all.get(), options, interrupt,
                           voltage_adjoint);
  std::vector<Parameter> now;
  std::vector<std::size_t> place;  // of each in wrt
  for (std::size_t k = 0; k < wrt.size(); ++k)
    if (wrt[k].kind != Parameter::Kind::weight || !deferred[wrt[k].index]) {
      now.push_back(wrt[k]);
      place.push_back(k);
    }
  const Layout layout_now = layout_of(record, now, true);
  ColumnMap<Real> map(record, layout_now);
  for (std::size_t q = 0; q < deferred.size(); ++q)
    if (deferred[q]) map.defer(Size(q));
  voltage_adjoint.resize(record.times.size());
  const std::vector<Real> first =
      reverse_samples(record, batch, cotangents, map.get(), options, interrupt, voltage_adjoint);
  std::vector<Real> gradient(static_cast<std::size_t>(columns.size()), Real(0));
  for (std::size_t k = 0; k < place.size(); ++k)
    std::copy(first.begin() + layout_now.offsets[k], first.begin() + layout_now.offsets[k + 1],
              gradient.begin() + columns.offsets[place[k]]);
  if (!voltage_adjoint.empty())
    reverse_deferred(record, batch, all.get(), deferred, options, interrupt, voltage_adjoint,
                     gradient.data());
  return gradient;
}

// Which value of a parameter each synapse has; null: none are shared.
template <class Real>
const Array<Id>* sharing(const Record<Real>& record, const Parameter& p) {
  if (p.kind != Parameter::Kind::weight && p.kind != Parameter::Kind::delay) return nullptr;
  const Projection<Real>& q = record.network.projections()[p.index];
  const bool weight = p.kind == Parameter::Kind::weight && q.weight_of.size();
  return weight || (p.kind == Parameter::Kind::delay && q.delay.per == DelayPer::weight)
             ? &q.weight_of
             : nullptr;
}

// What each parameter comes to, from one value a synapse.
template <class Real>
std::vector<Real> add_up_shared(const Record<Real>& record, const Layout& each, const Layout& all,
                                const std::vector<Real>& values) {
  std::vector<Real> result(static_cast<std::size_t>(all.size()));
  for (std::size_t k = 0; k < all.parameters.size(); ++k) {
    const Span<const Real> from(values.data() + each.offsets[k],
                                each.offsets[k + 1] - each.offsets[k]);
    Real* const to = result.data() + all.offsets[k];
    if (const Array<Id>* of = sharing(record, all.parameters[k])) {
      add_up(from, *of, Span<Real>(to, all.offsets[k + 1] - all.offsets[k]));
    } else {
      std::copy(from.begin(), from.end(), to);
    }
  }
  return result;
}

}  // namespace detail

template <class Real>
Layout layout(const Record<Real>& record, const std::vector<Parameter>& wrt) {
  return detail::layout_of(record, wrt, false);
}

template <class Real>
std::vector<Real> vjp(const Record<Real>& record, Span<const Real> cotangents,
                      const std::vector<Parameter>& wrt, const ExecutionOptions& options) {
  detail::check_cotangents(record, cotangents);
  detail::check_spike_counts(record);
  const Layout each = detail::layout_of(record, wrt, true);
  std::vector<Real> values = detail::vjp_each_synapse(record, cotangents, wrt, each, options);
  if (std::none_of(wrt.begin(), wrt.end(),
                   [&](const Parameter& p) { return detail::sharing(record, p); }))
    return values;
  return detail::add_up_shared(record, each, layout(record, wrt), values);
}

}  // namespace snnfp
