"""The start of a process that computes."""

from __future__ import annotations

import gc
import os


def load_suite() -> None:
    """Import torch and the suite, for one CPU thread: the order of a sum is part of a result.

    Imports make a million objects that live to the end. Looking through them for garbage, again
    and again, takes a sixth of the time of a start, so that is put off; later it leaves them out.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported: no pool of idle threads
    collects = gc.isenabled()
    gc.disable()
    try:
        import wiregrad.runs.execute  # noqa: F401, PLC0415
    finally:
        gc.freeze()
        if collects:
            gc.enable()
