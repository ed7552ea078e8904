"""The delayed runtime: rounds in which each worker has read x some updates ago.

With Σ Q(∇f_i) as what is sent, update k + 1 is that of arXiv 1806.06573 (recalled):
x_{k+1} = x_k − γ Σ Q(∇f_i(x_{k−τ_k^i})). All draws of Q are fresh, and every worker is heard in
every round, so that any method runs here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, Step
from wiregrad.problems.base import Problem
from wiregrad.runtimes.base import Applied, load_tensors, tensors_of
from wiregrad.runtimes.delays import Delay, Moment
from wiregrad.runtimes.simulated import Simulated


class Delayed(Simulated):
    """The simulated runtime, but for what the workers have read; with τ = 0, it to the last bit."""

    def __init__(
        self,
        problem: Problem,
        method: Method,
        seeds: Seeds,
        convention: Convention,
        delay: Delay,
    ) -> None:
        super().__init__(problem, method, seeds, convention)
        self.delay, self._seeds = delay, seeds
        self._past: deque[Any] = deque([copied(self.state.replica)], maxlen=delay.tau + 1)
        """What every worker held after update k, k − 1, …; the present comes first."""
        self._of: list[int] = []
        """τ_k^i of this round."""
        self._k = 0

    def round(self, step: Step, measure: bool) -> None:
        """Gradients at x_{k−τ_k^i}, uplink, server, downlink, move."""
        self._k = step.t - 1
        moment = Moment(self._k, self._seeds, self._distances)
        self._of = [self.delay.of(i, moment) for i in range(self.problem.workers)]
        super().round(step, measure)
        if self.delay.tau:
            self._past.appendleft(copied(self.state.replica))

    def _portion(self, portion: Sequence[int], grads: torch.Tensor, step: Step) -> None:
        """Neighbours that have read the same x are computed together."""
        for tau, group in groupby(portion, key=self._of.__getitem__):
            some = list(group)
            rows = grads[some[0] - portion[0] : some[-1] + 1 - portion[0]]
            replica = self._past[tau] if tau else self.state.replica
            self.problem.gradients(replica.x, step.t, rows, some)
            self._work(some, rows, step, replica)

    def _distances(self) -> list[float]:
        """‖x_k − x_{k−j}‖ for each point that is kept, j = 0 first."""
        return [float(torch.linalg.vector_norm(self.x - past.x)) for past in self._past]

    def applied(self) -> list[Applied]:
        """The last round's gradients; time is counted in updates."""
        k = self._k
        return [
            Applied(k + 1, i, tau, float(k - tau), float(k), float(k))
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
