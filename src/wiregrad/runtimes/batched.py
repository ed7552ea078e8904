"""Many simulated runs of one problem and one method at once: states stacked `[R, n, d]`.

The runs share their seed and differ in hyper-parameters. Each of them sends the same messages and
bits, and has the same iterates up to the rounding of the problem's gradients, as the simulated
runtime gives it alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, State, Step
from wiregrad.problems.convex import Convex
from wiregrad.runtimes.base import links_of, tensors_of
from wiregrad.runtimes.batched_channel import BatchedChannel


def require_sweepable(method: Method) -> None:
    """Raises ConfigError for a method whose runs cannot advance together."""
    if not method.sweepable:
        raise ConfigError(
            f"method.name: {method.name} cannot be swept: it takes one run at a time, not a batch "
            "of runs (its class does not say sweepable = True)"
        )


class Batched:
    """R runs of one problem and one method, round by round; runs that have ended can be dropped.

    `fields`: the hyper-parameters that differ, by name, with R values each; `lr` is among them.
    `conventions`: those that price the messages, at least one. Raises ConfigError for a method that
    is not `sweepable`.
    """

    def __init__(
        self,
        problem: Convex,
        method: Method,
        seeds: Seeds,
        fields: Mapping[str, Sequence[float]],
        conventions: Sequence[Convention],
    ) -> None:
        require_sweepable(method)
        self.problem, self.seeds, n = problem, seeds, problem.workers
        self._base = method
        self._fields = {
            name: torch.tensor(values, dtype=problem.dtype, device=problem.device)[:, None]
            for name, values in fields.items()
        }
        self._set_method()
        x0 = problem.starting_point(seeds).repeat(len(fields["lr"]), 1)
        self.state: State = self.method.init(x0, n)
        runs, first = len(x0), conventions[0]
        links = links_of(problem, method, seeds, first)
        prices = [convention.uplink for convention in conventions]
        self.up = BatchedChannel(links.uplink([*range(n)] * runs), runs, prices, x0[0])
        prices = [convention.downlink for convention in conventions]
        self.down = BatchedChannel(links.downlink(runs), runs, prices, x0[0])

    def _set_method(self) -> None:
        """The method with `[R, 1]` in place of each hyper-parameter that differs."""
        given: dict[str, Any] = dict(self._fields)
        self.method = dataclasses.replace(self._base, **given)

    @property
    def x(self) -> torch.Tensor:
        """The points `[R, d]` that the workers hold."""
        x: torch.Tensor = self.state.replica.x
        return x

    def round(self, t: int, total: int, grads: torch.Tensor) -> torch.Tensor:
        """Round t of `total`, from the gradients `[R, n, d]` at `x`.

        Returns bool `[R]`: the runs that failed, of which a vector was not finite. What they have
        sent in this round does not count.
        """
        step = Step(t, total, self.method.lr, seeds=self.seeds)
        workers, server, replica = self.state
        self.up.open(measure=False)
        self.method.work(workers, replica, grads, self.up, step)
        self.down.open(measure=False)
        self.method.serve(server, self.up.received, self.down, step)
        self.method.move(replica, self.down.received.rows()[:, 0], step)
        return self.up.failed | self.down.failed

    def keep(self, runs: torch.Tensor) -> None:
        """Go on with only these runs (int64, places in the batch)."""
        self._fields = {name: values[runs] for name, values in self._fields.items()}
        self._set_method()
        for part in self.state:
            for name, value in tensors_of(part).items():
                setattr(part, name, _kept(value, runs))
        self.up.keep(runs)
        self.down.keep(runs)


def _kept(value: Any, runs: torch.Tensor) -> Any:
    return value[runs] if isinstance(value, torch.Tensor) else value
