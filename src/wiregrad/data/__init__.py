"""Data sets: fetched, verified, prepared once as a memory-mapped file, and loaded as tensors.

It may import `wiregrad.core` only. The package imports without torch; `load` imports it.
"""

from wiregrad.data.catalogue import alternatives, entries, entry
from wiregrad.data.loading import DataSet, load
from wiregrad.data.schema import Entry

__all__ = ["DataSet", "Entry", "alternatives", "entries", "entry", "load"]
