"""Logistic regression against a naive NumPy formula, and the constants of the published runs."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from tiny_data import dataset, rows

from wiregrad import data, kernels
from wiregrad.core.errors import ConfigError, DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.data.splits import FIXED
from wiregrad.kernels import sparse_rows
from wiregrad.problems import registry
from wiregrad.problems.convex.csr import Csr
from wiregrad.problems.convex.factors import factor

CPU = torch.device("cpu")
WORKERS = 5


def build(found, workers=WORKERS, seed=0, **fields):
    return registry.build({"name": "logistic"} | fields).bind(found, workers, Seeds(seed), CPU)


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
    with pytest.raises(
        ConfigError, match=r"alpha: required with split dirichlet, and allowed only "
    ):
        build(rows(), alpha=0.5)
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

    found = problem.constants()
    assert found.minus == pytest.approx(smoothness, rel=1e-12)
    assert found.plus == pytest.approx(smoothness_plus, rel=1e-12)


def one_hot(count=300, attributes=11, levels=4):
    """Rows of one-hot attributes, which repeat, beside a column of as many values as rows."""
    generator = torch.Generator().manual_seed(4)
    which = torch.randint(levels, (count, attributes), generator=generator)
    hot = torch.nn.functional.one_hot(which, levels).double().flatten(1) * 0.7
    last = torch.randn(count, 1, generator=generator, dtype=torch.float64)
    dense_rows = torch.cat([hot, last], 1)
    keep = dense_rows != 0
    labels = torch.where(torch.rand(count, generator=generator) < 0.4, -1.0, 1.0).double()
    return dataset(
        {
            "crow": torch.cat([torch.zeros(1, dtype=torch.int64), keep.sum(1).cumsum(0)]),
            "col": keep.nonzero()[:, 1],
            "values": dense_rows[keep],
            "labels": labels,
            "shape": torch.tensor(dense_rows.shape),
        }
    )


compiled = pytest.mark.skipif(not kernels.available(), reason="the kernels are not compiled")


def test_factors_multiply_to_the_rows():
    found = one_hot()
    matrix, labels = dense(found)
    t = found.tensors
    whole = Csr(t["crow"], t["col"], t["values"], matrix.shape[1])
    z, p = (
        sparse.csr_array((m.values.numpy(), m.col.numpy(), m.crow.numpy()))
        for m in factor(whole, t["labels"], 1)
    )
    assert z.nnz < 0.6 * np.count_nonzero(matrix)
    assert np.array_equal((z @ p).toarray(), labels[:, None] * matrix)


@compiled
@pytest.mark.parametrize("found", [rows(), rows(density=0.1), one_hot()], ids=["a", "b", "c"])
def test_kernels_agree_with_torch(found):
    problem = build(found, lam=0.2)
    x = 3 * torch.randn(37, problem.dim, generator=torch.Generator().manual_seed(0)).double()
    with kernels.using("off"):
        expected, measured = problem.gradients_batch(x), problem.evaluate_batch(x)
    first = None
    for path in kernels.available():
        with kernels.using(path):
            got = problem.gradients_batch(x)
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-14)
            torch.testing.assert_close(problem.evaluate_batch(x), measured, rtol=1e-12, atol=0)
        assert first is None or torch.equal(got, first)
        first = got


@compiled
def test_a_point_has_the_same_bits_in_any_batch():
    problem = build(one_hot())
    x = torch.randn(60, problem.dim, generator=torch.Generator().manual_seed(0)).double()
    every = problem.gradients_batch(x)
    for some in ([0], [59], list(range(5, 25)), list(range(41))):
        assert torch.equal(problem.gradients_batch(x[some]), every[some])
    out = torch.empty(2, problem.dim, dtype=torch.float64)
    problem.gradients(x[7], 1, out, [3, 0])
    assert torch.equal(out, every[7, [3, 0]])


@compiled
def test_kernels_keep_the_ends_of_the_range():
    problem = build(rows(), lam=0.0)
    x = torch.zeros(3, problem.dim, dtype=torch.float64)
    x[0], x[1], x[2, 4] = 1e300, -1e300, float("nan")
    got = problem.gradients_batch(x)
    assert torch.isfinite(got[:2]).all()
    assert torch.isnan(got[2]).all()


@pytest.mark.parametrize("density", [1.0, 0.1], ids=["hessians", "rows"])
def test_least_squares_is_the_naive_formula(density):
    found = rows(count=400, features=9 if density == 1 else 60, density=density)
    problem = build(found, name="least_squares", lam=0.3)
    matrix, labels = dense(found)
    x = np.random.default_rng(0).normal(size=(3, problem.dim))
    parts = [slice(80 * i, 80 * i + 80) for i in range(WORKERS)]
    residuals = [[matrix[p] @ v - labels[p] for p in parts] for v in x]
    expected = [
        [matrix[p].T @ r / 80 + 0.3 * v for p, r in zip(parts, mine, strict=True)]
        for v, mine in zip(x, residuals, strict=True)
    ]
    at = torch.from_numpy(x)
    np.testing.assert_allclose(problem.gradients_batch(at).numpy(), expected, rtol=1e-11)
    some = torch.empty(2, problem.dim, dtype=torch.float64)
    problem.gradients(at[1], 1, some, [4, 2])
    np.testing.assert_allclose(some.numpy(), np.array(expected)[1, [4, 2]], rtol=1e-11)
    losses, norms = problem.evaluate_batch(at)
    means = [np.mean(np.square(r)) / 2 + 0.15 * v @ v for r, v in zip(residuals, x, strict=True)]
    np.testing.assert_allclose(losses.numpy(), means, rtol=1e-12)
    np.testing.assert_allclose(norms.numpy(), np.linalg.norm(np.mean(expected, 1), axis=1))
    step = at[:1] - problem.gradients_batch(at[:1]).mean(1) / problem.constants().minus
    assert problem.evaluate_batch(step)[0] < losses[0]


@pytest.mark.parametrize("n", [3, 10])
def test_quadratics_are_those_of_3pc(n):
    problem = registry.build({"name": "quadratic", "dim": 40, "noise": 0.3}).build(n, Seeds(0), CPU)
    d = 40
    probes = torch.zeros(2, d, dtype=torch.float64)
    probes[1, 20] = 1
    zero, unit = problem.gradients_batch(probes).numpy()  # -b, and a column of the matrix less b
    first, scale = -zero[:, 0], -4 * (unit - zero)[:, 19]
    tridiagonal = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    matrices = [s / 4 * tridiagonal for s in scale]
    lift = 1e-6 - np.linalg.eigvalsh(np.mean(matrices, 0))[0]
    matrices = [m + lift * np.eye(d) for m in matrices]
    x = np.random.default_rng(0).normal(size=(2, d))
    b = np.zeros((n, d))
    b[:, 0] = first
    expected = [[m @ v - row for m, row in zip(matrices, b, strict=True)] for v in x]
    got = problem.gradients_batch(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-11, atol=1e-14)
    value = x[0] @ np.mean(matrices, 0) @ x[0] / 2 - b.mean(0) @ x[0]
    measured = problem.evaluate(torch.from_numpy(x[0]))
    assert measured.loss_train == pytest.approx(value, rel=1e-12)
    assert measured.grad_norm == pytest.approx(np.linalg.norm(np.mean(expected[0], 0)), rel=1e-12)
    assert np.linalg.eigvalsh(np.mean(matrices, 0))[0] == pytest.approx(1e-6, rel=1e-6)
    assert problem.constants().minus == pytest.approx(
        np.linalg.norm(np.mean(matrices, 0), 2), rel=1e-9
    )
    assert problem.x0().tolist() == [math.sqrt(40)] + 39 * [0.0]


def test_the_label_skewed_split_gives_workers_unlike_labels():
    found = rows(count=2000)
    found = dataset(found.tensors | {"values": found.tensors["values"].abs()})
    shares = {}
    for alpha in (0.2, 50.0):
        problem = build(found, split="dirichlet", alpha=alpha)
        parts = [problem.worker_matrix(i) for i in range(WORKERS)]
        assert sum(p.m for p in parts) == problem.train_size == 2000
        # A part is of rows times labels: with rows that are positive its signs are the labels.
        means = torch.stack([(p.values[p.crow[:-1]] > 0).double().mean() for p in parts])
        shares[alpha] = means.std().item()
    assert shares[0.2] > 3 * shares[50.0]
    again = build(found, seed=1, split="dirichlet", alpha=50.0)
    assert all(torch.equal(p.values, again.worker_matrix(i).values) for i, p in enumerate(parts))
    with pytest.raises(ConfigError, match=r"problem.alpha: 0.001 leaves one of 20 workers"):
        build(found, workers=20, split="dirichlet", alpha=0.001)


@pytest.mark.parametrize("path", kernels.available())
def test_slopes_far_on_the_right_side_are_not_subnormal(path):
    """They would be nothing in the sum, and ten times as slow."""
    one = sparse_rows.SparseMatrix(
        torch.tensor([0, 1]), torch.zeros(1, dtype=torch.int32), torch.ones(1, dtype=torch.float64)
    )
    x, out = torch.full((1, 1), 1e4, dtype=torch.float64), torch.empty(1, 1, 1, dtype=torch.float64)
    with kernels.using(path):
        sparse_rows.logistic(one, one, torch.tensor([[0, 1]]), x, torch.zeros_like(x), out)
    assert torch.finfo(torch.float64).tiny < -float(out) < 1e-250


def test_gradients_where_it_was_just_evaluated_are_the_same_to_the_bit():
    problem = build(rows())
    x = torch.randn(1, problem.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    some = [3, 1]
    fresh = problem.gradients_batch(x, workers=some)
    problem.evaluate_batch(x)
    assert torch.equal(problem.gradients_batch(x, workers=some), fresh)
    x += 1  # in place: what was kept is another point's
    moved = problem.gradients_batch(x, workers=some)
    assert torch.equal(moved, build(rows()).gradients_batch(x, workers=some))
    assert not torch.equal(moved, fresh)
