#pragma once
// Forward propagation: the derivatives of a sample's spikes as a sparse lower-triangular system,
// solved forward in time for blocks of columns (parameters). MATH.md E9-E11.
//
// A block of columns has one row a spike (dt/dp) and one row a neuron (dI/dp at its last release).
// Row k and the row of its neuron are the same sum over earlier rows with two sets of coefficients,
// plus explicit entries in a few columns:
//   T_k = sum_q t_q X_q + explicit,   S_k = sum_q s_q X_q + explicit.
// Compiled once a sample (forward_compile.hpp), read by every block.

#include <cstring>
#include <memory>

#include "snnfp/detail/engine.hpp"
#include "snnfp/detail/pack.hpp"
#include "snnfp/detail/vector.hpp"

SNNFP_ISA_BEGIN

// What enters a spike's row by t and the current at its release by s: an earlier row, or, in one
// column of a block, the explicit derivative.
template <class Real>
struct Term {
  // Row: of the spike that sent an arrival, or n_spikes + neuron: the current at its last release.
  // Explicit: spike * width + column within the block.
  Size at;
  Real t, s;
};

struct SpikeRow {
  Size begin = 0, end = 0;  // terms
  Id neuron = 0;
  bool needed = false;  // a wanted spike depends on it
};

template <class Real>
struct ForwardProgram final : Program {
  static constexpr int width = column_block<Real>;

  Size n_spikes = 0, n_neurons = 0, n_columns = 0;
  Vector<SpikeRow> rows;
  std::unique_ptr<Term<Real>[]> memory;
  Term<Real>* terms = nullptr;    // in the order of the rows
  Term<Real>* entries = nullptr;  // explicit ones, by block, in the order of the rows within each
  Vector<Size> block_begin;       // [blocks + 1] entries

  // `scratch` has room for scratch_size values. `visit(k, row)` sees the rows of needed spikes that
  // depend on the block, in time order.
  template <class Visit>
  void solve(Size block, Real* scratch, Visit visit) const {
    const Term<Real>* entry = entries + block_begin[block];
    const Term<Real>* const entries_end = entries + block_begin[block + 1];
    if (entry == entries_end) return;
    Real* const x = scratch;
    const auto active = reinterpret_cast<unsigned char*>(x + (n_spikes + n_neurons) * width);
    std::memset(active, 0, n_spikes + n_neurons);
    for (Size k = entry->at / width; k < n_spikes; ++k) {
      const SpikeRow& row = rows[k];
      if (!row.needed) continue;
      Real* const t = x + k * width;
      Real* const s = x + (n_spikes + row.neuron) * width;
      bool any = false;
      for (int c = 0; c < width; c += tile) any = accumulate(row, x + c, active, t + c, s + c);
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
  void along(const Real* tangent, Real* out) const {
    Vector<Real> t(n_spikes, Real(0)), s(n_spikes, Real(0));
    for (Size b = 0; b + 1 < Size(block_begin.size()); ++b)
      for (Size e = block_begin[b]; e < block_begin[b + 1]; ++e) {
        const Real moved = tangent[b * width + entries[e].at % width];
        t[entries[e].at / width] += entries[e].t * moved;
        s[entries[e].at / width] += entries[e].s * moved;
      }
    Vector<Real> x(n_spikes + n_neurons, Real(0));
    for (Size k = 0; k < n_spikes; ++k) {
      const SpikeRow& row = rows[k];
      Real sum_t = t[k], sum_s = s[k];
      for (Size q = row.begin; q < row.end; ++q) {
        sum_t = fma(terms[q].t, x[terms[q].at], sum_t);
        sum_s = fma(terms[q].s, x[terms[q].at], sum_s);
      }
      out[k] = x[k] = sum_t;
      x[n_spikes + row.neuron] = sum_s;
    }
  }

 private:
  using P = Pack<Real>;
  // Eight sums keep two multiply-adders of four cycles busy; sixteen registers hold them.
  static constexpr int packs = P::width > 1 ? 4 : 8;
  static constexpr int tile = packs * P::width;

  // The sums of one row in a tile of columns; true if any term counted. They stay in registers: a
  // term is one load and two multiply-adds a pack.
  bool accumulate(const SpikeRow& row, const Real* x, const unsigned char* active, Real* t,
                  Real* s) const {
    P sum_t[packs], sum_s[packs];
    for (int v = 0; v < packs; ++v) sum_t[v] = sum_s[v] = P(Real(0));
    bool any = false;
    const Term<Real>* const end = terms + row.end;
    for (const Term<Real>* term = terms + row.begin; term < end; ++term) {
      if (!active[term->at]) continue;
      any = true;
      const Real* const from = x + term->at * width;
      const P by_t(term->t), by_s(term->s);
      for (int v = 0; v < packs; ++v) {
        const P value = in_register(P::load(from + v * P::width));
        sum_t[v] = fma(by_t, value, sum_t[v]);
        sum_s[v] = fma(by_s, value, sum_s[v]);
      }
    }
    for (int v = 0; v < packs; ++v) {
      sum_t[v].store(t + v * P::width);
      sum_s[v].store(s + v * P::width);
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
