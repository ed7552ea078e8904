// The kernels that draw, and the quantisers that share their steps, as a table of functions: one
// table for each path.
//
// Rows are [n, d] with a distance (stride) between their beginnings; an address of 0 is a tensor
// that is absent; keys are uint64 [n]. A kernel that adds returns the worst Status of its rows;
// where it is not kFine, e holds the sums or what became of them, and all that was written beside
// it means nothing. What is drawn and how elements are rounded: kernels/draws.py, compressors/levels.py.
#pragma once

#include "common.hpp"

namespace wg {

enum Status : int {
  kFine = 0,
  kNotFinite = 1,  // NaN or Inf in a row
  kRange = 2,      // a scale or a value to be sent leaves the range of float32
};

struct Stochastic {
  // Words of Philox4x32-10, block after block from `block` on: uint32 [4 * blocks].
  void (*philox)(std::uint64_t key, std::uint32_t stream, std::uint32_t block, Index blocks,
                 Address out);
  // e += g; scales [n], the largest |e| or the norm; packed [n, ...], symbols of `width` bits for
  // the levels up to s (see Kind in stochastic.inc); nonzeros int64 [n], ternary; with `subtract`
  // e -= what is decoded.
  int (*quantise)(Address e, Index stride, Address g, Index g_stride, Index n, Index d, int kind,
                  int s, int width, bool largest, bool subtract, Address keys, Address packed,
                  Index packed_stride, Address scales, Address nonzeros);
  // out[i] = decoded row i (mode 0), += (1) or -= (2); with a stride of 0 all into one row
  void (*apply)(Address packed, Index packed_stride, Address scales, Index n, Index d, int kind,
                int s, int width, int mode, Address out, Index stride);
  // int64 indices of the ternary symbols of a row that are not 0, uint8 whether they are negative
  void (*nonzeros_of)(Address packed, Index d, Address indices, Address negative);
  // e += g; int64 indices of the elements of a row kept with probability chance / 2^31, and what is
  // sent for them. Returns their number, or -Status.
  Index (*sparsify)(Address e, Address g, Index d, std::uint32_t chance, bool subtract,
                    std::uint64_t key, Address indices, Address values);
  // k of d indices, int64, increasing
  void (*subset)(std::uint64_t key, Index k, Index d, Address out);
  // e += g; int64 indices [n, k], and the values there times `factor` [n, k]
  int (*rand_k)(Address e, Index stride, Address g, Index g_stride, Index n, Index d, Index k,
                double factor, bool subtract, Address keys, Address indices, Address values);
  // e += g; packed [n, ...], symbols of 9 bits: sign and field of the exponent
  int (*natural)(Address e, Index stride, Address g, Index g_stride, Index n, Index d,
                 bool subtract, Address keys, Address packed, Index packed_stride);
  void (*natural_apply)(Address packed, Index packed_stride, Index n, Index d, int mode,
                        Address out, Index stride);
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
