#pragma once
// Finding groups of targets that hear the same units, and their weights as rows.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "snnfp/detail/graph.hpp"

namespace snnfp::detail {

// Narrower groups are not faster than each target by itself.
inline constexpr Id fewest_in_block = 4;

// Targets in an order in which those that seem to hear the same units follow each other, and the
// size of groups that they can be cut into: 0 if there are none to speak of.
template <class Real>
std::pair<std::vector<Id>, Id> seemingly_alike(const Projection<Real>& q, Id n_source,
                                               Id n_target) {
  std::vector<std::uint64_t> heard(static_cast<std::size_t>(n_target), 0);
  for (Id i = 0; i < n_source; ++i)
    for (Size k = q.row_offsets[i]; k < q.row_offsets[i + 1]; ++k) {
      std::uint64_t& h = heard[q.targets[k]];
      h = (h ^ (static_cast<std::uint64_t>(i) + 1)) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    }
  std::vector<Id> order(heard.size());
  std::iota(order.begin(), order.end(), Id(0));
  std::sort(order.begin(), order.end(),
            [&](Id a, Id b) { return heard[a] != heard[b] ? heard[a] < heard[b] : a < b; });
  Id size = 0;
  for (Id begin = 0, end; begin < n_target; begin = end) {
    for (end = begin + 1; end < n_target && heard[order[end]] == heard[order[begin]]; ++end) {
    }
    size = std::gcd(size, end - begin);
    if (size < fewest_in_block) return {{}, 0};
  }
  return {std::move(order), size};
}

// Those of a sparse projection, or null. Whether targets hear the same is certain: every row that
// a unit sends to a group has one synapse to each of its members.
template <class Real>
std::shared_ptr<const Blocks> find_blocks(const Projection<Real>& q, Id n_source, Id n_target) {
  const Size synapses = q.targets.size();
  if (synapses == 0 || synapses > std::numeric_limits<Id>::max()) return nullptr;
  auto [order, size] = seemingly_alike(q, n_source, n_target);
  if (size == 0) return nullptr;
  const auto blocks = std::make_shared<Blocks>();
  blocks->size = size;
  // In the order of their first members, so that neighbours are neighbours.
  std::vector<Id> first;
  for (Id b = 0; b < n_target; b += size) first.push_back(b);
  std::sort(first.begin(), first.end(), [&](Id a, Id b) { return order[a] < order[b]; });
  std::vector<Id> block_of(order.size()), place(order.size());
  for (const Id begin : first)
    for (Id m = 0; m < size; ++m) {
      const Id target = order[begin + m];
      block_of[target] = static_cast<Id>(blocks->members.size()) / size;
      place[target] = m;
      blocks->members.push_back(target);
    }
  std::vector<Size> row_of(static_cast<std::size_t>(blocks->count()), -1);  // the last row of each
  blocks->row_offsets.push_back(0);
  for (Id i = 0; i < n_source; ++i) {
    const Size begin = blocks->row_offsets.back();
    for (Size k = q.row_offsets[i]; k < q.row_offsets[i + 1]; ++k) {
      const Id target = q.targets[k], b = block_of[target];
      if (row_of[b] < begin) {
        row_of[b] = static_cast<Size>(blocks->block.size());
        blocks->block.push_back(b);
        blocks->synapse.resize(blocks->synapse.size() + size, -1);
      }
      Id& synapse = blocks->synapse[row_of[b] * size + place[target]];
      if (synapse >= 0) return nullptr;  // two synapses between the same units
      synapse = static_cast<Id>(k);
    }
    const Size rows = static_cast<Size>(blocks->block.size());
    if ((rows - begin) * size != q.row_offsets[i + 1] - q.row_offsets[i]) return nullptr;
    blocks->row_offsets.push_back(rows);
  }
  return blocks;
}

// Weights as rows of blocks; none where one is 0: it would be an arrival in a row, and is none by
// itself.
template <class Real>
std::vector<Real> in_blocks(const Blocks& blocks, const Real* weight) {
  std::vector<Real> rows(blocks.synapse.size());
  const Id* const synapse = blocks.synapse.data();
  bool zero = false;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    rows.data()[k] = weight[synapse[k]];
    zero |= rows.data()[k] == Real(0);
  }
  if (zero) rows.clear();
  return rows;
}

}  // namespace snnfp::detail
