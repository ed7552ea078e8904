"""A and B, steps and bounds of 3PC: by hand, by brute force, and against runs at the theory's step.

`test_runs_stay_below_their_bounds` is the one that ties methods, problems and theorems together.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from tiny_data import rows

from wiregrad import data
from wiregrad.comm.accounting import convention
from wiregrad.comm.link import Links
from wiregrad.core.errors import DataUnavailable, NotCovered
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import Method, Step, premises, registry
from wiregrad.methods.premises import Dimensions, ThreePoint
from wiregrad.methods.three_point import constants as ab_of
from wiregrad.methods.three_point.base import ThreePointCompressor
from wiregrad.methods.three_point.base import registry as mechanisms
from wiregrad.methods.three_point.gradient_descent import ThreePC
from wiregrad.problems import registry as problems
from wiregrad.problems.convex import Convex
from wiregrad.runtimes.simulated import Simulated, SimulatedChannel
from wiregrad.theory import bidirectional as two_way
from wiregrad.theory import three_pc as theory
from wiregrad.theory.constants import Constants
from wiregrad.theory.steps import step_size

TOP_1, TOP_3 = {"name": "top_k", "k": 1}, {"name": "top_k", "k": 3}
RAND_3 = {"name": "rand_k", "k": 3}
UNBIASED = RAND_3 | {"scaled": True}
ADACGD = {"name": "adacgd", "compressors": [TOP_1, TOP_3, "block_sign"], "zeta": 1.5}

MECHANISMS: list[dict[str, Any]] = [
    {"name": "ef21", "compressor": TOP_3},
    {"name": "ef21", "compressor": RAND_3},
    {"name": "ef21", "compressor": "identity"},
    {"name": "lag", "zeta": 2.0},
    {"name": "clag", "compressor": TOP_1, "zeta": 3.0},
    {"name": "clag", "compressor": "block_sign", "zeta": 100.0},
    ADACGD,
    ADACGD | {"zeta": 60.0},
    {"name": "three_pc_v1", "compressor": TOP_1},
    {"name": "three_pc_v2", "compressor": TOP_3, "unbiased": UNBIASED},
    {"name": "three_pc_v3", "compressor": TOP_3, "inner": {"name": "lag", "zeta": 2.0}},
    {"name": "three_pc_v4", "compressor": TOP_1, "second": RAND_3},
    {"name": "three_pc_v5", "compressor": TOP_3, "p": 0.3},
]
D = 8
COPIES = 200
"""Of the same h, y, x, each with its own draws: the expectation is their mean."""


def label(value: Any) -> str:
    return value["name"] if isinstance(value, dict) else str(value)


# -- constants --------------------------------------------------------------------------------


def test_constants_by_hand() -> None:
    quarter = 1 - 3 / 4  # √(1 − α) of α = 15/16
    assert ab_of.ef21(15 / 16) == pytest.approx((3 / 4, 1 / 16 / (3 / 4)))
    assert quarter == math.sqrt(1 - 15 / 16)
    assert ab_of.ef21(1.0) == ab_of.gd() == (1, 0)
    assert ab_of.lag(4.0) == (1, 4)
    assert ab_of.clag(15 / 16, 4.0) == pytest.approx((3 / 4, 4))
    assert ab_of.clag(15 / 16, 0.01) == ab_of.adacgd(15 / 16, 0.01) == ab_of.ef21(15 / 16)
    assert ab_of.v1(0.25) == (1, 0.75)
    assert ab_of.v2(0.25, 3.0) == (0.25, 2.25)
    assert ab_of.v3(0.25, ab_of.lag(4.0)) == (1, 3)
    assert ab_of.v3(0.5, ab_of.ef21(15 / 16)) == pytest.approx((1 - 1 / 8, 1 / 24))
    assert ab_of.v4(0.75, 0.75) == ab_of.ef21(15 / 16)
    assert ab_of.v5(0.25, 3 / 4) == pytest.approx((0.5, 0.25 * 0.75 / 0.5))
    assert ab_of.marina(0.25, 3.0, 10) == pytest.approx((0.25, 0.225))
    assert ab_of.marina_perm_k(0.25) == (0.25, 0.75)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1])
def test_constants_outside_their_range_are_refused(bad: float) -> None:
    for call in (ab_of.ef21, ab_of.v1, lambda v: ab_of.v5(0.5, v), ab_of.marina_perm_k):
        with pytest.raises(ValueError, match="required: 0 <"):
            call(bad)


def test_alpha_and_omega_are_those_of_the_contract() -> None:
    top, scaled = (mechanism("ef21", compressor=c).compressor for c in (TOP_3, UNBIASED))
    assert Dimensions([(D,)]).alpha(top) == 3 / 8
    assert Dimensions([(4,), (6,), (0,)]).alpha(top) == 1 / 2
    assert Dimensions([(D,)]).omega(scaled) == pytest.approx(8 / 3 - 1)
    with pytest.raises(ValueError, match="rand_k is not contractive"):
        Dimensions([(D,)]).alpha(scaled)
    with pytest.raises(ValueError, match="top_k is not unbiased"):
        Dimensions([(D,)]).omega(top)


def constants(found: Method | ThreePointCompressor, shapes: Any, n: int = 1) -> premises.AB:
    """A and B of a three-point compressor, or of a method that the theorems of 3PC cover."""
    size = Dimensions(shapes, n)
    if isinstance(found, ThreePointCompressor):
        return found.constants(size)
    covered = found.premises(size)
    assert isinstance(covered, ThreePoint)
    assert covered.proven
    return covered.ab


def mechanism(name: str, **fields: Any) -> Any:
    return mechanisms.build({"name": name, **fields})


def test_every_mechanism_and_every_method_of_the_family_is_covered() -> None:
    assert {each["name"] for each in MECHANISMS} == set(mechanisms)
    assert all(constants(mechanisms.build(each), [(D,)]).A > 0 for each in MECHANISMS)
    family = [name for name in registry if issubclass(registry[name], ThreePC)]
    assert sorted(family) == sorted(mechanisms)
    for each in MECHANISMS:
        method: Any = registry.build({"lr": 1.0} | each)
        assert method.mechanism == mechanisms.build(each)
        assert constants(method, [(D,)]) == constants(method.mechanism, [(D,)])


@pytest.mark.parametrize("spec", MECHANISMS, ids=label)
def test_the_three_point_inequality_holds_by_brute_force(spec: dict[str, Any]) -> None:
    """E‖C_{h,y}(x) − x‖² <= (1 − A)‖h − y‖² + B‖x − y‖² at random points, near and far."""
    found = mechanisms.build(spec)
    A, B = constants(found, [(D,)])
    generator = torch.Generator().manual_seed(0)
    tightest = 0.0
    for trial, (near_y, near_x) in enumerate(itertools.product([0.0, 0.03, 0.3, 3.0], repeat=2)):
        h, y, x = torch.randn(3, D, generator=generator, dtype=torch.float64)
        y, x = h + near_y * y, h + near_y * y + near_x * x
        new = apply(found, h, y, x, seed=trial)
        error = float((new - x).square().sum(-1).mean())
        bound = (1 - A) * float((h - y).square().sum()) + B * float((x - y).square().sum())
        spread = float((new - x).square().sum(-1).std()) / math.sqrt(COPIES)
        assert error <= bound + 4 * spread + 1e-12
        tightest = max(tightest, error / bound if bound else 0.0)
    assert tightest > 0.02 or spec["compressor"] == "identity"  # not met by a trivial C


class Part(Step):
    """Rounds 2 to 11, a tenth each."""

    def coin(self, p: float) -> bool:
        return self.t - 2 < round(10 * p)


def apply(
    found: ThreePointCompressor, h: torch.Tensor, y: torch.Tensor, x: torch.Tensor, seed: int
) -> torch.Tensor:
    """C_{h,y}(x) `[COPIES, d]`, in ten parts; a coin shows heads in just p of them."""
    parts = []
    for t in range(10):
        links = Links(
            Layout.flat(D), "whole", convention("formula"), Seeds(1000 * seed + t), x.device
        )
        channel = SimulatedChannel(links.uplink(range(COPIES // 10)), x)
        channel.open(measure=False)
        step = Part(t + 2, 100, 0.1)
        copies = (v.expand(COPIES // 10, D).clone() for v in (h, y, x))
        parts.append(found.send(*copies, channel, step))
    return torch.cat(parts)


def test_perm_k_errs_by_the_variance_of_the_workers_vectors() -> None:
    """What `marina_perm_k` rests on; d = 8 is no multiple of n = 3."""
    n = 3
    method: Any = registry.build({"name": "marina_perm_k", "lr": 1.0, "p": 1e-9})
    v = torch.randn(n, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    workers = method.init(torch.zeros(D, dtype=torch.float64), n).workers
    errors, total = [], torch.zeros(D, dtype=torch.float64)
    for t in range(2, 1002):
        links = Links(Layout.flat(D), "whole", convention("formula"), Seeds(0), v.device)
        channel = SimulatedChannel(links.uplink(range(n)), v[0])
        channel.open(measure=False)
        method.compressed(workers, v, channel, Step(t, 1002, 1.0))
        mean = channel.received.mean()
        errors.append(float((mean - v.mean(0)).square().sum()))
        total += mean
    variance = float(v.square().sum(-1).mean() - v.mean(0).square().sum())
    assert np.mean(errors) == pytest.approx(variance, rel=0.1)
    torch.testing.assert_close(total / 1000, v.mean(0), atol=0.15, rtol=0)


# -- steps and bounds by hand -----------------------------------------------------------------

C = Constants(each=(3.0, 4.0, 5.0), minus=3.5, mu=0.1)
AB = premises.AB(0.5, 2.0)


def test_steps_by_hand() -> None:
    assert C.plus == pytest.approx(math.sqrt(50 / 3))
    assert AB.ratio == 2
    assert theory.nonconvex_step(C, AB) == pytest.approx(1 / (3.5 + 2 * C.plus))
    assert theory.convex_step(C, AB) == pytest.approx(1 / (3.5 + math.sqrt(8) * C.plus))
    assert theory.pl_step(C, AB) == theory.convex_step(C, AB)
    steep = Constants(each=(1.0,), minus=1.0, mu=10.0)
    assert theory.pl_step(steep, AB) == 0.5 / 20
    with pytest.raises(ValueError, match="no PL constant"):
        theory.pl_step(Constants(each=(1.0,), minus=1.0), AB)
    assert theory.diana_step(C, 2.0, 4) == pytest.approx(1 / (4 * 5))
    M2 = 2 * (3 * 0.5 / 0.25 * 3 + 4 * (1 + 3 * 0.5 * 1.5 / 0.25))
    assert two_way.m_squared(AB, premises.AB(0.25, 0.5)) == pytest.approx(M2)
    assert two_way.step(C, AB, premises.AB(0.25, 0.5)) == pytest.approx(
        1 / (3.5 + C.plus * math.sqrt(M2))
    )


def test_bounds_by_hand() -> None:
    assert theory.nonconvex_bound(0.1, 20, 3.0, AB, G0=4.0) == pytest.approx(3 + 0.4)
    assert theory.potential(0.1, 3.0, AB, 4.0) == pytest.approx(3.8)
    assert theory.pl_bound(0.1, 2, 5.0, C) == pytest.approx(5 * 0.99**2)
    assert theory.convex_bound(0.1, 20, 5.0, AB, distance=3.0) == pytest.approx(4 * 9 / 2)
    assert theory.convex_bound(0.1, 20, 5.0, AB, distance=0.1) == pytest.approx(4 * 1 / 2)
    server = premises.AB(0.25, 0.5)
    assert two_way.potential(0.1, 3.0, AB, server, G=1.0, W=2.0) == pytest.approx(
        3 + 0.1 * (2 / 0.25 + 2 * (1 + 3 * 0.5 * 1.5 / 0.25))
    )
    assert two_way.bound(0.1, 20, 3.0) == pytest.approx(3)


def test_the_step_of_a_configured_method() -> None:
    def step(name: str, **fields: Any) -> float:
        method = registry.build({"name": name, "lr": 1.0, **fields})
        return step_size(method, C, n=3, d=D)

    ef21 = theory.nonconvex_step(C, ab_of.ef21(1 / 8))
    for name in ("ef21", "ef21_plus", "ef_sgd", "naive_sgd"):
        assert step(name, compressor=TOP_1) == ef21
    assert step("clag", compressor=TOP_1, zeta=0.0) == ef21
    assert step("adacgd", compressors=["block_sign", TOP_1], zeta=1.0) == ef21
    for name, fields in {"dist_sgd": {}, "lag_wk": {}, "lag_ps": {"smoothness": [1.0]}}.items():
        assert step(name, **fields) == 1 / 3.5
    assert step("marina_perm_k", p=1.0) == 1 / 3.5
    assert step("ef21_bc", compressor=TOP_1, server_compressor=TOP_3) == two_way.step(
        C, ab_of.ef21(1 / 8), ab_of.ef21(3 / 8)
    )
    assert step("diana", compressor="identity") == 1 / 5
    with pytest.raises(NotCovered, match="covers comp_ams"):
        step("comp_ams", compressor=TOP_1)


# -- measured against bound -------------------------------------------------------------------

WORKERS, STEPS = 5, 40
LAG = {"name": "lag", "zeta": 1.0}
RUNS: dict[str, dict[str, Any]] = {
    "dist_sgd": {},
    "ef21": {"compressor": TOP_3},
    "ef21_plus": {"compressor": TOP_3},
    "lag": {"zeta": 1.0},
    "clag": {"compressor": TOP_3, "zeta": 16.0},
    "adacgd": {"compressors": [TOP_1, TOP_3, {"name": "top_k", "k": 6}], "zeta": 16.0},
    "three_pc_v1": {"compressor": TOP_3},
    "three_pc_v2": {"compressor": TOP_3, "unbiased": {"name": "rand_k", "k": 6, "scaled": True}},
    "three_pc_v3": {"compressor": TOP_3, "inner": LAG},
    "three_pc_v4": {"compressor": TOP_3, "second": TOP_1},
    "three_pc_v5": {"compressor": TOP_3, "p": 0.2},
    "marina": {"compressor": {"name": "rand_k", "k": 6, "scaled": True}, "p": 0.3},
    "marina_perm_k": {"p": 0.2},
    "ef21_bc": {"compressor": TOP_3, "server_compressor": TOP_3},
    "bidirectional_3pc": {
        "uplink": {"name": "adacgd", "compressors": [TOP_1, TOP_3], "zeta": 1.0},
        "downlink": {"name": "clag", "compressor": TOP_3, "zeta": 1.0},
    },
}
TWO_WAY = {"ef21_bc", "bidirectional_3pc"}
DATA = ("a1a", "mushrooms", "splice")
LAM = 0.01


@pytest.fixture(scope="module", params=DATA)
def name_of_data(request: pytest.FixtureRequest) -> str:
    try:
        data.load(request.param)
    except DataUnavailable as error:
        pytest.skip(str(error))
    return str(request.param)


@pytest.fixture(scope="module")
def nonconvex(name_of_data: str) -> tuple[Convex, Constants]:
    return problem(name_of_data, "nonconvex", 0.1)


@pytest.fixture(scope="module")
def convex(name_of_data: str) -> tuple[Convex, Constants, float, torch.Tensor]:
    """And its minimum and minimiser, by Newton's method."""
    found, c = problem(name_of_data, "l2", LAM)
    return found, c, *minimum(found)


def problem(name: str, regulariser: str, lam: float) -> tuple[Convex, Constants]:
    spec = {"name": "logistic", "data": name, "regulariser": regulariser, "lam": lam}
    found = problems.build(spec).build(WORKERS, Seeds(0), torch.device("cpu"))
    assert isinstance(found, Convex)
    return found, found.constants()


def minimum(found: Any) -> tuple[float, torch.Tensor]:
    """A lower bound on f, within 1e-12 of its minimum, and the minimiser."""
    parts = [found.worker_matrix(i).dense() for i in range(WORKERS)]
    x = torch.zeros(found.dim, dtype=torch.float64)
    for _ in range(30):
        hessian = LAM * torch.eye(found.dim, dtype=torch.float64)
        for part in parts:
            s = torch.sigmoid(part @ x)
            hessian += part.T @ (part * (s * (1 - s))[:, None]) / len(part) / WORKERS
        x = x - torch.linalg.solve(hessian, found.gradients_batch(x[None])[0].mean(0))
    end = found.evaluate(x)
    slack = end.grad_norm**2 / (2 * LAM)  # f − f* by strong convexity
    assert slack < 1e-12
    return end.loss_train - slack, x


class Run:
    """A method at the theory's step: f, ‖∇f‖², x and G of every iterate."""

    def __init__(self, found: Convex, name: str, lr: float, steps: int = STEPS) -> None:
        method: Method = registry.build({"name": name, "lr": lr} | RUNS[name])
        runtime = Simulated(found, method, Seeds(3), convention("formula"))
        self.loss, self.square, self.x, self.G = [], [], [], []
        for t in range(1, steps + 2):
            now = found.evaluate(runtime.x)
            self.loss.append(now.loss_train)
            self.square.append(now.grad_norm**2)
            self.x.append(runtime.x.clone())
            grads = found.gradient_buffer(found.workers)
            found.gradients(runtime.x, t, grads, range(found.workers))
            runtime.round(Step(t, steps + 1, lr, seeds=Seeds(3)), measure=False)
            h = getattr(runtime.state.workers, "h", grads)
            self.G.append(float((h - grads).square().sum(-1).mean()))


@pytest.mark.parametrize("name", RUNS)
def test_nonconvex_runs_stay_below_their_bound(
    nonconvex: tuple[Convex, Constants], name: str
) -> None:
    """Mean ‖∇f‖² over x⁰..x^{T−1}, for every T; f* >= 0."""
    found, c = nonconvex
    method = registry.build({"name": name, "lr": 1.0} | RUNS[name])
    lr = step_size(method, c, n=WORKERS, d=found.dim)
    run = Run(found, name, lr)
    assert run.G[0] == 0
    measured = np.cumsum(run.square[:-1])
    for T in range(1, STEPS + 1):
        if name in TWO_WAY:
            bound = two_way.bound(lr, T, run.loss[0])
        else:
            ab = constants(method, [(found.dim,)], WORKERS)
            bound = theory.nonconvex_bound(lr, T, run.loss[0], ab)
        assert measured[T - 1] / T <= bound
    assert run.square[-1] < run.square[0]


@pytest.mark.parametrize("name", [name for name in RUNS if name not in TWO_WAY])
def test_runs_under_pl_stay_below_their_bounds(
    convex: tuple[Convex, Constants, float, torch.Tensor], name: str
) -> None:
    """Ψ^T of every T (PL), and f(x^T) − f* at the step of the convex theorem."""
    found, c, least, x_star = convex
    method = registry.build({"name": name, "lr": 1.0} | RUNS[name])
    ab = constants(method, [(found.dim,)], WORKERS)
    lr = step_size(method, c, n=WORKERS, d=found.dim, regime="pl")
    run = Run(found, name, lr)
    start = theory.potential(lr, run.loss[0] - least, ab)
    assert least < run.loss[-1] < run.loss[0]
    for T in range(STEPS + 1):
        psi = theory.potential(lr, run.loss[T] - least, ab, run.G[T])
        assert psi <= theory.pl_bound(lr, T, start, c) * (1 + 1e-12)
    if lr < step_size(method, c, n=WORKERS, d=found.dim, regime="convex"):
        return  # the step of the convex theorem is another one
    far = max(float((x - x_star).norm()) for x in run.x)
    for T in range(1, STEPS + 1):
        assert run.loss[T] - least <= theory.convex_bound(lr, T, start, ab, far)


def test_the_generated_set_is_a_problem_too() -> None:
    """The smallest case of the above that needs no data: 47 rows, two regimes at once."""
    for regulariser, regime in (("nonconvex", "nonconvex"), ("l2", "pl")):
        spec = {"name": "logistic", "regulariser": regulariser, "lam": 0.1}
        found: Any = problems.build(spec).bind(rows(), 5, Seeds(0), torch.device("cpu"))
        c, method = found.constants(), registry.build({"name": "ef21", "lr": 1} | RUNS["ef21"])
        lr = step_size(method, c, n=5, d=found.dim, regime=regime)
        run = Run(found, "ef21", lr, 60)
        ab = constants(method, [(found.dim,)])
        assert np.mean(run.square[:-1]) <= theory.nonconvex_bound(lr, 60, run.loss[0], ab)
