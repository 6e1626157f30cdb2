// A step against the formulas in plain numbers: blocks, threads, instruction sets, quiet rows.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "isas.hpp"
#include "snnfp/detail/parallel.hpp"
#include "snnfp/optimiser.hpp"

using snnfp::Size;

namespace {

template <class Real>
struct Case {
  Case(Size rows, Size row, bool frozen, bool limits, bool average)
      : size(rows * row), row(row), average_wanted(average) {
    std::mt19937_64 random(7);
    std::normal_distribution<double> normal;
    for (Size i = 0; i < size; ++i) {
      parameter.push_back(Real(normal(random)));
      held.push_back(frozen && random() % 3 == 0);
      low.push_back(limits ? Real(-0.5) + Real(0.1) * Real(normal(random)) : Real(0));
      high.push_back(low.back() + Real(1.5));
    }
    if (!frozen) held.clear();
    if (!limits) low.clear();
    if (!limits) high.clear();
    first.assign(size, 0);
    second.assign(size, 0);
    if (average) mean = parameter;
    quiet.assign(snnfp::quiet_blocks(size, row), 0);
    next.resize(size);
    next_mean.resize(mean.size());
  }

  // Of every third row and of the rows from 5 on nothing ever comes; of the last after 3 steps.
  std::vector<Real> gradient(Size step) const {
    std::mt19937_64 random(100 + step);
    std::normal_distribution<double> normal;
    std::vector<Real> g;
    for (Size i = 0; i < size; ++i) {
      const Size r = i / row;
      const bool none = r % 3 == 0 || (r >= 5 && step < 3);
      g.push_back(none ? Real(0) : Real(normal(random)));
    }
    return g;
  }

  template <class Rule>
  void step(const Rule& rule, Size k, double decay, const snnfp::ExecutionOptions& options) {
    const std::vector<Real> g = gradient(k);
    snnfp::StepArrays<Real> a;
    a.size = size;
    a.row = row;
    a.parameter = parameter.data();
    a.gradient = g.data();
    a.next = next.data();
    a.first = first.empty() ? nullptr : first.data();
    a.second = second.data();
    if (average_wanted) {
      a.average = mean.data();
      a.next_average = next_mean.data();
    }
    a.frozen = held.empty() ? nullptr : held.data();
    a.low = snnfp::Span<const Real>(low);
    a.high = snnfp::Span<const Real>(high);
    a.quiet = quiet.data();
    a.scale = 0.7;
    a.rate = 0.01;
    a.decay = decay;
    a.blend = 1.0 / double(k + 1);
    snnfp::take_step<Real>(rule, {&a, 1}, options);
    std::swap(parameter, next);
    std::swap(mean, next_mean);
  }

  Size size, row;
  bool average_wanted;
  std::vector<Real> parameter, low, high, first, second, mean, next, next_mean;
  std::vector<std::uint8_t> held, quiet;
};

// O1 to O4, one element after the other.
template <class Real>
void plain(Case<Real>& c, const snnfp::Adam* adam, const snnfp::Sgd* sgd, Size k, double decay) {
  const std::vector<Real> g = c.gradient(k);
  for (Size i = 0; i < c.size; ++i) {
    const bool held = !c.held.empty() && c.held[i];
    const Real x = held ? Real(0) : Real(g[i] * Real(0.7));
    const Real kept = c.parameter[i] * Real(1 - 0.01 * decay);
    Real to;
    if (adam) {
      const double n = double(adam->step);
      c.first[i] = c.first[i] * Real(adam->beta1) + x * Real(1 - adam->beta1);
      c.second[i] = c.second[i] * Real(adam->beta2) + x * x * Real(1 - adam->beta2);
      const Real root = std::sqrt(c.second[i]) / Real(std::sqrt(1 - std::pow(adam->beta2, n)));
      to = kept -
           c.first[i] / (root + Real(adam->eps)) * Real(0.01 / (1 - std::pow(adam->beta1, n)));
    } else {
      Real v = x;
      if (!c.first.empty()) {
        c.first[i] = c.first[i] * Real(sgd->momentum) + x;
        v = sgd->nesterov ? Real(x + c.first[i] * Real(sgd->momentum)) : c.first[i];
      }
      to = kept - v * Real(0.01);
    }
    if (!c.low.empty()) to = std::min(std::max(to, c.low[i]), c.high[i]);
    if (held) to = c.parameter[i];
    if (c.average_wanted) c.mean[i] += (to - c.mean[i]) * Real(1.0 / double(k + 1));
    c.parameter[i] = to;
  }
}

template <class Real>
bool same(const std::vector<Real>& a, const std::vector<Real>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Real)) == 0);
}

template <class Real>
void check(Size rows, Size row, bool frozen, bool limits, bool average, double decay, bool momentum,
           bool use_adam, int& checked) {
  for (const snnfp::Isa isa : isas_here())
    for (const int threads : {1, 3}) {
      Case<Real> fast(rows, row, frozen, limits, average), slow(rows, row, frozen, limits, average);
      if (!use_adam && !momentum) {
        fast.first.clear();
        slow.first.clear();
      }
      snnfp::ExecutionOptions options;
      options.isa = isa;
      options.n_threads = threads;
      for (Size k = 0; k < 6; ++k) {
        const snnfp::Adam adam{0.9, 0.999, 1e-8, k + 1};
        const snnfp::Sgd sgd{momentum ? 0.9 : 0.0, row % 2 == 0};
        if (use_adam)
          fast.step(adam, k, decay, options);
        else
          fast.step(sgd, k, decay, options);
        plain(slow, use_adam ? &adam : nullptr, use_adam ? nullptr : &sgd, k, decay);
        CHECK(same(fast.parameter, slow.parameter));
        CHECK(same(fast.first, slow.first));
        CHECK(same(fast.second, slow.second));
        CHECK(same(fast.mean, slow.mean));
        ++checked;
      }
      // An average of what limits have moved at the first step may keep an ulp from it.
      if (decay == 0 && row >= 128 && !(limits && average)) {
        const auto still = std::count(fast.quiet.begin(), fast.quiet.end(), 1);
        CHECK(still > 0);
        CHECK(still < Size(fast.quiet.size()));
      }
    }
}

}  // namespace

TEST_CASE_TEMPLATE("a step is the plain formulas to the bit", Real, float, double) {
  snnfp::detail::wake_always(true);
  int checked = 0;
  for (const auto& [rows, row] : {std::pair<Size, Size>{9, 350}, {40, 3}, {3, 1500}, {1, 1}})
    for (const bool frozen : {false, true})
      for (const bool limits : {false, true})
        for (const bool average : {false, true})
          for (const double decay : {0.0, 0.3}) {
            check<Real>(rows, row, frozen, limits, average, decay, true, true, checked);
            check<Real>(rows, row, frozen, limits, average, decay, true, false, checked);
            check<Real>(rows, row, frozen, limits, average, decay, false, false, checked);
          }
  check<Real>(300, 350, true, true, true, 0.0, true, true, checked);
  snnfp::detail::wake_always(false);
  CHECK(checked == (4 * 16 * 3 + 1) * 2 * 6 * int(isas_here().size()));
}

TEST_CASE_TEMPLATE("moments that turn denormal are 0", Real, float, double) {
  const Real least = std::numeric_limits<Real>::min();
  std::vector<Real> p{1}, g{0}, m{least}, s{least}, next(1);
  std::vector<std::uint8_t> quiet(1);
  snnfp::StepArrays<Real> a;
  a.size = 1;
  a.parameter = p.data();
  a.gradient = g.data();
  a.next = next.data();
  a.first = m.data();
  a.second = s.data();
  a.quiet = quiet.data();
  a.rate = 0.1;
  snnfp::take_step<Real>(snnfp::Adam{}, {&a, 1});
  CHECK(m[0] == 0);
  CHECK(s[0] == 0);
  CHECK(next[0] == 1);
}

TEST_CASE_TEMPLATE("the sum of squares", Real, float, double) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  for (const Size n : {Size(0), Size(1), Size(31), Size(33), Size(1025), Size(100001)}) {
    std::vector<Real> values;
    std::vector<std::uint8_t> frozen;
    long double all = 0, free = 0;
    for (Size i = 0; i < n; ++i) {
      values.push_back(Real(normal(random)));
      frozen.push_back(random() % 2);
      const long double square = (long double)values[i] * values[i];
      all += square;
      if (!frozen[i]) free += square;
    }
    std::vector<double> sums;
    for (const snnfp::Isa isa : isas_here())
      for (const int threads : {1, 3}) {
        snnfp::ExecutionOptions options;
        options.isa = isa;
        options.n_threads = threads;
        sums.push_back(snnfp::square_sum<Real>(values, nullptr, options));
        CHECK(std::fabs(double(sums.back() - all)) <= 1e-14 * double(all));
        const double part = snnfp::square_sum<Real>(values, frozen.data(), options);
        CHECK(std::fabs(double(part - free)) <= 1e-14 * double(free));
      }
    for (const double sum : sums) CHECK(sum == sums.front());
  }
}
