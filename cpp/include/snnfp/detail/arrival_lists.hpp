#pragma once
// What each lane of a block receives in a window: times and weights by turns, in one memory that
// the blocks use one after the other.

#include <algorithm>
#include <limits>
#include <new>

#include "snnfp/detail/vector.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

template <class Real>
class ArrivalLists {
 public:
  // Lists keep the room they once needed, each its own: a neuron that hears much costs the others
  // no memory.
  void set_lanes(Size n) {
    rooms_.assign(n, 8);
    lists_.resize(n);
    room_ = 8 * n;
  }
  // Arrivals that all lists have room for.
  Size room() const { return room_; }

  // Empties the lists of the lanes [first, end), the only ones from now on.
  void clear(Size first, Size end) {
    used_ = 0;
    for (Size k = first; k < end; ++k) lists_[k] = take(rooms_[k]);
    reserve();
  }
  SNNFP_INLINE void put(Size k, Real time, Real weight) {
    List& list = lists_[k];
    if (list.next == list.end) grow(k);
    Real* const to = &pairs_[list.next];
    to[0] = time;
    to[1] = weight;
    list.next += 2;
  }

  // Marks the ends of the lists of the lanes [first, end), and writes the lanes to `order` by the
  // length of their lists: those that go side by side come to their ends together.
  void finish(Size first, Size end, Id* order) {
    constexpr Id longest = 255;
    Id count[longest + 2] = {};
    const auto length = [&](Size k) {
      return std::min(longest, (lists_[k].next - lists_[k].begin) / 2);
    };
    for (Size k = first; k < end; ++k) {
      pairs_[lists_[k].next] = std::numeric_limits<Real>::infinity();
      pairs_[lists_[k].next + 1] = Real(0);
      ++count[length(k) + 1];
    }
    for (Id n = 0; n < longest; ++n) count[n + 1] += count[n];
    for (Size k = first; k < end; ++k) order[count[length(k)]++] = static_cast<Id>(k);
  }
  const Real* pairs() const { return pairs_.data(); }
  Id begin(Size k) const { return lists_[k].begin; }

 private:
  struct List {
    Id begin, next, end;  // in pairs_; the end mark has room after `end`
  };

  List take(Id room) {
    const Size begin = used_;
    used_ += 2 * Size(room);
    if (used_ > Size(std::numeric_limits<Id>::max())) throw std::bad_alloc();
    return {static_cast<Id>(begin), static_cast<Id>(begin), static_cast<Id>(used_ - 2)};
  }
  void reserve() {
    if (used_ > static_cast<Size>(pairs_.size())) pairs_.resize(used_ + used_ / 4);
  }
  // Twice the room for a list, after all others.
  void grow(Size k) {
    const List old = lists_[k];
    room_ += rooms_[k];
    rooms_[k] *= 2;
    lists_[k] = take(rooms_[k]);
    reserve();
    lists_[k].next += old.next - old.begin;
    std::copy(&pairs_[old.begin], &pairs_[old.next], &pairs_[lists_[k].begin]);
  }

  Vector<Id> rooms_;  // of each lane, in arrivals
  Vector<List> lists_;
  Vector<Real> pairs_;
  Size used_ = 0, room_ = 0;
};

SNNFP_ISA_END
