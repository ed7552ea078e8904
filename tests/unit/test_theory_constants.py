"""L_i, L₋, L₊, μ: by hand, against NumPy, and the golden values of the published runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from wiregrad.core.errors import DataUnavailable
from wiregrad.core.rng import Seeds
from wiregrad.problems import registry
from wiregrad.theory import constants

GOLDEN = {
    "phishing": (0.36256536797623, 0.36609956525744),
    "a9a": (1.771933121163916, 1.77308096998741),
}
"""L₋ and L₊ of the runs of CLAG and 3PC: 20 contiguous parts, the remainder dropped, λ = 0.1."""


def parts(n: int = 4, m: int = 9, d: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(m + i, d)) for i in range(n)]


def top(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, 2))


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_values_of_the_published_runs(name: str) -> None:
    spec = {"name": "logistic", "data": name, "lam": 0.1, "remainder": "drop"}
    try:
        problem = registry.build(spec).build(20, Seeds(0), torch.device("cpu"))
    except DataUnavailable as error:
        pytest.skip(str(error))
    found = problem.constants()
    minus, plus = GOLDEN[name]
    assert found.minus == pytest.approx(minus, rel=1e-12)
    assert found.plus == pytest.approx(plus, rel=1e-12)
    assert found.residual < 1e-12
    assert found.mu is None
    sliced = [problem.worker_matrix(i).scipy() for i in range(20)]
    lanczos = constants.logistic(sliced, 0.1, "nonconvex", dense_up_to=10)
    assert not any(each.exact for each in lanczos.certificate)
    assert lanczos.minus == pytest.approx(minus, rel=1e-12)
    assert lanczos.plus == pytest.approx(plus, rel=1e-12)


@pytest.mark.parametrize(("regulariser", "shift"), [("nonconvex", 0.6), ("l2", 0.3), ("none", 0)])
def test_logistic_by_hand(regulariser: str, shift: float) -> None:
    found = constants.logistic(parts(), 0.3, regulariser)
    each = [top(a) ** 2 / (4 * len(a)) + shift for a in parts()]
    mean = np.mean([a.T @ a / (4 * len(a)) for a in parts()], axis=0)
    assert found.each == pytest.approx(each)
    assert found.largest == pytest.approx(max(each))
    assert found.minus == pytest.approx(top(mean) + shift)
    assert found.plus == pytest.approx(math.sqrt(np.mean(np.square(each))))
    assert found.minus <= found.plus <= found.largest
    assert found.mu == (0.3 if regulariser == "l2" else None)
    same = constants.logistic([sparse.csr_array(a) for a in parts()], 0.3, regulariser)
    assert same.each == pytest.approx(found.each)
    with pytest.raises(ValueError, match="allowed: nonconvex, l2, none"):
        constants.logistic(parts(), 0.3, "l1")


def test_no_regulariser_leaves_no_mu() -> None:
    assert constants.logistic(parts(), 0.0, "l2").mu is None


def test_least_squares_is_pl_with_the_smallest_eigenvalue_that_is_not_zero() -> None:
    flat = [np.hstack([a, a[:, :2]]) for a in parts()]  # two columns twice: rank 6 of 8
    mean = np.mean([a.T @ a / len(a) for a in flat], axis=0)
    values = np.linalg.eigvalsh(mean)
    found = constants.least_squares(flat)
    assert found.minus == pytest.approx(values[-1])
    assert found.mu == pytest.approx(values[2])
    assert values[1] < 1e-12
    assert values[2] > 0.01
    assert constants.least_squares(flat, 0.5).mu == pytest.approx(0.5)
    assert constants.least_squares(flat, dense_up_to=2).mu is None
    assert constants.least_squares(flat, dense_up_to=2).minus == pytest.approx(values[-1])


def test_tridiagonal_quadratics_in_closed_form_are_the_eigenvalues() -> None:
    d, scales, shift = 12, (0.9, 1.0, 1.2, -0.3), -0.02
    T = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    hessians = [scale / 4 * T + shift * np.eye(d) for scale in scales]
    closed = constants.tridiagonal_quadratics(scales, shift, d)
    found = constants.quadratics(hessians)
    assert closed.each == pytest.approx(found.each)
    assert closed.minus == pytest.approx(found.minus)
    assert closed.mu is found.mu is None  # the shift makes the mean indefinite
    lifted = constants.tridiagonal_quadratics(scales, 0.1, d)
    exact = constants.quadratics([h + 0.12 * np.eye(d) for h in hessians])
    assert lifted.mu == pytest.approx(exact.mu)
    assert exact.residual < 1e-14


def test_a_certificate_bounds_the_error_of_an_eigenvalue() -> None:
    rng = np.random.default_rng(1)
    wide = sparse.random_array((300, 2500), density=0.02, rng=rng, format="csr")
    found = constants.largest_eigenvalue([wide], [1 / 300])
    assert not found.exact
    truth = top(wide.toarray()) ** 2 / 300
    assert abs(found.value - truth) <= found.residual + 1e-12 * truth
    assert found.residual < 1e-9 * truth
