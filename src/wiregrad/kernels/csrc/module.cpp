// The module `_native`: a submodule for each path that was compiled and that this CPU can run.
#include <cstdlib>
#include <new>

#include "bind.hpp"

namespace py = pybind11;

namespace wg {

Scratch::Scratch(std::size_t bytes)
    : memory_(std::aligned_alloc(64, (bytes + 127) / 64 * 64)) {
  if (memory_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() { std::free(memory_); }

void bind_deterministic(py::module_& module, const Deterministic& kernels) {
  module.def("sign_encode", kernels.sign_encode, Released());
  module.def("sign_decode", kernels.sign_decode, Released());
  module.def("sign_sum", kernels.sign_sum, Released());
  module.def("top_k", kernels.top_k, Released());
  module.def("mean_rows", kernels.mean_rows, Released());
  module.def("sparse_add", kernels.sparse_add, Released());
  module.def("pack", kernels.pack, Released());
  module.def("unpack", kernels.unpack, Released());
  module.def("amsgrad", kernels.amsgrad, Released());
}

namespace {

void add_path(py::module_& module, const char* name, const Deterministic& deterministic,
              const Pooling& pooling, const SparseRowKernels& sparse_rows,
              const Stochastic& stochastic) {
  py::module_ path = module.def_submodule(name);
  bind_deterministic(path, deterministic);
  bind_pooling(path, pooling);
  bind_sparse_rows(path, sparse_rows);
  bind_stochastic(path, stochastic);
}

}  // namespace
}  // namespace wg

PYBIND11_MODULE(_native, module) {
  module.doc() = "Fused kernels on the CPU; addresses and sizes are checked by their wrappers.";
  wg::add_path(module, "portable", wg::portable::deterministic, wg::portable::pooling,
                wg::portable::sparse_rows, wg::portable::stochastic);
#if WG_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    wg::add_path(module, "avx2", wg::avx2::deterministic, wg::avx2::pooling,
                wg::avx2::sparse_rows, wg::avx2::stochastic);
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    wg::add_path(module, "avx512", wg::avx512::deterministic, wg::avx512::pooling,
                wg::avx512::sparse_rows, wg::avx512::stochastic);
  }
#endif
}
