"""Learning rates as multiples of the theory's step: worked out where a run is made.

In a planned run `method.lr` is then a mapping with `theory` and `multiple`. What the step is made
of goes to the run card, so that figures can hold what was measured against the bound.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.problems.convex import Logistic
from wiregrad.problems.convex.rows import RowProblem, RowSpec
from wiregrad.runs.config import RunConfig
from wiregrad.theory import asynchronous, conflicts, optimum
from wiregrad.theory.asynchronous import Sum

Source = Literal["exact", "conflicts"]
"""Where L and the L_i come from: eigenvalues, or norms of rows and how far their supports meet."""


@dataclass(frozen=True)
class Facts:
    """What theorems ask about f = Σ f_i, and about x⁰."""

    sum: Sum
    dim: int
    f_star: float
    """f(x*), of the objective that the run's history is of."""
    gap: float
    """f(x⁰) − f*, f the sum."""
    distance2: float
    """‖x⁰ − x*‖²."""
    sigma2: float
    """σ*² = Σ‖∇f_i(x*)‖²."""


_KNOWN: dict[str, Facts] = {}
"""Facts of the problems that this process has met."""


def resolved(config: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """`config` with the rate as a number, and what it was worked out from.

    The second mapping has `theorem`, `constants`, `multiple`, `step` (before it is multiplied),
    `alpha`, `tau`, the fields of `Sum` and those of `Facts`. Raises ConfigError where no theorem
    covers the run, DataUnavailable without the data.
    """
    wanted = config["method"]["lr"]
    numbers = copy.deepcopy(dict(config))
    numbers["method"]["lr"] = 1.0
    run = RunConfig.parse(numbers, where)
    tau = int(config["runtime"].get("delay", {}).get("tau", 0))
    try:
        facts = _facts(run, wanted["theory"])
        alpha = asynchronous.alpha(getattr(run.method, "compressor"), facts.dim)  # noqa: B009
        theorem, step = _step(run, facts.sum, alpha, tau)
    except (AttributeError, ValueError) as error:
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
        "tau": tau,
    }
    return numbers, made_of | about.pop("sum") | about


def _step(run: RunConfig, s: Sum, alpha: float, tau: int) -> tuple[str, float]:
    """The theorem that covers a run, and its step; under given delays that of delays, also at 0."""
    name, runtime = run.method.name, str(run.runtime.name)
    if name == "q_gd" and runtime == "simulated":
        return "T1", asynchronous.q_gd_step(s.L, alpha)
    if name in {"distributed_q_gd", "q_iag"}:
        if runtime == "simulated":
            return "T2", asynchronous.distributed_step(s, alpha)
        if runtime == "delayed":
            return "T3", asynchronous.delayed_step(s, alpha, tau)
    raise ValueError(f"no theorem here covers {name} on the runtime {runtime}")


def _facts(run: RunConfig, source: Source) -> Facts:
    """Facts of the run's problem, for all seeds alike; ValueError where it has none."""
    spec = run.problem
    if not isinstance(spec, RowSpec) or spec.x0 != "zeros":
        raise ValueError(f"problem {spec.name} has no constants at one x⁰")
    key = json.dumps([run.resolved()["problem"], run.runtime.workers, source], sort_keys=True)
    if key not in _KNOWN:
        problem = spec.build(run.runtime.workers, Seeds(0), torch.device("cpu"))
        _KNOWN[key] = _worked_out(problem, spec, source)
    return _KNOWN[key]


def _worked_out(problem: RowProblem, spec: RowSpec, source: Source) -> Facts:
    n, x0 = problem.workers, problem.x0()
    constants = asynchronous.of_mean(problem.constants())
    if source == "conflicts":
        parts = [problem.worker_matrix(worker).scipy() for worker in range(n)]
        curvature = 0.25 if isinstance(problem, Logistic) else 1.0
        constants = conflicts.smoothness(parts, curvature, constants.strong, spec.lam)
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
