"""The toy stochastic convex problem: its formula, its noise and its smoothness."""

import numpy as np
import pytest
import torch

from wiregrad.core.rng import Seeds
from wiregrad.problems import registry

CPU = torch.device("cpu")
WORKERS, DIM = 4, 7


def build(seed=0, workers=WORKERS, **fields):
    spec = registry.build({"name": "toy_stochastic", "dim": DIM} | fields)
    return spec.build(workers, Seeds(seed), CPU)


def gradients(problem, x, step=1, workers=range(WORKERS)):
    out = torch.empty(len(workers), DIM, dtype=torch.float64)
    problem.gradients(x, step, out, workers)
    return out


def point(seed=0):
    return torch.randn(DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(problem, x):
    """f(x) summed term by term, for autograd."""
    total = 0.0
    for centre in problem.centres:
        for j, curvature in enumerate(problem.curvature):
            residual = problem.rotation[j] @ x - centre[j]
            total = total + curvature * ((1 + residual**2) ** 0.5 - 1) / WORKERS
    return total


def test_value_and_gradient_are_the_formula():
    problem, x = build(noise=0.0, smooth=2.0), point().requires_grad_()
    value = naive(problem, x)
    (gradient,) = torch.autograd.grad(value, x)
    measured = problem.evaluate(x.detach())
    assert measured.loss_train == pytest.approx(value.item(), rel=1e-12)
    assert measured.grad_norm == pytest.approx(gradient.norm().item(), rel=1e-12)
    torch.testing.assert_close(gradients(problem, x.detach()).mean(0), gradient)
    torch.testing.assert_close(
        problem.gradients_batch(x.detach()[None]).mean(1)[0], gradient, rtol=1e-12, atol=1e-14
    )
    eye = torch.eye(DIM, dtype=torch.float64)
    torch.testing.assert_close(problem.rotation @ problem.rotation.T, eye)


def test_noise_has_the_named_variance_and_is_drawn_by_worker_and_step():
    problem, exact, x = build(noise=0.5), build(noise=0.0), point()
    noise = torch.stack([gradients(problem, x, t) - gradients(exact, x) for t in range(1, 401)])
    np.testing.assert_allclose(noise.norm(dim=-1), 0.5, rtol=1e-12)
    assert noise.mean((0, 1)).norm() < 4 * 0.5 / (400 * WORKERS) ** 0.5
    assert (noise[:, 0] * noise[:, 1]).sum(-1).mean().abs() < 0.05 * 0.5**2
    assert torch.equal(gradients(problem, x, 3, [2]), gradients(problem, x, 3)[2:3])
    assert not torch.equal(gradients(problem, x, 3), gradients(build(1, noise=0.5), x, 3))


def test_the_instance_is_the_same_in_every_run_and_for_more_workers():
    few, more, other = build(), build(9, workers=6), build(instance=1)
    assert torch.equal(more.centres[:WORKERS], few.centres)
    assert not torch.equal(other.centres, few.centres)
    assert few.provenance["sha256"] != other.provenance["sha256"]


def test_the_smoothness_constant_is_met_and_never_exceeded():
    problem = build(unlike=0.0, smooth=3.0)
    largest = problem.constants().minus
    assert largest == 3.0
    minimum = problem.centres[0] @ problem.rotation  # where Qx = c
    quotients = []
    for step in [*(1e-6 * problem.rotation[:1]), point(1), 10 * point(2)]:
        ends = torch.stack([minimum, minimum + step])
        one, two = problem.gradients_batch(ends).mean(1)
        quotients.append(float((two - one).norm() / step.norm()))
    assert max(quotients) == pytest.approx(largest, rel=1e-9)
    assert max(quotients) <= largest * (1 + 1e-9)


def test_a_normal_start_is_of_the_run():
    assert build().x0().norm() == 0
    assert not torch.equal(build(1, x0="normal").x0(), build(2, x0="normal").x0())
