"""Waiting for something to happen, however busy the machine is."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 600.0
"""Seconds after which a test gives up: a hang, never a slow machine. Below pytest's own limit."""
POLL_SECONDS = 0.02

T = TypeVar("T")


def until(condition: Callable[[], T], process: subprocess.Popen[str] | None = None) -> T:
    """What `condition` returned, once it is true.

    Raises AssertionError when `process`, whose work is waited for, ends before that, with what it
    said; and TimeoutError after PATIENCE seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        ended = process is not None and process.poll() is not None
        if found := condition():  # looked at after the process: it may have been its last deed
            return found
        if process is not None and ended:
            said = "".join(text or "" for text in process.communicate())
            raise AssertionError(f"ended with {process.returncode} too early: {said}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE:g} s in vain for {condition}")
        time.sleep(POLL_SECONDS)
