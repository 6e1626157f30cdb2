#pragma once
// Bodies of jvp, Jacobian and forward_gradient: who does which sample and block of columns.

#include <algorithm>
#include <memory>

#include "snnfp/detail/vector.hpp"
#include "snnfp/impl/gradient.hpp"

namespace snnfp {
namespace detail {

// Each worker's scratch memory for blocks of columns, made where it is first used.
template <class Real>
class Scratch {
 public:
  explicit Scratch(int n_threads) : of_worker_(thread_count(n_threads)) {}
  Real* get(int worker, const Program& program) {
    Vector<Real>& v = of_worker_[worker];
    if (Size(v.size()) < program.scratch_size) v.resize(program.scratch_size);
    return v.data();
  }

 private:
  std::vector<Vector<Real>> of_worker_;
};

using Programs = std::vector<std::unique_ptr<Program>>;

// Makes the programs of a few samples at a time.
template <class Real>
class Compiler {
 public:
  Compiler(const Record<Real>& record, const Columns& columns, const ExecutionOptions& options)
      : record_(record),
        columns_(columns),
        engine_(engine_table<Real>(options.isa)),
        n_threads_(options.n_threads) {}

  // How many samples to take next: their programs are read once for each block of columns and
  // should still be in cache then. Judged by the last ones.
  Size together() const { return together_; }

  // Those of some samples. `wanted(sample)` marks the spikes asked for; empty: all.
  template <class Wanted>
  Programs make(const std::vector<Size>& samples, Wanted wanted, Interrupt& interrupt) {
    const Size count = Size(samples.size());
    std::vector<std::unique_ptr<SampleView<Real>>> views(samples.size());
    std::vector<std::unique_ptr<Draft>> drafts(samples.size());
    parallel_for(count, n_threads_, interrupt, [&](Size k, int worker) {
      const std::vector<unsigned char> marks = wanted(samples[k]);
      views[k] = std::make_unique<SampleView<Real>>(record_, samples[k]);
      drafts[k].reset(engine_.draft(*record_.plan, views[k]->get(),
                                    sample_spikes(record_, samples[k]), columns_,
                                    marks.empty() ? nullptr : marks.data(), {interrupt, worker}));
    });
    std::vector<std::pair<const Draft*, Size>> parts;
    for (const auto& draft : drafts)
      for (Size part = 0; part < draft->parts; ++part) parts.push_back({draft.get(), part});
    parallel_for(Size(parts.size()), n_threads_, interrupt, [&](Size k, int worker) {
      engine_.fill(*parts[k].first, parts[k].second, {interrupt, worker});
    });
    Programs programs;
    Size largest = 1;
    for (const auto& draft : drafts) {
      largest = std::max(largest, draft->program->bytes);
      programs.push_back(std::move(draft->program));
    }
    const Size in_cache = Size(1) << 22;
    together_ = std::clamp<Size>(in_cache / largest, 1, 64);
    return programs;
  }

 private:
  const Record<Real>& record_;
  const Columns& columns_;
  const EngineTable<Real>& engine_;
  int n_threads_;
  Size together_ = 1;
};

// Calls work(samples) for all of them in order, as many at a time as the compiler asks for.
template <class Real, class Work>
void in_groups(const Compiler<Real>& compiler, const std::vector<Size>& samples, Work work) {
  for (auto at = samples.begin(); at < samples.end();) {
    const Size n = std::min<Size>(compiler.together(), samples.end() - at);
    work(std::vector<Size>(at, at + n));
    at += n;
  }
}

inline std::vector<Size> all_samples(Size count) {
  std::vector<Size> samples(static_cast<std::size_t>(count));
  for (Size s = 0; s < count; ++s) samples[s] = s;
  return samples;
}

// A Jacobian's rows by sample, and what is kept between calls for ranges of its columns.
template <class Real>
class RowSolver {
 public:
  // Programs are kept until they come to `keep` bytes; later ones are made again for each range.
  RowSolver(const Record<Real>& record, Span<const Size> rows, const std::vector<Parameter>& wrt,
            const ExecutionOptions& options, Size keep)
      : record_(record),
        layout_(layout(record, wrt)),
        map_(record, layout_, true),
        options_(options),
        compiler_(record, map_.get(), options_),
        scratch_(options.n_threads),
        n_rows_(rows.size),
        keep_(keep),
        rows_(static_cast<std::size_t>(record.samples())),
        kept_(rows_.size()) {
    for (Size i = 0; i < rows.size; ++i) {
      const Size k = rows[i];
      if (k < -1 || k >= record.spikes())
        invalid("spike ", i, " of the rows is ", k, ", expected -1 or 0 <= spike < ",
                record.spikes());
      if (k < 0) {
        zero_rows_.push_back(i);
        continue;
      }
      const auto after = std::upper_bound(record.offsets.begin(), record.offsets.end(), k);
      const Size sample = after - record.offsets.begin() - 1;
      rows_[sample].push_back({k - record.offsets[sample], i});
    }
    for (Size s = 0; s < record.samples(); ++s) {
      if (rows_[s].empty()) continue;
      samples_.push_back(s);
      std::sort(rows_[s].begin(), rows_[s].end());
    }
  }
  RowSolver(const RowSolver&) = delete;

  Size columns() const { return layout_.size(); }

  void solve(Size begin, Size end, Span<Real> out) {
    if (begin < 0 || end < begin || end > columns())
      invalid("columns [", begin, ", ", end, "), expected a range within [0, ", columns(), ")");
    const Size stride = end - begin;
    if (out.size != n_rows_ * stride)
      invalid("out has ", out.size, " values, expected ", n_rows_ * stride);
    if (stride == 0) return;
    Interrupt interrupt(options_.poll);
    parallel_for(Size(zero_rows_.size()), options_.n_threads, [&](Size i, int) {
      std::fill_n(out.data + zero_rows_[i] * stride, stride, Real(0));
    });
    in_groups(compiler_, samples_, [&](const std::vector<Size>& samples) {
      solve(samples, begin, end, out.data, interrupt);
    });
  }

 private:
  // A few samples: threads share their blocks of columns.
  void solve(const std::vector<Size>& samples, Size begin, Size end, Real* out,
             Interrupt& interrupt) {
    std::vector<Size> missing;
    for (const Size s : samples)
      if (!kept_[s]) missing.push_back(s);
    Programs made;
    if (!missing.empty())
      made = compiler_.make(missing, [&](Size s) { return marks(s); }, interrupt);
    std::vector<const Program*> programs;
    std::vector<std::vector<RowTarget<Real>>> targets;
    auto next = made.begin();
    for (const Size s : samples) {
      if (kept_[s]) {
        programs.push_back(kept_[s].get());
      } else {
        programs.push_back(next->get());
        if ((*next)->bytes <= keep_) {
          keep_ -= (*next)->bytes;
          kept_[s] = std::move(*next);
        }
        ++next;
      }
      targets.emplace_back();
      for (const auto& [spike, row] : rows_[s])
        targets.back().push_back({spike, out + row * (end - begin) - begin});
    }
    const Size width = column_block<Real>;
    const Size first = begin / width, blocks = (end - 1) / width + 1 - first;
    const auto& engine = engine_table<Real>(options_.isa);
    const Size count = Size(samples.size()) * blocks;
    parallel_for(count, options_.n_threads, interrupt, [&](Size i, int worker) {
      const Size k = i / blocks, block = first + i % blocks;
      engine.rows(*programs[k], block, std::max(begin, block * width),
                  std::min(end, (block + 1) * width), targets[k].data(), Size(targets[k].size()),
                  scratch_.get(worker, *programs[k]), {interrupt, worker});
    });
  }

  std::vector<unsigned char> marks(Size sample) const {
    std::vector<unsigned char> wanted(
        static_cast<std::size_t>(record_.offsets[sample + 1] - record_.offsets[sample]), 0);
    for (const auto& [spike, row] : rows_[sample]) wanted[spike] = 1;
    return wanted;
  }

  const Record<Real>& record_;
  const Layout layout_;
  const ColumnMap<Real> map_;
  const ExecutionOptions options_;
  Compiler<Real> compiler_;
  Scratch<Real> scratch_;
  Size n_rows_, keep_;
  std::vector<std::vector<std::pair<Size, Size>>> rows_;  // of each sample: spike and row of out
  std::vector<Size> samples_;                             // with rows
  std::vector<Size> zero_rows_;                           // of no spike
  Programs kept_;                                         // [samples]
};

}  // namespace detail

template <class Real>
std::vector<Real> jvp(const Record<Real>& record, const std::vector<Parameter>& wrt,
                      Span<const Real> tangents, const ExecutionOptions& options) {
  const Layout columns = layout(record, wrt);
  if (tangents.size != columns.size())
    detail::invalid("tangents has ", tangents.size, " values, expected ", columns.size());
  const detail::ColumnMap<Real> map(record, columns, true);
  const auto& engine = detail::engine_table<Real>(options.isa);
  std::vector<Real> out(static_cast<std::size_t>(record.spikes()));
  detail::Interrupt interrupt(options.poll);
  detail::Compiler<Real> compiler(record, map.get(), options);
  const auto all = [](Size) { return std::vector<unsigned char>(); };
  detail::in_groups(
      compiler, detail::all_samples(record.samples()), [&](const std::vector<Size>& samples) {
        const detail::Programs programs = compiler.make(samples, all, interrupt);
        const Size count = Size(samples.size());
        detail::parallel_for(count, options.n_threads, interrupt, [&](Size k, int worker) {
          engine.along(*programs[k], tangents.data, out.data() + record.offsets[samples[k]],
                       {interrupt, worker});
        });
      });
  return out;
}

template <class Real>
void jacobian(const Record<Real>& record, Span<const Size> rows, const std::vector<Parameter>& wrt,
              Size begin, Size end, Span<Real> out, const ExecutionOptions& options) {
  detail::RowSolver<Real>(record, rows, wrt, options, 0).solve(begin, end, out);
}

template <class Real>
Jacobian<Real>::Jacobian(const Record<Real>& record, Span<const Size> rows,
                         const std::vector<Parameter>& wrt, const ExecutionOptions& options)
    : solver_(
          std::make_unique<detail::RowSolver<Real>>(record, rows, wrt, options, Size(1) << 28)) {}
template <class Real>
Jacobian<Real>::~Jacobian() = default;
template <class Real>
Jacobian<Real>::Jacobian(Jacobian&&) noexcept = default;
template <class Real>
Jacobian<Real>& Jacobian<Real>::operator=(Jacobian&&) noexcept = default;
template <class Real>
Size Jacobian<Real>::columns() const {
  return solver_->columns();
}
template <class Real>
void Jacobian<Real>::solve(Size begin, Size end, Span<Real> out) {
  solver_->solve(begin, end, out);
}

template <class Real>
std::vector<Real> forward_gradient(const Record<Real>& record, Span<const Real> cotangents,
                                   const std::vector<Parameter>& wrt,
                                   const ExecutionOptions& options) {
  detail::check_cotangents(record, cotangents);
  const Layout columns = layout(record, wrt);
  const detail::ColumnMap<Real> map(record, columns, true);
  const auto& engine = detail::engine_table<Real>(options.isa);
  std::vector<Real> gradient(static_cast<std::size_t>(columns.size()), Real(0));
  const Size width = detail::column_block<Real>, blocks = (columns.size() + width - 1) / width;
  detail::Interrupt interrupt(options.poll);
  detail::Scratch<Real> scratch(options.n_threads);
  detail::Compiler<Real> compiler(record, map.get(), options);
  const auto marks = [&](Size s) {
    std::vector<unsigned char> wanted;
    for (Size k = record.offsets[s]; k < record.offsets[s + 1]; ++k)
      wanted.push_back(cotangents[k] != Real(0));
    return wanted;
  };
  // Every block of columns goes through the samples in order.
  detail::in_groups(
      compiler, detail::all_samples(record.samples()), [&](const std::vector<Size>& samples) {
        const detail::Programs programs = compiler.make(samples, marks, interrupt);
        detail::parallel_for(blocks, options.n_threads, interrupt, [&](Size b, int worker) {
          for (std::size_t k = 0; k < samples.size(); ++k) {
            if (interrupt.check(worker)) return;
            engine.contract(*programs[k], b, cotangents.data + record.offsets[samples[k]],
                            gradient.data(), scratch.get(worker, *programs[k]),
                            {interrupt, worker});
          }
        });
      });
  return gradient;
}

}  // namespace snnfp
