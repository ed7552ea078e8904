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


ROUNDS = 61
"""Of the runs below: ‖∇f‖ falls from 1 to 1e-6, by a decade in ten rounds."""
EXPONENTS = np.arange(ROUNDS) / 10


def falling(bits, *, bend=0.0, ends=6.0):
    """A run that sends `bits` a round; after half its decades `1 + bend` times as many."""
    per_round = np.where(EXPONENTS > 4.5, bits * (1 + bend), bits)
    spent = np.concatenate([[0.0], np.cumsum(per_round[1:])])
    frame = history(list(10.0**-EXPONENTS), rounds_per_row=1)
    frame = frame.assign(grad_norm=10.0**-EXPONENTS, uplink_bits_paper=spent)
    return frame[ends + 1e-9 >= EXPONENTS]


def descents(**runs):
    """Sweeps without neighbours whose best runs are these."""
    found = histories.results({(label, 4): [run] for label, run in runs.items()})
    own = {label: run.loc[run["grad_norm"] <= 1e-4 * (1 + 1e-9)] for label, run in runs.items()}
    sweep_of = {
        label: swept(
            row(bits=float(met["uplink_bits_paper"].iloc[0])) if len(met) else row("exhausted")
        )
        for label, met in own.items()
    }
    groups = tuple(replace(group, sweep=sweep_of[group.label]) for group in found.groups)
    return replace(found, groups=groups)


def order(tiers, found, **over):
    args = {"name": "sweep_order", "experiment": "task", "order": tiers} | over
    return checks.build(args, "here").evaluate(found)


def test_an_order_holds_where_each_tier_beats_the_next_at_every_tolerance():
    found = descents(a=falling(100), b=falling(110), c=falling(300))
    finding = order([["a"], ["b"], ["c"]], found)
    assert finding.verdict == "reproduced"
    assert finding.estimate.value == pytest.approx(1.1)
    assert "A 4,000, B 4,400, C 12,000" in finding.detail
    assert order([["b"], ["a"]], found).verdict == "not reproduced"
    assert order([["a"], ["b"]], found, tolerance=0.2).verdict == "not reproduced"
    assert order([["a"], ["b", "c"]], found).verdict == "reproduced"
    assert order([["b"], ["a", "c"]], found).verdict == "not reproduced"


def test_ties_are_called_ties():
    for other in (100, 104, 97):
        finding = order([["a"], ["b"]], descents(a=falling(100), b=falling(other)))
        assert finding.verdict == "inconclusive"
        assert finding.reason == "A and B: a tie within 5 % at 7 of 7 tolerances"


def test_one_tolerance_does_not_decide():
    """b is behind down to 10^-4.5, and ahead after it."""
    crossing = descents(a=falling(100, bend=6.0), b=falling(130))
    finding = order([["a"], ["b"]], crossing)
    assert finding.verdict == "inconclusive"
    assert "in order at 4 of 7 tolerances, the other way at 3" in finding.reason
    few = descents(a=falling(100, ends=4.0), b=falling(130, ends=4.0))
    finding = order([["a"], ["b"]], few)
    assert (finding.verdict, finding.reason) == (
        "inconclusive",
        "A and B: compared at 3 of 7 tolerances only",
    )


def test_who_does_not_meet_a_tolerance_needs_more_than_it_has_spent():
    """b ends at 1e-2: with 18,000 bits a beats it whatever follows, with 2,000 nobody knows."""
    found = descents(a=falling(100), b=falling(900, ends=2.0))
    assert order([["a"], ["b"]], found).verdict == "reproduced"
    assert order([["b"], ["a"]], found).verdict == "not reproduced"
    assert "B never" in order([["a"], ["b"]], found).detail
    early = descents(a=falling(100), b=falling(100, ends=2.0))
    finding = order([["a"], ["b"]], early)
    assert (finding.verdict, finding.estimate) == ("inconclusive", None)
    assert "compared at 0 of 7" in finding.reason


def test_a_crossing_that_its_neighbours_do_not_share_does_not_decide():
    found = descents(a=falling(100), b=falling(200))
    point = found.groups[0].sweep.bits()
    spike = [row(k=1, zeta=z, bits=3 * point) for z in (1.0, 4.0)] + [row(k=1, zeta=2, bits=point)]
    hill = [row(k=1, zeta=z, bits=1.5 * point) for z in (1.0, 4.0)] + spike[-1:]
    for rows, verdict in ((spike, "inconclusive"), (hill, "reproduced")):
        groups = (replace(found.groups[0], sweep=swept(*rows)), found.groups[1])
        finding = order([["a"], ["b"]], replace(found, groups=groups))
        assert finding.verdict == verdict
    assert swept(*spike).isolated()
    assert not swept(*hill).isolated()
    assert not swept(row(bits=10)).isolated()


def test_edges_that_nature_sets_are_no_edges_of_the_grid():
    def best(**at):
        counted = {"reached": True, "uplink_bits_paper": 1, "iterations": 1, "grad_norm": 0}
        return SweepPoint(**{"k": 4, "zeta": 2.0, "multiple": 1, "lr": 1} | at | counted)

    every = ("multiples", "k", "zeta")
    assert swept(row(), edge=every, best=best()).open_edges(10) == every
    assert swept(row(), edge=every, best=best(k=1)).open_edges(10) == ("multiples", "zeta")
    assert swept(row(), edge=every, best=best(k=10, zeta=0.0)).open_edges(10) == ("multiples",)


@pytest.mark.parametrize(
    ("bits", "verdict"),
    [
        ({"f": 110, "g": 95}, "reproduced"),
        ({"f": 130, "g": 100}, "not reproduced"),
        ({"f": 75, "g": 100}, "reproduced"),  # cheaper is no failure to track
        ({"f": 400, "g": 40}, "not reproduced"),
    ],
)
def test_tracking_takes_at_most_a_quarter_more_bits(bits, verdict):
    found = descents(lead=falling(100), **{label: falling(b) for label, b in bits.items()})
    check = SweepTracks(experiment="task", followers=("f", "g"), leader="lead", tolerance=0.25)
    assert check.evaluate(found).verdict == verdict


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
    for bits, verdict in ((200, "reproduced"), (300, "inconclusive")):
        check = EqualBits(experiment="task", order=(("a",), ("b",)), bits=bits)
        finding = check.evaluate(found)
        assert finding.verdict == verdict
    assert "A 0.25, B 0.01" in finding.detail
    assert "the other way at 1" in finding.reason


def test_nothing_is_decided_among_zeros():
    """Both are below 1e-12 from 300 bits on, where rounding makes b the lower."""
    a = descending([4.0, 1.0, 0.1, 1e-7, 9e-16], 100)
    b = descending([4.0, 2.0, 0.2, 2e-7, 1e-16], 100)
    found = histories.results({("a", 4): [a], ("b", 4): [b]})
    check = EqualBits(experiment="task", order=(("a",), ("b",)), bits=400)
    assert check.evaluate(found).verdict == "reproduced"
    late = {"a": a.tail(2), "b": b.tail(2)}
    found = histories.results({(label, 4): [run] for label, run in late.items()})
    finding = check.evaluate(found)
    assert finding.verdict == "inconclusive"
    assert "compared at 0 of 10 numbers of bits only" in finding.reason


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
