"""Both links compressed: the exact invariants, inside runs of the simulated runtime, and limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from rounds import D, N, Rounds, noise

from wiregrad.comm.accounting import convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.methods import Step, registry
from wiregrad.problems import registry as problems
from wiregrad.runtimes.simulated import Simulated

WORKERS, DIM, STEPS = 4, 40, 200
TOP_3, SIGN = {"name": "top_k", "k": 3}, {"name": "scaled_sign"}
IDENTITY = {"name": "identity"}
LOG_3 = {"name": "log_quantiser", "bits": 3}
EFFICIENT = {"name": "efficient_adam", "lr": 0.02}
LINKS = [
    {"compressor": LOG_3, "server_compressor": LOG_3},
    {"compressor": TOP_3, "server_compressor": {"name": "top_k", "k": 8}},
    {"compressor": SIGN, "server_compressor": {"name": "log_quantiser", "bits": 4}},
]
QSGD = {"compressor": {"name": "qsgd", "levels": 7}, "server_compressor": LOG_3}


class Run:
    """A run on the toy stochastic problem; `rounds` yields after every round."""

    def __init__(self, spec: dict[str, Any], sigma: float = 1.0) -> None:
        toy = problems.build({"name": "toy_stochastic", "dim": DIM, "noise": sigma})
        self.problem = toy.build(WORKERS, Seeds(1), torch.device("cpu"))
        self.method = registry.build(spec)
        self.runtime = Simulated(self.problem, self.method, Seeds(1), convention("formula"))
        self.workers, self.server, self.replica = self.runtime.state

    def rounds(self, steps: int = STEPS, measure: bool = False) -> Iterator[Step]:
        for t in range(1, steps + 1):
            step = Step(t, steps, self.method.lr_at(t - 1), t - 1)
            self.runtime.round(step, measure)
            yield step

    def updates(self, step: Step) -> torch.Tensor:
        """Efficient-Adam's u_i `[n, d]` of the round that is over."""
        lr = self.method.lr_in(step)
        return lr * self.workers.m / self.workers.v.sqrt()

    def exact(self, x: torch.Tensor) -> torch.Tensor:
        """∇f_i `[n, d]` without noise."""
        return self.problem.gradients_batch(x[None])[0]


@dataclass
class Trace:
    """What a run of Efficient-Adam left behind, in the largest over its rounds."""

    run: Run
    departure: float = 0.0
    """How far z = x − E − mean e_i came from the z before it, less mean u_i; relative to x."""
    u: float = 0.0
    e: float = 0.0
    server_e: float = 0.0
    """‖u_i‖₂, ‖e_i‖₂ and ‖E‖₂."""

    @staticmethod
    def of(spec: dict[str, Any], steps: int = STEPS) -> Trace:
        run = Run(EFFICIENT | {"blocks": "whole"} | spec)
        trace, z = Trace(run), run.replica.x.clone()
        for step in run.rounds(steps):
            u, server_e = run.updates(step), run.server.error
            e = run.workers.error if run.method.worker_feedback else torch.zeros_like(u)
            expected, z = z - u.mean(0), run.replica.x - server_e - e.mean(0)
            apart = float((z - expected).abs().max() / run.replica.x.abs().max())
            trace.departure = max(trace.departure, apart)
            trace.u = max(trace.u, float(u.norm(dim=1).max()))
            trace.e = max(trace.e, float(e.norm(dim=1).max()))
            trace.server_e = max(trace.server_e, float(server_e.norm()))
        return trace


@pytest.fixture(scope="module", params=[*LINKS, QSGD], ids=["log", "top_k", "sign", "qsgd"])
def trace(request: pytest.FixtureRequest) -> Trace:
    return Trace.of(request.param)


def test_what_is_left_behind_is_all_that_is_missing(trace: Trace) -> None:
    """I1: x − E − mean e_i moves as if nothing were compressed, to machine precision."""
    assert trace.departure < 32 * torch.finfo(torch.float64).eps
    assert min(trace.e, trace.server_e) > 1e-3


@pytest.mark.parametrize("link", ["worker", "server"])
def test_without_feedback_on_a_link_something_is_lost(link: str) -> None:
    assert Trace.of(LINKS[0] | {f"{link}_feedback": False}, 40).departure > 1e-3


def test_residuals_stay_within_what_the_quantisers_constants_allow(trace: Trace) -> None:
    """I3, for U the largest ‖u_i‖₂ of the run, which I2 bounds."""
    up, down, method = trace.run.runtime.up, trace.run.runtime.down, trace.run.method
    links = [up.blocked(method.compressor), down.blocked(method.server_compressor)]
    contracts = [link.contract() for link in links]
    assert trace.u <= math.sqrt(DIM) * largest_update(0.02)
    if {contract.kind for contract in contracts} != {"contractive"}:
        return  # QSGD's error has no such bound
    worker, server = (1 - math.sqrt(1 - c.constant) for c in contracts)  # the δ of norms
    assert trace.e <= trace.u * (1 - worker) / worker
    assert trace.server_e <= (1 - server) / server * (2 - worker) * trace.u / worker


def largest_update(lr: float, beta: float = 0.9, theta: float = 0.999) -> float:
    """I2: ‖u‖_∞ is at most this, for constant θ and β² < θ; 7.27 lr by default."""
    return lr * (1 - beta) / math.sqrt((1 - theta) * (1 - beta**2 / theta))


def test_the_largest_update_is_bounded_and_the_bound_is_sharp() -> None:
    """I2, with gradients that grow by θ/β a round: the worst case of Cauchy and Schwarz."""
    assert largest_update(1.0) == pytest.approx(7.27, abs=0.005)
    rounds = Rounds(EFFICIENT | LINKS[0])
    bound, found = largest_update(0.02), 0.0
    for t in range(1, 121):
        g = torch.full((N, D), 1e-3 * (0.999 / 0.9) ** t, dtype=torch.float64)
        rounds.round(g, Step(t, 120, 0.02))
        workers = rounds.state.workers
        u = 0.02 * workers.m / workers.v.sqrt()
        found = max(found, float(u.abs().max()))
    assert 0.99 * bound < found <= bound


def test_with_the_identity_both_ways_x_moves_by_the_mean_update_and_is_not_adam() -> None:
    """I4."""
    links = {"compressor": IDENTITY, "server_compressor": IDENTITY}
    run, before = Run(EFFICIENT | links), torch.zeros(DIM, dtype=torch.float64)
    for step in run.rounds(50):
        assert not run.workers.error.any()
        assert not run.server.error.any()
        torch.testing.assert_close(
            run.replica.x, before - run.updates(step).mean(0), rtol=0, atol=1e-15
        )
        before = run.replica.x.clone()
    adam = {"name": "dist_adam", "lr": 0.02, "bias_correction": False, "eps_inside": True}
    other = Run(adam)
    for _ in other.rounds(50):
        pass
    assert (run.replica.x - other.replica.x).norm() > 0.1 * other.replica.x.norm()


def test_a_coordinate_without_gradients_stays_where_it_is() -> None:
    """v falls to 0 there in the end: 0/0."""
    rounds = Rounds(EFFICIENT | LINKS[0] | {"theta": 1e-6, "beta": 0.0})
    g = torch.zeros(N, D, dtype=torch.float64)
    g[:, 1:] = 1.0
    for t in range(1, 61):
        rounds.round(g, Step(t, 60, 0.02))
    assert float(rounds.state.workers.v[:, 0].max()) == 0
    assert float(rounds.state.replica.x[0]) == 0
    assert bool((rounds.state.replica.x[1:] < 0).all())


@pytest.mark.parametrize(
    ("theta", "message"),
    [
        ({"theta": 1.0}, "method.theta: 1.0, allowed: below 1"),
        ({"theta": 1.5, "theta_schedule": "round"}, "method.theta: 1.5, allowed: up to 1 "),
        ({"v0": 0}, "method.v0: .*greater than 0"),
    ],
)
def test_a_bad_value_gives_one_line(theta: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        registry.build(EFFICIENT | LINKS[0] | theta, "method")
    assert "\n" not in str(caught.value)


def test_a_theta_that_is_too_large_for_the_run_says_how_long_it_is() -> None:
    rounds = Rounds(EFFICIENT | LINKS[0] | {"theta": 20.0, "theta_schedule": "horizon"})
    with pytest.raises(ConfigError, match=r"method.theta: 20.0, allowed: up to 10, the rounds"):
        rounds.run(noise(), 10)


# -- CD-Adam and its comparators -----------------------------------------------------------------

SHRINKING = {"name": "step", "milestones": [120, 150, 180], "factor": 0.1}
LAST = 20


@cache
def errors(name: str, sigma: float, kept: int | None = None, steps: int = 80) -> tuple[float, ...]:
    """‖g − ĝ‖ for the mean g of the workers' gradients, ‖ĝ − g̃‖ and ‖∇f‖: means of 20 rounds.

    With signs, or with Top-`kept`.
    """
    compressor = SIGN if kept is None else {"name": "top_k", "k": kept}
    run = Run({"name": name, "lr": 0.1, "compressor": compressor, "schedule": SHRINKING}, sigma)
    grads, found = run.problem.gradient_buffer(WORKERS), []
    for step in run.rounds(steps):
        at = run.replica.x.clone()
        if step.t > steps - LAST:
            server, g = run.server, grads.mean(0)
            gaps = (g - server.g, server.g - server.w) if hasattr(server, "g") else (g, g)
            norms = [float(gap.norm()) for gap in (*gaps, run.exact(at).mean(0))]
            found.append(norms)
        run.problem.gradients(at, step.t + 1, grads, range(WORKERS))
    return tuple(torch.tensor(found).mean(0).tolist())


def test_the_estimates_follow_the_gradient_to_a_floor_that_the_noise_sets() -> None:
    worker, server, _ = errors("cd_adam", 0.0, steps=STEPS)
    assert max(worker, server) < 0.01
    quiet, noisy = (errors("cd_adam", sigma)[0] for sigma in (0.5, 2.0))
    assert 20 * worker < quiet < noisy / 2
    assert errors("cd_adam", 2.0, 20)[0] < errors("cd_adam", 2.0, 1)[0] / 2


def test_naive_compression_does_not_reach_the_same_gradient() -> None:
    norms = {name: errors(name, 0.0, steps=STEPS)[2] for name in ("cd_adam", "naive_two_way")}
    assert norms["naive_two_way"] > 2 * norms["cd_adam"]


def test_server_and_workers_hold_the_same_estimates() -> None:
    run = Run({"name": "cd_adam", "lr": 0.05, "compressor": TOP_3})
    for _ in run.rounds(60):
        assert torch.equal(run.server.w, run.replica.g)
        torch.testing.assert_close(run.server.g, run.workers.h.mean(0), rtol=0, atol=1e-12)


def test_the_measured_error_is_that_of_the_estimates() -> None:
    run = Run({"name": "cd_adam", "lr": 0.05, "compressor": TOP_3}, 0.0)
    at = run.replica.x.clone()
    for _ in run.rounds(20, measure=True):
        g = run.exact(at)
        off = (run.workers.h - g).square().sum(1) / g.square().sum(1)
        assert run.runtime.compression_error() == pytest.approx(float(off.mean()), rel=1e-9)
        at = run.replica.x.clone()


@pytest.mark.parametrize("name", ["double_squeeze", "ef_two_way"])
def test_error_feedback_on_both_links_loses_no_gradient(name: str) -> None:
    rounds = Rounds({"name": name, "compressor": TOP_3, "lr": 0.05})
    gradients, total, heard = noise(), torch.zeros(D).double(), torch.zeros(D).double()
    for t in range(1, 51):
        g = gradients(rounds.state.replica.x, t)
        rounds.round(g, Step(t, 50, 0.05))
        total += g.mean(0)
        heard += rounds.down.received.rows()[0]
        behind = rounds.state.server.error + rounds.state.workers.error.mean(0)
        torch.testing.assert_close(heard + behind, total)
    assert behind.norm() > 0.1
    if name == "double_squeeze":
        torch.testing.assert_close(rounds.state.replica.x, -0.05 * heard)


@pytest.mark.parametrize(
    ("compressed", "dense"),
    [
        ({"name": "cd_adam"}, {"name": "dist_ams", "beta2": 0.99}),
        ({"name": "naive_two_way"}, {"name": "dist_ams", "beta2": 0.99}),
        ({"name": "ef_two_way"}, {"name": "dist_ams", "beta2": 0.99}),
        ({"name": "ef21_two_way"}, {"name": "dist_sgd"}),
        ({"name": "double_squeeze"}, {"name": "dist_sgd"}),
    ],
    ids=lambda spec: spec["name"],
)
def test_with_the_identity_a_method_is_its_uncompressed_form(
    compressed: dict[str, Any], dense: dict[str, Any]
) -> None:
    found = []
    for spec in (compressed | {"compressor": IDENTITY}, dense):
        rounds = Rounds(spec)
        rounds.run(noise(), 40)
        found.append((rounds.state.replica.x, rounds.up.meter, rounds.down.meter))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-9, atol=1e-12)
    assert found[0][1:] == found[1][1:]


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ({"name": "dist_adam"}, {"betas": (0.9, 0.999)}),
        ({"name": "dist_adam", "weight_decay": 0.1}, {"weight_decay": 0.1}),
        (
            {
                "name": "cd_adam",
                "compressor": IDENTITY,
                "bias_correction": True,
                "eps_inside": False,
                "weight_decay": 0.1,
            },
            {"betas": (0.9, 0.99), "amsgrad": True, "weight_decay": 0.1},
        ),
    ],
)
def test_uncompressed_with_the_switches_of_the_code_it_is_adam_of_torch(
    spec: dict[str, Any], settings: dict[str, Any]
) -> None:
    rounds = Rounds(spec | {"lr": 0.05})
    theirs = torch.nn.Parameter(torch.zeros(D, dtype=torch.float64))
    optimiser = torch.optim.Adam([theirs], lr=0.05, eps=1e-8, **settings)
    gradients = noise()
    for t in range(1, 41):
        g = gradients(rounds.state.replica.x, t)
        rounds.round(g, Step(t, 40, 0.05))
        theirs.grad = g.mean(0)
        optimiser.step()
        torch.testing.assert_close(rounds.state.replica.x, theirs.data, rtol=1e-9, atol=1e-12)


def test_one_bit_adam_on_gradients_freezes_v_and_keeps_a_momentum() -> None:
    rounds = Rounds({"name": "one_bit_adam_gradients", "warmup": 0.25})
    gradients = noise()
    for t in range(1, 41):
        m, v = rounds.state.replica.m.clone(), rounds.state.replica.v.clone()
        rounds.round(gradients(rounds.state.replica.x, t), Step(t, 40, 0.01))
        assert torch.equal(rounds.state.replica.v, v) == (t > 10)
        c = rounds.down.received.rows()[0]
        torch.testing.assert_close(rounds.state.replica.m, 0.9 * m + 0.1 * c)
        assert (len(c.abs().unique()) == 1) == (t > 10)
