"""Logistic regression against a naive NumPy formula, and the constants of the published runs."""

import math

import numpy as np
import pytest
import torch
from tiny_data import dataset, rows

from wiregrad import data
from wiregrad.data.splits import FIXED
from wiregrad.errors import ConfigError, DataUnavailable
from wiregrad.problems import registry
from wiregrad.rng import Seeds

CPU = torch.device("cpu")
WORKERS = 5


def build(found, workers=WORKERS, seed=0, **fields):
    return registry.build({"name": "logistic", **fields}).bind(found, workers, Seeds(seed), CPU)


def dense(found):
    t = {k: v.numpy() for k, v in found.tensors.items()}
    matrix = np.zeros(t["shape"])
    for j in range(len(matrix)):
        for k in range(t["crow"][j], t["crow"][j + 1]):
            matrix[j, t["col"][k]] = t["values"][k]
    return matrix, t["labels"]


def naive(matrix, labels, x, lam, regulariser):
    """The value and the gradient of one worker's f_i, sample by sample."""
    value, gradient = 0.0, np.zeros_like(x)
    for a, y in zip(matrix, labels, strict=True):
        margin = y * (a @ x)
        value += math.log1p(math.exp(-margin)) / len(labels)
        gradient += -y * a / (1 + math.exp(margin)) / len(labels)
    for j, v in enumerate(x):
        if regulariser == "nonconvex":
            value += lam * v**2 / (1 + v**2)
            gradient[j] += lam * 2 * v / (1 + v**2) ** 2
        if regulariser == "l2":
            value += lam * v**2 / 2
            gradient[j] += lam * v
    return value, gradient


@pytest.mark.parametrize("regulariser", ["nonconvex", "l2", "none"])
@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
@pytest.mark.parametrize("remainder", ["last", "drop"])
def test_value_and_gradients_are_the_naive_formula(regulariser, density, remainder):
    found = rows(density=density)
    problem = build(found, regulariser=regulariser, remainder=remainder, lam=0.3)
    x = np.random.default_rng(0).normal(size=problem.dim)
    out = torch.empty(WORKERS, problem.dim, dtype=torch.float64)
    problem.gradients(torch.from_numpy(x), 1, out, range(WORKERS))

    matrix, labels = dense(found)
    parts = [slice(9 * i, 9 * i + 9) for i in range(WORKERS)]
    if remainder == "last":
        parts[-1] = slice(36, 47)
    values, gradients = zip(
        *(naive(matrix[p], labels[p], x, 0.3, regulariser) for p in parts), strict=True
    )
    np.testing.assert_allclose(out.numpy(), gradients, rtol=1e-12, atol=1e-14)
    measured = problem.evaluate(torch.from_numpy(x))
    assert measured.loss_train == pytest.approx(np.mean(values), rel=1e-13)
    assert measured.grad_norm == pytest.approx(np.linalg.norm(np.mean(gradients, 0)), rel=1e-12)
    assert problem.train_size == (47 if remainder == "last" else 45)
    assert problem.steps_per_epoch == 1


def test_large_margins_neither_overflow_nor_lose_the_loss():
    problem = build(rows(), regulariser="none")
    x = torch.full((problem.dim,), 1e4, dtype=torch.float64)
    out = torch.empty(WORKERS, problem.dim, dtype=torch.float64)
    problem.gradients(x, 1, out, range(WORKERS))
    matrix, labels = dense(rows())
    margins = labels * (matrix @ x.numpy())
    parts = [slice(0, 9), slice(9, 18), slice(18, 27), slice(27, 36), slice(36, 47)]
    expected = np.mean([np.maximum(0, -margins[p]).mean() for p in parts])
    assert problem.evaluate(x).loss_train == pytest.approx(expected, rel=1e-12)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_a_batch_is_drawn_from_the_workers_own_rows_by_name(density):
    found = rows(density=density)
    problem = build(found, batch=4, regulariser="none")
    assert (problem.samples_per_step, problem.steps_per_epoch) == (20, 2)
    x = torch.linspace(-1, 1, problem.dim, dtype=torch.float64)
    out = torch.empty(1, problem.dim, dtype=torch.float64)
    problem.gradients(x, 7, out, [2])
    chosen = torch.randint(9, (4,), generator=Seeds(0).generator("worker", 2, "step", 7)).numpy()
    matrix, labels = dense(found)
    expected = naive(matrix[18:27][chosen], labels[18:27][chosen], x.numpy(), 0, "none")[1]
    np.testing.assert_allclose(out[0].numpy(), expected, rtol=1e-12, atol=1e-15)
    problem.gradients(x, 8, out, [2])
    assert not np.allclose(out[0].numpy(), expected)


def test_a_row_has_the_same_bits_whoever_computes_it():
    for fields in ({}, {"batch": 3}):
        problem = build(rows(), **fields)
        x = problem.x0() + 0.5
        every = torch.empty(WORKERS, problem.dim, dtype=torch.float64)
        problem.gradients(x, 3, every, range(WORKERS))
        some = torch.empty(2, problem.dim, dtype=torch.float64)
        problem.gradients(x, 3, some, [4, 1])
        assert torch.equal(some, every[[4, 1]])


def test_the_shuffled_split_is_the_same_permutation_in_every_run():
    order = torch.randperm(47, generator=FIXED.generator("data", "split")).numpy()
    matrix, labels = dense(rows())
    x = np.linspace(-1, 1, 9)
    expected = naive(matrix[order[:9]], labels[order[:9]], x, 0, "none")[1]
    for seed in (0, 1):
        problem = build(rows(), seed=seed, split="shuffled", regulariser="none")
        out = torch.empty(1, 9, dtype=torch.float64)
        problem.gradients(torch.from_numpy(x), 1, out, [0])
        np.testing.assert_allclose(out[0].numpy(), expected, rtol=1e-12)


def test_starting_point_and_precision():
    assert build(rows()).x0().abs().sum() == 0
    normal = build(rows(), x0="normal", dtype="float32").x0()
    assert normal.dtype == torch.float32
    assert not torch.equal(normal, build(rows(), seed=1, x0="normal", dtype="float32").x0())


def test_other_data_and_too_many_workers_are_refused():
    with pytest.raises(ConfigError, match=r"problem.data: 'phishing' is not a set of rows"):
        build(dataset({"train_images": torch.zeros(3)}))
    with pytest.raises(ConfigError, match=r"runtime.workers: 48 workers for 47 rows"):
        build(rows(), workers=48)


@pytest.mark.parametrize(
    ("name", "kept", "smoothness", "smoothness_plus"),
    [
        ("phishing", 11_040, 0.36256536797623, 0.36609956525744),
        ("a9a", 32_560, 1.771933121163916, 1.77308096998741),
    ],
)
def test_published_smoothness_constants_come_out(name, kept, smoothness, smoothness_plus):
    """L = λ_max(AᵀA)/(4N) + 2λ and L₊ = √(mean L_i²), from the Hessian bound of this split."""
    try:
        found = data.load(name)
    except DataUnavailable as error:
        pytest.skip(str(error))
    problem = build(found, workers=20, data=name, remainder="drop")
    assert problem.train_size == kept

    def bound(parts):
        joined = torch.cat([part.batch(torch.arange(part.m)).matrix for part in parts])
        return torch.linalg.eigvalsh(joined.T @ joined)[-1].item() / (4 * len(joined)) + 0.2

    each = [bound([part]) for part in problem._parts]
    assert bound(problem._parts) == pytest.approx(smoothness, rel=1e-12)
    plus = math.sqrt(sum(v**2 for v in each) / 20)
    assert plus == pytest.approx(smoothness_plus, rel=1e-12)
