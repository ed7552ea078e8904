"""Sweeps: how each of a grid of runs of one problem and one method ends, many at a time.

The runs of one k advance together (`wiregrad.runtimes.batched`); what has reached the tolerance,
diverged or cannot win any more is dropped. When a run ends depends on iterations and bits alone.
Each batch leaves a file, so that an interrupted sweep goes on with the next one.
"""

from wiregrad.studies.sweep.advance import Ended, Point, Stop, advance
from wiregrad.studies.sweep.rows import SCHEMA, Row, best, read, write
from wiregrad.studies.sweep.task import Found, Task, run

__all__ = [
    "SCHEMA",
    "Ended",
    "Found",
    "Point",
    "Row",
    "Stop",
    "Task",
    "advance",
    "best",
    "read",
    "run",
    "write",
]
