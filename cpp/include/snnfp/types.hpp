#pragma once
// Ids, counts, and the two array types every public function takes: a view and a shared immutable
// array.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace snnfp {

using Id = std::int32_t;    // a neuron, an input unit, a population, a projection
using Size = std::int64_t;  // a count or an offset

// A view of `size` values that somebody else owns.
template <class T>
struct Span {
  T* data = nullptr;
  Size size = 0;

  Span() = default;
  Span(T* pointer, Size count) : data(pointer), size(count) {}
  template <class U>
  Span(const std::vector<U>& values)
      : data(values.data()), size(static_cast<Size>(values.size())) {}

  T& operator[](Size i) const { return data[i]; }
  T* begin() const { return data; }
  T* end() const { return data + size; }
  bool empty() const { return size == 0; }
};

// Immutable values with shared ownership: a record can keep the parameters it was made with for the
// price of a pointer, and a foreign buffer (a NumPy array, a simulator's weights) is used in place.
template <class T>
class Array {
 public:
  Array() = default;
  Array(T value) : Array(std::vector<T>(1, value)) {}
  Array(std::initializer_list<T> values) : Array(std::vector<T>(values)) {}
  Array(std::vector<T> values) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    data_ = owner->data();
    size_ = static_cast<Size>(owner->size());
    owner_ = std::move(owner);
  }
  // `owner` keeps `data` alive; the values must not change while any copy exists.
  Array(std::shared_ptr<const void> owner, const T* data, Size size)
      : owner_(std::move(owner)), data_(data), size_(size) {}

  const T* data() const { return data_; }
  Size size() const { return size_; }
  const T& operator[](Size i) const { return data_[i]; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  // The value of element i where one value may stand for all.
  const T& at_or_shared(Size i) const { return data_[size_ == 1 ? 0 : i]; }

 private:
  std::shared_ptr<const void> owner_;
  const T* data_ = nullptr;
  Size size_ = 0;
};

}  // namespace snnfp
