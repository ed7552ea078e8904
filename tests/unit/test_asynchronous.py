"""The delayed and the asynchronous runtime, on quadratics whose gradients are exact."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wiregrad.comm.accounting import convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step
from wiregrad.methods import registry as methods
from wiregrad.runs import record
from wiregrad.runs.config import RunConfig
from wiregrad.runs.execute import execute
from wiregrad.runtimes.asynchronous.compute import registry as times
from wiregrad.runtimes.base import AppliedGradient
from wiregrad.runtimes.delays import DelayContext
from wiregrad.runtimes.delays import registry as delays

N = 4
TOP_K = {"name": "top_k", "k": 2}
QSGD = {"name": "qsgd", "levels": 2}
STRAGGLERS = {"name": "lognormal", "sigma": 1.0, "slowdown": [1, 1, 1, 3]}
LINK = {"latency": 0.01, "bandwidth": 1000}
CLOCKED: dict[str, Any] = {"name": "asynchronous", "compute": STRAGGLERS, "link": LINK}


def config(method: dict, runtime: dict, steps: int = 40, **problem: Any) -> RunConfig:
    return RunConfig.parse(
        {
            "problem": {"name": "quadratic", "dim": 9, "noise": 0.8, "lam": 0.1} | problem,
            "method": {"lr": 0.05} | method,
            "runtime": {"workers": N} | runtime,
            "budget": {"steps": steps},
            "log": {"every": 4},
            "seed": 5,
        }
    )


def started(run: RunConfig) -> Any:
    seeds = Seeds(run.seed)
    problem = run.problem.build(run.runtime.workers, seeds, torch.device("cpu"))
    return run.runtime.build(problem, run.method, seeds, convention("formula"))


def step_of(run: RunConfig, t: int) -> Step:
    return Step(t, run.budget.steps, run.method.lr, float(t - 1), Seeds(run.seed))


def left(out: Path) -> list[bytes]:
    names = (record.HISTORY, record.STALENESS)
    return [(out / name).read_bytes() for name in names]


# -- the delay simulator ------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0, 1, 2, 5, 10, 20])
def test_a_delayed_iteration_is_stable_up_to_its_known_step(tau: int) -> None:
    """x_{k+1} = x_k − γλ x_{k−τ} decays just below γλ = 2 sin(π/(4τ+2)) and grows just above."""
    lam, period = 0.3, 4 * tau + 2
    limit = 2 * math.sin(math.pi / period) / lam
    growth = {}
    for share in (0.98, 1.02):
        run = config(
            {"name": "distributed_q_gd", "compressor": {"name": "identity"}, "lr": share * limit},
            {"name": "delayed", "workers": 1, "delay": {"name": "constant", "tau": tau}},
            steps=16 * period,
            dim=1,
            noise=0,
            lam=lam,
        )
        runtime, centre = started(run), -0.25 / lam
        apart = []
        for t in range(1, run.budget.steps + 1):
            runtime.round(step_of(run, t), measure=False)
            apart.append(abs(float(runtime.x) - centre))
        early, late = apart[3 * period : 5 * period], apart[-2 * period :]
        growth[share] = max(late) / max(early)
    assert growth[0.98] < 0.8
    assert growth[1.02] > 1.25


@pytest.mark.parametrize(
    "method",
    [
        {"name": "distributed_q_gd", "compressor": QSGD},
        {"name": "q_iag", "compressor": {"name": "sparsifier", "ratio": 0.4}},
        {"name": "q_gd", "compressor": QSGD},
        {"name": "async_ef_sgd", "compressor": TOP_K},
        {"name": "comp_ams", "compressor": TOP_K},
        {"name": "dist_sgd"},
        {"name": "marina", "compressor": {"name": "rand_k", "k": 3, "scaled": True}, "p": 0.3},
        {"name": "ef21_bc", "compressor": TOP_K, "server_compressor": TOP_K},
    ],
    ids=lambda method: method["name"],
)
def test_without_delay_the_bits_are_those_of_the_synchronous_runtime(
    tmp_path: Path, method: dict
) -> None:
    def history(name: str, runtime: dict) -> bytes:
        execute(config(method, runtime), tmp_path / name)
        return (tmp_path / name / record.HISTORY).read_bytes()

    expected = history("simulated", {})
    assert history("delayed", {"name": "delayed"}) == expected
    assert history("all", CLOCKED | {"apply": "all"}) == expected
    if method["name"] not in {"marina", "distributed_q_gd", "q_gd"}:
        alone = history("one", {"workers": 1})
        assert history("each", CLOCKED | {"workers": 1}) == alone


@pytest.mark.parametrize("rule", list(delays))
def test_delays_keep_their_rule(rule: str) -> None:
    delay = delays.build({"name": rule, "tau": 3})
    distances = [0.0, 2.0, 5.0, 1.0]

    def of(k: int) -> list[int]:
        moment = DelayContext(k, Seeds(1), lambda: distances[: k + 1])
        return [delay.of(i, moment) for i in range(N)]

    found = [of(k) for k in range(400)]
    assert all(0 <= tau <= min(3, k) for k, row in enumerate(found) for tau in row)
    late = found[3:]
    if rule == "constant":
        assert late == [[3] * N] * len(late)
    elif rule == "cyclic":
        assert late[:3] == [[3, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 0]]
    elif rule == "worst":
        assert late == [[2] * N] * len(late)
        assert found[1] == [1] * N
    else:
        shares = np.bincount(np.array(late).ravel(), minlength=4) / (len(late) * N)
        assert np.abs(shares - 0.25).max() < 0.04


def test_each_worker_is_given_the_x_of_its_delay() -> None:
    """Against x_{k+1} = x_k − γ Σ ∇f_i(x_{k−τ_k^i}), spelt out."""
    method = {"name": "distributed_q_gd", "compressor": {"name": "identity"}}
    run = config(method, {"name": "delayed", "delay": {"name": "cyclic", "tau": 3}})
    runtime = started(run)
    points = [runtime.x.clone()]
    for t in range(1, 21):
        k, total = t - 1, torch.zeros_like(runtime.x)
        for i in range(N):
            tau = min((k + i) % 4, k)
            total += runtime.problem.gradients_batch(points[k - tau][None], workers=[i])[0, 0]
        points.append(points[k] - 0.05 * total)
        runtime.round(step_of(run, t), measure=False)
        torch.testing.assert_close(runtime.x, points[-1], rtol=0, atol=1e-13)
        assert [a.staleness for a in runtime.applied()] == [min((k + i) % 4, k) for i in range(N)]


# -- events ---------------------------------------------------------------------------------------


def test_events_happen_when_compute_and_link_say() -> None:
    """Two workers of 1 s and 2.5 s, 0.1 s a message: times and staleness as by hand."""
    compute = {"name": "constant", "mean": 1.0, "slowdown": [1, 2.5]}
    run = config(
        {"name": "async_sgd", "compressor": {"name": "identity"}},
        {"name": "asynchronous", "workers": 2, "compute": compute, "link": {"latency": 0.1}},
    )
    runtime, found = started(run), []
    for t in range(1, 6):
        runtime.round(step_of(run, t), measure=False)
        found += runtime.applied()
    rounded = [AppliedGradient(*(round(value, 9) for value in each)) for each in found]
    assert rounded == [
        (1, 0, 0, 0.0, 1.0, 1.1),
        (2, 0, 0, 1.2, 2.2, 2.3),
        (3, 1, 2, 0.0, 2.5, 2.6),
        (4, 0, 1, 2.4, 3.4, 3.5),
        (5, 0, 0, 3.6, 4.6, 4.7),
    ]


def test_a_message_takes_as_long_as_its_bytes(tmp_path: Path) -> None:
    runtime = CLOCKED | {"workers": 1, "compute": {"name": "constant", "mean": 0}}
    execute(config({"name": "async_sgd", "compressor": QSGD}, runtime), tmp_path)
    last = record.read_history(tmp_path / record.HISTORY).to_pylist()[-1]
    seconds = record.read_staleness(tmp_path / record.STALENESS).column("applied").to_pylist()[-1]
    one_way = last["downlink_bits_wire"] * 39 / 40  # nobody waits for the last broadcast
    sent = (last["uplink_bits_wire"] + one_way) / 8
    assert seconds == pytest.approx(sent / 1000 + (40 + 39) * 0.01)


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 5, None])
def test_staleness_stays_within_its_bound_and_nothing_is_lost(
    tmp_path: Path, bound: int | None
) -> None:
    runtime = CLOCKED | {"staleness": {"bound": bound}}
    execute(config({"name": "async_sgd", "compressor": TOP_K}, runtime, 200), tmp_path)
    table = record.read_staleness(tmp_path / record.STALENESS).to_pydict()
    assert table["update"] == list(range(1, 201))
    if bound is None:
        assert max(table["staleness"]) > 9
    else:
        assert max(table["staleness"]) == bound
    assert set(table["worker"]) == set(range(N))
    assert table["applied"] == sorted(table["applied"])
    rows = record.read_history(tmp_path / record.HISTORY).to_pylist()
    part = table["staleness"][36:40]
    assert rows[10]["staleness_mean"] == sum(part) / 4
    assert rows[10]["staleness_max"] == max(part)
    assert rows[10]["samples"] == 40 * N // N  # a quarter of a round's samples each
    assert rows[10]["epoch"] == 10.0
    if bound == 0:  # one worker at a time
        pairs = zip(table["start"][1:], table["applied"], strict=False)
        assert all(start >= applied for start, applied in pairs)


def test_iag_keeps_the_last_gradient_of_every_worker() -> None:
    """Against a table that is kept apart, with what the runtime says has arrived."""
    run = config({"name": "q_iag", "compressor": {"name": "identity"}}, CLOCKED)
    runtime = started(run)
    points, table = [runtime.x.clone()], torch.zeros(N, 9, dtype=torch.float64)
    for t in range(1, 60):
        runtime.round(step_of(run, t), measure=False)
        (arrived,) = runtime.applied()
        read = points[t - 1 - arrived.staleness]
        problem = runtime.problem
        table[arrived.worker] = problem.gradients_batch(read[None], workers=[arrived.worker])[0, 0]
        points.append(points[-1] - 0.05 * table.sum(0))
        torch.testing.assert_close(runtime.x, points[-1], rtol=0, atol=1e-12)


def test_ef21_under_asynchrony_keeps_the_mean_of_its_estimates() -> None:
    run = config({"name": "ef21", "compressor": TOP_K}, CLOCKED)
    runtime = started(run)
    for t in range(1, 60):
        runtime.round(step_of(run, t), measure=False)
    on_the_way = torch.zeros(9, dtype=torch.float64)
    for gradient in runtime.pending.values():
        on_the_way += gradient.message.vector(on_the_way) / N
    held = runtime.state.workers.h.mean(0)
    torch.testing.assert_close(runtime.state.server.g + on_the_way, held, rtol=0, atol=1e-13)


class Cut(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize(
    ("method", "runtime"),
    [
        ("comp_ams", {"name": "delayed", "delay": {"name": "random", "tau": 3}}),
        ("ef21_bc", {"name": "delayed", "delay": {"name": "worst", "tau": 3}}),
        ("comp_ams", CLOCKED | {"staleness": {"bound": 4}}),
        ("ef21_bc", CLOCKED),
        ("comp_ams", CLOCKED | {"apply": "all"}),
    ],
)
def test_a_run_cut_off_goes_on_to_the_same_bytes(
    tmp_path: Path, method: str, runtime: dict
) -> None:
    server = {"server_compressor": TOP_K} if method == "ef21_bc" else {}
    compressor = TOP_K if method == "ef21_bc" else QSGD
    run = config({"name": method, "compressor": compressor} | server, runtime, steps=24)

    def cut(done: int, *_: object) -> None:
        if done == 14:
            raise Cut

    execute(run, tmp_path / "whole")
    with pytest.raises(Cut):
        execute(run, tmp_path / "cut", checkpoint_seconds=0, progress=cut)
    seen: list[int] = []
    execute(run, tmp_path / "cut", progress=lambda done, *_: seen.append(done))
    assert seen[0] == 14
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


# -- configuration --------------------------------------------------------------------------------


def test_compute_times_have_their_distribution(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("# seconds\n0.5, 1\n2 3\n")
    spec = {"exponential": {"mean": 2.0, "floor": 0.5}, "trace": {"path": str(trace)}}
    for name in times:
        model = times.build({"name": name, "slowdown": [2]} | spec.get(name, {}))
        draws = np.array([[model.seconds(Seeds(3), i, t) for t in range(1, 4001)] for i in (0, 1)])
        middle = {
            "constant": 1.0,
            "uniform": 1.0,
            "exponential": 0.5 + 1.5 * math.log(2),
            "lognormal": 1.0,
            "pareto": math.sqrt(2),
            "trace": 2.0,
        }[name]
        assert np.median(draws[1]) == pytest.approx(middle, rel=0.06)
        if name != "trace":
            assert np.median(draws[0]) == pytest.approx(2 * middle, rel=0.06)
    model = times.build({"name": "trace", "path": str(trace), "slowdown": [2]})
    assert [model.seconds(Seeds(3), i, t) for t in (1, 2, 3) for i in (0, 1, 2)] == (
        [1.0, 1.0, 0.5, 4.0, 3.0, 2.0, 1.0, 1.0, 0.5]
    )


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ({"name": "asynchron"}, r"runtime\.name: unknown runtime 'asynchron'; did you mean"),
        ({"name": "delayed", "delay": {"name": "constant", "tau": -1}}, r"runtime\.delay\.tau: "),
        ({"name": "delayed", "delay": {"name": "sine"}}, r"runtime\.delay\.name: unknown delay"),
        ({"name": "delayed", "tau": 3}, r"runtime\.tau: unknown key \(allowed: name, workers, d"),
        (CLOCKED | {"staleness": {"bound": 1.5}}, r"runtime\.staleness\.bound: .*integer"),
        (
            CLOCKED | {"compute": {"name": "uniform", "low": 3, "high": 2}},
            r"runtime\.compute\.high",
        ),
        (CLOCKED | {"link": {"bandwidth": 0}}, r"runtime\.link\.bandwidth: .*greater than 0"),
        (4, r"runtime: a mapping with a name is required \(got 4\)"),
    ],
)
def test_a_bad_runtime_is_one_line(runtime: Any, message: str) -> None:
    given = runtime if isinstance(runtime, int) else {"workers": 2} | runtime
    with pytest.raises(ConfigError, match=message) as caught:
        RunConfig.parse(
            {
                "problem": {"name": "quadratic"},
                "method": {"name": "dist_sgd", "lr": 1},
                "runtime": given,
                "budget": {"steps": 1},
                "seed": 0,
            }
        )
    assert "\n" not in str(caught.value)


FORMS = {
    "dist_sgd": "arrived",
    "naive_sgd": "arrived",
    "ef_sgd": "arrived",
    "dist_ams": "arrived",
    "comp_ams": "arrived",
    "naive": "arrived",
    "ef21": "padded",
    "ef21_plus": "padded",
    "ef21_bc": "padded",
    "efficient_adam": "arrived",
    "dist_adam": "arrived",
    "q_iag": "padded",
    "async_sgd": "arrived",
    "async_ef_sgd": "arrived",
}
"""Methods that go on without having heard everyone. Only the last three are asynchronous ones: for
the others the form is this suite's, no paper has it."""


def test_the_methods_that_go_on_without_hearing_everyone_are_these() -> None:
    assert {name: methods[name].partial for name in methods if methods[name].partial} == FORMS


def test_a_method_that_must_hear_everyone_is_refused(tmp_path: Path) -> None:
    run = config({"name": "distributed_q_gd", "compressor": QSGD}, CLOCKED)
    with pytest.raises(ConfigError, match="distributed_q_gd needs the messages of all workers"):
        execute(run, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_trace_is_part_of_the_run_and_its_faults_are_named(tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    trace.write_text("1\n")
    runtime = CLOCKED | {"compute": {"name": "trace", "path": str(trace)}}
    before = config({"name": "dist_sgd"}, runtime).sha256()
    trace.write_text("2\n")
    assert config({"name": "dist_sgd"}, runtime).sha256() != before
    for text, fault in (("1 2\n3\n", "line 2: 1 columns, not 2"), ("1\n-1\n", "line 2: allowed")):
        bad = tmp_path / f"{len(text)}.txt"
        bad.write_text(text)
        with pytest.raises(ConfigError, match=f"{bad.name}: {fault}"):
            times.build({"name": "trace", "path": str(bad)}).draw(Seeds(0), 0, 1)
