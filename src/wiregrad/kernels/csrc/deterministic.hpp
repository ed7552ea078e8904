// The kernels that draw nothing, as a table of functions: one table for each path.
//
// Rows are [n, d] with a distance (stride) between their beginnings; an address of 0 is a tensor
// that is absent. A kernel that adds says whether all sums are finite; where they are not, e holds
// them or what became of them, and all that was written beside it means nothing.
#pragma once

#include "common.hpp"

namespace wg {

struct Deterministic {
  // e += g; scales [n, runs] of the runs of `size` elements: mean |e|, or root mean square; bits
  // [n, ceil(d / 8)], set where e < 0; with `subtract` e -= what is decoded.
  bool (*sign_encode)(Address e, Index e_stride, Address g, Index g_stride, Index n, Index d,
                      Index size, bool square, bool subtract, Address scales, Address bits);
  // out[i] = decoded row i
  void (*sign_decode)(Address scales, Address bits, Index n, Index d, Index size, Address out,
                      Index out_stride);
  // out = ((fresh ? 0 : out) + decoded row 0 + decoded row 1 + ...) / divisor
  void (*sign_sum)(Address scales, Address bits, Index n, Index d, Index size, Address out,
                   bool fresh, float divisor);
  // e += g; indices [n, k], increasing, of the k largest |e|, of equals those with the lower index,
  // and the values there; with `subtract` e = 0 there.
  bool (*top_k)(Address e, Index e_stride, Address g, Index g_stride, Index n, Index d, Index k,
                bool subtract, Address indices, Address values);
  // out[j] = (0 + row_0[j] + row_1[j] + ...) / divisor
  void (*mean_rows)(Address rows, Index n, Index d, Index stride, Address out, float divisor);
  // out[indices[i]] += values[i]; false where an index is not in [0, d)
  bool (*sparse_add)(Address indices, Address values, Index count, Address out, Index d);
  // `width` bits of each of `count` symbols, the first in the low bits, and back
  void (*pack)(Address symbols, Index count, int width, Address bytes);
  void (*unpack)(Address bytes, Index count, int width, Address symbols);
  // One step of AMSGrad on d elements; `v_hat` may be absent: then v is used as it is.
  void (*amsgrad)(Address x, Address m, Address v, Address v_hat, Address g, Index d, double lr,
                  double beta1, double beta2, double eps, bool eps_inside);
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
