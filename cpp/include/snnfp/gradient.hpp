#pragma once
// Exact derivatives of the spikes of a record: forward propagation (jacobian, jvp) and the adjoint
// (vjp), with respect to any choice of parameters. MATH.md E8-E14.

#include <memory>
#include <vector>

#include "snnfp/simulate.hpp"

namespace snnfp {

namespace detail {
template <class Real>
class RowSolver;
}

// One parameter array, or the times of one input group's spikes.
struct Parameter {
  enum class Kind { neuron, weight, delay, input_times } kind;
  Id index;                                           // population, projection or input group
  NeuronParameter neuron = NeuronParameter::tau_mem;  // kind == neuron only
};

// Parameters laid end to end in the order asked for: the columns of a Jacobian.
struct Layout {
  std::vector<Parameter> parameters;
  std::vector<Size> offsets;  // [parameters + 1]
  Size size() const { return offsets.back(); }
};

// Where each parameter of `wrt` begins. Throws InvalidArgument if the network has none such; so do
// all functions below, and for spans of another size than said and values that are not finite; and
// what `options.poll` throws. None changes the record: several may use one at the same time.
template <class Real>
SNNFP_EXPORT Layout layout(const Record<Real>& record, const std::vector<Parameter>& wrt);

// Reverse: sum over spikes of cotangents[k] * d times[k] / d parameter; [layout.size()].
// `cotangents` are dL/dt, one a spike of the record.
template <class Real>
SNNFP_EXPORT std::vector<Real> vjp(const Record<Real>& record, Span<const Real> cotangents,
                                   const std::vector<Parameter>& wrt,
                                   const ExecutionOptions& options = {});

// Forward: the derivative of every spike along one direction; [spikes].
// `tangents`, [layout.size()], are that direction.
template <class Real>
SNNFP_EXPORT std::vector<Real> jvp(const Record<Real>& record, const std::vector<Parameter>& wrt,
                                   Span<const Real> tangents, const ExecutionOptions& options = {});

// Forward: d times[rows[i]] / d column for the columns [begin, end) of the layout, written to
// out[i * (end - begin) + column - begin]. Rows of -1 are zero.
template <class Real>
SNNFP_EXPORT void jacobian(const Record<Real>& record, Span<const Size> rows,
                           const std::vector<Parameter>& wrt, Size begin, Size end, Span<Real> out,
                           const ExecutionOptions& options = {});

// The same for one range of columns after another: what all ranges have in common is worked out
// once, with the first, and kept (up to 256 MiB). The record must outlive it; one call at a time.
template <class Real>
class SNNFP_EXPORT Jacobian {
 public:
  Jacobian(const Record<Real>& record, Span<const Size> rows, const std::vector<Parameter>& wrt,
           const ExecutionOptions& options = {});
  ~Jacobian();
  Jacobian(Jacobian&&) noexcept;
  Jacobian& operator=(Jacobian&&) noexcept;

  Size columns() const;
  void solve(Size begin, Size end, Span<Real> out);

 private:
  std::unique_ptr<detail::RowSolver<Real>> solver_;
};

// Forward: the same sum as vjp, by forward propagation of all columns; [layout.size()].
template <class Real>
SNNFP_EXPORT std::vector<Real> forward_gradient(const Record<Real>& record,
                                                Span<const Real> cotangents,
                                                const std::vector<Parameter>& wrt,
                                                const ExecutionOptions& options = {});

#define SNNFP_GRADIENT_TEMPLATES(EXTERN, Real)                                                   \
  EXTERN template Layout layout(const Record<Real>&, const std::vector<Parameter>&);             \
  EXTERN template std::vector<Real> vjp(const Record<Real>&, Span<const Real>,                   \
                                        const std::vector<Parameter>&, const ExecutionOptions&); \
  EXTERN template std::vector<Real> jvp(const Record<Real>&, const std::vector<Parameter>&,      \
                                        Span<const Real>, const ExecutionOptions&);              \
  EXTERN template void jacobian(const Record<Real>&, Span<const Size>,                           \
                                const std::vector<Parameter>&, Size, Size, Span<Real>,           \
                                const ExecutionOptions&);                                        \
  EXTERN template class Jacobian<Real>;                                                          \
  EXTERN template std::vector<Real> forward_gradient(const Record<Real>&, Span<const Real>,      \
                                                     const std::vector<Parameter>&,              \
                                                     const ExecutionOptions&);
SNNFP_GRADIENT_TEMPLATES(extern, float)
SNNFP_GRADIENT_TEMPLATES(extern, double)

}  // namespace snnfp
