"""A reproducible benchmark suite for communication-compressed distributed optimisation."""

__all__ = ["__version__"]

__version__: str
"""Version of the installed distribution; ``0+unknown`` in a source tree never installed."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up when asked for: reading metadata takes 30 ms of every start."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version(__name__)
    except PackageNotFoundError:
        return "0+unknown"
