// The kernels that draw, as a table of functions: one table for each path.
#pragma once

#include "common.hpp"

namespace wg {

struct Stochastic {
  int nothing;
};

namespace portable {
extern const Stochastic stochastic;
}
#if WG_X86
namespace avx2 {
extern const Stochastic stochastic;
}
namespace avx512 {
extern const Stochastic stochastic;
}
#endif

}  // namespace wg
