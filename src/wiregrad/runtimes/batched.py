"""Many simulated runs of one problem and one method at once: states stacked `[R, n, d]`.

The runs share their seed and differ in hyper-parameters. Each gets the messages, the bits and, up
to the rounding of the problem's gradients, the iterates that the simulated runtime gives it alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from wiregrad.comm.accounting import Convention
from wiregrad.comm.channel import Link
from wiregrad.core.errors import ConfigError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Method, State, Step
from wiregrad.problems.convex import Convex
from wiregrad.runtimes.base import tensors_of
from wiregrad.runtimes.batched_channel import BatchedChannel


def require_sweepable(method: Method) -> None:
    """Raises ConfigError for a method whose runs cannot advance together."""
    if not method.sweepable:
        raise ConfigError(
            f"method.name: {method.name} cannot be swept: it takes one run at a time, not a batch "
            "of runs (its class does not say sweepable = True)"
        )


class Batched:
    """R runs of one problem and one method: round by round, with some runs dropped now and then."""

    def __init__(
        self,
        problem: Convex,
        method: Method,
        seeds: Seeds,
        fields: Mapping[str, Sequence[float]],
        conventions: Sequence[Convention],
    ) -> None:
        """`fields`: hyper-parameters by name, one value a run; `lr` is among them.

        Raises ConfigError for a method that is not `sweepable`.
        """
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
        self.up = self._channel("uplink", n, conventions, x0)
        self.down = self._channel("downlink", 1, conventions, x0)

    def _set_method(self) -> None:
        """The method with `[R, 1]` in place of each hyper-parameter that differs."""
        given: dict[str, Any] = dict(self._fields)
        self.method = dataclasses.replace(self._base, **given)

    def _channel(
        self, name: str, senders: int, conventions: Sequence[Convention], x0: torch.Tensor
    ) -> BatchedChannel:
        generators = [
            self.seeds.generator("compressor", name, i, device=x0.device)
            for _ in x0
            for i in range(senders)
        ]
        prices = [c.uplink if name == "uplink" else c.downlink for c in conventions]
        link = Link(self.problem.layout, self._base.blocks, prices[0], generators)
        return BatchedChannel(link, len(x0), prices, x0[0])

    @property
    def x(self) -> torch.Tensor:
        """The points `[R, d]` that the workers hold."""
        x: torch.Tensor = self.state.replica.x
        return x

    def round(self, t: int, total: int, grads: torch.Tensor) -> torch.Tensor:
        """One exchange from the gradients `[R, n, d]` at `x`; bool `[R]`: the runs that failed.

        Whoever failed sent something that was not finite; its bits are to be taken as before.
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
        """Go on with these runs (int64) alone."""
        self._fields = {name: values[runs] for name, values in self._fields.items()}
        self._set_method()
        for part in self.state:
            for name, value in tensors_of(part).items():
                setattr(part, name, _kept(value, runs))
        self.up.keep(runs)
        self.down.keep(runs)


def _kept(value: Any, runs: torch.Tensor) -> Any:
    return value[runs] if isinstance(value, torch.Tensor) else value
