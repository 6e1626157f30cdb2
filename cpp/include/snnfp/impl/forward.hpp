#pragma once
// Forward propagation: the derivatives of a sample's spikes as a sparse lower-triangular system,
// solved forward in time for blocks of columns (parameters). MATH.md E9-E11.
//
// A block of columns has one row a spike (dt/dp) and one row a neuron (dI/dp at its last release).
// Row k and the row of its neuron are the same sum over earlier rows with two sets of coefficients,
// plus explicit entries in a few columns:
//   T_k = sum_q t_q X_q + explicit,   S_k = sum_q s_q X_q + explicit.
// Two rows that follow each other mostly sum over the same earlier rows; those are loaded once for
// both. Made once a sample (forward_layout.hpp, forward_compile.hpp), read by every block.

#include <cstring>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/pack.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

// The explicit derivative of a spike by t and of the current at its release by s, in one column.
template <class Real>
struct Entry {
  Size at;  // spike * width + column within the block
  Real t, s;
};

// Its terms name an earlier row each, in `from`: that of the spike that sent an arrival, or
// n_spikes + neuron, the current at its last release. Their coefficients follow each other in `by`.
struct SpikeRow {
  // Its own terms are [begin, end), with t and s each. The first of a pair keeps the terms of both
  // before them: [both, begin), with t and s for itself and t and s for the second.
  Size both = 0, begin = 0, end = 0;
  Size by = 0;  // the coefficients of the terms from `both` on
  Id neuron = 0;
  bool needed = false;  // a wanted spike depends on it
  bool second = false;  // of a pair

  Size own_by() const { return by + 4 * (begin - both); }
};

template <class Real>
struct ForwardProgram final : Program {
  static constexpr int width = column_block<Real>;

  Size n_spikes = 0, n_neurons = 0, n_columns = 0;
  Vector<SpikeRow> rows;
  // In one piece, which allocators are more ready to keep for the next sample.
  Room<unsigned char> memory;
  Entry<Real>* entries = nullptr;  // by block, in the order of the rows within each
  Real* by = nullptr;
  Id* from = nullptr;
  Vector<Size> block_begin;  // [blocks + 1] entries

  void make_room(Size n_entries, Size n_terms) {
    const Size of_entries = n_entries * sizeof(Entry<Real>), of_by = 2 * n_terms * sizeof(Real);
    const Size size = of_entries + of_by + n_terms * sizeof(Id);
    memory.make(size);
    entries = reinterpret_cast<Entry<Real>*>(memory.get());
    by = reinterpret_cast<Real*>(memory.get() + of_entries);
    from = reinterpret_cast<Id*>(memory.get() + of_entries + of_by);
    bytes = size + rows.size() * sizeof(SpikeRow) + block_begin.size() * sizeof(Size);
  }

  // `scratch` has room for scratch_size values. `visit(k, row)` sees the rows of needed spikes that
  // depend on the block, in time order.
  template <class Visit>
  void solve(Size block, Real* scratch, const Watch& watch, Visit visit) const {
    const Entry<Real>* entry = entries + block_begin[block];
    const Entry<Real>* const entries_end = entries + block_begin[block + 1];
    if (entry == entries_end) return;
    Real* const shared = scratch;  // what the terms of both come to: t and s of each
    Real* const x = scratch + 4 * width;
    const auto active = reinterpret_cast<unsigned char*>(x + (n_spikes + n_neurons) * width);
    std::memset(active, 0, n_spikes + n_neurons);
    bool both = false;
    for (Size k = entry->at / width; k < n_spikes; ++k) {
      if (k % 32 == 0) watch.check();
      const SpikeRow& row = rows[k];
      if (!row.needed) continue;
      Real* const t = x + k * width;
      Real* const s = x + (n_spikes + row.neuron) * width;
      if (!row.second) both = add_both(row, x, active, shared);
      bool any =
          add_own(row, x, active, both ? shared + (row.second ? 2 * width : 0) : nullptr, t, s);
      any |= both;
      for (; entry < entries_end && entry->at / width == k; ++entry) {
        any = true;
        t[entry->at % width] += entry->t;
        s[entry->at % width] += entry->s;
      }
      active[k] = active[n_spikes + row.neuron] = any;
      if (any) visit(k, t);
    }
  }

  // The derivative of every needed spike along one direction.
  void along(const Real* tangent, Real* out, const Watch& watch) const {
    Vector<Real> t(n_spikes, Real(0)), s(n_spikes, Real(0));
    for (Size b = 0; b + 1 < Size(block_begin.size()); ++b) {
      watch.check();
      for (Size e = block_begin[b]; e < block_begin[b + 1]; ++e) {
        const Real moved = tangent[b * width + entries[e].at % width];
        t[entries[e].at / width] += entries[e].t * moved;
        s[entries[e].at / width] += entries[e].s * moved;
      }
    }
    Vector<Real> x(n_spikes + n_neurons, Real(0));
    Real second_t = Real(0), second_s = Real(0);
    for (Size k = 0; k < n_spikes; ++k) {
      if (k % 256 == 0) watch.check();
      const SpikeRow& row = rows[k];
      Real sum_t = t[k] + (row.second ? second_t : Real(0));
      Real sum_s = s[k] + (row.second ? second_s : Real(0));
      if (!row.second) second_t = second_s = Real(0);
      const Real* of = by + row.by;
      const auto add = [&](Real value, Real& by_t, Real& by_s) {
        by_t = fma(of[0], value, by_t);
        by_s = fma(of[1], value, by_s);
        of += 2;
      };
      for (Size q = row.both; q < row.begin; ++q) {
        add(x[from[q]], sum_t, sum_s);
        add(x[from[q]], second_t, second_s);
      }
      for (Size q = row.begin; q < row.end; ++q) add(x[from[q]], sum_t, sum_s);
      out[k] = x[k] = sum_t;
      x[n_spikes + row.neuron] = sum_s;
    }
  }

  // Values of scratch memory, flags included.
  Size scratch_values() const { return 4 * width + (n_spikes + n_neurons) * (width + 1); }

 private:
  using P = Pack<Real>;
  // The sums of a tile of columns stay in registers, eight or more of them to keep two
  // multiply-adders of four cycles busy, at most half of what the instruction set has.
  static constexpr int own_packs = P::width > 1 ? 4 : 8;
  static constexpr int both_packs = sizeof(P) == 64 ? 4 : 2;

  // The sums of the terms of a pair: one load and four multiply-adds a pack. True if any counted.
  bool add_both(const SpikeRow& row, const Real* x, const unsigned char* active,
                Real* shared) const {
    bool any = false;
    if (row.both == row.begin) return any;
    for (int c = 0; c < width; c += both_packs * P::width) {
      P sum[4][both_packs];
      for (auto& packs : sum)
        for (P& part : packs) part = P(Real(0));
      const Id* const end = from + row.begin;
      const Real* of = by + row.by;
      for (const Id* term = from + row.both; term < end; ++term, of += 4) {
        if (!active[*term]) continue;
        any = true;
        const Real* const values = x + Size(*term) * width + c;
        const P by_t(of[0]), by_s(of[1]), by_t2(of[2]), by_s2(of[3]);
        for (int v = 0; v < both_packs; ++v) {
          const P value = in_register(P::load(values + v * P::width));
          sum[0][v] = fma(by_t, value, sum[0][v]);
          sum[1][v] = fma(by_s, value, sum[1][v]);
          sum[2][v] = fma(by_t2, value, sum[2][v]);
          sum[3][v] = fma(by_s2, value, sum[3][v]);
        }
      }
      for (int i = 0; i < 4; ++i)
        for (int v = 0; v < both_packs; ++v) sum[i][v].store(shared + i * width + c + v * P::width);
    }
    return any;
  }

  // Adds a row's own terms to `start` (t, then s; null: 0). True if any counted.
  bool add_own(const SpikeRow& row, const Real* x, const unsigned char* active, const Real* start,
               Real* t, Real* s) const {
    bool any = false;
    for (int c = 0; c < width; c += own_packs * P::width) {
      P sum_t[own_packs], sum_s[own_packs];
      for (int v = 0; v < own_packs; ++v) {
        sum_t[v] = start ? P::load(start + c + v * P::width) : P(Real(0));
        sum_s[v] = start ? P::load(start + width + c + v * P::width) : P(Real(0));
      }
      const Id* const end = from + row.end;
      const Real* of = by + row.own_by();
      for (const Id* term = from + row.begin; term < end; ++term, of += 2) {
        if (!active[*term]) continue;
        any = true;
        const Real* const values = x + Size(*term) * width + c;
        const P by_t(of[0]), by_s(of[1]);
        for (int v = 0; v < own_packs; ++v) {
          const P value = in_register(P::load(values + v * P::width));
          sum_t[v] = fma(by_t, value, sum_t[v]);
          sum_s[v] = fma(by_s, value, sum_s[v]);
        }
      }
      for (int v = 0; v < own_packs; ++v) {
        sum_t[v].store(t + c + v * P::width);
        sum_s[v].store(s + c + v * P::width);
      }
    }
    return any;
  }

  // Keeps the compiler from loading a value once for each multiply-add.
  static P in_register(P value) {
#if defined(__GNUC__) && defined(__AVX2__)
    __asm__("" : "+v"(value.x));
#endif
    return value;
  }
};

SNNFP_ISA_END
