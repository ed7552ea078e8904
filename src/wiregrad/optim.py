"""The methods of the suite as PyTorch optimisers, for your own training.

Each process of `torch.distributed` is a worker. DistributedDataParallel is not needed: the model
stays as it is, `backward` leaves this process's gradient, and `step` sends it, compressed as the
method says, and moves all copies of the model alike.

    model = Net()
    optimizer = CompressedOptimizer(
        model.named_parameters(), "comp_ams", lr=1e-3, compressor={"name": "top_k", "ratio": 0.01}
    )
    for inputs, targets in loader:  # this process's share of the data
        optimizer.zero_grad()
        loss_fn(model(inputs), targets).backward()
        optimizer.step()

This is the distributed runtime of the suite's own runs or, without a process group, the simulated
one with a single worker: it sends the same bytes, and x is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import distributed as dist

from wiregrad.comm.accounting import convention
from wiregrad.core.errors import ConfigError
from wiregrad.core.layout import Layout
from wiregrad.core.rng import Seeds
from wiregrad.methods import Method, registry
from wiregrad.methods.base import Step
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.runtimes.base import Bits
from wiregrad.runtimes.distributed.exchange import Exchange
from wiregrad.runtimes.distributed.runtime import Distributed
from wiregrad.runtimes.simulated import Simulated

Params = Iterable[torch.Tensor] | Iterable[tuple[str, torch.Tensor]]


class CompressedOptimizer(torch.optim.Optimizer):
    """A method of the suite (`wiregrad methods` lists them) that moves the parameters of a model.

    All parameters form one vector: one group, one float type, one device. Every process starts from
    the values at rank 0. Buffers, such as batch-norm statistics, stay each process's own. Learning
    rates are scheduled with `torch.optim.lr_scheduler`.

    Args:
        params: The model's parameters, or `named_parameters()`, which a method with `blocks:
            per_layer` needs. Those without `requires_grad` stay as they are.
        method: Its name, with its parameters as keywords (`lr=…, compressor=…`) as in a run's
            configuration, or a `Method`.
        total_steps: Rounds of the whole training, which some methods need to know.
        replicated: Every process keeps the server's state and hears all workers, in place of a
            server at rank 0 only.
        seed: Of all random draws of compressors and methods, the same in all processes; at least 0.
        fields: The parameters of `method`.

    Raises:
        ConfigError: A parameter of the method, or the model, does not fit.
    """

    def __init__(
        self,
        params: Params,
        method: str | Method,
        *,
        total_steps: int | None = None,
        replicated: bool = False,
        seed: int = 0,
        **fields: Any,
    ) -> None:
        self.method = _method(method, fields)
        super().__init__(params, {"lr": self.method.lr})
        self._seeds, self._total, self._replicated = Seeds(seed), total_steps, replicated
        self._round = 0
        self._model = _Model(self.param_groups[0], self.method)
        self._runtime = _runtime(self._model, self.method, self._seeds, replicated)
        self._model.write(self._runtime.x)

    @property
    def bits(self) -> Bits:
        """Bits since the start, complete where the server is; `paper` counts payload bodies."""
        return self._runtime.bits()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The one group; raises ConfigError for another."""
        if self.param_groups:
            raise ConfigError(f"{self.method.name}: parameters are one vector, in one group")
        super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One round, in which every process has to take part; returns what `closure` returns.

        Raises NonFiniteError, in all processes, where a gradient holds NaN or Inf, and ConfigError
        where the method needs `total_steps`. The parameters are then as before, but the state of
        the workers may not be, so that training should go on from a checkpoint.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        now, lr = self._round + 1, float(self.param_groups[0]["lr"])
        if self._total is None:
            step: Step = _EndlessStep(now, 0, lr, seeds=self._seeds)
        else:
            step = Step(now, self._total, lr, seeds=self._seeds)
        self._runtime.round(step, measure=False)
        self._round = now
        self._model.write(self._runtime.x)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state of this process: every rank saves and loads its own."""
        own = {"of": self._identity(), "round": self._round}
        return super().state_dict() | {"wiregrad": own | {"runtime": self._runtime.state_dict()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the `state_dict` of the same rank; the parameters are set too.

        Raises ConfigError for one of another method, model, rank or number of processes.
        """
        own, mine = state_dict.get("wiregrad", {"of": {}}), self._identity()
        other = {key: value for key, value in mine.items() if own["of"].get(key) != value}
        if other:
            found = {key: own["of"].get(key) for key in other}
            raise ConfigError(f"state_dict: of {found}, allowed: {other}")
        super().load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        self._runtime.load_state_dict(own["runtime"])
        self._round = own["round"]
        self._model.write(self._runtime.x)

    def _identity(self) -> dict[str, Any]:
        """What a state must share with the optimiser that loads it; lr belongs to the group."""
        return {
            "method": registry.spec(self.method) | {"lr": None},
            "parameters": self._model.dim,
            "processes": self._model.workers,
            "rank": dist.get_rank() if dist.is_initialized() else 0,
            "replicated": self._replicated,
        }


class _EndlessStep(Step):
    """A round of a training whose number of rounds is not known."""

    @property
    def total(self) -> int:
        """Raises ConfigError."""
        raise ConfigError("this method needs to know how long training is: give total_steps=")

    @total.setter
    def total(self, value: int) -> None:
        """Called when Step initialises itself; the value means nothing here."""


class _Model(Problem):
    """The parameters of a model as the vector x; what `backward` leaves is the worker's gradient.

    `workers` is the number of processes.
    """

    def __init__(self, group: Mapping[str, Any], method: Method) -> None:
        names = group.get("param_names", map(str, range(len(group["params"]))))
        pairs = zip(names, group["params"], strict=True)
        named = [(name, param) for name, param in pairs if param.requires_grad]
        if not named:
            raise ConfigError(f"{method.name}: no parameter requires a gradient")
        if method.blocks == "per_layer" and "param_names" not in group:
            raise ConfigError(f"{method.name}: blocks: per_layer needs named_parameters()")
        self.params = [param for _, param in named]
        kinds = {(param.dtype, param.device) for param in self.params}
        if len(kinds) > 1:
            found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
            raise ConfigError(f"{method.name}: parameters are one vector, but are {found}")
        self.layout = Layout(
            tuple(name for name, _ in named), tuple(tuple(param.shape) for param in self.params)
        )
        ((self.dtype, self.device),) = kinds
        self.workers = dist.get_world_size() if dist.is_initialized() else 1

    def x0(self) -> torch.Tensor:
        """See Problem: the values of rank 0."""
        x = torch.cat([param.detach().reshape(-1) for param in self.params])
        if self.workers > 1:
            carried = x.to(_carrier(self.device))
            dist.broadcast(carried, 0)
            x.copy_(carried)
        return x

    def gradients(
        self, x: torch.Tensor, step: int, out: torch.Tensor, workers: Sequence[int]
    ) -> None:
        """See Problem: what `backward` left, zeros where it left nothing."""
        del x, step, workers
        for param, (_, _, place) in zip(self.params, self.layout.slices(), strict=True):
            if param.grad is None:
                out[0, place].zero_()
            else:
                out[0, place].copy_(param.grad.reshape(-1))

    def evaluate(self, x: torch.Tensor) -> Evaluation:
        """See Problem: nothing is measured here."""
        del x
        return Evaluation()

    def write(self, x: torch.Tensor) -> None:
        """Set the parameters to x `[d]`."""
        with torch.no_grad():
            for param, (_, shape, place) in zip(self.params, self.layout.slices(), strict=True):
                param.copy_(x[place].view(shape))


def _method(method: str | Method, fields: Mapping[str, Any]) -> Method:
    if isinstance(method, Method) and fields:
        raise ConfigError(f"{', '.join(fields)}: to be given with the name of a method only")
    built = method if isinstance(method, Method) else registry.build({"name": method, **fields})
    if built.schedule is not None:
        raise ConfigError("method.schedule: an optimiser has none, use torch.optim.lr_scheduler")
    return built


def _runtime(
    model: _Model, method: Method, seeds: Seeds, replicated: bool
) -> Distributed | Simulated:
    formula = convention("formula")
    if model.workers == 1:
        return Simulated(model, method, seeds, formula)
    exchange = Exchange(_carrier(model.device))
    return Distributed(model, method, seeds, formula, exchange, replicated=replicated)


def _carrier(device: torch.device) -> torch.device:
    """The device that messages are sent from; raises ConfigError without a backend for headers."""
    backends = dict(each.split(":") for each in dist.get_backend_config().split(","))
    if "cpu" not in backends:
        raise ConfigError(
            f"the process group has no backend for the CPU, which headers need ({backends}); "
            "allowed: init_process_group() without a backend, gloo, or cpu:gloo,cuda:nccl"
        )
    return device if device.type in backends else torch.device("cpu")
