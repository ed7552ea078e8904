"""Tables: the numbers, the printed form, and what is marked."""

from __future__ import annotations

import copy
import csv
import io
from dataclasses import replace

import histories
import pytest
from histories import history

from wiregrad.analysis.results.aggregate import Results
from wiregrad.analysis.tables import catalogue, render
from wiregrad.analysis.tables.spec import table_kinds
from wiregrad.core.errors import ConfigError
from wiregrad.studies.files import TuningResult
from wiregrad.studies.schema import Paper

SPEC = table_kinds.build(
    {
        "kind": catalogue.DEFAULT,
        "title": "T & co",
        "caption": "C_1",
        "experiment": "task",
        "target": {"metric": "train_loss", "value": 0.5},
    }
)


def found() -> Results:
    def run(final: float, accuracy: float, **bits: int) -> object:
        return history([2.0, 1.0, final], accuracy=[0.1, 0.5, accuracy], **bits)

    runs = {
        ("a", 4): [run(0.20 + s / 100, 0.95 + s / 1000, bits_wire=32_000_000) for s in range(3)],
        ("b", 4): [run(0.40, 0.97), run(0.60, 0.98), run(0.40, 0.99)],
        ("c", 4): [run(0.01, 0.999), run(0.02, 0.999)],
    }
    return histories.results(runs, diverged=[("c", 2)], reasons={"d": "no data: d is gone"})


def rows() -> dict[str, dict[str, str]]:
    text = render.numbers(SPEC, found()).to_csv(index=False)
    return {row["label"]: row for row in csv.DictReader(io.StringIO(text))}


def test_the_numbers():
    a = rows()["a"]
    assert float(a["train_loss"]) == pytest.approx(0.21)
    half = 4.302652729911275 * 0.01 / 3**0.5
    assert float(a["train_loss_high"]) == pytest.approx(0.21 + half)
    assert float(a["accuracy"]) == pytest.approx(95.1)
    assert float(a["to_target_step"]) == pytest.approx(
        sum(10 + 10 * 0.5 / (1 - f) for f in (0.20, 0.21, 0.22)) / 3
    )
    assert (a["seeds"], a["diverged"], a["lr"], a["lr_tuned"]) == ("3", "0", "0.01", "False")
    assert (a["scale"], a["revision"]) == ("cpu", histories.REVISION)


def test_a_missed_target_a_diverged_run_and_a_gap_are_rows():
    table = rows()
    assert table["b"]["to_target_step"] == ""  # one of three runs ends at 0.6
    assert float(table["b"]["train_loss"]) == pytest.approx(1.4 / 3)
    assert (table["c"]["diverged"], table["c"]["runs"]) == ("1", "2")
    assert float(table["c"]["train_loss"]) == pytest.approx(0.01)
    assert table["d"]["not_run"] == "no data: d is gone"
    assert table["d"]["train_loss"] == ""


def test_the_printed_table():
    shown, best = render.text(SPEC, found())
    cells = shown.set_index("method")
    assert cells.loc["A", "train loss"] == "0.2100 ± 0.0248"
    assert cells.loc["A", "test accuracy (%)"] == "95.10 ± 0.25"
    assert cells.loc["A", "uplink bits (wire) in all"] == "640.0 M"
    assert cells.loc["B", "rounds to train loss 0.5"] == "missed by 1 of 3"
    assert cells.loc["C", "train loss"] == "0.0100"
    assert cells.loc["D", "train loss"] == "—"
    marked = best.set_axis(shown["method"])
    # C is lower, but one of its runs diverged.
    assert marked["train loss"].tolist() == [True, False, False, False]
    assert marked["test accuracy (%)"].tolist() == [False, True, False, False]
    assert not marked["uplink bits (wire) in all"].any()


def test_methods_that_print_the_same_are_best_together():
    runs = {(k, 4): [history([2.0, v])] for k, v in (("a", 0.20001), ("b", 0.20002), ("c", 0.3))}
    plain = replace(SPEC, target=None, metrics=("train_loss",))
    _, best = render.text(plain, histories.results(runs))
    assert best["train loss"].tolist() == [True, True, False]


def test_rates_at_the_edge_of_the_grid_are_marked():
    results = found()
    about = {"scores": {}, "metric": "loss_valid", "seeds": [9], "budget": {}}
    tuned = TuningResult(grid=[0.01, 0.1], best=0.01, edge=True, **about)
    first, *others = results.groups
    groups = (replace(first, tuning=tuned), *others)
    marked = replace(results, groups=groups)
    shown, _ = render.text(SPEC, marked)
    assert shown["learning rate"].tolist() == ["0.01 †", "0.01 ‡", "0.01 ‡", "—"]
    notes = render.notes(SPEC, marked)
    assert any(note.startswith("† the best point is at the edge") for note in notes)
    assert "C: diverged in 1 of 2 runs." in notes
    assert "D: not run: no data: d is gone." in notes
    assert notes[-1] == "wiregrad · scale cpu · revision 0123456"


def test_markdown_and_latex_mark_the_best_and_escape():
    text = render.markdown(SPEC, found())
    assert "| **0.2100 ± 0.0248** |" in text.replace("  ", " ")
    tex = render.latex(SPEC, "mnist", found())
    assert r"\toprule" in tex
    assert r"\textbf{0.2100 ± 0.0248}" in tex
    assert r"T \& co. C\_1" in tex
    assert r"test accuracy (\%)" in tex
    assert r"\label{tab:mnist}" in tex


def test_the_same_results_give_the_same_files(tmp_path):
    spec, results = SPEC, found()
    one = [p.read_bytes() for p in render.write(spec, "t", "toy", results, tmp_path / "one")]
    shuffled = replace(results, frame=results.frame.sample(frac=1.0, random_state=0))
    two = [p.read_bytes() for p in render.write(spec, "t", "toy", shuffled, tmp_path / "two")]
    assert one == two


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"target": {"metric": "speed", "value": 1}},
            r"tables\.task\.target\.metric: Input should be 'accuracy'",
        ),
        (
            {"titel": "x"},
            r"tables\.task\.titel: unknown key; did you mean 'title'",
        ),
        ({"experiment": "no"}, r"tables\.task\.experiment: 'no' is no experiment"),
    ],
)
def test_a_wrong_table_is_one_clear_line(change, message):
    paper = copy.deepcopy(histories.PAPER)
    paper["tables"]["task"] |= change
    with pytest.raises(ConfigError, match=message):
        catalogue.parse(Paper.model_validate(paper))
