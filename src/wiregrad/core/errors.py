"""The errors that a user can meet: one line that names the file, the key and what is allowed."""

from __future__ import annotations


class WiregradError(Exception):
    """Base of all errors that the command line prints as one line, with exit status 2."""


class ConfigError(WiregradError):
    """A configuration that cannot be used."""


class RecordError(WiregradError):
    """A history, timing file or run card that is missing, malformed or inconsistent."""


class DataUnavailable(WiregradError):
    """A data set that no source has: a run that needs it is "not run: no data"."""


class DataCorrupt(WiregradError):
    """A data file whose bytes or format are not as expected; names the file (and the line)."""


class WriteError(WiregradError, OSError):
    """A file that cannot be written; names the file and the reason."""


class NonFiniteError(WiregradError):
    """A vector with NaN or infinity reached a compressor, or a norm overflowed.

    Runtimes record it as divergence.
    """


class RuntimeFailure(WiregradError):
    """A run that has lost one of its processes; the message names it."""


class NotCovered(WiregradError, ValueError):
    """A question that no theorem here answers: of a method, a compressor or a problem."""
