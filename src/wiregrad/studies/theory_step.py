"""Learning rates as multiples of a theorem's step size, computed when a run is made.

In a planned run `method.lr` is then a mapping with `theory` and `multiple`. What the step was
computed from goes to the run card, so that figures can compare measurements with the bound.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from wiregrad.core.errors import ConfigError, NotCovered
from wiregrad.core.rng import Seeds
from wiregrad.problems.convex.rows import RowProblem, RowSpec
from wiregrad.runs.config import RunConfig
from wiregrad.theory import asynchronous, conflicts, optimum
from wiregrad.theory.asynchronous import Sum
from wiregrad.theory.steps import sum_step_size

Source = Literal["exact", "conflicts"]
"""Where L and the L_i come from: eigenvalues, or the norms of rows and how their supports meet."""


@dataclass(frozen=True)
class Facts:
    """What theorems ask about f = Σ f_i and about x⁰."""

    sum: Sum
    dim: int
    f_star: float
    """f(x*) of the objective that the run's history shows: the mean of the f_i, or their sum."""
    gap: float
    """f(x⁰) − f*, f the sum."""
    distance2: float
    """‖x⁰ − x*‖²."""
    sigma2: float
    """σ*² = Σ‖∇f_i(x*)‖²."""


_KNOWN: dict[str, Facts] = {}
"""Facts of the problems that this process has met, by their configuration."""


def resolved(config: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config` with the learning rate as a number, and what it was computed from.

    The second mapping has `theorem`, `constants`, `multiple`, `step` (before it is multiplied),
    `alpha`, `tau`, the fields of `Sum` and those of `Facts`. Raises ConfigError, which begins with
    `where`, if no theorem covers the run, and DataUnavailable without the data.
    """
    wanted = config["method"]["lr"]
    numbers = copy.deepcopy(dict(config))
    numbers["method"]["lr"] = 1.0
    run = RunConfig.parse(numbers, where)
    try:
        facts = _facts(run, wanted["theory"])
        theorem, step, alpha = _step(run, facts)
    except NotCovered as error:
        raise ConfigError(f"{where}: lr.theory: {error}") from None
    multiple = float(wanted["multiple"])
    numbers["method"]["lr"] = multiple * step
    about = asdict(facts)
    made_of = {
        "theorem": theorem,
        "constants": wanted["theory"],
        "multiple": multiple,
        "step": step,
        "alpha": alpha,
        "tau": run.runtime.tau or 0,
    }
    return numbers, made_of | about.pop("sum") | about


def _step(run: RunConfig, facts: Facts) -> tuple[str, float, float]:
    """The theorem that covers a run, its step and its α; NotCovered if there is none.

    Given delays have their own theorem, even if all of them are 0.
    """
    method, runtime = run.method, run.runtime
    if not runtime.synchronous and runtime.tau is None:
        raise NotCovered(f"no theorem here covers {method.name} on the runtime {runtime.name}")
    return sum_step_size(method, facts.sum, d=facts.dim, tau=runtime.tau)


def _facts(run: RunConfig, source: Source) -> Facts:
    """Facts of the run's problem, the same for all seeds; NotCovered if it has none."""
    spec = run.problem
    if not isinstance(spec, RowSpec) or spec.x0 != "zeros":
        raise NotCovered(f"problem {spec.name} has no constants at one x⁰")
    key = json.dumps([run.resolved()["problem"], run.runtime.workers, source], sort_keys=True)
    if key not in _KNOWN:
        problem = spec.build(run.runtime.workers, Seeds(0), torch.device("cpu"))
        _KNOWN[key] = _computed(problem, spec, source)
    return _KNOWN[key]


def _computed(problem: RowProblem, spec: RowSpec, source: Source) -> Facts:
    n, x0 = problem.workers, problem.x0()
    constants = asynchronous.of_mean(problem.constants())
    if source == "conflicts":
        parts = [problem.worker_matrix(worker).scipy() for worker in range(n)]
        constants = conflicts.smoothness(parts, problem.curvature_bound, constants.strong, spec.lam)
    best = optimum.find(problem, x0)
    first, _ = problem.evaluate_batch(x0[None])
    return Facts(
        sum=constants,
        dim=problem.dim,
        f_star=best.value * (n if spec.objective == "sum" else 1),
        gap=n * (float(first) - best.value),
        distance2=float((x0 - best.x).square().sum()),
        sigma2=best.sigma2,
    )
