"""A configuration folder of one paper with one experiment, for tests of plans and groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from wiregrad.studies.plan import Plan, load_plan


def write_config(
    folder: Path,
    methods: Mapping[str, Any],
    experiment: Mapping[str, Any],
    convention: str = "formula",
) -> Path:
    """Write the experiment `e` of the paper `p` at the scale `s` below `folder`; its config."""
    paper = {"paper": "p", "title": "P", "arxiv": "1", "convention": convention}
    for name, content in {
        "methods": methods,
        "papers/p": paper | {"experiments": {"e": experiment}},
        "scales/s": {"scale": "s", "papers": {}},
    }.items():
        path = folder / "config" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "config"


def plan_below(folder: Path, *args: Any, **more: Any) -> Plan:
    """The plan of what `write_config` writes; results go beside it."""
    return load_plan("s", write_config(folder, *args, **more), results=folder / "results")
