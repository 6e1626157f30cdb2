#pragma once
// Lays out a sample's ForwardProgram: which arrivals matter, which spike each acts on, and where
// its coefficients go. Those are then filled in (forward_compile.hpp), in any order of its parts.
//
// An arrival in the refractory time after a spike only adds to the current at the release, which
// acts on the neuron's next spike; it becomes a term of that spike, like arrivals in free flight.

#include <algorithm>

#include "snnfp/detail/one_sided.hpp"
#include "snnfp/impl/forward.hpp"
#include "snnfp/model/derivatives.hpp"

SNNFP_ISA_BEGIN

// Two needed spikes that follow each other, of different neurons; or one, and -1.
struct SpikePair {
  Size first, second;
  Size terms = 0;  // room for theirs begins here
};

template <class Real>
class ForwardCompiler;

template <class Real>
class ForwardLayout final : public Draft {
 public:
  ForwardLayout(const Plan<Real>& plan, const SampleInput<Real>& input,
                const SampleSpikes<Real>& spikes, const Columns& columns)
      : plan_(plan),
        input_(input),
        spikes_(spikes),
        columns_(columns),
        index_(plan, spikes),
        ties_(plan_, input_, spikes_, columns_),
        program_(*new ForwardProgram<Real>) {
    program.reset(&program_);
    program_.n_spikes = spikes_.count;
    program_.n_neurons = plan_.n_neurons;
    program_.n_columns = columns_.count;
    program_.scratch_size = program_.scratch_values();
    program_.rows.resize(spikes_.count);
  }

  void run(const unsigned char* wanted, const Watch& watch) {
    mark_needed(wanted, watch);
    sort_arrivals(watch);
    pair_spikes();
    if (ties_.possible()) ties_.find(index_);
    count_entries(watch);
  }

 private:
  friend class ForwardCompiler<Real>;
  static constexpr int width = ForwardProgram<Real>::width;

  // A spike on its way along one projection.
  struct SentRow {
    Real sent;
    Id unit;  // source
    Id projection;
    Size sender;        // spike, or -1
    Size input_column;  // of an input spike, where asked for, or -1
  };
  struct Run {
    Size begin, end;
  };
  struct Incoming {
    Size sent_row, synapse;
  };
  struct Range {
    Size held, free, end;  // arrivals in refractory time before the flight, then in the flight
  };

  // A spike is needed if a wanted spike depends on it: through an arrival or as its neuron's
  // previous spike. Causes come before effects, so one sweep back in time finds them all.
  void mark_needed(const unsigned char* wanted, const Watch& watch) {
    for (Size k = spikes_.count; k-- > 0;) {
      if (k % 64 == 0) watch.check();
      const Id j = spikes_.neurons[k];
      bool needed = wanted == nullptr || wanted[k];
      const Id population = plan_.population_of.data()[j];
      const Id unit = j - plan_.population_offsets.data()[population];
      for (const Id q : plan_.from_population.data()[population]) {
        if (needed) break;
        const ProjectionPlan<Real>& p = plan_.projections.data()[q];
        for (Size m = p.row_begin(unit); m < p.row_end(unit) && !needed; ++m) {
          const Id target = p.target_of(unit, m);
          const Size place = index_.anchor(target, spikes_.times[k] + p.delay_of(unit, m));
          // The spike ahead may be this one or come before it (an arrival in refractory time), and
          // is then not marked yet; the one after it is.
          for (Size a = place; a < index_.end(target) && a < place + 2; ++a)
            needed |= program_.rows[index_.spike(a)].needed;
        }
      }
      if (!needed && index_.place(k) + 1 < index_.end(j))
        needed = program_.rows[index_.spike(index_.place(k) + 1)].needed;
      program_.rows[k].neuron = j;
      program_.rows[k].needed = needed;
    }
  }

  // Spikes on their way, projection by projection, in time order within each: where each source
  // unit has its own delay, in the order in which they arrive.
  void send_rows() {
    Vector<Vector<Size>> sent(plan_.from_population.size());
    for (Size k = 0; k < spikes_.count; ++k)
      sent[plan_.population_of.data()[spikes_.neurons[k]]].push_back(k);
    for (const ProjectionPlan<Real>& p : plan_.projections) {
      const Size begin = sent_rows_.size();
      if (p.from_input >= 0) {
        const InputSpikes<Real>& in = input_.groups[p.from_input];
        const Size column = columns_.input_time[p.from_input];
        for (Size k = 0; k < in.count; ++k)
          sent_rows_.push_back(
              {in.times[k], in.units[k], p.index, -1, column < 0 ? -1 : column + in.first + k});
      } else {
        const Id first = plan_.population_offsets.data()[p.from_population];
        for (const Size k : sent[p.from_population])
          sent_rows_.push_back({spikes_.times[k], spikes_.neurons[k] - first, p.index, k, -1});
      }
      if (in_order(p) && p.delay_per == DelayPer::source)
        std::stable_sort(sent_rows_.begin() + begin, sent_rows_.end(),
                         [&](const SentRow& a, const SentRow& b) {
                           return a.sent + p.row_delay(a.unit) < b.sent + p.row_delay(b.unit);
                         });
      runs_.push_back({begin, Size(sent_rows_.size())});
    }
  }

  // Calls visit(spike, held, arrival) for every arrival along projections that are not in order, if
  // a needed spike depends on it. A target's arrivals come nearly
  // in order: the place of the last one is where the search for the next starts.
  template <class Visit>
  void each_single_arrival(const Watch& watch, Visit visit) const {
    Vector<Size> last(plan_.n_neurons);
    for (const ProjectionPlan<Real>& p : plan_.projections) {
      if (in_order(p)) continue;
      for (Id j = p.target_first; j < p.target_first + p.n_target; ++j) last[j] = index_.first(j);
      for (Size v = runs_[p.index].begin; v < runs_[p.index].end; ++v) {
        if (v % 64 == 0) watch.check();
        const SentRow& sent_row = sent_rows_[v];
        const Size end = p.row_end(sent_row.unit);
        for (Size m = p.row_begin(sent_row.unit); m < end; ++m) {
          const Id j = p.target_of(sent_row.unit, m);
          const Real time = sent_row.sent + p.delay_of(sent_row.unit, m);
          Size place = last[j];
          while (place > index_.first(j) && !(index_.last_held(place - 1) < time)) --place;
          while (place < index_.end(j) && index_.last_held(place) < time) ++place;
          last[j] = place;
          if (place == index_.end(j)) continue;
          Size k = index_.spike(place);
          const bool held = !(time < spikes_.times[k]);
          if (held) {
            if (place + 1 == index_.end(j)) continue;
            k = index_.spike(place + 1);
          }
          if (program_.rows[k].needed) visit(k, held, Incoming{v, m});
        }
      }
    }
  }

  // Whether each target receives something of each spike, in one order for all of them.
  static bool in_order(const ProjectionPlan<Real>& p) {
    return p.connectivity == Connectivity::dense && p.delay_per != DelayPer::synapse;
  }

  // Along the other projections the arrivals that act on one spike follow each other: calls
  // visit(spike, projection, first sent_row held, first in free flight, end).
  template <class Visit>
  void each_run(const Watch& watch, Visit visit) const {
    for (const ProjectionPlan<Real>& p : plan_.projections) {
      if (!in_order(p)) continue;
      const bool of_sources = p.delay_per == DelayPer::source;
      const SentRow* const end = sent_rows_.data() + runs_[p.index].end;
      for (Id i = 0; i < p.n_target; ++i) {
        if (i % 64 == 0) watch.check();
        const Id j = p.target_first + i;
        const Real delay = p.delay_of(0, i);
        const auto arrival = [&](const SentRow& v) {
          return v.sent + (of_sources ? p.row_delay(v.unit) : delay);
        };
        const SentRow* held = sent_rows_.data() + runs_[p.index].begin;
        const SentRow* free = held;
        for (Size place = index_.first(j); place < index_.end(j) && held < end; ++place) {
          const Size k = index_.spike(place);
          const SentRow* const next_held = std::partition_point(
              free, end, [&](const SentRow& v) { return arrival(v) < spikes_.times[k]; });
          if (program_.rows[k].needed)
            visit(k, p, held - sent_rows_.data(), free - sent_rows_.data(),
                  next_held - sent_rows_.data());
          held = next_held;
          free = std::partition_point(
              held, end, [&](const SentRow& v) { return !(index_.last_held(place) < arrival(v)); });
        }
      }
    }
  }

  void sort_arrivals(const Watch& watch) {
    send_rows();
    ranges_.assign(spikes_.count, {0, 0, 0});
    each_run(watch, [&](Size k, const ProjectionPlan<Real>&, Size held, Size free, Size end) {
      ranges_[k].free += free - held;
      ranges_[k].end += end - free;
    });
    each_single_arrival(watch, [&](Size k, bool held, const Incoming&) {
      ++(held ? ranges_[k].free : ranges_[k].end);
    });
    for (Range& r : ranges_) {
      r.held = n_arrivals_;
      r.free = n_arrivals_ += r.free;
      r.end = n_arrivals_ += r.end;
    }
    Vector<Size> held_next(spikes_.count), free_next(spikes_.count);
    for (Size k = 0; k < spikes_.count; ++k) {
      held_next[k] = ranges_[k].held;
      free_next[k] = ranges_[k].free;
    }
    arrivals_.make(n_arrivals_);
    each_run(watch, [&](Size k, const ProjectionPlan<Real>& p, Size held, Size free, Size end) {
      const Size i = spikes_.neurons[k] - p.target_first;
      const auto put = [&](Size begin, Size past, Size& next) {
        for (Size v = begin; v < past; ++v)
          arrivals_[next++] = {v, p.row_begin(sent_rows_[v].unit) + i};
      };
      put(held, free, held_next[k]);
      put(free, end, free_next[k]);
    });
    each_single_arrival(watch, [&](Size k, bool held, const Incoming& arrival) {
      arrivals_[held ? held_next[k]++ : free_next[k]++] = arrival;
    });
  }

  Size n_blocks() const { return (columns_.count + width - 1) / width; }

  // Pairs, and the parts that are filled in side by side: many enough for threads to share, few
  // enough that the places of every block's entries in each cost little.
  void pair_spikes() {
    Size open = -1;
    for (Size k = 0; k < spikes_.count; ++k) {
      if (!program_.rows[k].needed) continue;
      const bool pair = open >= 0 && program_.rows[open].neuron != program_.rows[k].neuron;
      if (open >= 0) pairs_.push_back({open, pair ? k : -1});
      open = pair ? -1 : k;
    }
    if (open >= 0) pairs_.push_back({open, -1});
    const Size most = std::min<Size>(16, 1 + n_arrivals_ / std::max<Size>(4096, n_blocks()));
    parts = std::clamp<Size>(pairs_.size(), 1, most);
    for (Size part = 0; part <= parts; ++part) parts_.push_back(pairs_.size() * part / parts);
  }

  Size column(Id j, NeuronParameter p) const {
    const Id population = plan_.population_of.data()[j];
    const Size at = population * n_neuron_parameters + int(p);
    if (columns_.neuron[at] < 0) return -1;
    return columns_.neuron[at] +
           (columns_.neuron_shared[at] ? 0 : j - plan_.population_offsets.data()[population]);
  }
  // The wanted parameters of the neuron that its spike k depends on by itself.
  template <class Visit>
  void own_columns(Size k, Visit visit) const {
    const Id j = spikes_.neurons[k];
    const bool first = index_.place(k) == index_.first(j);
    for (int i = 0; i < n_neuron_parameters; ++i) {
      const NeuronParameter p = NeuronParameter(i);
      const Size c = column(j, p);
      if (c >= 0 && !(first && acts_at_release(p))) visit(c, p);
    }
  }

  // The columns that move an arrival: its input spike's time, its delay. Calls shared(projection,
  // column) where one delay moves all of the projection's arrivals at the neuron.
  template <class Own, class Shared>
  void time_columns(const Incoming& a, Own own, Shared shared) const {
    const SentRow& v = sent_rows_[a.sent_row];
    if (v.input_column >= 0) own(v.input_column);
    if (columns_.delay[v.projection] < 0) return;
    const ProjectionPlan<Real>& p = plan_.projections.data()[v.projection];
    const Size column = columns_.of_delay(v.projection, p.delay_index(v.unit, a.synapse));
    if (column < 0) return;
    if (p.delay_per == DelayPer::projection || p.delay_per == DelayPer::target) {
      shared(v.projection, column);
    } else {
      own(column);
    }
  }

  // Lays the entries out by block of columns.
  void count_entries(const Watch& watch) {
    const auto asked = [](const Size* columns, std::size_t n) {
      return std::any_of(columns, columns + n, [](Size c) { return c >= 0; });
    };
    moves_arrivals_ = asked(columns_.delay, plan_.projections.size()) ||
                      asked(columns_.input_time, plan_.from_input.size());
    Vector<Size> counted(plan_.projections.size(), -1);  // the last spike, for shared delays
    Size terms = 0;
    reaches_.assign(spikes_.count, 0);
    next_entry_.assign(parts * n_blocks(), 0);
    for (Size part = 0; part < parts; ++part) {
      Size* const next = next_entry_.data() + part * n_blocks();
      for (Size i = parts_[part]; i < parts_[part + 1]; ++i) {
        if (i % 32 == 0) watch.check();
        SpikePair& pair = pairs_[i];
        pair.terms = terms;
        terms += count_entries(pair.first, next, counted);
        if (pair.second >= 0) terms += count_entries(pair.second, next, counted);
      }
    }
    Vector<Size>& begin = program_.block_begin;
    begin.assign(n_blocks() + 1, 0);
    Size total = 0;
    for (Size b = 0; b < n_blocks(); ++b) {
      begin[b] = total;
      for (Size part = 0; part < parts; ++part) {
        Size& place = next_entry_[part * n_blocks() + b];
        const Size count = place;
        place = total;
        total += count;
      }
    }
    begin[n_blocks()] = total;
    program_.make_room(total, terms);
  }

  // Counts those of one spike by block, finds out whether its row can be anything but 0, and
  // returns how many terms it has at most.
  Size count_entries(Size k, Size* next, Vector<Size>& counted) {
    Size terms = 0;
    bool any = false;
    const auto count = [&](Size c) {
      ++next[static_cast<std::size_t>(c) / width];
      any = true;
    };
    own_columns(k, [&](Size c, NeuronParameter) { count(c); });
    ties_.of_spike(k, [&](const OneSidedTerm<Real>& tie) { count(tie.column); });
    const Size place = index_.place(k);
    if (place > index_.first(spikes_.neurons[k]) && reaches_[index_.spike(place - 1)]) terms = 2;
    for (Size q = ranges_[k].held; q < ranges_[k].end; ++q) {
      const Incoming& a = arrivals_[q];
      const SentRow& v = sent_rows_.data()[a.sent_row];
      if (const Size c = columns_.of_weight(v.projection, a.synapse); c >= 0) count(c);
      if (v.sender >= 0) terms += reaches_.data()[v.sender];
      if (!moves_arrivals_) continue;
      time_columns(a, count, [&](Id projection, Size column) {
        if (counted[projection] == k) return;
        counted[projection] = k;
        count(column);
      });
    }
    reaches_[k] = any || terms > 0;
    return terms;
  }

  const Plan<Real>& plan_;
  const SampleInput<Real> input_;  // what it points to must last until all parts are filled
  const SampleSpikes<Real> spikes_;
  const Columns columns_;
  const SpikeIndex<Real> index_;
  OneSidedTerms<Real> ties_;
  ForwardProgram<Real>& program_;
  Vector<SentRow> sent_rows_;
  Vector<Run> runs_;         // [projections] of sent rows
  Room<Incoming> arrivals_;  // by spike, held ones first
  Size n_arrivals_ = 0;
  Vector<Range> ranges_;
  Vector<SpikePair> pairs_;
  Vector<Size> parts_;             // [parts + 1] pairs
  Vector<Size> next_entry_;        // [parts, blocks] where the first goes
  Vector<unsigned char> reaches_;  // spikes that some column is upstream of
  bool moves_arrivals_ = false;    // some column moves arrivals: a delay, an input time
};

SNNFP_ISA_END
