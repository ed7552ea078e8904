// How the kernels become a Python module: `_native.portable`, `_native.avx2`, `_native.avx512`.
#pragma once

#include <pybind11/pybind11.h>

#include "deterministic.hpp"
#include "pooling.hpp"
#include "sparse_rows.hpp"
#include "stochastic.hpp"

namespace wg {

using Released = pybind11::call_guard<pybind11::gil_scoped_release>;

void bind_deterministic(pybind11::module_& module, const Deterministic& kernels);
void bind_pooling(pybind11::module_& module, const Pooling& kernels);
void bind_sparse_rows(pybind11::module_& module, const SparseRowKernels& kernels);
void bind_stochastic(pybind11::module_& module, const Stochastic& kernels);

}  // namespace wg
