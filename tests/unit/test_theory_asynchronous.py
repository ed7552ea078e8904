"""T1 to T5 by hand, by brute force, and against naive simulations on parts of three real sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from wiregrad import data
from wiregrad.compressors import registry as compressors
from wiregrad.core.errors import DataUnavailable
from wiregrad.theory import asynchronous as theory
from wiregrad.theory import conflicts
from wiregrad.theory.asynchronous import Recursion, Sum
from wiregrad.theory.constants import Constants
from wiregrad.theory.constants import logistic as exact_constants

SMALL = Sum(each=(1.0, 3.0), L=4.0, mu=0.5)
DELAYS = (0, 1, 2, 5, 10, 20)


# -- formulas -----------------------------------------------------------------------------------


def test_steps_by_hand() -> None:
    assert theory.q_gd_step(4, alpha=2) == pytest.approx(1 / 8)
    assert theory.distributed_step(SMALL, alpha=3) == pytest.approx(1 / (4 + 2 * 2 * 3))
    G = 4**2 + 2 * 2 * 10
    assert theory.second_moment(SMALL, alpha=3) == pytest.approx(G)
    assert theory.delayed_step(SMALL, alpha=3, tau=0) == pytest.approx(0.5 / (4 * G))
    assert theory.delayed_step(SMALL, alpha=3, tau=10) == pytest.approx(0.5 / (100 * 16))


def test_bounds_by_hand() -> None:
    assert theory.q_gd_bound(SMALL, 1 / 8, 2, 5, gap=7) == pytest.approx((1 - 0.5 / 8) ** 5 * 7)
    assert theory.q_gd_convex_bound(SMALL, 1 / 8, 2, 5, distance2=7) == pytest.approx(
        2 * 4 * 7 / 10
    )
    assert theory.q_gd_nonconvex_bound(SMALL, 1 / 8, 2, 5, gap=7) == pytest.approx(
        2 * 2 * 4 * 7 / 5
    )
    floor = 2 * 0.05 * 2 * 1.5 / 0.5
    assert theory.distributed_floor(SMALL, 0.05, 3, sigma2=1.5) == pytest.approx(floor)
    bound = theory.distributed_bound(SMALL, 0.05, 3, 9, distance2=2, sigma2=1.5)
    assert bound == pytest.approx(0.975**9 * 2 + floor)
    lr, tau = 1e-3, 2
    c = 1 + lr * 4 * 16 / 0.5
    found = theory.delayed(SMALL, lr, 3, tau, sigma2=1.5)
    expected = (1 - lr * 0.5, lr**2 * 56 * c, 2 * 2 * 1.5 * lr**2 * c)
    assert (found.p, found.q, found.r) == pytest.approx(expected)
    rate = (found.p + found.q) ** (1 / 5)
    assert found.bound(10, 2) == pytest.approx(rate**10 * 2 + found.r / (lr * 0.5 - found.q))


def test_what_a_theorem_does_not_cover_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.125"):
        theory.q_gd_bound(SMALL, 0.13, 2, 5, gap=7)
    with pytest.raises(ValueError, match="not strongly convex"):
        theory.delayed_step(Sum(each=(1.0,), L=1.0), 2, 1)
    with pytest.raises(ValueError, match=r"required: 0 <= p \+ q < 1"):
        theory.delayed(SMALL, 0.1, 3, 2).bound(1, 1.0)
    with pytest.raises(ValueError, match="not unbiased"):
        theory.alpha(compressors.build({"name": "top_k", "k": 2}), 10)
    with pytest.raises(ValueError, match="number of nonzeros"):
        theory.expected_nonzeros(compressors.build("natural"), 10)


def test_constants_of_a_sum_are_n_times_those_of_the_mean() -> None:
    found = theory.of_mean(Constants(each=(1.0, 3.0, 5.0), minus=2.0, mu=0.1))
    assert (found.total, found.squares, found.largest) == (9, 35, 5)
    assert (found.L, found.mu) == (6, pytest.approx(0.3))


# -- constants of compressors -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "alpha", "nonzeros"),
    [
        ({"name": "ternary"}, math.sqrt(9), math.sqrt(9)),
        ({"name": "qsgd", "levels": 2}, 1 + 1.5, 2 * (2 + 3)),
        ({"name": "sparsifier", "ratio": 0.25}, 4, 0.25 * 9),
        ({"name": "sparsifier", "ratio": 0.05, "probabilities": "optimal"}, 20, 5),
        ({"name": "rand_k", "k": 5, "scaled": True}, 20, 5),
        ({"name": "identity"}, 1, 9),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_constants_follow_the_nonzeros(spec: dict, alpha: float, nonzeros: float) -> None:
    """The mean of real messages of one vector [100] with nine nonzeros stays below both."""
    compressor = compressors.build(spec)
    assert theory.alpha(compressor, 100, nonzeros=9) == pytest.approx(alpha)
    assert theory.expected_nonzeros(compressor, 100, nonzeros=9) == pytest.approx(min(9, nonzeros))
    v = torch.zeros(100, dtype=torch.float64)
    v[7:16] = torch.linspace(0.9, 1.1, 9, dtype=torch.float64)
    generators = [torch.Generator().manual_seed(i) for i in range(400)]
    rows = v.expand(400, 100).contiguous()
    sent = torch.empty_like(rows)
    compressor.roundtrip(rows, sent, generators)
    second, count = sent.square().sum(1) / v.square().sum(), (sent != 0).double().sum(1)
    for measured, bound in ((second, alpha), (count, min(9, nonzeros))):
        spread = 4 * float(measured.std()) / 20
        assert float(measured.mean()) <= bound * (1 + 1e-12) + spread
        assert float(measured.mean()) > bound / 20
    assert bool((sent[:, v == 0] == 0).all())


# -- T4 and T5 ----------------------------------------------------------------------------------


def test_the_recursions_bound_holds_on_random_ones_and_is_sharp_without_a_window() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        window = int(rng.integers(0, 12))
        p, q = rng.dirichlet([1, 1, rng.uniform(0.05, 1)])[:2]
        found = Recursion(float(p), float(q), float(rng.exponential()), window)
        V = [float(v) for v in rng.uniform(0, 1, window + 1)]
        start = max(V)
        for k in range(1, 80):
            late = max(V[-1 - window :])
            share = 1.0 if rng.random() < 0.8 else rng.random()  # an inequality now and then
            V.append(share * (found.p * V[-1] + found.q * late + found.r))
            assert V[-1] <= found.bound(k, start) * (1 + 1e-12)
    sharp = Recursion(0.5, 0.3, 0.0, 0)
    assert sharp.bound(7, 1.0) == pytest.approx(0.8**7)


@pytest.mark.parametrize("tau", DELAYS)
def test_the_delay_threshold_separates_decay_from_growth(tau: int) -> None:
    limit = theory.delay_threshold(tau)
    assert theory.spectral_radius(limit, tau) == pytest.approx(1, abs=1e-9)
    for share, decays in ((0.98, True), (1.02, False)):
        radius = theory.spectral_radius(share * limit, tau)
        assert (radius < 1) is decays
        x = [1.0] * (tau + 1)
        rounds = int(30 / abs(math.log(radius)))
        for _ in range(rounds):
            x.append(x[-1] - share * limit * x[-1 - tau])
        last = max(abs(v) for v in x[-4 * tau - 4 :])
        assert (last < 1e-6) is decays
        assert (last > 1e6) is not decays


def test_the_threshold_without_delay_is_that_of_gradient_descent() -> None:
    assert theory.delay_threshold(0) == pytest.approx(2)
    assert theory.delay_threshold(1) == pytest.approx(1)


# -- T1 to T3 on real data ----------------------------------------------------------------------

WORKERS, EACH, SEEDS = 4, 60, 12


class Problem:
    """f = Σ f_i, f_i(x) = mean log(1 + exp(−y aᵀx)) + λ‖x‖²/2 over 60 rows, in plain NumPy."""

    def __init__(self, name: str, lam: float) -> None:
        try:
            t = {k: v.numpy() for k, v in data.load(name).tensors.items()}
        except DataUnavailable as error:
            pytest.skip(str(error))
        matrix = np.zeros((WORKERS * EACH, t["shape"][1]))
        for j in range(len(matrix)):
            inside = slice(t["crow"][j], t["crow"][j + 1])
            matrix[j, t["col"][inside]] = t["values"][inside] * t["labels"][j]
        self.parts, self.lam, self.d = np.split(matrix, WORKERS), lam, matrix.shape[1]
        self.sum = theory.of_mean(exact_constants(self.parts, lam, "l2"))
        self.best = self.minimum()
        self.sigma2 = float(sum((g**2).sum() for g in self.gradients(self.best[None])))
        self.distance2 = float(self.best @ self.best)
        self.gap = self.value(np.zeros((1, self.d)))[0] - self.value(self.best[None])[0]

    def value(self, x):
        losses = [np.logaddexp(0, -x @ part.T).mean(1) for part in self.parts]
        return sum(losses) + WORKERS * self.lam * (x**2).sum(1) / 2

    def gradient(self, i, x):
        part = self.parts[i]
        return -(1 / (1 + np.exp(x @ part.T))) @ part / EACH + self.lam * x

    def gradients(self, x):
        return [self.gradient(i, x) for i in range(WORKERS)]

    def minimum(self):
        x = np.zeros(self.d)
        for _ in range(50):
            chance = [1 / (1 + np.exp(part @ x)) for part in self.parts]
            hessian = WORKERS * self.lam * np.eye(self.d)
            for part, c in zip(self.parts, chance, strict=True):
                hessian += part.T @ (part * (c * (1 - c))[:, None]) / EACH
            x = x - np.linalg.solve(hessian, sum(self.gradients(x[None]))[0])
        return x


def sparsify(v, rng, p=0.25):
    return np.where(rng.random(v.shape) < p, v / p, 0)


def ternary(v, rng):
    norm = np.linalg.norm(v, axis=1, keepdims=True)
    return np.where(rng.random(v.shape) * norm < abs(v), norm * np.sign(v), 0)


def low_precision(v, rng, s=4):
    norm = np.linalg.norm(v, axis=1, keepdims=True)
    level = np.floor(abs(v) * s / norm + rng.random(v.shape))
    return norm * np.sign(v) * level / s


QUANTISERS = {
    "sparsifier": (sparsify, {"name": "sparsifier", "ratio": 0.25}),
    "ternary": (ternary, {"name": "ternary"}),
    "low_precision": (low_precision, {"name": "qsgd", "levels": 4}),
}
real = pytest.mark.parametrize("name", ["phishing", "mushrooms", "a9a"])
quantised = pytest.mark.parametrize("kind", QUANTISERS)


def run(f: Problem, quantise, lr, rounds, *, every=10, whole=False, tau=0, copies=SEEDS):
    """Columns k, mean over seeds of f(x_k) − f* and of ‖x_k − x*‖² at some k."""
    rng = np.random.default_rng(0)
    past = [np.zeros((copies, f.d))]
    best, rows = f.value(f.best[None])[0], []
    for k in range(rounds + 1):
        x = past[-1]
        if k % every == 0:
            distance = ((x - f.best) ** 2).sum(1).mean()
            rows.append((k, (f.value(x) - best).mean(), distance))
        if whole:
            move = quantise(sum(f.gradients(x)), rng)
        else:
            late = [min(k, int(j)) for j in rng.integers(0, tau + 1, WORKERS)]
            move = sum(quantise(f.gradient(i, past[-1 - j]), rng) for i, j in enumerate(late))
        past = [*past[-tau:], x - lr * move] if tau else [x - lr * move]
    return rows


@real
@quantised
def test_t1_holds_with_room(name: str, kind: str) -> None:
    f = Problem(name, lam=0.1)
    quantise, spec = QUANTISERS[kind]
    alpha = theory.alpha(compressors.build(spec), f.d)
    lr = theory.q_gd_step(f.sum.L, alpha)
    rows = run(f, quantise, lr, 200, every=1, whole=True)
    for k, gap, _ in rows:
        assert gap <= theory.q_gd_bound(f.sum, lr, alpha, k, f.gap) * (1 + 1e-9)
    assert theory.q_gd_bound(f.sum, lr, alpha, 200, f.gap) < 0.9 * f.gap
    mean = np.mean([gap for _, gap, _ in rows[:-1]])
    assert mean <= theory.q_gd_convex_bound(f.sum, lr, alpha, 200, f.distance2)


@real
@quantised
def test_t2_holds_with_room(name: str, kind: str) -> None:
    f = Problem(name, lam=0.1)
    quantise, spec = QUANTISERS[kind]
    alpha = theory.alpha(compressors.build(spec), f.d)
    lr = theory.distributed_step(f.sum, alpha)
    rows = run(f, quantise, lr, 200)
    for k, _, distance in rows:
        bound = theory.distributed_bound(f.sum, lr, alpha, k, f.distance2, f.sigma2)
        assert distance <= bound * (1 + 1e-9)
    assert rows[-1][2] > 1e-6 * theory.distributed_floor(f.sum, lr, alpha, f.sigma2)


@real
@pytest.mark.parametrize("tau", [0, 3])
def test_t3_holds_with_room(name: str, tau: int) -> None:
    f = Problem(name, lam=1.0)
    for quantise, spec in QUANTISERS.values():
        alpha = theory.alpha(compressors.build(spec), f.d)
        lr = theory.delayed_step(f.sum, alpha, tau)
        found = theory.delayed(f.sum, lr, alpha, tau, f.sigma2)
        rows = run(f, quantise, lr, 100, tau=tau, copies=4)
        for k, _, distance in rows:
            assert distance <= found.bound(k, f.distance2)
        assert rows[-1][2] < f.distance2
        assert found.floor < math.inf
        assert found.rate < 1


def test_the_floors_are_within_five_times_the_truth_on_a_quadratic() -> None:
    """One dimension, f_i = (x − b_i)²/2, Q keeps with probability 1/α: V is known exactly."""
    b, alpha = np.array([1.0, -1.0, 2.0, -2.0]), 4.0
    n, sigma2 = len(b), float((b**2).sum())
    s = Sum(each=(1.0,) * n, L=float(n), mu=float(n))
    for lr, floor in (
        (theory.distributed_step(s, alpha), None),
        (theory.delayed_step(s, alpha, 0), theory.delayed),
    ):
        # V⁺ = (1 − γn)²V + γ²(α − 1)(nV + σ*²)
        truth = lr**2 * (alpha - 1) * sigma2
        truth /= 1 - (1 - lr * n) ** 2 - lr**2 * (alpha - 1) * n
        bound = (
            theory.distributed_floor(s, lr, alpha, sigma2)
            if floor is None
            else floor(s, lr, alpha, 0, sigma2).floor
        )
        assert truth <= bound <= 5 * truth
    assert theory.distributed_floor(s, 0.01, alpha, sigma2=0.0) == 0


# -- conflicts ----------------------------------------------------------------------------------


def test_conflicts_by_hand() -> None:
    rows = np.array([[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0], [4, 0, 0, 0]])
    found = conflicts.conflicts(rows)
    assert found.degrees.tolist() == [2, 1, 0, 0, 1]
    assert (found.overlap, found.largest, found.mean) == (2, 2, pytest.approx(0.8))
    assert found.by_degrees == pytest.approx(3)
    both = conflicts.of_workers([rows[:2], rows[2:4], rows[4:]])
    assert both.degrees.tolist() == [1, 0, 1]


def part_of(name: str, rows: int = 150) -> np.ndarray:
    try:
        t = {k: v.numpy() for k, v in data.load(name).tensors.items()}
    except DataUnavailable as error:
        pytest.skip(str(error))
    matrix = np.zeros((rows, t["shape"][1]))
    for j in range(rows):
        inside = slice(t["crow"][j], t["crow"][j + 1])
        matrix[j, t["col"][inside]] = t["values"][inside]
    return matrix


@pytest.mark.parametrize("name", ["mushrooms", "a1a", "generated_sparse_4k"])
def test_conflicts_of_real_rows_are_the_pairs_that_meet(name: str) -> None:
    matrix = part_of(name)
    found = conflicts.conflicts(matrix)
    support = matrix != 0
    pairs = [
        sum(bool((support[i] & support[j]).any()) for j in range(len(matrix)) if j != i)
        for i in range(len(matrix))
    ]
    assert found.degrees.tolist() == pairs
    assert found.overlap <= found.by_degrees
    v = np.random.default_rng(0).normal(size=matrix.shape) ** 2 * support
    assert (v.sum(0) ** 2).sum() <= found.overlap * (v**2).sum()
    assert conflicts.overlap(matrix) == found.overlap


@pytest.mark.parametrize("name", ["phishing", "a1a", "generated_sparse_4k"])
def test_smoothness_from_conflicts_is_above_the_eigenvalues_and_below_no_sparsity(
    name: str,
) -> None:
    parts = np.split(part_of(name), 3)
    exact = theory.of_mean(exact_constants(parts, 0.1, "l2"))
    found = conflicts.smoothness(parts, 0.25, mu=0.3, shift=0.1)
    assert found.L >= exact.L
    assert all(a >= b for a, b in zip(found.each, exact.each, strict=True))
    heaviest = max((part**2).sum(1).max() for part in parts)
    assert (found.L - 0.3) / heaviest <= 0.25 * 3


def test_workers_that_share_little_may_take_larger_steps() -> None:
    parts = [np.kron(np.eye(6)[i], np.ones((4, 5))) for i in range(6)]
    apart = conflicts.of_workers(parts)
    plain = Sum(each=(1.0,) * 6, L=1.0, mu=0.1)
    sparse = plain.sparse(apart.overlap)
    assert (plain.total, sparse.total) == (6, pytest.approx(math.sqrt(6)))
    assert theory.delayed_step(sparse, 2, 5) > 5 * theory.delayed_step(plain, 2, 5)
    together = conflicts.of_workers([np.ones((1, 5))] * 6)
    assert plain.sparse(together.overlap).total == pytest.approx(6)
