// Gradients over the sparse rows of many workers at many points, as a table: one for each path.
#pragma once

#include "common.hpp"

namespace wg {

// Rows B = Z P: Z (CSR, one row a sample) over patterns, P (CSR `[patterns, d]`) the patterns.
struct SparseRows {
  Address crow, col, value;  // Z: int64, int32, float64
  Address pattern_crow, pattern_col, pattern_value;  // P: int64, int32, float64
  Index patterns, d;
};

struct SparseRowKernels {
  // out[r, i] = onto[r] - (1/m) Σ_j σ(-m_rj) b_j over the m rows j of part i, m_rj = b_j·x[r].
  // parts: int64 [n, 2], first row and end; x, onto [runs, d]; out [runs, n, d]; all float64.
  // margins: null, or [runs, ld]: m_rj goes to margins[r * ld + j].
  void (*logistic)(const SparseRows& rows, Address parts, Index n, Address x, Address onto,
                   Index runs, Address out, Address margins, Index ld);
};

namespace portable {
extern const SparseRowKernels sparse_rows;
}
#if WG_X86
namespace avx2 {
extern const SparseRowKernels sparse_rows;
}
namespace avx512 {
extern const SparseRowKernels sparse_rows;
}
#endif

}  // namespace wg
