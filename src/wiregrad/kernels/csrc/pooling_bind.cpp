// Max-pooling of one path as functions of a Python module.
#include "bind.hpp"

namespace wg {

void bind_pooling(pybind11::module_& module, const Pooling& kernels) {
  module.def("pool_forward", kernels.forward, Released());
  module.def("pool_backward", kernels.backward, Released());
}

}  // namespace wg
