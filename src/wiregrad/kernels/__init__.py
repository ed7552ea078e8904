"""Fused kernels: one pass over memory where plain torch needs several.

Those for the CPU are compiled when the package is installed, those for a GPU (`kernels.triton`)
when they are first used. Where a kernel is missing, or does not support a tensor, the plain torch
code of the compressor or method computes the same bits, only slower; it is the oracle that the
kernels are tested against. The environment variable `WIREGRAD_KERNELS` chooses the instructions:
`auto` (the widest that the CPU has), `avx512`, `avx2`, `portable`, or `off` (plain torch, on a GPU
too). All of them give the same bits.

A compiled kernel runs on the calling thread alone, and other Python threads go on meanwhile. This
room imports `core` only.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import ModuleType
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch

from wiregrad.core.errors import ConfigError

if TYPE_CHECKING:
    from wiregrad.kernels._native import Path as NativePath

VARIABLE = "WIREGRAD_KERNELS"
OFF = "off"
WIDEST_FIRST = ("avx512", "avx2", "portable")
CHOICES = ("auto", *WIDEST_FIRST, OFF)
TWINS = {"cuda": "wiregrad.kernels.triton"}
"""Type of device -> the package whose modules hold twins of these functions, by module and name."""

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("wiregrad.kernels")
_in_force: list[str] = []
"""The paths chosen by `using`, the innermost last; empty: the environment decides."""


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

    Raises ConfigError when WIREGRAD_KERNELS names a path that is unknown or not available.
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


def supports(*tensors: torch.Tensor | None) -> bool:
    """Whether kernels are in use and support these tensors.

    They support float32 on one device, the CPU or a GPU, with one or two dimensions, of which the
    last is contiguous: rows at any distance. None stands for an absent tensor and is supported.
    """
    given = [t for t in tensors if t is not None]
    devices = {t.device for t in given} or {torch.device("cpu")}
    return len(devices) == 1 and _serves(devices.pop().type) and all(_supports(t) for t in given)


def _supports(x: torch.Tensor) -> bool:
    return (
        x.dtype == torch.float32
        and x.layout == torch.strided
        and 1 <= x.dim() <= 2
        and (x.stride(-1) == 1 or x.shape[-1] <= 1)
    )


def _serves(device: str) -> bool:
    return twin_package(device) is not None or (device == "cpu" and path() != OFF)


def twin_package(device: str) -> str | None:
    """The package of twins for this type of device; None where there is none, or it is off."""
    if device not in TWINS:
        return None
    asked = _in_force[-1] if _in_force else os.environ.get(VARIABLE)
    return TWINS[device] if asked != OFF and _triton_works() else None


@cache
def _triton_works() -> bool:
    """Whether Triton for CUDA is installed, and the C compiler with which it starts kernels."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    found = importlib.util.find_spec("triton") is not None
    return found and compiler is not None and torch.version.hip is None


def with_twins(kernel: Callable[P, R]) -> Callable[P, R]:
    """Decorator: call the twin of a kernel instead, where the first tensor's device has one.

    The first argument is that tensor, or a named tuple that begins with it.
    """
    module = kernel.__module__.rpartition(".")[2]

    @wraps(kernel)
    def chosen(*args: P.args, **kwargs: P.kwargs) -> R:
        first = args[0][0] if isinstance(args[0], tuple) else args[0]
        package = twin_package(first.device.type) if isinstance(first, torch.Tensor) else None
        if package is None:
            return kernel(*args, **kwargs)
        twin: Callable[P, R] = getattr(
            importlib.import_module(f"{package}.{module}"), kernel.__name__
        )
        return twin(*args, **kwargs)

    return chosen


def native() -> NativePath:
    """The compiled functions of the path in force; raises ConfigError when it is `off`."""
    name = path()
    if name == OFF:
        raise ConfigError("the kernels are off")
    found: NativePath = getattr(_module(), name)
    return found


def require(*tensors: torch.Tensor | None) -> None:
    """Raises ValueError unless the kernels for the CPU support these tensors."""
    for t in tensors:
        if t is not None and not (_supports(t) and t.device.type == "cpu"):
            raise ValueError(f"float32 rows on the CPU expected, got {t.dtype} on {t.device}")


def rows_of(x: torch.Tensor) -> tuple[int, int, int, int]:
    """Address, number of rows, their length and their distance, of `[n, d]` or one `[d]`."""
    if x.dim() == 1:
        return x.data_ptr(), 1, x.shape[0], x.shape[0]
    return x.data_ptr(), x.shape[0], x.shape[1], x.stride(0)
