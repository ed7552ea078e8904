// The stochastic kernels of one path as functions of a Python module.
#include "bind.hpp"
#include "stochastic.hpp"

namespace wg {

void bind_stochastic(pybind11::module_& module, const Stochastic& kernels) {
  module.def("philox", kernels.philox, Released());
  module.def("quantise", kernels.quantise, Released());
  module.def("quantise_apply", kernels.apply, Released());
  module.def("ternary_nonzeros", kernels.nonzeros_of, Released());
  module.def("sparsify", kernels.sparsify, Released());
  module.def("subset", kernels.subset, Released());
  module.def("rand_k", kernels.rand_k, Released());
  module.def("natural", kernels.natural, Released());
  module.def("natural_apply", kernels.natural_apply, Released());
}

}  // namespace wg
