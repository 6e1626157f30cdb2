// How a step is dealt out to threads, and which inner loops it takes.

#include "snnfp/optimiser.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "snnfp/detail/parallel.hpp"
#include "snnfp/detail/step_table.hpp"
#include "snnfp/error.hpp"

namespace snnfp {
namespace detail {

#define SNNFP_DECLARE_STEPS(isa)              \
  const StepTable<float>& isa##_steps(float); \
  const StepTable<double>& isa##_steps(double);
SNNFP_DECLARE_STEPS(portable)
#ifdef SNNFP_HAVE_X86_VARIANTS
SNNFP_DECLARE_STEPS(avx2)
SNNFP_DECLARE_STEPS(avx512)
#endif

namespace {

template <class Real>
const StepTable<Real>& step_table(Isa isa) {
  switch (resolve_isa(isa)) {
#ifdef SNNFP_HAVE_X86_VARIANTS
    case Isa::avx2: return avx2_steps(Real());
    case Isa::avx512: return avx512_steps(Real());
#endif
    default: break;
  }
  return portable_steps(Real());
}

// Elements: of a block at least and at most, of what stays in the first cache, of a thread's turn.
constexpr Size least_block = 128, most_block = 1024, together = 1024, piece_size = 16384;

Size block_size(Size row) {
  if (row > most_block) return most_block;
  return row * ((least_block + row - 1) / row);
}

// Blocks [begin, end) of an array.
struct Piece {
  Size array, begin, end;
};

template <class Real>
AdamNumbers<Real> numbers_of(const Adam& rule, const StepArrays<Real>& a) {
  const double n = double(rule.step);
  return {Real(a.scale),
          Real(rule.beta1),
          Real(1 - rule.beta1),
          Real(rule.beta2),
          Real(1 - rule.beta2),
          Real(std::sqrt(1 - std::pow(rule.beta2, n))),
          std::max(Real(rule.eps), std::numeric_limits<Real>::min()),  // never 0 / 0
          Real(a.rate / (1 - std::pow(rule.beta1, n))),
          Real(1 - a.rate * a.decay)};
}
template <class Real>
SgdNumbers<Real> numbers_of(const Sgd& rule, const StepArrays<Real>& a) {
  return {Real(a.scale), Real(rule.momentum), Real(a.rate), Real(1 - a.rate * a.decay),
          rule.nesterov};
}

template <class Rule, class Real>
class Stepper {
 public:
  Stepper(const Rule& rule, const StepTable<Real>& table, const StepArrays<Real>& arrays)
      : table_(table), a_(arrays), numbers_(numbers_of(rule, arrays)), block_(block_size(a_.row)) {}

  // Runs of blocks, of what stays in the first cache each.
  void run(const Piece& piece) const {
    for (Size k = piece.begin; k < piece.end;) {
      if (still(k)) {
        copy(a_.parameter, a_.next, k);
        if (a_.average) copy(a_.average, a_.next_average, k);
        ++k;
        continue;
      }
      Size last = k + 1;
      while (last < piece.end && (last - k + 1) * block_ <= together && !still(last)) ++last;
      step(begin(k), end(last - 1) - begin(k));
      for (; k < last; ++k) a_.quiet[k] = rests(begin(k), end(k) - begin(k));
    }
  }

 private:
  Size begin(Size k) const { return k * block_; }
  Size end(Size k) const { return std::min((k + 1) * block_, a_.size); }
  void copy(const Real* from, Real* to, Size k) const {
    std::memcpy(to + begin(k), from + begin(k), (end(k) - begin(k)) * sizeof(Real));
  }
  // A block in which a step changes nothing.
  bool still(Size k) const {
    return a_.quiet[k] && a_.decay == 0 && table_.zero(end(k) - begin(k), a_.gradient + begin(k));
  }

  void step(Size at, Size n) const {
    Real thawed[together];
    const Real* gradient = a_.gradient + at;
    if (a_.frozen) {
      table_.thaw(n, a_.frozen + at, gradient, thawed);
      gradient = thawed;
    }
    Real* const next = a_.next + at;
    move(at, n, gradient);
    if (a_.low.size)
      table_.raise(n, a_.low.data + (a_.low.size > 1 ? at : 0), a_.low.size > 1, next);
    if (a_.high.size)
      table_.lower(n, a_.high.data + (a_.high.size > 1 ? at : 0), a_.high.size > 1, next);
    if (a_.frozen) table_.keep(n, a_.frozen + at, a_.parameter + at, next);
    if (a_.average) table_.blend(n, Real(a_.blend), next, a_.average + at, a_.next_average + at);
  }
  void move(Size at, Size n, const Real* gradient) const {
    if constexpr (std::is_same_v<Rule, Adam>) {
      table_.adam(numbers_, n, a_.parameter + at, gradient, a_.first + at, a_.second + at,
                  a_.next + at);
    } else {
      table_.sgd(numbers_, n, a_.parameter + at, gradient, a_.first ? a_.first + at : nullptr,
                 a_.next + at);
    }
  }

  // Whether a step without gradient would leave all of a block as it is now.
  bool rests(Size at, Size n) const {
    const auto equal = [&](const Real* a) {
      return std::memcmp(a + at, a_.next + at, n * sizeof(Real)) == 0;
    };
    return a_.decay == 0 && (!a_.first || table_.zero(n, a_.first + at)) &&
           (!a_.second || table_.zero(n, a_.second + at)) && equal(a_.parameter) &&
           (!a_.average || (equal(a_.average) && equal(a_.next_average)));
  }

  const StepTable<Real>& table_;
  const StepArrays<Real>& a_;
  const decltype(numbers_of(std::declval<Rule>(), std::declval<StepArrays<Real>>())) numbers_;
  const Size block_;
};

// What would otherwise be read or divided by.
template <class Real>
void check_arrays(const StepArrays<Real>& a, bool first, bool second) {
  const auto refuse = [](const std::string& what) {
    throw InvalidArgument("a step's arrays: " + what);
  };
  if (a.size < 0) refuse("size is " + std::to_string(a.size) + ", expected at least 0");
  if (a.row < 1) refuse("row is " + std::to_string(a.row) + ", expected at least 1");
  for (const auto& [name, limit] : {std::pair{"low", a.low}, std::pair{"high", a.high}})
    if (limit.size > 1 && limit.size != a.size)
      refuse(std::string(name) + " has " + std::to_string(limit.size) +
             " elements, expected 0, 1 or " + std::to_string(a.size));
  if (a.size == 0) return;
  if (!a.parameter || !a.gradient || !a.next || !a.quiet)
    refuse("parameter, gradient, next or quiet is missing");
  if (a.average && !a.next_average) refuse("average is given, next_average is missing");
  if (first && !a.first) refuse("first (the mean, or the velocity) is missing");
  if (second && !a.second) refuse("second (the mean square) is missing");
}
template <class Real>
void check(const Adam& rule, Span<const StepArrays<Real>> arrays) {
  if (rule.step < 1)
    throw InvalidArgument("step is " + std::to_string(rule.step) + ", expected at least 1");
  for (const StepArrays<Real>& a : arrays) check_arrays(a, true, true);
}
template <class Real>
void check(const Sgd& rule, Span<const StepArrays<Real>> arrays) {
  for (const StepArrays<Real>& a : arrays) check_arrays(a, rule.momentum != 0, false);
}

template <class Rule, class Real>
void take_all(const Rule& rule, Span<const StepArrays<Real>> arrays,
              const ExecutionOptions& options) {
  check(rule, arrays);
  const StepTable<Real>& table = step_table<Real>(options.isa);
  std::vector<Stepper<Rule, Real>> steppers;
  std::vector<Piece> pieces;
  steppers.reserve(arrays.size);
  for (const StepArrays<Real>& a : arrays) {
    const Size index = static_cast<Size>(steppers.size());
    steppers.emplace_back(rule, table, a);
    const Size blocks = quiet_blocks(a.size, a.row);
    const Size each = std::max<Size>(1, piece_size / block_size(a.row));
    for (Size k = 0; k < blocks; k += each)
      pieces.push_back({index, k, std::min(k + each, blocks)});
  }
  parallel_for(static_cast<Size>(pieces.size()), options.n_threads,
               [&](Size i, int) { steppers[pieces[i].array].run(pieces[i]); });
}

}  // namespace
}  // namespace detail

Size quiet_blocks(Size size, Size row) {
  const Size block = detail::block_size(std::max<Size>(1, row));
  return (size + block - 1) / block;
}

template <class Real>
void take_step(const Adam& rule, Span<const StepArrays<Real>> arrays,
               const ExecutionOptions& options) {
  detail::take_all(rule, arrays, options);
}
template <class Real>
void take_step(const Sgd& rule, Span<const StepArrays<Real>> arrays,
               const ExecutionOptions& options) {
  detail::take_all(rule, arrays, options);
}

template <class Real>
double square_sum(Span<const Real> values, const std::uint8_t* frozen,
                  const ExecutionOptions& options) {
  const detail::StepTable<Real>& table = detail::step_table<Real>(options.isa);
  const Size pieces = (values.size + detail::piece_size - 1) / detail::piece_size;
  std::vector<double> sums(pieces);
  detail::parallel_for(pieces, options.n_threads, [&](Size k, int) {
    const Size end = std::min(values.size, (k + 1) * detail::piece_size);
    Real thawed[detail::together];
    for (Size at = k * detail::piece_size; at < end; at += detail::together) {
      const Size n = std::min(detail::together, end - at);
      const Real* chunk = values.data + at;
      if (frozen) {
        table.thaw(n, frozen + at, chunk, thawed);
        chunk = thawed;
      }
      sums[k] += table.squares(n, chunk);
    }
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

template void take_step(const Adam&, Span<const StepArrays<float>>, const ExecutionOptions&);
template void take_step(const Adam&, Span<const StepArrays<double>>, const ExecutionOptions&);
template void take_step(const Sgd&, Span<const StepArrays<float>>, const ExecutionOptions&);
template void take_step(const Sgd&, Span<const StepArrays<double>>, const ExecutionOptions&);
template double square_sum(Span<const float>, const std::uint8_t*, const ExecutionOptions&);
template double square_sum(Span<const double>, const std::uint8_t*, const ExecutionOptions&);

}  // namespace snnfp
