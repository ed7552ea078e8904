"""f as the sum of the workers' f_i, its Hessian, its minimiser; the generated sets."""

import numpy as np
import pytest
import torch
from tiny_data import rows

from wiregrad import data
from wiregrad.core.rng import Seeds
from wiregrad.problems import registry
from wiregrad.theory import optimum

CPU = torch.device("cpu")
KINDS = {
    "logistic": {"regulariser": "l2", "lam": 0.2},
    "nonconvex": {"name": "logistic", "regulariser": "nonconvex", "lam": 0.2},
    "least_squares": {"lam": 0.2},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def build(kind, found=None, workers=5, **fields):
    spec = {"name": kind} | KINDS[kind] | fields
    return registry.build(spec).bind(found or rows(), workers, Seeds(0), CPU)


@kinds
def test_the_sum_is_n_times_the_mean_and_gradients_are_those_of_the_terms(kind):
    mean, total = build(kind), build(kind, objective="sum")
    x = torch.linspace(-1, 1, mean.dim, dtype=torch.float64)
    each = torch.empty(2, 5, mean.dim, dtype=torch.float64)
    for problem, out in zip((mean, total), each, strict=True):
        problem.gradients(x, 1, out, range(5))
    assert torch.equal(each[0], each[1])
    a, b = mean.evaluate(x), total.evaluate(x)
    assert b.loss_train == pytest.approx(5 * a.loss_train, rel=1e-15)
    assert b.grad_norm == pytest.approx(float(each[1].sum(0).norm()), rel=1e-12)
    assert a.grad_norm == pytest.approx(float(each[0].mean(0).norm()), rel=1e-12)


@kinds
@pytest.mark.parametrize("density", [1.0, 0.1], ids=["dense", "sparse"])
def test_the_hessian_is_the_derivative_of_the_gradient(kind, density):
    problem = build(kind, rows(count=60, features=7, density=density))
    x = torch.linspace(-1, 1, problem.dim, dtype=torch.float64)
    v = torch.randn(3, problem.dim, generator=torch.Generator().manual_seed(0)).double()
    h = 1e-5
    ends = problem.gradients_batch(torch.cat([x + h * v, x - h * v])).mean(1)
    expected = (ends[:3] - ends[3:]) / (2 * h)
    torch.testing.assert_close(problem.hessian_times(x, v), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", ["logistic", "least_squares"])
@pytest.mark.parametrize("dense_up_to", [2000, 0], ids=["decomposed", "conjugate gradients"])
def test_the_minimiser_is_where_the_gradient_vanishes(kind, dense_up_to, monkeypatch):
    monkeypatch.setattr(optimum, "DENSE_UP_TO", dense_up_to)
    problem = build(kind, rows(count=200))
    found = optimum.find(problem, problem.x0())
    grads = problem.gradients_batch(found.x[None])[0]
    assert float(grads.mean(0).norm()) < 1e-12
    assert found.sigma2 == pytest.approx(float(grads.square().sum()))
    assert found.sigma2 > 0.01
    for step in torch.eye(problem.dim, dtype=torch.float64):
        assert problem.evaluate_batch((found.x + 0.01 * step)[None])[0] > found.value


# sha256 of the tensors: on every machine the same
DIGESTS = {
    "generated_dense_4k": "676e973bf04050b6863cc67643df4e9dfa7fd344791e0d331876ef9286619e0b",
    "generated_sparse_4k": "f8fa94277256b94d8dd5a1a00607d918e18433ee156de23b9640560278881486",
}


def matrix_of(found):
    t = {k: v.numpy() for k, v in found.tensors.items()}
    matrix = np.zeros(t["shape"])
    matrix[np.arange(len(matrix)).repeat(np.diff(t["crow"])), t["col"]] = t["values"]
    return matrix


def test_generated_sets_are_the_same_everywhere_and_of_one_conditioning():
    conditions = {}
    for name, digest in DIGESTS.items():
        found = data.load(name)
        assert (found.digest, found.source) == (digest, "generated")
        matrix = matrix_of(found)
        assert matrix.shape == (4000, 100)
        per_row = 100 if "dense" in name else 5
        assert ((matrix != 0).sum(1) == per_row).all()
        assert abs(float(found.tensors["labels"].mean())) < 0.05
        values = np.linalg.eigvalsh(matrix.T @ matrix / 4000)
        conditions[name] = values[-1] / values[0]
        assert values[-1] == pytest.approx(1.1, rel=0.15)
    assert conditions["generated_dense_4k"] == pytest.approx(115, rel=0.01)
    assert conditions["generated_sparse_4k"] == pytest.approx(115, rel=0.01)


def test_a_generated_set_is_worth_learning_from():
    problem = registry.build(
        {"name": "logistic", "data": "generated_sparse_4k", "regulariser": "none", "lam": 0}
    ).build(10, Seeds(0), CPU)
    assert problem.train_size == 4000
    assert problem.provenance["source"] == "generated"
    best = optimum.find(problem, problem.x0())
    assert 0.2 < best.value < 0.5  # log 2 at x⁰; a tenth of the labels are noise
