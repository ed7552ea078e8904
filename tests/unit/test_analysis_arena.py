"""The arena: ranks over tasks, its tables and its critical-difference diagrams."""

from dataclasses import replace

import histories
import numpy as np
import pandas as pd
import pytest
from histories import history

from wiregrad.analysis.figures import catalogue as figures
from wiregrad.analysis.results import arena
from wiregrad.analysis.results.arena import RankedTask
from wiregrad.analysis.tables import catalogue as tables
from wiregrad.analysis.tables import render
from wiregrad.studies.files import NotRunKind
from wiregrad.studies.schema import Paper

TASKS = {
    "one": RankedTask(metric="train_loss", target=0.6),
    "two": RankedTask(metric="accuracy", target=80.0),
    "three": RankedTask(metric="train_loss", target=0.6),
}
CURVES = {"good": [2.0, 0.5, 0.1], "fair": [2.0, 1.0, 0.3], "poor": [2.0, 1.5, 0.9]}
ABOUT = {"title": "T", "caption": "C"}


def results(curves=CURVES, diverged=()):
    """Every method on every task, two seeds; losses falling, accuracies 1 − loss / 2."""
    parts = []
    for task in TASKS:
        runs = {
            (label, 4): [
                history(losses, accuracy=1 - np.array(losses) / 2, bits_wire=100)
                for losses in ([x * (1 + seed / 100) for x in curve] for seed in range(2))
            ]
            for label, curve in curves.items()
        }
        found = histories.results(runs, diverged=diverged if task == "one" else ())
        groups = tuple(replace(group, experiment=task) for group in found.groups)
        frame = found.frame.assign(experiment=task)
        parts.append(replace(found, groups=groups, frame=frame))
    groups = tuple(group for part in parts for group in part.groups)
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    return replace(parts[0], groups=groups, frame=frame)


def placed(value, **how):
    return arena.ranks(arena.scores(results(**how).frame, TASKS, value))


def test_ranks_follow_the_metric_whichever_way_it_rises():
    assert placed("final").to_dict("index") == {
        task: {"good": 1.0, "fair": 2.0, "poor": 3.0} for task in TASKS
    }


def test_costs_are_to_the_target_and_those_who_miss_it_share_the_last_ranks():
    curves = CURVES | {"worse": [2.0, 1.9, 1.8]}
    table = arena.scores(results(curves).frame, TASKS, "rounds")
    mine = table[(table["task"] == "one") & (table["seed"] == 1)].set_index("label")
    assert mine.loc["good", "value"] == pytest.approx(10 * 1.4 / 1.5)
    assert np.isinf(mine.loc["poor", "score"])
    ranked = arena.ranks(table)
    assert ranked.loc["one"].to_dict() == {"good": 1, "fair": 2, "poor": 3.5, "worse": 3.5}


def test_a_run_that_diverged_is_last_and_a_method_without_a_task_is_not_ranked():
    assert placed("final", diverged=[("good", 2)]).loc["one"].to_dict() == {
        "good": 3,
        "fair": 1,
        "poor": 2,
    }
    found = results()
    gone = (found.frame["label"] == "fair") & (found.frame["experiment"] == "two")
    left = arena.ranks(arena.scores(found.frame[~gone], TASKS, "final"))
    assert list(left.columns) == ["good", "poor"]


def parsed(kind, **fields):
    spec = {"kind": kind, **ABOUT, "experiments": {k: vars(v) for k, v in TASKS.items()}} | fields
    where = "tables" if kind == "arena" else "figures"
    experiment = {
        "title": "t",
        "problem": {"name": "logistic"},
        "runtime": {"workers": 4},
        "budget": {"steps": 1},
        "methods": "all",
        "lr": {"default": 0.1},
        "seeds": [1],
    }
    paper = Paper(
        paper="toy",
        title="T",
        arxiv="none",
        convention="formula",
        experiments=dict.fromkeys(TASKS, experiment),
        **{where: {"it": spec}},
    )
    return (tables if kind == "arena" else figures).parse(paper)["it"]


def test_the_table_has_a_row_a_method_and_a_mean_rank(tmp_path):
    spec = parsed("arena", value="bits")
    assert spec.reads == tuple(TASKS)
    mine = spec.gathered(results(), "toy")
    shown, best = render.text(spec, mine)
    assert shown["method"].tolist() == ["GOOD", "FAIR", "POOR"]
    assert shown["mean rank"].tolist() == ["1.0", "2.0", "3.0"]
    assert shown["one: bits to train loss 0.6"].iloc[2] == "missed by 2 of 2"
    assert best["mean rank"].tolist() == [True, False, False]
    assert shown["seeds"].tolist() == ["2", "2", "2"]
    paths = render.write(spec, "it", "toy", results(), tmp_path)
    numbers = pd.read_csv(paths[0])
    assert numbers["mean_rank"].tolist() == [1, 2, 3]
    assert "- two: 20 rounds, 2 epochs, 2,000 samples, 4 workers.\n" in paths[1].read_text("utf-8")


def test_the_diagram_places_methods_by_mean_rank_and_joins_those_not_told_apart():
    spec = parsed("ranks")
    figure, notes = spec.draw(spec.gathered(results(), "toy"))
    assert len(figure.axes) == 2
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any("GOOD" in text and "(1)" in text for text in texts)
    assert any("POOR" in text and "(3)" in text for text in texts)
    assert "Friedman's test over 3 tasks, p = 0.05" in notes[0]
    bars = [line for line in figure.axes[0].get_lines() if line.get_color() == "#444444"]
    assert bars
    assert all(list(bar.get_xdata()) == sorted(bar.get_xdata()) for bar in bars)


def test_a_task_that_is_left_out_adds_no_rows():
    found = results()
    skipped = {"planned": 0, "reason": "not here", "cards": ()}
    more = replace(found.groups[0], experiment="three", label="other", **skipped)
    assert len(arena.merged(replace(found, groups=(*found.groups, more)))) == len(CURVES)
    assert arena.merged(replace(found, groups=(more,))) == (more,)


def test_a_method_whose_every_rate_diverged_is_last():
    found = results()
    gone = (found.frame["label"] == "good") & (found.frame["experiment"] == "two")
    reason = "every rate of the tuning grid diverged"
    groups = tuple(
        replace(g, cards=(), reason=reason, not_run=NotRunKind.DIVERGED)
        if (g.label, g.experiment) == ("good", "two")
        else g
        for g in found.groups
    )
    spec = parsed("arena", value="final")
    mine = spec.gathered(replace(found, frame=found.frame[~gone], groups=groups), "toy")
    shown, _ = render.text(spec, mine)
    assert shown["two: test accuracy (%)"].iloc[0] == "diverged in 1 of 1"
    table = arena.ranks(arena.scores(mine.frame, TASKS, "final"))
    assert table.loc["two"].to_dict() == {"good": 3, "fair": 1, "poor": 2}


def test_two_methods_are_not_tested():
    spec = parsed("ranks")
    few = results({key: CURVES[key] for key in ("good", "fair")})
    _, notes = spec.draw(spec.gathered(few, "toy"))
    assert notes[0] == "Ranks by final metric: no test of 2 methods on 3 tasks."


def test_without_runs_there_are_no_scores_and_no_ranks():
    frame = pd.DataFrame({"experiment": []})
    table = arena.scores(frame, {"mnist": RankedTask(metric="accuracy", target=0.9)}, "final")
    assert table.empty
    assert arena.ranks(table).empty
