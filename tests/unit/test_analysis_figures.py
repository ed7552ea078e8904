"""Pictures: same histories, same bytes; a look that stays with its method; gaps that are named."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import subprocess
import sys
from pathlib import Path

import histories
import numpy as np
import pytest
from histories import history

from wiregrad.analysis.figures import catalogue, render, style
from wiregrad.analysis.figures.kinds.curves import CurvesFigure
from wiregrad.analysis.figures.kinds.speedup import SpeedupFigure
from wiregrad.analysis.figures.spec import FigureSpec
from wiregrad.analysis.results import measure
from wiregrad.analysis.results.aggregate import Results
from wiregrad.core.errors import ConfigError
from wiregrad.runs import provenance
from wiregrad.studies.schema import Paper

HERE = Path(__file__).parent


def curves(**over: object) -> FigureSpec:
    about = {"title": "T", "caption": "C", "experiment": "task"}
    return CurvesFigure(**(about | over))


def found(**over: object) -> Results:
    long = [2.3 * 0.8**i for i in range(12)]
    rising = [0.1, *(0.9 + i / 200 for i in range(11))]
    runs = {
        ("a", 4): [history(long, accuracy=rising), history([v * 1.1 for v in long])],
        ("b", 4): [history([v * 1.5 for v in long], accuracy=rising)] * 2,
    }
    return histories.results(runs, **over)


def write_one(folder: str) -> None:
    """Draw one figure into `folder`; also run as a program by a test."""
    render.write(
        curves(emphasise=("a",), y=("train_loss",)), "toy", found(), Path(folder) / "f.svg"
    )


def test_the_same_histories_give_the_same_bytes_in_another_process(tmp_path):
    code = f"import sys; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent / 'support')!r}]; "
    code += f"import test_analysis_figures as t; t.write_one({str(tmp_path / 'two')!r})"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
    )
    write_one(str(tmp_path / "one"))
    for name in ("f.svg", "f.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_drawing_leaves_the_global_style_as_it_was():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style.shared_style():
        assert dict(mpl.rcParams) != before
    assert dict(mpl.rcParams) == before


def test_the_digest_follows_histories_description_and_scale():
    spec, now = curves(), found()
    same = render.digest(spec, "toy", found())
    assert render.digest(spec, "toy", now) == same
    assert render.digest(curves(title="U"), "toy", now) != same
    assert render.digest(spec, "toy", found(scale="smoke")) != same
    other = copy.deepcopy(now)
    other.groups[0].cards[0].history_sha256 = "f" * 64
    assert render.digest(spec, "toy", dataclasses.replace(other)) != same


def test_the_digest_follows_the_code_of_the_kind_and_of_the_rendering(monkeypatch):
    before = render.digest(curves(), "toy", found())
    for changed in ("curves.py", "render.py"):
        monkeypatch.setattr(
            render,
            "code_sha256",
            lambda file, package, changed=changed: (
                "new" if file.name == changed else provenance.code_sha256(file, package)
            ),
        )
        assert render.digest(curves(), "toy", found()) != before


def test_the_code_of_a_kind_is_what_it_imports_and_no_other_kind():
    kind = Path(inspect.getfile(CurvesFigure))
    names = {file.name for file in provenance._reached([kind], ("wiregrad.analysis",))}
    assert names >= {"curves.py", "spec.py", "lines.py", "axes.py", "style.py", "measure.py"}
    kinds = {file.name for file in kind.parent.glob("*.py")} - {"__init__.py"}
    assert names & kinds == {"curves.py"}


def test_a_picture_of_another_scale_is_drawn_anew(tmp_path):
    spec, svg = curves(y=("train_loss",)), tmp_path / "f.svg"
    render.ensure(spec, "toy", found(), svg)
    first = svg.read_bytes()
    svg.with_suffix(".png").write_bytes(b"kept, since the svg is up to date")
    render.ensure(spec, "toy", found(), svg)
    assert svg.with_suffix(".png").read_bytes().startswith(b"kept")
    render.ensure(spec, "toy", found(scale="smoke"), svg)
    assert svg.read_bytes() != first
    assert not svg.with_suffix(".png").read_bytes().startswith(b"kept")


def test_the_footer_names_scale_revision_data_seeds_and_gaps():
    results = found(reasons={"c": "no data: gone"}, diverged=[("b", 2)])
    first, *rest = render.footer_lines(curves(), results)
    assert first == (
        "wiregrad · scale cpu · revision 0123456 · data toy · "
        "line: median of 2 seeds, band: their range"
    )
    assert rest == [
        "Budget of a run: 110 rounds, 11 epochs, 11,000 samples, 4 workers.",
        "C: not run: no data: gone.",
        "Diverged (× marks where): B (1 of 2 runs).",
    ]


def test_a_part_of_the_data_is_named():
    results = found()
    for group in results.groups:
        for card in group.cards:
            card.config["problem"]["train_limit"] = 5000
            card.data["variant"] = "toy-5k"
    assert render.data_names(results.groups) == "data toy (toy-5k, 5,000 to train)"


def test_a_method_outside_the_panel_is_named_with_its_final_value():
    good = [2.0 * 0.7**i for i in range(12)]
    runs = {("a", 4): [history(good)], ("bad", 4): [history([50.0] * 12)]}
    figure, notes = curves(emphasise=("a",), y=("train_loss",)).draw(histories.results(runs))
    assert notes == ["Outside the panel, with the final train loss: BAD 50."]
    low, high = figure.axes[0].get_ylim()
    assert low < good[-1] < good[2] < high < 50


def test_a_short_run_is_shown_from_its_start():
    figure, _ = curves(y=("train_loss",)).draw(
        histories.results({("a", 4): [history([2.0, 1.0, 0.5])]})
    )
    low, high = figure.axes[0].get_ylim()
    assert low < 0.5
    assert high > 2.0


def test_lines_are_medians_over_seeds():
    runs = {("a", 4): [history([2.0, v]) for v in (0.5, 0.6, 9.0)]}
    figure, _ = curves(y=("train_loss",)).draw(histories.results(runs))
    drawn = figure.axes[0].get_lines()[0].get_ydata()
    assert np.asarray(drawn, dtype=float).tolist() == [2.0, 0.6]


def test_bits_are_drawn_in_both_conventions_without_the_start():
    spec = curves(x=("bits_paper", "bits_wire"), y=("train_loss", "accuracy"))
    figure, _ = spec.draw(found())
    paper, wire = (figure.axes[i].get_lines()[0].get_xdata() for i in (0, 1))
    assert paper.min() == 10_000.0
    assert wire.min() == 12_000.0
    assert len(figure.axes) == 4


def test_nothing_run_gives_a_picture_that_says_so():
    results = found().of("toy", "other")
    figure = render.draw(curves(experiment="other"), "toy", results)
    said = " ".join(text.get_text() for text in figure.texts)
    assert "not run: other is not part of scale cpu" in said
    gone = histories.results({("z", 4): [history([1.0])]}, reasons={"a": "no data: gone"})
    figure = render.draw(curves(methods=("a",)), "toy", gone)
    assert "not run: no data: gone" in " ".join(text.get_text() for text in figure.texts)


def test_a_new_method_changes_no_other_look():
    known = ["dist_ams", "comp_ams_top_k", "qadam"]
    before = style.looks(known)
    after = style.looks([*known, "new_one", "new_two"])
    assert {label: after[label] for label in known} == before
    assert len({(look.colour, look.dash) for look in after.values()}) == 5
    assert style.looks([*known, "new_one"])["new_one"] == after["new_one"]


def test_all_known_looks_differ_and_a_colour_can_be_chosen():
    known = style.looks(style._KNOWN)
    pairs = {(look.colour, look.dash) for look in known.values()}
    assert len(pairs) == len(known)
    chosen = style.looks(["mine"], {"mine": "green"})["mine"]
    assert chosen.colour == style.COLOURS["green"]
    assert style.looks(["mine"], {"mine": "#123456"})["mine"].colour == "#123456"


def test_more_new_methods_than_pairs_still_differ():
    many = style.looks([f"m{i}" for i in range(60)])
    assert len(set(many.values())) == 60


def test_speedup_fits_and_names_what_missed_the_target():
    runs = {
        ("m", n): [history([1 - 10 * row / (3200 / n) for row in range(rows)])]
        for n, rows in ((2, 120), (4, 60), (8, 30), (16, 3))
    }
    spec = SpeedupFigure(
        title="T",
        caption="C",
        experiment="task",
        label="m",
        target=0.5,
        paper_points={2: 900, 4: 450, 8: 225},
    )
    results = histories.results(runs)
    figure, notes = spec.draw(results)
    assert notes == ["Target missed by 1 of 4 runs (n = 16)."]
    labels = figure.axes[1].get_legend_handles_labels()[1]
    assert "ours: slope −1.00" in labels
    assert "paper: slope −1.00" in labels
    crossings = measure.first_crossing(results.frame, "loss_train", 0.5, "step")
    assert crossings.set_index("workers")["value"].to_dict()[2] == pytest.approx(800)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "curvs"}, r"figures\.curves\.kind: unknown figure kind 'curvs'"),
        ({"x": ["epochs"]}, r"figures\.curves\.x\.0"),
        ({"emphasize": []}, r"figures\.curves\.emphasize: unknown key; did you mean .emphasise"),
        ({"experiment": "no"}, r"figures\.curves\.experiment: 'no' is no experiment"),
    ],
)
def test_a_wrong_figure_is_one_clear_line(change, message):
    paper = copy.deepcopy(histories.PAPER)
    paper["figures"]["curves"] |= change
    with pytest.raises(ConfigError, match=message) as caught:
        catalogue.parse(Paper.model_validate(paper))
    assert "\n" not in str(caught.value)
