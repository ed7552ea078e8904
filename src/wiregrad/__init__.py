"""A reproducible benchmark suite for communication-compressed distributed optimisation."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("wiregrad")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
