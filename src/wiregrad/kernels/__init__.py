"""Fused kernels on the CPU: one pass over memory for what torch needs several for.

They are compiled when the package is installed. Where they are not there, or do not fit a tensor,
the plain torch code of each compressor and method computes the same bits, only slower; it is the
oracle that the kernels are tested against. The environment variable `WIREGRAD_KERNELS` says which
instructions are used: `auto` (the widest that the CPU has), `avx512`, `avx2`, `portable`, or `off`.
All of them give the same bits.

A kernel runs on the calling thread alone and lets other Python threads go on meanwhile.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import torch

from wiregrad.errors import ConfigError

if TYPE_CHECKING:
    from wiregrad.kernels._native import Path as NativePath

VARIABLE = "WIREGRAD_KERNELS"
OFF = "off"
WIDEST_FIRST = ("avx512", "avx2", "portable")
CHOICES = ("auto", *WIDEST_FIRST, OFF)

_log = logging.getLogger("wiregrad.kernels")
_in_force: list[str] = []
"""The path chosen by `using`, innermost last; empty: that of the environment."""


@cache
def _module() -> ModuleType | None:
    try:
        from wiregrad.kernels import _native  # noqa: PLC0415 - it may not be there
    except ImportError as error:
        _log.debug("no compiled kernels: %s", error)
        return None
    return _native


def available() -> tuple[str, ...]:
    """The paths that are compiled and that this CPU can run, the widest first."""
    module = _module()
    return tuple(name for name in WIDEST_FIRST if module is not None and hasattr(module, name))


def path() -> str:
    """The path in force: `avx512`, `avx2`, `portable`, or `off` for plain torch.

    Raises ConfigError when WIREGRAD_KERNELS asks for what is not known or not there.
    """
    return _in_force[-1] if _in_force else _of_environment()


@cache
def _of_environment() -> str:
    choice = os.environ.get(VARIABLE, "auto")
    if choice != "auto" or available():
        return _resolve(choice, VARIABLE)
    _log.warning(
        "the kernels were not compiled when wiregrad was installed (a C++ compiler is needed): "
        "computing with torch alone, same results, slower; %s=off silences this",
        VARIABLE,
    )
    return OFF


def _resolve(choice: str, source: str) -> str:
    if choice not in CHOICES:
        raise ConfigError(f"{source}: {choice!r} is not known, allowed: {', '.join(CHOICES)}")
    here = available()
    if choice == "auto":
        return here[0] if here else OFF
    if choice != OFF and choice not in here:
        allowed = ", ".join(("auto", *here, OFF))
        raise ConfigError(f"{source}: {choice!r} cannot be used here, allowed: {allowed}")
    return choice


@contextmanager
def using(choice: str) -> Iterator[None]:
    """Within this context the kernels run on the path `choice`; raises ConfigError."""
    _in_force.append(_resolve(choice, "kernels.using"))
    try:
        yield
    finally:
        _in_force.pop()


def fits(*tensors: torch.Tensor | None) -> bool:
    """Whether kernels are in force and take these tensors.

    They take float32 on the CPU, of one or two dimensions, the last one contiguous: rows of any
    stride. None, for a tensor that is absent, fits.
    """
    return path() != OFF and all(t is None or _fits(t) for t in tensors)


def _fits(x: torch.Tensor) -> bool:
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.layout == torch.strided
        and 1 <= x.dim() <= 2
        and (x.stride(-1) == 1 or x.shape[-1] <= 1)
    )


def native() -> NativePath:
    """The compiled functions of the path in force; raises ConfigError when it is `off`."""
    name = path()
    if name == OFF:
        raise ConfigError("the kernels are off")
    found: NativePath = getattr(_module(), name)
    return found


def require(*tensors: torch.Tensor | None) -> None:
    """Raises ValueError unless the kernels take these tensors."""
    for t in tensors:
        if t is not None and not _fits(t):
            raise ValueError(f"float32 rows on the CPU expected, got {t.dtype} on {t.device}")


def rows_of(x: torch.Tensor) -> tuple[int, int, int, int]:
    """Address, number of rows, their length and their distance, of `[n, d]` or one `[d]`."""
    if x.dim() == 1:
        return x.data_ptr(), 1, x.shape[0], x.shape[0]
    return x.data_ptr(), x.shape[0], x.shape[1], x.stride(0)
