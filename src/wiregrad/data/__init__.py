"""Data sets: fetched, verified, prepared once to a memory-mapped file, loaded as tensors.

This package imports without torch; `load` imports it.
"""

from wiregrad.data.catalogue import alternatives, entries, entry
from wiregrad.data.loading import DataSet, load
from wiregrad.data.schema import Entry

__all__ = ["DataSet", "Entry", "alternatives", "entries", "entry", "load"]
