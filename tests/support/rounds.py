"""A method on the simulated channel, round by round, with gradients that a test makes up."""

from collections.abc import Callable

import torch

from wiregrad.comm.accounting import CONVENTIONS
from wiregrad.comm.link import Links
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import Method, Step, registry
from wiregrad.runtimes.simulated import SimulatedChannel

LAYOUT = Layout(("a.weight", "a.bias", "b.weight"), ((4, 3), (2,), (7,)))
N, D = 4, LAYOUT.numel
Gradient = Callable[[torch.Tensor, int], torch.Tensor]


class Rounds:
    """A method with its channels; `run` yields what the server has received each round."""

    def __init__(self, spec: dict, n: int = N, convention: str = "formula") -> None:
        self.method: Method = registry.build({"lr": 0.01} | spec)
        like = torch.zeros(D, dtype=torch.float64)
        self.state = self.method.init(like, n)
        links = Links(LAYOUT, self.method.blocks, CONVENTIONS[convention], Seeds(0), like.device)
        self.up = SimulatedChannel(links.uplink(range(n)), like)
        self.down = SimulatedChannel(links.downlink(), like)

    def run(self, gradients: Gradient, steps: int) -> None:
        for t in range(1, steps + 1):
            self.round(gradients(self.state.replica.x, t), Step(t, steps, self.method.lr_at(t - 1)))

    def round(self, grads: torch.Tensor, step: Step) -> None:
        before = grads.clone()
        self.up.open(measure=False)
        self.method.work(self.state.workers, self.state.replica, grads, self.up, step)
        assert torch.equal(grads, before)  # they belong to the caller
        self.down.open(measure=False)
        self.method.serve(self.state.server, self.up.received, self.down, step)
        self.method.move(self.state.replica, self.down.received.rows()[0], step)


def noise(seed: int = 0, n: int = N, limit: float | None = None) -> Gradient:
    """Gradients of a quadratic with a centre a worker, plus noise; clipped to norm `limit`."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(n, D, generator=generator, dtype=torch.float64)

    def gradients(x: torch.Tensor, t: int) -> torch.Tensor:
        g = x - centres + torch.randn(n, D, generator=generator, dtype=torch.float64)
        if limit is not None:
            g *= (limit / g.norm(dim=1, keepdim=True)).clamp(max=1)
        return g

    return gradients
