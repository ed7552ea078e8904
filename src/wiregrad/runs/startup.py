"""The start of a process that computes."""

from __future__ import annotations

import gc
import os


def load_suite() -> None:
    """Import torch and what executes runs, set to one CPU thread.

    Imports make a million objects that live until the process ends. Searching them for garbage
    again and again takes a sixth of the time of a start. So the collector is off meanwhile, and
    leaves these objects out later.
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
