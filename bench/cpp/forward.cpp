// How near to the machine's multiply-add rate does forward propagation come, for all spikes by all
// 15 000 weights of the recurrent network? A delivery counts if a later spike of its target depends
// on it: two multiply-adds in each column that its sender depends on.
#include <cmath>

#include "machine.hpp"
#include "networks.hpp"

namespace {

using namespace snnfp;

const std::vector<Parameter> weights{{Parameter::Kind::weight, 0}, {Parameter::Kind::weight, 1}};

// Deliveries that count, for each spike.
template <class Real>
std::vector<double> deliveries(const Record<Real>& record) {
  std::vector<Real> last(100, Real(-1));
  for (Size k = 0; k < record.spikes(); ++k) last[record.neurons[k]] = record.times[k];
  std::vector<double> n(record.spikes());
  for (Size k = 0; k < record.spikes(); ++k)
    for (const Real t : last) n[k] += record.times[k] + Real(1) < t;
  return n;
}

template <class Real>
struct Work {
  Record<Real> record;
  std::vector<Real> cotangents;
  std::vector<Size> rows;
  std::vector<Real> jacobian;
  double multiply_adds = 0;
  ExecutionOptions options;

  Work() {
    const auto c = bench::recurrent<Real>();
    record = simulate(c.network, c.input, c.options);
    options.n_threads = 1;
    std::mt19937 random(5);
    cotangents = bench::normal<Real>(random, record.spikes(), 0, 1);
    for (Size k = 0; k < record.spikes(); ++k) rows.push_back(k);
    fill();
    const Size columns = layout(record, weights).size();
    const auto n = deliveries(record);
    for (Size k = 0; k < record.spikes(); ++k)
      for (Size p = 0; p < columns; ++p)
        if (jacobian[k * columns + p] != Real(0)) multiply_adds += 2 * n[k];
  }
  void fill() {
    const Size columns = layout(record, weights).size();
    jacobian.resize(rows.size() * columns);
    snnfp::jacobian<Real>(record, rows, weights, 0, columns,
                          Span<Real>(jacobian.data(), Size(jacobian.size())), options);
  }
  // Against the adjoint.
  bool right(const std::vector<Real>& gradient) const {
    const auto expected = vjp<Real>(record, cotangents, weights, options);
    double size = 0, error = 0;
    for (std::size_t k = 0; k < expected.size(); ++k) {
      size = std::max(size, std::abs(double(expected[k])));
      error = std::max(error, std::abs(double(expected[k]) - double(gradient[k])));
    }
    return error <= 1e5 * double(std::numeric_limits<Real>::epsilon()) * size;
  }
  void report(benchmark::State& state) const {
    bench::rate(state, "multiply_adds", multiply_adds);
    state.counters["flops"] = benchmark::Counter(2 * multiply_adds * double(state.iterations()),
                                                 benchmark::Counter::kIsRate);
    if (sizeof(Real) == 4) state.counters["machine_flops"] = bench::machine().float_gflops * 1e9;
    state.counters["spikes"] = double(record.spikes());
  }
};

template <class Real>
void forward_gradient(benchmark::State& state) {
  const Work<Real> work;
  std::vector<Real> gradient;
  for (auto _ : state)
    gradient = snnfp::forward_gradient<Real>(work.record, work.cotangents, weights, work.options);
  if (!work.right(gradient)) return state.SkipWithError("not the adjoint's gradient");
  work.report(state);
}

template <class Real>
void jacobian(benchmark::State& state) {
  Work<Real> work;
  for (auto _ : state) work.fill();
  const Size columns = layout(work.record, weights).size();
  std::vector<double> sum(columns);
  for (Size k = 0; k < work.record.spikes(); ++k)
    for (Size p = 0; p < columns; ++p)
      sum[p] += double(work.cotangents[k]) * double(work.jacobian[k * columns + p]);
  if (!work.right(std::vector<Real>(sum.begin(), sum.end())))
    return state.SkipWithError("not the adjoint's gradient");
  work.report(state);
}

BENCHMARK(forward_gradient<double>)->Unit(benchmark::kMillisecond);
BENCHMARK(forward_gradient<float>)->Unit(benchmark::kMillisecond);
BENCHMARK(jacobian<double>)->Unit(benchmark::kMillisecond);
BENCHMARK(jacobian<float>)->Unit(benchmark::kMillisecond);

}  // namespace
