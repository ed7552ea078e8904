// The kernels over sparse rows of one path as functions of a Python module.
#include "bind.hpp"

namespace wg {

void bind_sparse_rows(pybind11::module_& module, const SparseRowKernels& kernels) {
  module.def(
      "logistic",
      [kernels](Address crow, Address col, Address value, Address pattern_crow,
                Address pattern_col, Address pattern_value, Index patterns, Index d, Address parts,
                Index n, Address x, Address onto, Index runs, Address out, Address margins,
                Index ld) {
        const SparseRows rows{crow,        col,           value,    pattern_crow,
                              pattern_col, pattern_value, patterns, d};
        kernels.logistic(rows, parts, n, x, onto, runs, out, margins, ld);
      },
      Released());
}

}  // namespace wg
