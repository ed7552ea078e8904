"""A step of two processes over gloo: PyTorch's DDP with its hooks, and the distributed runtime."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ratios import Row

PROGRAM = Path(__file__).parent / "programs" / "hooks.py"
OURS = "wiregrad, sign"


@pytest.mark.skipif(not Path("/proc/net/dev").exists(), reason="reads /proc/net/dev")
def test_hooks(table: list[Row], quick: bool) -> None:
    found = measured(*(("16", "1", "1") if quick else ("500", "8", "5")))
    for name, side in found.items():
        detail = f"{1e3 * side['seconds']:.3g} ms and {side['bytes'] / 1e3:,.0f} kB a step"
        if name == OURS:
            ratio = found["DDP, no hook"]["bytes"] / side["bytes"]
            row = Row("Peers", "2 processes, d = 1e6, sign", "DDP's bytes", ratio, "×", detail)
        else:
            ratio = side["seconds"] / found[OURS]["seconds"]
            row = Row("Peers", "2 processes, d = 1e6, sign", name, ratio, "×", detail)
        table.append(row)


def measured(*arguments: str) -> dict[str, dict[str, float]]:
    """The seconds and bytes of each side, as rank 0 of programs/hooks.py prints them."""
    with socket.socket() as holder:  # while it is bound here, no other process gets the port
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        started = [
            subprocess.Popen(
                [sys.executable, PROGRAM, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | common | {"GLOO_SOCKET_IFNAME": "lo", "RANK": str(rank)},
            )
            for rank in range(2)
        ]
        try:
            said = [process.communicate(timeout=600) for process in started]
        finally:
            for process in started:
                process.kill()
                process.communicate()
    assert [process.returncode for process in started] == [0, 0], said
    result: dict[str, dict[str, float]] = json.loads(said[0][0].splitlines()[-1])
    return result
