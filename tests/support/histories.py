"""Histories with known numbers, and trees of result files that hold them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from wiregrad.analysis.results.aggregate import COLUMNS, GroupResult, Results
from wiregrad.analysis.results.derived import with_derived
from wiregrad.core.files import sha256_file, write_text
from wiregrad.runs import record
from wiregrad.studies import files
from wiregrad.studies.plan import Group, Plan, load_plan

REVISION = "0123456789abcdef0123456789abcdef01234567"


def history(
    loss: Sequence[float],
    *,
    accuracy: Sequence[float] | None = None,
    rounds_per_row: int = 10,
    samples_per_round: int = 100,
    rows_per_epoch: int = 1,
    bits_paper: int = 1000,
    bits_wire: int = 1200,
) -> pd.DataFrame:
    """One logged row for each loss; `bits_*` are uplink bits a round."""
    step = np.arange(len(loss)) * rounds_per_row
    nothing = np.full(len(loss), np.nan)
    return pd.DataFrame(
        {
            "step": step,
            "epoch": np.arange(len(loss)) / rows_per_epoch,
            "samples": step * samples_per_round,
            "loss_train": np.asarray(loss, dtype=float),
            "loss_test": np.asarray(loss, dtype=float) + 0.01,
            "metric_test": nothing if accuracy is None else np.asarray(accuracy, dtype=float),
            "grad_norm": nothing,
            "uplink_bits_wire": step * bits_wire,
            "downlink_bits_wire": step * 3200,
            "uplink_bits_paper": step * bits_paper,
            "downlink_bits_paper": step * 0,
            "compression_error": nothing,
            "staleness_mean": 0.0,
            "staleness_max": 0,
            "lr": 0.01,
            "diverged": False,
        }
    )


def card(seed: int, outcome: str = "completed", **over: Any) -> record.RunCard:
    """A run card with the fields that the analysis reads."""
    fields: dict[str, Any] = {
        "schema": record.SCHEMA_VERSION,
        "config": {
            "method": {"lr": 0.01},
            "runtime": {"workers": 4},
            "problem": {"data": "toy"},
        },
        "config_sha256": "0" * 64,
        "code_sha256": "0" * 64,
        "git_revision": REVISION,
        "versions": {"python": "3.11.0"},
        "device": "cpu",
        "data": {"name": "toy", "variant": "toy", "source": "mirror", "sha256": "a" * 64},
        "seed": seed,
        "dim": 10,
        "steps": 30,
        "wall_seconds": 1.0,
        "peak_memory_bytes": 1,
        "outcome": outcome,
        "history_sha256": f"{seed:064d}",
    }
    return record.RunCard.model_validate(fields | over)


Runs = Mapping[tuple[str, int], Sequence[pd.DataFrame]]
"""(label, workers) -> one history a seed, seeds 1, 2, …"""


def results(
    runs: Runs,
    *,
    scale: str = "cpu",
    diverged: Sequence[tuple[str, int]] = (),
    reasons: Mapping[str, str] | None = None,
) -> Results:
    """Results of paper `toy`, experiment `task`; `diverged` names (label, seed) pairs."""
    frames, cards = [], {}
    for (label, workers), histories in runs.items():
        for seed, frame in enumerate(histories, start=1):
            outcome = "diverged" if (label, seed) in diverged else "completed"
            cards.setdefault(label, []).append(card(seed, outcome))
            about = {
                "paper": "toy",
                "experiment": "task",
                "label": label,
                "title": label.upper(),
                "workers": workers,
                "seed": seed,
                "run_id": f"n{workers}-s{seed}-{label}",
                "outcome": outcome,
            }
            frames.append(with_derived(frame.assign(**about))[COLUMNS])
    labels = [*cards, *(label for label in reasons or {} if label not in cards)]
    groups = tuple(
        GroupResult(
            paper="toy",
            experiment="task",
            label=label,
            title=label.upper(),
            planned=len(cards.get(label, [])) or 1,
            reason=(reasons or {}).get(label),
            cards=tuple(cards.get(label, ())),
        )
        for label in labels
    )
    frame = pd.concat(frames, ignore_index=True)
    return Results(scale=scale, frame=frame, groups=groups, labels=tuple(labels))


METHODS = {
    "dense": {"title": "Dense", "method": {"name": "comp_ams"}},
    "sparse": {"title": "Sparse & signed", "method": {"name": "comp_ams", "eps": 1.0e-6}},
    "absent": {"title": "Absent", "method": {"name": "comp_ams", "eps": 1.0e-7}},
}
PAPER = {
    "paper": "toy",
    "title": "A toy paper",
    "arxiv": "0000.00000",
    "convention": "comp_ams",
    "experiments": {
        "task": {
            "title": "The task",
            "problem": {"name": "logistic", "data": "toy"},
            "runtime": {"name": "simulated", "workers": 4},
            "budget": {"epochs": 3},
            "methods": ["dense", "sparse", "absent"],
            "lr": {"default": 0.01},
            "seeds": [1, 2, 3],
            "tuning": {
                "grid": [0.01, 0.1],
                "seeds": [9],
                "budget": {"epochs": 1},
                "metric": "loss_valid",
            },
        },
        "scaling": {
            "title": "The speed-up",
            "problem": {"name": "logistic", "data": "toy"},
            "runtime": {"name": "simulated"},
            "budget": {"epochs": 3},
            "methods": ["sparse"],
            "lr": {"default": 0.01},
            "grid": {"runtime.workers": [2, 4, 8]},
            "seeds": [1, 2],
        },
        "elsewhere": {
            "title": "Another task",
            "problem": {"name": "logistic", "data": "toy"},
            "runtime": {"name": "simulated", "workers": 4},
            "budget": {"epochs": 3},
            "methods": ["dense"],
            "lr": {"default": 0.01},
            "seeds": [1],
            "skip": "left out on purpose",
        },
    },
    "figures": {
        "curves": {
            "kind": "curves",
            "title": "Curves <b>",
            "caption": "Loss and accuracy.",
            "experiment": "task",
            "y": ["train_loss"],
            "emphasise": ["dense"],
        },
        "speed": {
            "kind": "speedup",
            "title": "Speed-up",
            "caption": "Rounds to the target.",
            "experiment": "scaling",
            "label": "sparse",
            "target": 0.5,
            "paper_points": {2: 40, 4: 20, 8: 10},
        },
        "none": {
            "kind": "curves",
            "title": "Nothing",
            "caption": "Not run.",
            "experiment": "elsewhere",
        },
    },
    "tables": {
        "task": {
            "title": "The task",
            "caption": "Final values & cost.",
            "experiment": "task",
            "target": {"metric": "train_loss", "value": 0.5},
        }
    },
    "claims": [
        {
            "id": "near",
            "statement": "Both end within 1 point.",
            "where": "figure 1",
            "paper_value": "equal",
            "check": "within",
            "args": {"experiment": "task", "left": "dense", "right": "sparse"},
            "tolerance": 1.0,
            "why": "the claim's number",
            "seeds": 3,
            "rates": "given",
        },
        {
            "id": "cheap",
            "statement": "Ten times fewer bits.",
            "where": "figure 2",
            "paper_value": "10×",
            "check": "bits_ratio",
            "args": {
                "experiment": "task",
                "dense": "dense",
                "compressed": "sparse",
                "expected": 10,
            },
            "tolerance": 0.01,
            "seeds": 3,
            "rates": "given",
        },
        {
            "id": "long",
            "statement": "Dense is lower after 100 epochs.",
            "where": "figure 1",
            "paper_value": "lower",
            "check": "better",
            "args": {"experiment": "task", "better": ["dense"], "worse": ["sparse"]},
            "budget": {"epochs": 100},
        },
        {
            "id": "else",
            "statement": "Another task.",
            "where": "table 1",
            "paper_value": "—",
            "check": "within",
            "args": {"experiment": "elsewhere", "left": "dense", "right": "dense"},
        },
    ],
}


def config_dir(root: Path, paper: Mapping[str, Any] = PAPER) -> Path:
    """A config folder with one paper and the scale `cpu`."""
    for name, content in (
        ("methods.yaml", METHODS),
        ("papers/toy.yaml", paper),
        ("scales/cpu.yaml", {"scale": "cpu", "papers": {}}),
    ):
        write_text(root / name, yaml.safe_dump(dict(content), sort_keys=False))
    return root


def write_group(group: Group, make: Callable[[int, int], pd.DataFrame]) -> None:
    """Leave the files of a trained group; `make(workers, seed)` gives each history."""
    listed = []
    for run in group.runs:
        frame = make(run.workers, run.seed)
        folder = group.directory / run.run_id
        record.write_table(folder / record.HISTORY, frame.to_dict("records"))
        sha256 = sha256_file(folder / record.HISTORY)
        config = copy.deepcopy(run.config)
        config["method"]["lr"] = 0.01
        about = {"config": config, "history_sha256": sha256, "labels": group.labels}
        record.write_card(folder / record.CARD, card(run.seed, **about))
        write_text(folder / "timing.parquet", "not to be published")
        entry = {"id": run.run_id, "seed": run.seed, "workers": run.workers}
        listed.append(entry | {"outcome": "completed", "history_sha256": sha256})
    if group.tuning is not None:
        tuned = {"grid": [0.01, 0.1], "best": 0.01, "edge": True, "metric": "loss_valid"}
        tuned |= {"scores": {}, "seeds": [9], "budget": {}}
        files.write(group.tuning_file, files.TuningResult.model_validate(tuned))
    files.write(group.manifest, files.Manifest(**group.labels, runs=listed))


def toy_tree(root: Path) -> Plan:
    """Config and results of the toy paper: one label has no data, one experiment is left out."""
    plan = load_plan("cpu", config_dir(root / "config"), results=root / "results")

    def dense(_: int, seed: int) -> pd.DataFrame:
        accuracy = [0.1, 0.8, 0.9, 0.95 + seed / 1000]
        return history([2.0, 1.0, 0.4, 0.2], accuracy=accuracy, bits_paper=10000, bits_wire=10400)

    def sparse(workers: int, seed: int) -> pd.DataFrame:
        accuracy = [0.1, 0.7, 0.85, 0.952 + seed / 1000]
        frame = history([2.0, 1.2, 0.5, 0.25 + seed / 100], accuracy=accuracy)
        return frame.assign(step=frame["step"] * 4 // workers)

    for group in plan.groups:
        if group.label == "absent":
            gone = files.NotRun(kind=files.NotRunKind.NO_DATA, detail="toy <i>is gone</i>")
            files.write(group.manifest, files.Manifest(**group.labels, not_run=gone))
        elif group.skip is None:
            write_group(group, dense if group.label == "dense" else sparse)
    return plan
