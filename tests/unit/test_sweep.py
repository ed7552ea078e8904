"""Sweeps: a run in a batch is the simulated run; when runs end; resumption; the best point."""

import dataclasses
import json
import math

import pytest
import torch
from tiny_data import rows

from wiregrad import data
from wiregrad.comm.accounting import CONVENTIONS
from wiregrad.compressors import registry as compressors
from wiregrad.compressors.top_k import keep_largest
from wiregrad.core.errors import ConfigError, NonFiniteError, RecordError
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step
from wiregrad.methods import registry as methods
from wiregrad.problems import registry as problems
from wiregrad.runtimes.batched import Batched
from wiregrad.runtimes.batched_channel import ReceivedBatch
from wiregrad.runtimes.simulated import Simulated
from wiregrad.studies.sweep.advance import GridPoint, Stop, advance
from wiregrad.studies.sweep.rows import best_point, read_rows, write_rows
from wiregrad.studies.sweep.run import run_sweep
from wiregrad.studies.sweep.task import SweepTask, with_k

CPU = torch.device("cpu")
WORKERS, K = 5, 2
TOP, RAND = {"name": "top_k", "k": K}, {"name": "rand_k", "k": 3}
CONVENTION = CONVENTIONS["comp_ams"]

METHODS = {
    "gd": {"name": "dist_sgd"},
    "dcgd": {"name": "naive_sgd", "compressor": TOP},
    "ef": {"name": "ef_sgd", "compressor": TOP},
    "ef21": {"name": "ef21", "compressor": TOP},
    "ef21_sign": {"name": "ef21", "compressor": {"name": "scaled_sign"}},
    "ef21_plus": {"name": "ef21_plus", "compressor": TOP},
    "lag": {"name": "lag", "zeta": 1.0},
    "clag": {"name": "clag", "zeta": 1.0, "compressor": TOP},
    "adacgd": {
        "name": "adacgd",
        "zeta": 1.0,
        "compressors": [{"name": "top_k", "k": k} for k in (1, 3, 6)],
    },
    "three_pc_v1": {"name": "three_pc_v1", "compressor": TOP},
    "three_pc_v2": {"name": "three_pc_v2", "compressor": TOP, "unbiased": RAND},
    "three_pc_v4": {"name": "three_pc_v4", "compressor": TOP, "second": TOP},
    "three_pc_v5": {"name": "three_pc_v5", "compressor": TOP, "p": 0.2},
    "marina": {"name": "marina", "compressor": RAND, "p": 0.3},
    "diana": {"name": "diana", "compressor": RAND},
    "ef21_bc": {"name": "ef21_bc", "compressor": TOP, "server_compressor": TOP},
    "lag_wk": {"name": "lag_wk"},
    "lag_ps": {"name": "lag_ps", "smoothness": [0.5, 1.0, 2.0, 4.0, 8.0]},
    "bidirectional_3pc": {
        "name": "bidirectional_3pc",
        "uplink": {"name": "clag", "zeta": 1.0, "compressor": TOP},
        "downlink": {"name": "lag", "zeta": 1.0},
    },
    "three_pc_v3": {
        "name": "three_pc_v3",
        "compressor": TOP,
        "inner": {"name": "lag", "zeta": 1.0},
    },
    "marina_perm_k": {"name": "marina_perm_k", "p": 0.3},
    "cd_adam": {"name": "cd_adam", "compressor": TOP},
    "naive_two_way": {"name": "naive_two_way", "compressor": TOP},
    "ef_two_way": {"name": "ef_two_way", "compressor": TOP},
    "double_squeeze": {"name": "double_squeeze", "compressor": TOP},
    "ef21_two_way": {"name": "ef21_two_way", "compressor": TOP},
    "dist_adam": {"name": "dist_adam"},
    "dist_ams": {"name": "dist_ams"},
    "naive": {"name": "naive", "compressor": TOP},
    "efficient_adam": {
        "name": "efficient_adam",
        "compressor": {"name": "log_quantiser"},
        "server_compressor": TOP,
    },
}


def logistic(seed=0, **fields):
    return problems.build({"name": "logistic"} | fields).bind(rows(), WORKERS, Seeds(seed), CPU)


def alone(problem, spec, seed, lr, rounds):
    """The simulated run, after each round: x, and the bits of both links by both counts."""
    method = methods.build(spec | {"lr": lr})
    runtime = Simulated(problem, method, Seeds(seed), CONVENTION)
    trace = [(runtime.x.clone(), runtime.bits())]
    for t in range(1, rounds + 1):
        runtime.round(Step(t, rounds, lr, seeds=Seeds(seed)), measure=False)
        trace.append((runtime.x.clone(), runtime.bits()))
    return trace


@pytest.mark.parametrize("label", METHODS)
def test_a_run_in_a_batch_is_the_simulated_run(label):
    spec, problem, rounds = METHODS[label], logistic(3, x0="normal"), 40
    zetas = (0.5, 3.0) if "zeta" in spec else (None,)
    points = [GridPoint(m, zeta, m * 0.05) for zeta in zetas for m in (1.0, 4.0, 16.0)]
    method = methods.build(spec | {"lr": 1.0})
    stop = Stop(norm=1e-3, max_rounds=rounds, prune=False)
    ends = advance(problem, method, Seeds(3), points, stop, [CONVENTION])
    for point, end in zip(points, ends, strict=True):
        zeta = {} if point.zeta is None else {"zeta": point.zeta}
        x, bits = alone(problem, spec | zeta, 3, point.lr, rounds)[end.iterations]
        torch.testing.assert_close(end.x, x, rtol=1e-12, atol=1e-13)
        counted = (bits.uplink_bits_wire, bits.uplink_bits_paper, bits.downlink_bits_wire)
        assert (end.wire, end.priced[0], end.downlink) == counted
        assert end.grad_norm == pytest.approx(problem.evaluate(x).grad_norm, rel=1e-10)
        assert (end.outcome == "reached") == (end.grad_norm <= 1e-3)
        assert end.outcome == "reached" or end.iterations == rounds


def test_each_method_says_whether_it_can_be_swept():
    """Those that say so are the ones of the test above."""
    assert {name for name in methods if methods[name].sweepable} == {
        spec["name"] for spec in METHODS.values()
    }


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "comp_ams", "compressor": TOP}, "comp_ams cannot be swept: it takes one run"),
        ({"name": "dist_adam"}, "dist_adam cannot be swept: no theorem here covers dist_adam"),
        ({"name": "ef21", "compressor": RAND | {"scaled": True}}, "rand_k is not contractive"),
    ],
)
def test_a_method_that_cannot_be_swept_is_named_with_the_reason(
    method, message, tmp_path, monkeypatch
):
    config = task(tmp_path, monkeypatch).config | {"method": method}
    with pytest.raises(ConfigError, match=message) as caught:
        run_sweep(task(tmp_path, monkeypatch, config=config))
    assert "\n" not in str(caught.value)


def test_the_simulated_run_first_meets_the_tolerance_where_its_batch_says():
    problem, spec = logistic(), METHODS["clag"]
    end = advance(
        problem,
        methods.build(spec | {"lr": 1.0}),
        Seeds(0),
        [GridPoint(1.0, 2.0, 0.5), GridPoint(2.0, 2.0, 1.0)],
        Stop(norm=1e-4, max_rounds=500),
        [CONVENTION],
    )[1]
    trace = alone(problem, spec | {"zeta": 2.0}, 0, 1.0, end.iterations)
    norms = [problem.evaluate(x).grad_norm for x, _ in trace]
    assert end.outcome == "reached"
    assert norms[-1] <= 1e-4 < min(norms[:-1])


def ends_of(points, stop, problem=None, spec=METHODS["ef21"], seed=0):
    problem = logistic() if problem is None else problem
    method = methods.build(spec | {"lr": 1.0})
    return advance(problem, method, Seeds(seed), points, stop, [CONVENTION])


def test_runs_that_cannot_win_their_cell_are_dropped():
    points = [GridPoint(m, None, m * 0.1) for m in (0.01, 4.0, 16.0)]
    full = ends_of(points, Stop(norm=1e-3, max_rounds=150, prune=False))
    cut = ends_of(points, Stop(norm=1e-3, max_rounds=150))
    cheapest = min(end.priced[0] for end in full if end.outcome == "reached")
    assert [end.outcome for end in full] == ["exhausted", "reached", "reached"]
    assert min(end.priced[0] for end in cut if end.outcome == "reached") == cheapest
    assert {end.outcome for end in cut} == {"reached", "dominated"}
    assert all(end.priced[0] <= cheapest for end in cut if end.outcome == "dominated")


def test_a_message_that_overflows_ends_its_run_alone_and_does_not_count():
    quadratic = problems.build({"name": "quadratic", "dim": 20}).build(3, Seeds(0), CPU)
    spec = {"name": "dist_sgd"}
    method = methods.build(spec | {"lr": 1.0})
    batch = Batched(quadratic, method, Seeds(0), {"lr": [1.0, 1e308]}, [CONVENTION])
    failed = batch.round(1, 9, quadratic.gradients_batch(batch.x))
    assert failed.tolist() == [False, True]
    with pytest.raises(NonFiniteError):
        alone(quadratic, spec, 0, 1e308, 1)
    (_, end) = ends_of(
        [GridPoint(1.0, None, 1.0), GridPoint(2.0, None, 1e308)],
        Stop(norm=1e-9, max_rounds=9),
        quadratic,
        METHODS["gd"],
    )
    assert (end.outcome, end.iterations) == ("diverged", 1)
    assert (end.wire, end.downlink) == (0, 0)


def test_runs_end_by_rounds_by_bits_and_by_divergence():
    quadratic = problems.build({"name": "quadratic", "dim": 20}).build(3, Seeds(0), CPU)
    points = [GridPoint(1.0, None, 1.0), GridPoint(1e3, None, 1e3)]
    slow, wild = ends_of(points, Stop(norm=1e-9, max_rounds=50), quadratic, METHODS["gd"])
    assert (slow.outcome, slow.iterations) == ("exhausted", 50)
    assert wild.outcome == "diverged"
    assert wild.iterations < 20
    # the other run is as if it had been alone
    (single,) = ends_of(points[:1], Stop(norm=1e-9, max_rounds=50), quadratic, METHODS["gd"])
    assert torch.equal(single.x, slow.x)
    assert single.wire == slow.wire
    limit = slow.wire // 2
    (half,) = ends_of(
        points[:1], Stop(norm=1e-9, max_rounds=50, max_bits=limit), quadratic, METHODS["gd"]
    )
    assert (half.outcome, half.iterations) == ("exhausted", 25)


def test_a_message_that_is_not_finite_ends_its_run_alone():
    class Broken(type(logistic())):
        def gradients_batch(self, x, out=None, workers=None):
            found = super().gradients_batch(x, out, workers)
            if found.shape[0] > 1:
                found[1, 2, 3] = math.inf
            return found

    problem = logistic()
    problem.__class__ = Broken
    points = [GridPoint(1.0, None, 0.1), GridPoint(2.0, None, 0.2), GridPoint(4.0, None, 0.4)]
    ends = ends_of(points, Stop(norm=1e-12, max_rounds=9), problem)
    # the second is dropped at x0; then the third is second, and is dropped too
    assert [end.outcome for end in ends] == ["exhausted", "diverged", "diverged"]
    assert [end.iterations for end in ends] == [9, 0, 1]
    assert ends[1].wire == 0


@pytest.mark.parametrize("k", [1, 3, 8, 9])
def test_the_largest_are_those_of_top_k(k):
    x = torch.randint(-3, 4, (200, 9), generator=torch.Generator().manual_seed(0)).double()
    exact = compressors.build({"name": "top_k", "k": k})
    assert torch.equal(keep_largest(x, k), exact.roundtrip(x).decoded)


def task(tmp_path, monkeypatch, **fields):
    monkeypatch.setattr(data, "load", lambda _: rows())
    config = {
        "problem": {"name": "logistic", "data": "phishing"},
        "method": METHODS["clag"],
        "runtime": {"workers": WORKERS},
        "budget": {"steps": 10},
        "log": {"convention": "comp_ams"},
        "seed": 0,
    }
    given = {
        "label": "clag",
        "config": config,
        "multiples": (1.0, 4.0),
        "k": (1, 4),
        "zeta": (0.5, 8.0),
        "seeds": (1, 2),
        "stop": Stop(norm=1e-2, max_rounds=40),
        "indexed": "formula",
    }
    return SweepTask(**given | fields)


def test_a_sweep_has_a_row_a_run_and_goes_on_where_it_was(tmp_path, monkeypatch):
    grid = task(tmp_path, monkeypatch)
    found = run_sweep(grid).rows
    assert len(found) == len({(r["k"], r["zeta"], r["multiple"], r["seed"]) for r in found}) == 16
    assert run_sweep(grid, tmp_path / "parts").rows == found
    assert len(list((tmp_path / "parts").iterdir())) == 4  # of each k and seed
    # finished batches are not run again
    first = min((tmp_path / "parts").iterdir())
    kept = read_rows(first)
    write_rows(first, [row | {"iterations": 12345} for row in kept])
    again = run_sweep(grid, tmp_path / "parts").rows
    assert sum(row["iterations"] == 12345 for row in again) == 4
    # another grid has other batches
    other = task(tmp_path, monkeypatch, zeta=(0.5,))
    assert all(row["iterations"] < 12345 for row in run_sweep(other, tmp_path / "parts").rows)
    (tmp_path / "bad.parquet").write_bytes(b"x")
    with pytest.raises(RecordError, match=r"bad\.parquet: not a readable sweep"):
        read_rows(tmp_path / "bad.parquet")


def test_steps_are_multiples_of_the_theory_and_bytes_depend_on_the_rows(tmp_path, monkeypatch):
    found = run_sweep(task(tmp_path, monkeypatch, k=(), zeta=())).rows
    assert {(row["k"], row["zeta"]) for row in found} == {(None, None)}
    assert len({row["lr"] / row["multiple"] for row in found}) == 1
    for name in ("a", "b"):
        write_rows(tmp_path / name, found)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_rows(tmp_path / "a") == found


def test_the_best_point_reaches_with_every_seed_for_the_fewest_bits():
    base = {"k": 1, "zeta": None, "lr": 0.1, "iterations": 9, "grad_norm": 1e-5}

    def row(multiple, seed, bits, outcome="reached", **more):
        named = {"multiple": multiple, "seed": seed, "uplink_bits_paper": bits, "outcome": outcome}
        return base | named | more

    rows_ = [row(1, 1, 100), row(1, 2, 120), row(2, 1, 10), row(2, 2, 10, "exhausted")]
    rows_ += [row(4, 1, 110), row(4, 2, 110, iterations=3)]
    assert best_point(rows_).multiple == 4
    lost = [r | {"outcome": "exhausted", "grad_norm": r["multiple"]} for r in rows_]
    best = best_point(lost)
    assert (best.multiple, best.reached) == (1, False)
    assert best_point([r | {"outcome": "diverged"} for r in rows_]) is None


def test_a_batch_adds_up_the_messages_of_each_run():
    received = ReceivedBatch(2, 3, torch.zeros(4))
    rows_ = torch.arange(24.0).view(2, 3, 4)
    received.put(rows_, None, None)
    assert torch.equal(received.sum(), rows_.sum(1))
    assert torch.equal(received.mean(0), rows_.mean(1))


def test_a_stochastic_problem_cannot_be_swept(tmp_path, monkeypatch):
    grid = task(tmp_path, monkeypatch)
    config = json.loads(json.dumps(grid.config))
    config["problem"]["batch"] = 4
    with pytest.raises(ConfigError, match=r"a sweep takes a convex problem with batch: full"):
        run_sweep(task(tmp_path, monkeypatch, config=config))


@pytest.mark.parametrize(
    ("levels", "k", "kept"),
    [((1, 3, 6), 6, [1, 3, 6]), ((1, 3, 6), 3, [1, 3]), ((1, 3, 6), 1, [1]), ((1, 3), 9, [1, 9])],
)
def test_of_several_compressors_k_is_the_finest_ones(levels, k, kept):
    method = {"name": "adacgd", "zeta": 1.0}
    compressors = [{"name": "top_k", "k": each} for each in levels]
    found = with_k(method | {"compressors": compressors}, k)
    assert [each["k"] for each in found["compressors"]] == kept
    assert [each["k"] for each in compressors] == list(levels)
    one = with_k(method | {"compressor": {"name": "top_k", "k": 5}}, k)
    assert one["compressor"] == {"name": "top_k", "k": k}


def test_a_sweep_of_levels_runs_the_method_of_each_finest_one():
    config = {
        "problem": {"name": "quadratic", "dim": 20},
        "method": METHODS["adacgd"],
        "runtime": {"workers": 3},
        "budget": {"steps": 1},
        "log": {"convention": "values"},
        "seed": 0,
    }
    stop = Stop(norm=1e-9, max_rounds=5)
    task = SweepTask("adacgd", config, (1.0,), (1, 20), (0.0,), (0,), stop)
    coarse, fine = run_sweep(task).rows
    assert (coarse["k"], fine["k"]) == (1, 20)
    # with zeta = 0 every message after the first is of the finest level, or exact with less
    assert coarse["uplink_bits_paper"] == 32 * (20 + 4 * 1)
    assert coarse["uplink_bits_paper"] < fine["uplink_bits_paper"] <= 32 * (20 + 4 * 20)
    pl = run_sweep(dataclasses.replace(task, regime="pl")).rows
    assert pl[0]["lr"] < coarse["lr"]
    assert 0 < pl[0]["mu"] <= pl[0]["L_minus"] <= pl[0]["L_plus"]
