#pragma once
// Sorting what happens at times spread over a sample: dealt into spans of time, twice as many as
// there are items, then put right one by one. O(n) where times are spread evenly, and never worse
// than std::sort by more than a constant.

#include <algorithm>
#include <functional>
#include <limits>

#include "snnfp/detail/vector.hpp"
#include "snnfp/types.hpp"

SNNFP_ISA_BEGIN

// Keeps its memory from one call to the next. T has a `time`, by which `Less` orders first.
template <class T, class Less = std::less<T>>
class TimeSorter {
 public:
  // Puts the items from `begin` on in order.
  void sort(Vector<T>& items, Size begin = 0) {
    const Less less{};
    T* const all = items.data() + begin;
    const Size n = static_cast<Size>(items.size()) - begin;
    if (std::is_sorted(all, all + n, less)) return;
    auto low = all[0].time, high = low;
    for (Size k = 0; k < n; ++k) {
      low = std::min(low, all[k].time);
      high = std::max(high, all[k].time);
    }
    using Real = decltype(low);
    const Size spans = 2 * n;
    const Real scale = static_cast<Real>(spans - 1) / (high - low);
    if (n < 16 || spans > std::numeric_limits<Id>::max() ||
        !(scale < std::numeric_limits<Real>::infinity())) {
      std::sort(all, all + n, less);
      return;
    }
    span_.resize(n);
    end_.assign(spans, 0);
    copy_.resize(n);
    const Id last = static_cast<Id>(spans - 1);
    for (Size k = 0; k < n; ++k) {
      const Id span = std::min(static_cast<Id>((all[k].time - low) * scale), last);
      span_[k] = span;
      ++end_[span];
    }
    for (Size b = 1; b < spans; ++b) end_[b] += end_[b - 1];
    for (Size k = n - 1; k >= 0; --k) copy_[--end_[span_[k]]] = all[k];
    if (begin == 0) {
      items.swap(copy_);
    } else {
      std::copy_n(copy_.begin(), n, all);
    }
    put_right(items.data() + begin, n, less);
  }

 private:
  static void put_right(T* all, Size n, const Less& less) {
    Size moves = 0;
    for (Size k = 1; k < n; ++k) {
      if (!less(all[k], all[k - 1])) continue;
      const T item = all[k];
      Size to = k;
      for (; to > 0 && less(item, all[to - 1]); --to) all[to] = all[to - 1];
      all[to] = item;
      moves += k - to;
      if (moves > 8 * n) return std::sort(all, all + n, less);
    }
  }

  Vector<T> copy_;
  Vector<Id> span_, end_;
};

SNNFP_ISA_END
