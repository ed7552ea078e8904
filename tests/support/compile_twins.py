"""Compiles every Triton twin for a GPU that need not be there.

Prints a JSON object: name of the kernel -> its instructions that round otherwise than IEEE 754, or
not between product and sum.
"""

import json
import re
import sys

import torch
import triton
from triton.backends.compiler import GPUTarget

from wiregrad.kernels.triton import (
    compact,
    dense,
    draws,
    keep,
    launch,
    sign,
    sparse,
    stochastic,
    sums,
    top_k,
)

CAPABILITY = 90
INEXACT = re.compile(r"\b(?:fma\.\S+|\S+\.ftz\S*|\S+\.approx\S*|div\.full\S*)")
found: dict[str, set[str]] = {}


class Driver:
    """What compiling asks of a driver."""

    def get_current_target(self):
        return GPUTarget("cuda", CAPABILITY, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def compile_only(kernel, grid, *args, warps=4, **constants):
    made = kernel.warmup(*args, grid=grid, num_warps=warps, **launch.EXACT, **constants)
    name = f"{kernel.fn.__module__.rpartition('.')[2]}.{kernel.fn.__name__}"
    found.setdefault(name, set()).update(INEXACT.findall(made.asm["ptx"]))


def call_all(n, d):
    e, g, keys = torch.randn(n, d), torch.randn(n, d), torch.arange(n)
    sign.encode(e, g, d, square=True)
    signs, _ = sign.encode(e, None, min(16, d), subtract=False)
    sign.decode(signs, e)
    sign.accumulate(signs, e[0])
    sign.accumulate(signs, e[0], fresh=True, divisor=3)
    top_k.select(e, g, max(1, d // 100))
    sparse.accumulate(torch.zeros(5, dtype=torch.int32), torch.zeros(5), e[0])
    kinds = stochastic.Kind
    for kind, s, width in ((kinds.UNIFORM, 7, 4), (kinds.TERNARY, 1, 2), (kinds.POWER, 3, 3)):
        levels, _ = stochastic.quantise(e, g, keys, kind, s, width, largest=kind != kinds.UNIFORM)
        for mode in stochastic.Mode:
            stochastic.apply(levels, e, mode)
    natural, _ = stochastic.natural(e, g, keys)
    stochastic.natural_apply(natural, e[0], stochastic.Mode.ADD)
    stochastic.sparsify(e, g, keys, 1 << 29)
    stochastic.rand_k(e, g, keys, max(1, d // 100), 2.0)
    draws.philox(keys, 1, 0, 10)
    dense.mean_rows(e, g[0])
    for v_hat, inside in ((e[0], True), (None, False)):
        dense.amsgrad_step(
            e[0], g[0], e[0], v_hat, g[0],
            lr=0.1, beta1=0.9, beta2=0.9, eps=1e-8, eps_inside=inside,
        )  # fmt: skip


triton.runtime.driver.set_active(Driver())
torch.empty = torch.zeros  # nothing runs: what a kernel would have written is read as zeros
for module in (compact, dense, draws, keep, sign, sparse, stochastic, sums, top_k):
    module.run = compile_only
call_all(1, 1)
call_all(3, 304)
json.dump({name: sorted(inexact) for name, inexact in found.items()}, sys.stdout)
