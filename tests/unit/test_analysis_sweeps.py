"""Sweeps in figures, tables and claims: cells, conventions, orders, bounds, choices."""

import math
from dataclasses import replace

import histories
import numpy as np
import pandas as pd
import pytest
from histories import history

from wiregrad.analysis.claims.kinds.below_bound import BelowBound
from wiregrad.analysis.claims.kinds.equal_bits import EqualBits
from wiregrad.analysis.claims.kinds.sweep_bits import SweepBits
from wiregrad.analysis.claims.kinds.sweep_order import SweepOrder
from wiregrad.analysis.claims.kinds.sweep_tracks import SweepTracks
from wiregrad.analysis.claims.spec import checks
from wiregrad.analysis.figures.kinds.choices import ChoicesFigure
from wiregrad.analysis.figures.kinds.descent import DescentFigure
from wiregrad.analysis.figures.kinds.heatmap import HeatmapFigure
from wiregrad.analysis.results import bounds, sweeps, text
from wiregrad.analysis.results.sweeps import Swept
from wiregrad.analysis.tables import render
from wiregrad.analysis.tables.kinds.sweep import SweepTable
from wiregrad.core.errors import RecordError
from wiregrad.core.files import write_json, write_text
from wiregrad.runs import record
from wiregrad.studies.files import SweepPoint, read_sweep

ABOUT = {"title": "T", "caption": "C", "experiment": "task"}
RUN = {"seed": 1, "L_minus": 1.0, "L_plus": 2.0, "mu": 0.5, "iterations": 7, "grad_norm": 1e-5}


def row(outcome="reached", *, k=1, zeta=0.0, multiple=1.0, bits=100, **over):
    more = {"k": k, "zeta": zeta, "multiple": multiple, "lr": multiple / 10, "outcome": outcome}
    counted = {"paper": bits, "indexed": 2 * bits, "wire": 5 * bits}
    priced = {f"uplink_bits_{name}": value for name, value in counted.items()}
    return RUN | more | priced | over


def swept(*rows, edge=(), best=None):
    frame = pd.DataFrame(list(rows)).astype({"k": "float64", "zeta": "float64"})
    return Swept(rows=frame, best=best, edge=edge, tolerance=1e-4, sha256="0" * 64)


def results(sweep_of, losses=(2.0, 1.0)):
    found = histories.results({(label, 4): [history(losses)] for label in sweep_of})
    groups = tuple(replace(group, sweep=sweep_of[group.label]) for group in found.groups)
    return replace(found, groups=groups)


GRID = swept(
    row(k=1, zeta=0, multiple=1, bits=300),
    row("dominated", k=1, zeta=0, multiple=2, bits=290),
    row(k=1, zeta=4, multiple=1, bits=120),
    row(k=1, zeta=4, multiple=2, bits=100, uplink_bits_wire=900),
    row("exhausted", k=8, zeta=0, multiple=1, bits=50),
    row("diverged", k=8, zeta=0, multiple=2, bits=10),
    row("diverged", k=8, zeta=4, multiple=1, bits=10),
    row("diverged", k=8, zeta=4, multiple=2, bits=10),
)


def test_the_cheapest_point_is_that_of_its_convention():
    assert GRID.bits("paper") == 100
    assert GRID.cheapest("paper")["multiple"] == 2
    assert GRID.bits("wire") == 600
    assert GRID.cheapest("wire")["multiple"] == 1
    never = swept(row("exhausted"), row("diverged", multiple=2))
    assert never.cheapest() is None
    assert math.isinf(never.bits())


def test_a_point_has_reached_the_tolerance_with_all_seeds_or_not_at_all():
    both = swept(row(seed=1, bits=10), row("exhausted", seed=2, bits=90), row(multiple=2, bits=50))
    assert both.bits() == 50
    means = swept(row(seed=1, bits=10), row(seed=2, bits=30))
    assert means.bits() == 20


def test_cells_know_what_was_missed_and_what_diverged():
    cells = GRID.cells().set_index(["k", "zeta"])
    assert cells["bits"].loc[(1, 0)] == 300
    assert cells["bits"].loc[(1, 4)] == 100
    assert cells["bits"].loc[[(8, 0), (8, 4)]].isna().all()
    assert cells["all_diverged"].to_list() == [False, False, False, True]


def test_the_heatmap_prints_bits_frames_the_best_and_marks_the_rest():
    figure, notes = HeatmapFigure(**ABOUT, label="clag", conventions=("paper",)).draw(
        results({"clag": GRID})
    )
    (axis,) = figure.axes
    texts = {text.get_text(): text for text in axis.texts}
    assert set(texts) == {"300", "100", "×"}
    assert texts["100"].get_fontweight() == "bold"
    assert texts["100"].get_position() == (0, 0)  # zeta = 4 is on top of zeta = 0
    hatched = [patch for patch in axis.patches if patch.get_hatch()]
    assert len(hatched) == 2
    frames = [patch for patch in axis.patches if not patch.get_fill()]
    assert len(frames) == 1
    assert "Hatched" in notes[1]


@pytest.mark.parametrize(
    ("value", "short"),
    [(321, "321"), (12416, "12.4 k"), (6528, "6.53 k"), (1146880, "1.15 M"), (math.inf, "—")],
)
def test_bits_are_short(value, short):
    assert text.short_bits(value) == short


def order(tiers, values, **over):
    args = {"name": "sweep_order", "experiment": "task", "order": tiers} | over
    check = checks.build(args, "here")
    found = {
        label: swept(row(bits=bits) if math.isfinite(bits) else row("exhausted"))
        for label, bits in values.items()
    }
    return check.evaluate(results(found))


def test_an_order_holds_where_each_tier_beats_the_next():
    finding = order([["a"], ["b"], ["c"]], {"a": 100, "b": 110, "c": 300})
    assert finding.verdict == "reproduced"
    assert finding.estimate.value == pytest.approx(1.1)
    assert "A 100, B 110, C 300" in finding.detail
    assert order([["a"], ["b"]], {"a": 100, "b": 99}).verdict == "not reproduced"
    assert order([["a"], ["b"]], {"a": 100, "b": 100}).verdict == "not reproduced"
    assert order([["a"], ["b"]], {"a": 100, "b": 100}, or_equal=True).verdict == "reproduced"
    assert order([["a"], ["b"]], {"a": 100, "b": 110}, tolerance=0.2).verdict == "not reproduced"
    tiers = [["a"], ["b", "c"]]
    assert order(tiers, {"a": 100, "b": 300, "c": 99}).verdict == "not reproduced"
    assert order(tiers, {"a": 100, "b": 300, "c": 101}).verdict == "reproduced"


def test_who_never_met_the_tolerance_is_dearer_than_anybody():
    assert order([["a"], ["b"]], {"a": 100, "b": math.inf}).verdict == "reproduced"
    assert order([["a"], ["b"]], {"a": math.inf, "b": 100}).verdict == "not reproduced"
    assert order([["a"], ["b"]], {"a": math.inf, "b": math.inf}).verdict == "inconclusive"


def test_the_convention_decides_which_bits_are_ordered():
    dear = {"uplink_bits_wire": 9000}
    found = results({"a": swept(row(bits=100, **dear)), "b": swept(row(bits=200))})
    for convention, verdict in (("paper", "reproduced"), ("wire", "not reproduced")):
        check = SweepOrder(experiment="task", order=(("a",), ("b",)), convention=convention)
        assert check.evaluate(found).verdict == verdict


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"f": 110, "g": 95}, "reproduced"),
        ({"f": 130, "g": 100}, "not reproduced"),
        ({"f": 75, "g": 100}, "not reproduced"),
        ({"f": math.inf, "g": 100}, "not reproduced"),
    ],
)
def test_tracking_is_a_factor_either_way(values, verdict):
    found = {
        label: swept(row(bits=bits) if math.isfinite(bits) else row("exhausted"))
        for label, bits in (values | {"lead": 100}).items()
    }
    check = SweepTracks(experiment="task", followers=("f", "g"), leader="lead", tolerance=0.25)
    assert check.evaluate(results(found)).verdict == verdict


@pytest.mark.parametrize(
    ("bits", "at_most", "verdict"),
    [
        (105, False, "reproduced"),
        (120, False, "not reproduced"),
        (80, False, "not reproduced"),
        (80, True, "reproduced"),
        (120, True, "not reproduced"),
    ],
)
def test_expected_bits_stand_beside_ours(bits, at_most, verdict):
    check = SweepBits(experiment="task", expected={"a": 100.0}, at_most=at_most, tolerance=0.1)
    finding = check.evaluate(results({"a": swept(row(bits=bits))}))
    assert finding.verdict == verdict
    assert finding.detail == f"A {bits} against 100"


def descending(norms, bits):
    frame = history(norms).assign(grad_norm=norms, loss_train=np.square(norms))
    return frame.assign(uplink_bits_paper=np.arange(len(norms)) * bits)


def test_at_equal_bits_the_last_round_within_them_counts():
    fast = descending([4.0, 2.0, 1.0, 0.5], 100)
    slow = descending([4.0, 3.0, 0.1], 150)
    found = histories.results({("a", 4): [fast], ("b", 4): [slow]})
    for bits, verdict in ((200, "reproduced"), (300, "not reproduced")):
        check = EqualBits(experiment="task", order=(("a",), ("b",)), bits=bits)
        finding = check.evaluate(found)
        assert finding.verdict == verdict
    assert "A 0.25, B 0.01" in finding.detail


def quadratic_run(lr, rounds=60):
    """Gradient descent on x²/2 from x = 1: f − f* and ‖∇f‖² are known."""
    x = (1 - lr) ** np.arange(rounds)
    frame = history(list(x**2 / 2), rounds_per_row=1)
    return frame.assign(grad_norm=x, lr=lr)


def test_gradient_descent_stays_below_both_bounds_and_a_wrong_step_is_found_out():
    check = {"experiment": "task", "methods": ("gd",)}
    one = swept(row(mu=1.0))
    for regime in ("nonconvex", "pl"):
        found = histories.results({("gd", 4): [quadratic_run(0.1)]})
        found = replace(found, groups=tuple(replace(g, sweep=one) for g in found.groups))
        finding = BelowBound(**check, regime=regime).evaluate(found)
        assert finding.verdict == "reproduced"
        assert 0 < finding.estimate.value <= 1
        claimed = found.frame.assign(lr=0.9)  # the bound of a larger step is lower
        wrong = BelowBound(**check, regime=regime).evaluate(replace(found, frame=claimed))
        assert wrong.verdict == "not reproduced"


def test_the_optimum_is_known_between_two_ends():
    run = quadratic_run(0.1)
    low, high = bounds.optimum(run, mu=0.5)
    assert low <= 0 < high == run["loss_train"].min()
    assert bounds.optimum(run, mu=math.nan).low == -math.inf


def test_rounding_at_the_optimum_is_no_broken_bound():
    """At f* = 1 a loss is known to some 1e-16: bounds below that say nothing."""
    run = quadratic_run(0.1, rounds=900)
    noise = np.random.default_rng(1).integers(-3, 4, size=len(run)) * 2.0**-52
    rounded = run.assign(loss_train=1 + run["loss_train"] + noise)
    best = bounds.optimum(rounded, mu=1.0)
    table = bounds.compared(rounded, "pl", 1.0, best)
    assert len(table) > 50
    assert (table["measured"] / table["bound"]).max() <= 1.01
    assert (table["bound"] > 1e-13).all()


def test_a_table_shows_points_conventions_and_what_was_saved():
    sweep_of = {"gd": swept(row(k=math.nan, zeta=math.nan, bits=1000)), "clag": GRID}
    sweep_of["ef"] = swept(row("exhausted"))
    sweep_of["clag"] = replace(GRID, edge=("k",))
    spec = SweepTable(title="T", caption="C", experiment="task", against="gd")
    shown, best = render.text(spec, results(sweep_of))
    shown = shown.set_index("method")
    assert shown.loc["CLAG", "K"] == "1"
    assert shown.loc["CLAG", "ζ"] == "4"
    assert shown.loc["GD", "K"] == "—"
    assert shown.loc["CLAG", "bits, values only"] == "100.0"
    assert shown.loc["CLAG", "bits, on the wire"] == "600.0"
    assert shown.loc["EF", "bits, values only"] == "never"
    assert shown.loc["CLAG", "GD needs × as many"] == "10.00"
    assert best["bits, values only"].tolist() == [False, True, False]
    assert shown["learning rate"].tolist() == ["0.01", "0.01 †", "0.01"]
    numbers = render.numbers(spec, results(sweep_of)).set_index("label")
    assert numbers.loc["clag", "uplink_bits_paper"] == 100
    assert np.isnan(numbers.loc["ef", "uplink_bits_paper"])


def test_the_descent_marks_who_met_the_tolerance():
    spent = {"uplink_bits_paper": 100.0, "iterations": 10.0, "grad_norm": 5e-5}
    best = SweepPoint(k=1, zeta=4.0, multiple=2.0, lr=0.2, reached=True, **spent)
    one = swept(row(), best=best)
    runs = {("a", 4): [descending([1.0, 1e-2, 5e-5], 100)], ("b", 4): [descending([1.0, 0.5], 90)]}
    found = histories.results(runs)
    found = replace(found, groups=tuple(replace(g, sweep=one) for g in found.groups))
    figure, notes = DescentFigure(**ABOUT, x=("uplink_paper",)).draw(found)
    (axis,) = figure.axes
    ends = {
        line.get_color(): line.get_markerfacecolor()
        for line in axis.get_lines()
        if line.get_marker() not in {"None", None, ""}
    }
    assert sorted(face == "white" for face in ends.values()) == [False, True]
    assert "K, ζ, step" in notes[0]
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text() == "A (K = 1, ζ = 4, 2×)"


def test_choices_leave_the_first_round_out_and_name_what_was_sent(tmp_path):
    choices = np.array([[0, 0], [-1, 1], [1, 1], [0, -1]], dtype=np.int8)
    found = histories.results({("adacgd", 2): [quadratic_run(0.1, 5)]})
    (group,) = found.groups
    run_id = found.frame["run_id"].iloc[0]
    record.write_choices(tmp_path / run_id / record.CHOICES, choices)
    method = {"lr": 0.1, "compressors": [{"name": "top_k", "k": 1}, {"name": "identity"}]}
    card = group.cards[0].model_copy(update={"config": {"method": method}})
    found = replace(found, groups=(replace(group, directory=tmp_path, cards=(card,)),))
    figure, notes = ChoicesFigure(**ABOUT).draw(found)
    image = figure.axes[0].get_images()[0].get_array()
    assert image.tolist() == choices[1:].T.tolist()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["everything", "Top-1", "nothing (empty payload)"]
    assert "67%" in notes[0]


def test_a_damaged_sweep_is_told(tmp_path):
    write_text(tmp_path / "sweep.parquet", "no table")
    with pytest.raises(RecordError, match=r"sweep.parquet: not a readable sweep"):
        sweeps._rows(tmp_path / "sweep.parquet")
    with pytest.raises(RecordError, match=r"sweep.json: cannot be read"):
        read_sweep(tmp_path / "sweep.json")
    write_json(tmp_path / "sweep.json", {"best": {"multiple": 1.0, "lr": 0.1}})
    with pytest.raises(RecordError, match=r"sweep.json: best.reached: Field required"):
        read_sweep(tmp_path / "sweep.json")
