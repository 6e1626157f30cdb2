#pragma once
// A layer that hears a projection in blocks (Blocks): each block in each sample is a small layer of
// its own that receives rows alone, so that its neurons share their times and exponentials. The
// small layers run as the samples of one whose neurons are those of the first block, which are like
// all others; what they fire is then given to the block's own neurons.
//
// Cost a delivery: that of a dense one, and a row of a block costs some nanoseconds by itself.

#include "snnfp/impl/layer_simulator.hpp"

SNNFP_ISA_BEGIN

// Keeps its memory from one call to the next.
template <class Real>
class BlockLayer {
 public:
  BlockLayer(const Plan<Real>& plan, LayerSimulator<Real>& layer) : plan_(plan), layer_(layer) {}

  // Simulates a population that hears_blocks, without an initial state, in all samples up to
  // `until`; `sample(s)` is a ComponentSample, whose spikes it fills. Errors name other neurons.
  template <class Samples>
  void run(Id population, Size samples, Real until, const Samples& sample) {
    const ProjectionPlan<Real>& q =
        plan_.projections.data()[plan_.into_population.data()[population].data()[0]];
    const Blocks& blocks = *q.blocks;
    const Lanes<Real> lanes(plan_.neurons, q.target_first, blocks.size);
    begin(blocks.size);
    for (Size s = 0; s < samples; ++s) {
      const ComponentSample<Real> at = sample(s);
      deal(at, q);
      for (Id b = 0; b < blocks.count(); ++b) {
        const Row* const first = rows_.data() + first_.data()[b];
        const Size count = first_.data()[b + 1] - first_.data()[b];
        if (count == 0 && !lanes.driven) continue;  // nothing happens
        layer_.arrivals().add_rows(
            count, [=](Size k) { return first[k].time; },
            [&](Size k) { return q.block_weight.data() + first[k].row * blocks.size; });
        parts_.push_back({&at.spikes[population], b});
        // A bias makes spikes without any row.
        together_ += lanes.driven ? std::max<Size>(count, blocks.size) : count;
        if (together_ >= most_rows) flush(lanes, q, until);
      }
    }
    flush(lanes, q, until);
    for (Size s = 0; s < samples; ++s) sample(s).spikes[population].sort(sorter_);
  }

 private:
  // At a time, so that what is shared of them stays in cache.
  static constexpr Size most_rows = 8192;

  struct Sent {
    Real time;
    Id unit;
    bool operator<(const Sent& other) const {
      return time != other.time ? time < other.time : unit < other.unit;
    }
  };
  struct Row {
    Real time;
    Size row;
  };
  struct Part {
    SpikeList<Real>* spikes;
    Id block;
  };

  void begin(Size size) {
    layer_.arrivals().begin_rows(size);
    parts_.clear();
    together_ = 0;
  }

  // What arrives up to the end, in the order of the queue, dealt out to the blocks.
  void deal(const ComponentSample<Real>& sample, const ProjectionPlan<Real>& q) {
    const Blocks& blocks = *q.blocks;
    sent_.clear();
    sample.each_sent([&](const SentSpikes<Real>& sent) {
      for (Size k = 0; k < sent.count; ++k) {
        const Id unit = sent.unit(k);
        const Real time = sent.time(k) + q.row_delay(unit);
        if (time <= sample.until) sent_.push_back({time, unit});
      }
    });
    sorter_of_sent_.sort(sent_);
    const Size* const offsets = blocks.row_offsets.data();
    first_.assign(blocks.count() + 1, 0);
    for (const Sent& s : sent_)
      for (Size r = offsets[s.unit]; r < offsets[s.unit + 1]; ++r)
        ++first_.data()[blocks.block.data()[r] + 1];
    for (Id b = 0; b < blocks.count(); ++b) first_.data()[b + 1] += first_.data()[b];
    next_.assign(first_.begin(), first_.end());
    rows_.resize(first_.back());
    for (const Sent& s : sent_)
      for (Size r = offsets[s.unit]; r < offsets[s.unit + 1]; ++r)
        rows_.data()[next_.data()[blocks.block.data()[r]]++] = {s.time, r};
  }

  void flush(const Lanes<Real>& lanes, const ProjectionPlan<Real>& q, Real until) {
    const Size n = static_cast<Size>(parts_.size());
    if (n == 0) return;
    if (static_cast<Size>(fired_.size()) < n) fired_.resize(n);
    for (Size k = 0; k < n; ++k) fired_[k].clear();
    inputs_.assign(n, SampleInput<Real>{0, nullptr, nullptr, nullptr});
    layer_.run(lanes, inputs_.data(), until, fired_.data(), 1);
    for (Size k = 0; k < n; ++k) {
      const Id* const members = q.blocks->members.data() + Size(parts_[k].block) * q.blocks->size;
      for (Size f = 0; f < fired_[k].size(); ++f) {
        Spike<Real> spike = fired_[k][f];
        spike.neuron = q.target_first + members[spike.neuron - q.target_first];
        parts_[k].spikes->push_back(spike);
      }
    }
    begin(q.blocks->size);
  }

  const Plan<Real>& plan_;
  LayerSimulator<Real>& layer_;
  Vector<Sent> sent_;
  TimeSorter<Sent> sorter_of_sent_;
  Vector<Size> first_, next_;  // of the rows of each block
  Vector<Row> rows_;
  Vector<Part> parts_;  // what runs together
  Size together_ = 0;   // rows of theirs; with a bias at least one a neuron
  Vector<SampleInput<Real>> inputs_;
  Vector<SpikeList<Real>> fired_;
  SpikeSorter<Real> sorter_;
};

SNNFP_ISA_END
