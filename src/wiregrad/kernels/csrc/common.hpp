// What all kernels share. Included before the instruction set of a path is chosen, so that nothing
// in the standard headers is compiled for more than the baseline.
//
// Rule for the .inc files, which are compiled once for each path: no standard templates on standard
// types. The linker keeps one copy of such a function, and it might keep the AVX-512 one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#define WG_X86 1
#include <immintrin.h>
#else
#define WG_X86 0
#endif

namespace wg {

using Address = std::uintptr_t;  // of a tensor's first element
using Index = std::int64_t;      // sizes and strides, in elements

// 64-byte aligned memory that is freed with its owner; throws std::bad_alloc.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_;
};

}  // namespace wg
