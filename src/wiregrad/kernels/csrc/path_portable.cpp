// The kernels in the compiler's baseline instructions.
#include "deterministic.hpp"
#include "pooling.hpp"
#include "sparse_rows.hpp"
#include "stochastic.hpp"

#define WG_LEVEL 0

namespace wg::portable {

#include "deterministic.inc"
#include "pooling.inc"
#include "sparse_rows.inc"
#include "stochastic.inc"

}  // namespace wg::portable
