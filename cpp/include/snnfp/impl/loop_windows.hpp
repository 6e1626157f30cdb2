#pragma once
// Populations that project to each other or to themselves through dense projections whose rows
// arrive at once, no delay of which is 0, and receive nothing else; or one that feeds nothing back.
// What a neuron fires reaches nobody before the shortest delay within the component has passed. So
// from a time on up to which all spikes are known, all that arrives within that delay is known too,
// and each population is a layer through this window. Several samples are under way at once, so
// that the solver finds many neurons to ask. The same record as the queue's, to the bit: a neuron's
// state stays at its last event, and a window is no event.

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "snnfp/detail/component.hpp"
#include "snnfp/impl/window_packs.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class LoopWindows {
 public:
  LoopWindows(const Plan<Real>& plan, const RunLimits& limits, Interrupt& interrupt)
      : plan_(plan),
        limits_(limits),
        watch_{interrupt, limits.worker},
        packs_(plan, limits.spike_limit),
        place_(plan.population_offsets.size()),
        all_lanes_(plan.population_offsets.size() - 1) {}

  LoopWindows(const LoopWindows&) = delete;

  // Simulates the component in all samples; the spikes of population p in sample s go, in order, to
  // lists[s * stride + p].
  void run(Size component, const SampleInput<Real>* inputs, Size samples, SpikeList<Real>* lists,
           Size stride, Real until) {
    begin_ = plan_.component_begin(component);
    end_ = plan_.component_end(component);
    until_ = until;
    window_ = never<Real>;
    bool identical = true;
    Size groups = 0;
    std::optional<Id> first;
    for (const Id* p = begin_; p != end_; ++p) {
      const Lanes<Real>& lanes = lanes_of(*p);
      if (!first) first = lanes.first;
      identical &= lanes.identical && same_constants(*first, lanes.first);
      groups += WindowPacks<Real>::groups(lanes.count);
      place_[*p] = p - begin_;
      for (const Id q : plan_.into_population.data()[*p])
        if (const ProjectionPlan<Real>& in = plan_.projections.data()[q]; in.within_component)
          window_ = std::min(window_, in.shortest_delay);
    }
    if (!(window_ < never<Real>)) window_ = until / most_windows(inputs, samples, lists, stride);
    const Size at_once = std::min(samples, std::clamp<Size>(groups_at_once / groups, 1, 8));
    packs_.begin(groups * at_once, identical, until);
    while (static_cast<Size>(runs_.size()) < at_once)
      runs_.push_back(std::make_unique<Run>(plan_, limits_));
    Size next = 0;
    const auto begin_sample = [&](Run& run) {
      if (next == samples) return;
      start(run, inputs[next], lists + next * stride);
      ++next;
    };
    ready_.clear();
    for (Size r = 0; r < at_once; ++r) {
      runs_[r]->first_group = r * groups;
      begin_sample(*runs_[r]);
    }
    for (Size round = 0; !ready_.empty(); ++round) {
      if (round % 64 == 0) watch_.check();
      waiting_.clear();
      for (std::size_t k = 0; k < ready_.size(); ++k) {
        // Where no group waits, window after window of a sample is appended here.
        if (k == 1024) {
          watch_.check();
          ready_.erase(ready_.begin(), ready_.begin() + k);
          k = 0;
        }
        const Ready g = ready_[k];
        if (packs_.advance(g.group)) {
          waiting_.push_back(g);
        } else if (--g.run->under_way == 0 && !go_on(*g.run)) {
          begin_sample(*g.run);
        }
      }
      ready_.swap(waiting_);
      packs_.solve(watch_);
    }
  }

 private:
  static constexpr Size groups_at_once = 64;
  static constexpr Size rows_in_window = 256;

  // A row of weights that arrives, in the order of the queue.
  struct Row {
    Real time;
    Id sender, projection;
    const Real* weight;

    friend bool operator<(const Row& a, const Row& b) {
      if (a.time != b.time) return a.time < b.time;
      return a.sender != b.sender ? a.sender < b.sender : a.projection < b.projection;
    }
  };

  // Rows in order, of which those before `next` have been delivered.
  struct Rows {
    Vector<Row> rows;
    std::size_t next = 0;

    void clear() {
      rows.clear();
      next = 0;
    }
    bool empty() const { return next == rows.size(); }
    Real time() const { return empty() ? never<Real> : rows[next].time; }
    // Those from `from` on are new, and come into order.
    void merge(std::size_t from) {
      const auto middle = rows.begin() + from;
      if (!std::is_sorted(middle, rows.end())) std::sort(middle, rows.end());
      if (from > next && middle != rows.end() && *middle < *(middle - 1))
        std::inplace_merge(std::upper_bound(rows.begin() + next, middle, *middle), middle,
                           rows.end());
    }
    void drop_delivered() {
      if (next <= 64 || 2 * next <= rows.size()) return;
      rows.erase(rows.begin(), rows.begin() + next);
      next = 0;
    }
  };

  struct Population {
    WindowPopulation<Real> packs;
    Rows outside, loop;
    Size known_spikes = 0;  // that are in order and sent

    Population(const NeuronConstants<Real>& constants, const Lanes<Real>& lanes)
        : packs(constants, lanes) {}
  };

  // A sample under way.
  struct Run {
    SampleEnd<Real> end;
    FirstExcess<Real> excess;
    std::vector<std::unique_ptr<Population>> populations;
    SpikeList<Real>* spikes = nullptr;
    Size first_group = 0;
    Real known = Real(0);  // all spikes up to here are
    bool final = false;
    Size under_way = 0;  // groups that are not through the window

    Run(const Plan<Real>& plan, const RunLimits& limits) : end(plan, limits) {}
  };
  struct Ready {
    Size group;
    Run* run;
  };

  // Where nothing feeds back any window will do: one whose arrivals stay in the cache.
  Real most_windows(const SampleInput<Real>* inputs, Size samples, SpikeList<Real>* lists,
                    Size stride) {
    Size most = 0;
    for (Size s = 0; s < samples; ++s) {
      SampleEnd<Real> end(plan_, limits_);
      Size rows = 0;
      const ComponentSample<Real> sample{plan_,  begin_, end_, inputs[s], lists + s * stride,
                                         until_, end};
      sample.each_sent([&](const SentSpikes<Real>& sent) { rows += sent.count; });
      most = std::max(most, rows);
    }
    return static_cast<Real>(most / rows_in_window + 1);
  }

  const Lanes<Real>& lanes_of(Id population) {
    std::optional<Lanes<Real>>& lanes = all_lanes_[population];
    const Id* offsets = plan_.population_offsets.data() + population;
    if (!lanes) lanes.emplace(plan_.neurons, offsets[0], offsets[1] - offsets[0]);
    return *lanes;
  }
  bool same_constants(Id a, Id b) const { return plan_.neurons.same_motion(a, b); }

  void start(Run& run, const SampleInput<Real>& input, SpikeList<Real>* spikes) {
    run.spikes = spikes;
    run.known = Real(0);
    run.under_way = 0;  // an interrupt may have left some
    run.excess = {};
    const Size n = end_ - begin_;
    Size group = run.first_group;
    run.populations.clear();
    for (Size k = 0; k < n; ++k) {
      run.populations.push_back(
          std::make_unique<Population>(plan_.neurons, *all_lanes_[begin_[k]]));
      Population& p = *run.populations[k];
      p.packs.out = spikes + begin_[k];
      p.packs.excess = &run.excess;
      p.packs.sample = input.sample;
      p.packs.first_group = group;
      packs_.start(p.packs, input);
      group += WindowPacks<Real>::groups(p.packs.lanes->count);
    }
    if (run.end.wanted()) run.end.see_all(spikes);
    const ComponentSample<Real> sample{plan_, begin_, end_, input, spikes, until_, run.end};
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      const ProjectionPlan<Real>& q = *sent.projection;
      Vector<Row>& rows = run.populations[place_[q.target_population]]->outside.rows;
      for (Size k = 0; k < sent.count; ++k) {
        const Id unit = sent.unit(k);
        const Real arrival = sent.time(k) + q.row_delay(unit);
        if (!sent.silent(k) && arrival <= until_) rows.push_back(row(q, unit, arrival));
      }
    });
    for (Size k = 0; k < n; ++k) {
      Vector<Row>& rows = run.populations[k]->outside.rows;
      if (!std::is_sorted(rows.begin(), rows.end())) std::sort(rows.begin(), rows.end());
    }
    begin_window(run);
  }

  static Row row(const ProjectionPlan<Real>& q, Id unit, Real arrival) {
    return {arrival, q.source_first + unit, q.index, q.weight + q.row_begin(unit)};
  }

  // What arrives from `known` on, before any unknown spike can.
  void begin_window(Run& run) {
    const Real stop = run.known + window_;
    run.final = !(stop <= until_);
    bool any = false;
    Real next = never<Real>;
    for (Population& p : populations(run)) {
      take(p, stop);
      any |= p.packs.rows > 0;
      next = std::min({next, p.outside.time(), p.loop.time()});
    }
    Real horizon = run.final ? until_ : std::nextafter(stop, -never<Real>);
    if (!any && !run.final) {
      // Nothing arrives for longer than the window.
      const Real limit = std::min(next, until_);
      Real first = never<Real>;
      for (const Population& p : populations(run))
        first = std::min(first, packs_.first_spike(p.packs, limit));
      const Real silent = std::min(next, first + window_);
      run.final = !(silent <= until_);
      horizon = run.final ? until_ : std::nextafter(std::max(stop, silent), -never<Real>);
    }
    for (Population& p : populations(run)) {
      const Id rows = p.packs.rows;
      p.packs.final = run.final;
      p.packs.horizon = horizon;
      // Whose last arrival comes early would make the next window short.
      p.packs.asks =
          run.final || rows == 0 || p.packs.table.time[rows - 1] < run.known + window_ / 2;
      const Size groups = WindowPacks<Real>::groups(p.packs.lanes->count);
      for (Size g = p.packs.first_group; g < p.packs.first_group + groups; ++g) {
        packs_.begin_window(g);
        ready_.push_back({g, &run});
      }
      run.under_way += groups;
    }
  }

  void take(Population& p, Real stop) {
    rows_.clear();
    while (std::min(p.outside.time(), p.loop.time()) < stop) {
      const bool loop =
          p.outside.empty() ||
          (!p.loop.empty() && p.loop.rows[p.loop.next] < p.outside.rows[p.outside.next]);
      Rows& from = loop ? p.loop : p.outside;
      rows_.push_back(from.rows[from.next++]);
    }
    p.packs.rows = static_cast<Id>(rows_.size());
    if (!rows_.empty())
      p.packs.table.stage_window(*p.packs.lanes, p.packs.now, rows_.data(), p.packs.rows);
  }

  // Ends a window, and begins the next one: true; false: the sample is through.
  bool go_on(Run& run) {
    Real known = never<Real>;
    for (Population& p : populations(run)) {
      WindowPopulation<Real>& w = p.packs;
      if (w.rows > 0) w.now = w.table.time[w.rows - 1];
      known = std::min(known, w.asks ? w.horizon : w.now);
      SpikeList<Real>& out = *w.out;
      if (out.size() == p.known_spikes) continue;
      if (out.sort_from(p.known_spikes)) packs_.follow(w, p.known_spikes);
    }
    run.known = known;
    // What is beyond may come after another one, which is not found yet.
    if (run.final || run.excess.time() <= known) run.excess.raise(plan_);
    if (run.final) return false;
    for (Size k = 0; k < end_ - begin_; ++k) send(run, begin_[k]);
    // What is released at `known` may be still to come.
    if (run.end.wanted() && run.end.time() < run.known) return false;
    begin_window(run);
    return true;
  }

  void send(Run& run, Id population) {
    Population& p = *run.populations[place_[population]];
    const SpikeList<Real>& out = *p.packs.out;
    if (run.end.wanted()) run.end.see(out, p.known_spikes);
    for (const Id index : plan_.from_population.data()[population]) {
      const ProjectionPlan<Real>& q = plan_.projections.data()[index];
      if (!q.within_component) continue;
      Rows& to = run.populations[place_[q.target_population]]->loop;
      to.drop_delivered();
      const std::size_t from = to.rows.size();
      for (Size k = p.known_spikes; k < out.size(); ++k) {
        const Id unit = out[k].neuron - p.packs.lanes->first;
        const Real arrival = out[k].time + q.row_delay(unit);
        if (!q.silent_row.data()[unit] && arrival <= until_)
          to.rows.push_back(row(q, unit, arrival));
      }
      to.merge(from);
    }
    p.known_spikes = out.size();
  }

  // The populations of the component, in a sample.
  struct Populations {
    std::unique_ptr<Population>* first;
    Size n;
    struct Iterator {
      std::unique_ptr<Population>* at;
      Population& operator*() const { return **at; }
      Iterator& operator++() {
        ++at;
        return *this;
      }
      bool operator!=(const Iterator& other) const { return at != other.at; }
    };
    Iterator begin() const { return {first}; }
    Iterator end() const { return {first + n}; }
  };
  Populations populations(Run& run) const { return {run.populations.data(), end_ - begin_}; }

  const Plan<Real>& plan_;
  const RunLimits& limits_;
  const Watch watch_;
  const Id *begin_ = nullptr, *end_ = nullptr;  // populations of the component
  Real until_ = Real(0), window_ = Real(0);

  WindowPacks<Real> packs_;
  Vector<Size> place_;  // of each population in the component
  Vector<Ready> ready_, waiting_;
  Vector<Row> rows_;  // of a window
  std::vector<std::unique_ptr<Run>> runs_;
  std::vector<std::optional<Lanes<Real>>> all_lanes_;  // of each population that has run
};

SNNFP_ISA_END
