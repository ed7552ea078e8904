"""One GPU per job: Snakemake counts GPUs, but does not say which one belongs to a job."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

_held: list[FileLock] = []
"""Locks of this process, which the system releases when it ends."""


def claim(device: str, poll_seconds: float = 1.0) -> str | None:
    """Bind this process to a GPU that no other job on this machine has; its id, or None.

    Call it before torch is imported. Waits while all GPUs are taken, looking again every
    `poll_seconds`. Does nothing for a `device` other than `auto` and `cuda`, without a GPU, and
    under SLURM, which assigns GPUs itself.
    """
    if device not in {"auto", "cuda"} or "SLURM_JOB_ID" in os.environ:
        return None
    gpus = visible()
    while gpus:
        for gpu in gpus:
            if _take(gpu):
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return gpu
        time.sleep(poll_seconds)
    return None


def visible() -> list[str]:
    """The GPUs this process may use: CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu.strip() for gpu in chosen.split(",") if gpu.strip()]
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    return found.stdout.split()


def _take(gpu: str) -> bool:
    name = "".join(c if c.isalnum() or c == "-" else "_" for c in gpu)
    lock = FileLock(Path(tempfile.gettempdir(), f"wiregrad-gpu-{name}.lock"), mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    _held.append(lock)
    return True
