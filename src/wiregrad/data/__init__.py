"""Data sets: fetched, verified, prepared once to a memory-mapped file, loaded as tensors.

This package imports without torch; `load` imports it.
"""

from wiregrad.data.catalogue import Entry, alternatives, entries, entry
from wiregrad.data.loading import DataSet, load

__all__ = ["DataSet", "Entry", "alternatives", "entries", "entry", "load"]
