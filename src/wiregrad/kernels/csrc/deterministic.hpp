// The kernels that draw nothing, as a table of functions: one table for each path.
#pragma once

#include "common.hpp"

namespace wg {

struct Deterministic {
  // out[j] = (0 + row_0[j] + row_1[j] + ...) / n
  void (*mean_rows)(Address rows, Index n, Index d, Index stride, Address out);
};

namespace portable {
extern const Deterministic deterministic;
}
#if WG_X86
namespace avx2 {
extern const Deterministic deterministic;
}
namespace avx512 {
extern const Deterministic deterministic;
}
#endif

}  // namespace wg
