"""The manifest of a group, group.json: which runs it has, or why it has none. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wiregrad.core.errors import ConfigError
from wiregrad.core.files import write_json
from wiregrad.studies.plan import Group

NO_DATA = "no data: "
"""What the reason begins with where data cannot be had."""


def manifest(group: Group, runs: list[dict[str, Any]], not_run: str | None) -> dict[str, Any]:
    """Write the manifest, and return it."""
    written = {
        "paper": group.paper,
        "experiment": group.experiment,
        "label": group.label,
        "scale": group.scale,
        "runs": runs,
        "not_run": not_run,
    }
    write_json(group.manifest, written)
    return written


def unavailable(report: Path) -> str | None:
    """Why there are no data, by a report of `wiregrad data fetch`; None where there are.

    Raises ConfigError where the file is no such report.
    """
    try:
        found = json.loads(report.read_text(encoding="utf-8"))
        return None if found["available"] else str(found["reason"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{report}: not a report of `wiregrad data fetch` ({error})") from None
