"""The delayed runtime: rounds in which each worker takes its gradient at an older x.

Worker i computes at x_{k−τ_k^i}, with a delay τ_k^i that a rule gives (`wiregrad.runtimes.delays`);
all else is the simulated runtime. Every worker sends in every round, so that any method runs here.
For a method that sends Q(∇f_i), update k + 1 is that of arXiv 1806.06573 (recalled),
x_{k+1} = x_k − γ Σ Q(∇f_i(x_{k−τ_k^i})), with fresh draws of Q.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Annotated, Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.core.registry import Named
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes import delays
from wiregrad.runtimes.base import AppliedGradient, Runtime, load_tensors, tensors_of
from wiregrad.runtimes.settings import RuntimeSpec, register
from wiregrad.runtimes.simulated import Simulated


class Delayed(Simulated):
    """The simulated runtime with delayed reading; with τ = 0, the same to the last bit."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        delay: delays.Delay,
    ) -> None:
        super().__init__(problem, method, seeds, convention)
        self.delay, self._seeds = delay, seeds
        self._past: deque[Any] = deque([copied(self.state.replica)], maxlen=delay.tau + 1)
        """The replicas after update k, k − 1, …, the present one first."""
        self._of: list[int] = []
        """τ_k^i of this round."""
        self._k = 0

    def round(self, step: Step, measure: bool) -> None:
        """Gradients at x_{k−τ_k^i}, uplink, server, downlink, move."""
        self._k = step.t - 1
        context = delays.DelayContext(self._k, self._seeds, self._distances)
        self._of = [self.delay.of(i, context) for i in range(self.problem.workers)]
        super().round(step, measure)
        if self.delay.tau:
            self._past.appendleft(copied(self.state.replica))

    def _send_portion(self, portion: Sequence[int], grads: torch.Tensor, step: Step) -> None:
        """See Simulated; neighbouring workers that have read the same x are computed together."""
        for tau, group in groupby(portion, key=self._of.__getitem__):
            some = list(group)
            rows = grads[some[0] - portion[0] : some[-1] + 1 - portion[0]]
            replica = self._past[tau] if tau else self.state.replica
            self.problem.gradients(replica.x, step.t, rows, some)
            self._work(some, rows, step, replica)

    def _distances(self) -> list[float]:
        """‖x_k − x_{k−j}‖ for each point that is kept, j = 0 first."""
        return [float(torch.linalg.vector_norm(self.x - past.x)) for past in self._past]

    def applied(self) -> list[AppliedGradient]:
        """The last round's gradients; time is counted in updates."""
        k = self._k
        return [
            AppliedGradient(k + 1, i, tau, float(k - tau), float(k), float(k))
            for i, tau in enumerate(self._of)
        ]

    def state_dict(self) -> dict[str, Any]:
        """State of the method, the generators, the meters, and the past."""
        return super().state_dict() | {"past": [tensors_of(each) for each in self._past]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        super().load_state_dict(state)
        self._past.clear()
        for saved in state["past"]:
            replica = copied(self.state.replica)
            load_tensors(replica, saved)
            self._past.append(replica)


def copied(replica: Any) -> Any:
    """A copy of a state whose tensors are its own."""
    return replace(replica, **{name: t.clone() for name, t in tensors_of(replica).items()})


@register("delayed")
@dataclass(frozen=True, kw_only=True)
class DelayedSpec(RuntimeSpec):
    """Rounds in which worker i has read x a given number of updates ago, at most τ."""

    delay: Annotated[delays.Delay, Named(delays.registry)] = delays.Constant()  # noqa: RUF009 - it is frozen

    @property
    def tau(self) -> int:
        """See RuntimeSpec."""
        return self.delay.tau

    def build(
        self, problem: Problem, method: Method, seeds: Seeds, convention: Convention
    ) -> Runtime:
        """See RuntimeSpec."""
        return Delayed(problem, method, seeds, convention, self.delay)
