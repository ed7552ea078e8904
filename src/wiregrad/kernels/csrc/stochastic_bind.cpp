// The stochastic kernels of one path as functions of a Python module.
#include "bind.hpp"
#include "stochastic.hpp"

namespace wg {

void bind_stochastic(pybind11::module_& module, const Stochastic& kernels) {
  (void)module;
  (void)kernels;
}

}  // namespace wg
