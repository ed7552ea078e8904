"""Errors a user can meet: one line that names the file, the key and what is allowed."""

from __future__ import annotations


class WiregradError(Exception):
    """Root of all errors that the command line prints as one line; exit status 2."""


class ConfigError(WiregradError):
    """A configuration that cannot be used."""


class RecordError(WiregradError):
    """A history, timing file or run card that is missing, malformed or inconsistent."""


class DataUnavailable(WiregradError):
    """A data set that no source yields: a run that needs it is "not run: no data"."""


class AllDiverged(WiregradError):
    """A grid of which every point diverged: a run at its best is "not run"."""


class DataCorrupt(WiregradError):
    """A data file whose bytes or format are not what was promised; names the file (and line)."""


class NonFiniteError(WiregradError):
    """A vector with NaN or Inf reached a compressor, or a norm left the float range.

    Runtimes record it as divergence.
    """


class RuntimeFailure(WiregradError):
    """A run that lost one of its processes; the message names it."""


class NotCovered(WiregradError, ValueError):
    """A question that no theorem here answers: of a method, a compressor or a problem."""
