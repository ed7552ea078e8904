"""All methods on several tasks: final metrics, costs to a target, and the ranks of both.

A method's rank on a task is that of its mean over seeds. The best rank is 1, and ties share their
mean rank. A run that diverged, or never reached the target, is worse than any other, and so is a
method that diverged at every learning rate. Tasks are the blocks of Friedman's test and of
Nemenyi's after it (Demšar, JMLR 7, 2006).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from wiregrad.analysis.results import measure
from wiregrad.analysis.results.aggregate import GroupResult, Results
from wiregrad.analysis.results.metrics import METRICS, MetricName
from wiregrad.studies.files import NotRunKind

Value = Literal["final", "bits", "rounds"]
SPENT = {"bits": "total_bits_wire", "rounds": "step"}
HEADINGS = {
    "final": "final metric",
    "bits": "bits a worker sends and receives until the target",
    "rounds": "rounds until the target",
}


@dataclass(frozen=True, kw_only=True)
class RankedTask:
    """What is compared on a task: a metric, and the level of it to reach, in its unit."""

    metric: MetricName
    target: float


def scores(frame: pd.DataFrame, tasks: Mapping[str, RankedTask], value: Value) -> pd.DataFrame:
    """One row for each task, label and seed: `value` in its unit, and `score` (less is better).

    Where a run diverged or never reached the target the score is infinite and the value NaN.
    """
    parts = [pd.DataFrame(columns=["label", "seed", "value", "task", "score"])]
    for name, task in tasks.items():
        metric, mine = METRICS[task.metric], frame[frame["experiment"] == name]
        if mine.empty:
            continue
        if value == "final":
            table = measure.per_run(mine, metric.column)
            table = table.assign(value=table["value"] * metric.factor)
            sign = -metric.sign
        else:
            level = task.target / metric.factor
            table = measure.first_crossing(
                mine, metric.column, level, SPENT[value], rising=metric.rising
            )
            sign = 1.0
        score = (sign * table["value"]).fillna(np.inf)
        parts.append(table[["label", "seed", "value"]].assign(task=name, score=score))
    found = parts[1:] or parts  # an empty frame would take the types from the others
    return pd.concat(found, ignore_index=True)


def ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Ranks from a table of `scores`: one row a task, one column a label with runs on each."""
    means = table.pivot_table(
        index="task", columns="label", values="score", aggfunc="mean", sort=False
    )
    means = means.dropna(axis="columns")
    return means.rank(axis="columns", method="average")


def with_failures(results: Results) -> pd.DataFrame:
    """The histories, with a diverged run for each group whose tuning found no usable rate."""
    failed = [g for g in results.groups if not g.cards and g.not_run is NotRunKind.DIVERGED]
    if not failed:
        return results.frame
    about = ("paper", "experiment", "label", "title")
    rows = [{name: getattr(group, name) for name in about} for group in failed]
    more = pd.DataFrame(rows).assign(
        workers=0, seed=0, run_id="tuning", outcome="diverged", step=0, diverged=True
    )
    return pd.concat([results.frame, more], ignore_index=True)


def merged(results: Results) -> tuple[GroupResult, ...]:
    """One group for each label, over all experiments that are not left out."""
    found: dict[str, GroupResult] = {}
    planned = [group for group in results.groups if group.planned]
    for group in planned or results.groups:
        known = found.get(group.label)
        if known is None:
            found[group.label] = group
            continue
        cards = known.cards + group.cards
        found[group.label] = replace(
            known,
            planned=known.planned + group.planned,
            reason=None if cards else known.reason,
            cards=cards,
            tuning=known.tuning or group.tuning,
            directory=None,
        )
    return tuple(found.values())


def joined(results: Results) -> Results:
    """The results with one group for each label, and with the methods whose tuning failed."""
    return replace(results, frame=with_failures(results), groups=merged(results))
