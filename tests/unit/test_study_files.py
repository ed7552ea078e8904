"""Files that groups of runs leave: what is written can be read, what is damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wiregrad.core.errors import ConfigError, RecordError
from wiregrad.studies import files

PUBLISHED = Path(__file__).parents[2] / "results/published"
RUN = {"id": "n4-s1-0", "seed": 1, "workers": 4, "outcome": "completed", "history_sha256": "0"}
ABOUT = {"paper": "p", "experiment": "e", "label": "l", "scale": "s"}
GONE = files.NotRun(kind=files.NotRunKind.NO_DATA, detail="toy: gone")
POINT = {"k": 5, "multiple": 2.0, "lr": 0.1, "reached": True}
POINT |= {"uplink_bits_paper": 7.0, "iterations": 3.0, "grad_norm": 0.01}
WRITTEN = [
    (files.read_manifest, files.Manifest(**ABOUT, runs=[RUN])),
    (files.read_manifest, files.Manifest(**ABOUT, not_run=GONE)),
    (
        files.read_tuning,
        files.TuningResult(
            grid=[0.1, 1.0],
            scores={"0.1": [2.5], "1.0": [None]},
            metric="loss_valid",
            seeds=[9],
            budget={"steps": 5},
            best=0.1,
            edge=True,
        ),
    ),
    (
        files.read_tuning,
        files.TuningResult(
            points=[
                {"settings": {"method.lr": 9e-5, "method.v0": 0.1}, "values": [2.0, 4.0]},
                {"settings": {"method.lr": 1e-4, "method.v0": 0.1}, "values": [1.0, 2.0]},
                {"settings": {"method.lr": 10.0, "method.v0": 0.1}, "values": [0.5, None]},
            ],
            metric="loss_valid",
            seeds=[8, 9],
            budget={"epochs": 2.5},
            best=1e-4,
            chosen={"method.lr": 1e-4, "method.v0": 0.1},
            settled=True,
            cap=12,
        ),
    ),
    (
        files.read_sweep,
        files.SweepResult(
            best=POINT,
            settled={"multiples": True, "k": False},
            cap=24,
            given={},
            outcomes={"reached": 1},
            identity="0/1",
            git_revision="r",
            data={"name": "toy"},
        ),
    ),
    (
        files.read_sweep,
        files.SweepResult(
            best=POINT,
            edge=["multiples"],
            given={},
            outcomes={"reached": 1},
            identity="0/1",
            git_revision="r",
            data={"name": "toy"},
        ),
    ),
    (files.read_data_report, files.DataReport(name="toy", available=False, reason="gone")),
    (files.read_rounds_done, files.RoundsDone(done=3, total=9)),
]


@pytest.mark.parametrize(("read", "content"), WRITTEN)
def test_what_is_written_is_read_and_has_the_same_bytes_again(tmp_path, read, content):
    for name in ("a.json", "b.json"):
        files.write(tmp_path / name, content)
    assert read(tmp_path / "a.json") == content
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(("read", "content"), WRITTEN)
def test_an_unknown_key_is_refused(tmp_path, read, content):
    path = tmp_path / "x.json"
    files.write(path, content)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"more": 1}))
    with pytest.raises((RecordError, ConfigError), match=r"x\.json: .*more: Extra inputs"):
        read(path)


def test_a_reason_has_a_kind_and_words():
    kinds = files.NotRunKind
    assert GONE.text == "no data: toy: gone"
    assert files.NotRun(kind=kinds.DIVERGED, detail="all of them").text == "all of them"
    assert files.NotRun(kind=kinds.SKIPPED, detail="too long").text == "too long"


def test_a_report_of_missing_data_says_why(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"name": "toy", "available": False, "reason": None}))
    with pytest.raises(ConfigError, match=r"data\.json: not a report of .*reason: missing"):
        files.read_data_report(path)


def test_a_tuning_tells_its_curve_in_the_order_of_numbers():
    found = next(c for _, c in WRITTEN if isinstance(c, files.TuningResult) and c.cap)
    assert found.grid == (9e-5, 1e-4, 10.0)
    assert [point.score for point in found.curve] == [3.0, 1.5, None]
    assert list(found.scores) == ["9e-05", "0.0001", "10.0"]
    assert (found.trials, found.edge) == (6, False)


@pytest.mark.parametrize(("best", "settled"), [(0.01, False), (0.1, True), (1.0, False)])
def test_a_tuning_of_before_there_were_caps_is_settled_inside_its_grid(tmp_path, best, settled):
    """In its file rates are texts, in no order of numbers."""
    old = {
        "grid": [0.01, 0.1, 1.0, 100.0] if best != 1.0 else [0.01, 0.1, 1.0],
        "scores": {"100.0": [None], "0.01": [3.0], "0.1": [2.0], "1.0": [2.5]},
        "metric": "loss_valid",
        "seeds": [9],
        "budget": {"steps": 5},
        "best": best,
        "edge": not settled,
        "not_run": None,
    }
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps(old))
    found = files.read_tuning(path)
    assert found.grid == tuple(old["grid"])
    assert found.scores == {repr(rate): tuple(old["scores"][repr(rate)]) for rate in found.grid}
    assert (found.best, found.settled, found.edge, found.cap) == (best, settled, not settled, None)


def test_published_tunings_and_sweeps_of_the_old_form_keep_what_they_said():
    for path in PUBLISHED.rglob("tuning.json"):
        raw = json.loads(path.read_text())
        if "edge" in raw:
            found = files.read_tuning(path)
            assert (found.edge, found.best) == (raw["edge"], raw["best"])
            assert found.settled == (raw["best"] is not None and not raw["edge"])
    for path in PUBLISHED.rglob("sweep.json"):
        raw = json.loads(path.read_text())
        if "edge" in raw:
            edge = files.read_sweep(path).edge
            assert edge == (None if raw["edge"] is None else tuple(raw["edge"]))


def test_published_files_are_of_these_schemas():
    found = 0
    for name, read in {
        "group.json": files.read_manifest,
        "tuning.json": files.read_tuning,
        "sweep.json": files.read_sweep,
    }.items():
        for path in PUBLISHED.rglob(name):
            read(path)
            found += 1
    assert found > 1000
