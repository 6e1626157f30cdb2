#pragma once
// std::vector whose code belongs to one instruction set (see isa.hpp), aligned for vector loads.

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#include "snnfp/detail/isa.hpp"

SNNFP_ISA_BEGIN

template <class T>
struct Allocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};

  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) {}
  T* allocate(std::size_t n) {
    if (n > static_cast<std::size_t>(-1) / 2 / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(::operator new(n * sizeof(T), alignment));
  }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
  template <class U>
  bool operator==(const Allocator<U>&) const {
    return true;
  }
  template <class U>
  bool operator!=(const Allocator<U>&) const {
    return false;
  }
};

template <class T>
using Vector = std::vector<T, Allocator<T>>;

// The same without values: what `resize` adds is written before it is read.
template <class T>
struct UnsetAllocator : Allocator<T> {
  template <class U>
  struct rebind {
    using other = UnsetAllocator<U>;
  };
  UnsetAllocator() = default;
  template <class U>
  UnsetAllocator(const UnsetAllocator<U>&) {}
  template <class U>
  void construct(U* p) {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Values>
  void construct(U* p, Values&&... values) {
    ::new (static_cast<void*>(p)) U(std::forward<Values>(values)...);
  }
};

template <class T>
using UnsetVector = std::vector<T, UnsetAllocator<T>>;

// An array whose values are not set: each is written before it is read.
template <class T>
class Room {
 public:
  Room() = default;
  Room(const Room&) = delete;
  ~Room() { make(0); }
  void make(std::size_t n) {
    if (data_) Allocator<T>().deallocate(data_, 0);
    data_ = nullptr;
    if (n > 0) data_ = Allocator<T>().allocate(n);
  }
  T* get() const { return data_; }
  template <class Index>
  T& operator[](Index i) const {
    return data_[i];
  }

 private:
  T* data_ = nullptr;
};

SNNFP_ISA_END
