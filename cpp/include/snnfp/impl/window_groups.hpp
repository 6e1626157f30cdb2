#pragma once
// Some packs of a population that run side by side, and how they run where nothing happens but
// arrivals. Cost a delivery: some seven operations in lanes. Packs side by side hide each other's
// latency: one alone takes two and a half times as long.

#include <algorithm>
#include <cstdint>
#include <utility>

#include "snnfp/detail/lanes.hpp"
#include "snnfp/detail/spike_list.hpp"
#include "snnfp/impl/layer_tables.hpp"

SNNFP_ISA_BEGIN

// One population of a sample in its present window.
template <class Real>
struct WindowPopulation {
  const Lanes<Real>* lanes;
  Neuron<Pack<Real>> one;  // the constants of its first neuron
  SpikeList<Real>* out;
  FirstExcess<Real>* excess;
  Size sample;              // in messages
  LayerTables<Real> table;  // what arrives
  Id rows = 0;
  Real now = Real(0);  // what the lanes' states are true at: the last arrival of an earlier window
  // Whether the time after the last arrival is searched too, up to `horizon`; `final`: the
  // simulation ends there.
  bool asks = false, final = false;
  Real horizon = Real(0);
  Size first_group = 0;

  WindowPopulation(const NeuronConstants<Real>& constants, const Lanes<Real>& l)
      : lanes(&l), one(constants, l.first) {}
};

// States are true at the end of interval `at` - 1, where they wait ahead of its arrival; lanes
// `own` are at times of their own, past the last arrival. V of a lane held is anything: it is reset
// at its release.
template <class Real>
struct WindowGroup {
  using P = Pack<Real>;
  using LaneBits = std::uint64_t;
  static constexpr int width = P::width;
  // More of them gain nothing where registers are as wide as 64 bytes, and wait more often.
  static constexpr int most_packs = width * sizeof(Real) >= 64 ? 2 : 4;
  static constexpr int most_lanes = most_packs * width;

  alignas(64) Real v[most_lanes];
  Real i[most_lanes];
  // When a lane held is released. Free lanes: -infinity. Infinity: takes no part any more.
  Real release[most_lanes];
  Real since[most_lanes];  // of lanes `own`
  Size count[most_lanes], last_spike[most_lanes];
  Id neuron[most_lanes], tag[most_lanes];
  Real next_release;  // of the lanes that are held, or infinity
  const WindowPopulation<Real>* of;
  Size column;
  Id first;  // neuron
  int n_lanes, n_packs;
  Id at;
  LaneBits own;
  bool waits, asked;

  static LaneBits bit(int lane) { return LaneBits(1) << lane; }
  static unsigned pack_of(LaneBits bits, int pack) {
    return static_cast<unsigned>(bits >> (pack * width)) & ((1u << width) - 1);
  }
  Real time_of(int l) const { return own & bit(l) ? since[l] : of->now; }

  // Rows end where the population does.
  P row_of(const Real* row, int pack) const {
    const int rest = n_lanes - pack * width;
    return rest >= width ? P::load(row + pack * width) : P::load_first(row + pack * width, rest);
  }
  void add_row(Size k) {
    const Real* const row = of->table.row(k, column);
    for (int b = 0; b < n_packs; ++b) {
      __builtin_prefetch(row + (most_packs + b) * width);
      Real* const current = i + b * width;
      (P::load(current) + row_of(row, b)).store(current);
    }
  }

  void find_next_release() {
    P next(never<Real>);
    for (int b = 0; b < n_packs; ++b) {
      const P one = P::load(release + b * width);
      next = smaller(next, select(one > P(-never<Real>), one, P(never<Real>)));
    }
    Real values[width];
    next.store(values);
    next_release = *std::min_element(values, values + width);
  }

  void stand_alone(int l, Membrane<Real> s, Real time) {
    v[l] = s.v;
    i[l] = s.i;
    since[l] = time;
    own |= bit(l);
  }

  bool is_due(int l, Real horizon) const {
    return release[l] < horizon || (asked && of->final && release[l] <= horizon);
  }

  // The lanes of a pack that are held, or stay below threshold whenever the next arrival comes.
  auto is_quiet(int pack, const Neuron<P>& n) const {
    const Membrane<P> s{P::load(v + pack * width), P::load(i + pack * width)};
    return (P::load(release + pack * width) > P(-never<Real>)) |
           ((n.drive <= P(Real(0))) & UpperBound<P>::stays_below(s, UpperBound<P>::ever(n), n));
  }

  // As far as no lane may cross nor is released.
  void run(const Neuron<P>& n) {
    const LayerTables<Real>& t = of->table;
    Id end = of->rows;
    if (next_release < t.time[end - 1]) {
      end = at;
      while (!(next_release < t.time[end])) ++end;
    }
    if (at == end) return;
    switch (n_packs) {
      case 1: return run<1>(end, n);
      case 2: return run<2>(end, n);
      case 3: return run<std::min(3, most_packs)>(end, n);
      default: return run<most_packs>(end, n);
    }
  }
  template <int N>
  void run(Id end, const Neuron<P>& n) {
    if (n_lanes == N * width) {
      run_packs<N, false>(end, n);
    } else {
      run_packs<N, true>(end, n);
    }
  }

  // N packs from arrival to arrival, in registers.
  template <int N, bool Tail>
  [[gnu::noinline]] void run_packs(Id end, const Neuron<P>& n) {
    const LayerTables<Real>& t = of->table;
    const auto decays = t.decays.template from<Real>(0);
    const Real *pull = t.pull.data(), *reach = t.reach.data();
    const P zero(Real(0)), lid = UpperBound<P>::lid(n);
    const Size first_column = column;
    const int tail = n_lanes - (N - 1) * width;
    P voltage[N], current[N];
    decltype(zero < zero) held[N];
    each<N>([&](auto b) {
      voltage[b] = P::load(v + b * width);
      current[b] = P::load(i + b * width);
      held[b] = P::load(release + b * width) > P(-never<Real>);
    });
    Id k = at;
    for (; k < end; ++k) {
      const P by_i(reach[k]);
      P highest(zero);
      each<N>([&](auto b) {
        const P bound = UpperBound<P>::of({voltage[b], current[b]}, by_i);
        highest = select(held[b], highest, larger(highest, bound));
      });
      if (any(!(highest < lid))) break;
      const Real* const row = t.row(k, first_column);
      const Decay<P> e = decays.template spread<P>(k);
      const P q(pull[k]);
      each<N>([&](auto b) {
        // For the next group.
        __builtin_prefetch(row + (N + b) * width);
        const Membrane<P> moved = propagate_undriven(Membrane<P>{voltage[b], current[b]}, e, q);
        voltage[b] = moved.v;
        current[b] = moved.i + (Tail && b == N - 1 ? P::load_first(row + b * width, tail)
                                                   : P::load(row + b * width));
      });
    }
    each<N>([&](auto b) {
      voltage[b].store(v + b * width);
      current[b].store(i + b * width);
    });
    at = k;
  }

 private:
  // visit(0), ..., visit(N - 1), the numbers known to the compiler.
  template <int N, class Visit>
  static SNNFP_INLINE void each(const Visit& visit) {
    each(visit, std::make_integer_sequence<int, N>());
  }
  template <class Visit, int... B>
  static SNNFP_INLINE void each(const Visit& visit, std::integer_sequence<int, B...>) {
    (visit(std::integral_constant<int, B>()), ...);
  }
};

SNNFP_ISA_END
