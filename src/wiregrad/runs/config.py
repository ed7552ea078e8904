"""The configuration of a run: one mapping, as YAML holds it, says everything about it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from wiregrad.comm.accounting import CONVENTIONS
from wiregrad.core.errors import ConfigError
from wiregrad.core.files import sha256_file
from wiregrad.core.registry import Named
from wiregrad.core.validation import checked
from wiregrad.methods import Method
from wiregrad.methods import registry as methods
from wiregrad.problems import ProblemSpec
from wiregrad.problems import registry as problems
from wiregrad.runtimes.settings import RuntimeSpec
from wiregrad.runtimes.settings import registry as runtimes

Count = Annotated[int, pydantic.Field(gt=0, strict=True)]


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Target(_Section):
    """End the run once a logged value of a history column is at or `below`, or `above`, a level."""

    column: Literal["loss_train", "loss_test", "grad_norm", "metric_test"]
    below: float | None = None
    above: float | None = None

    @pydantic.model_validator(mode="after")
    def _one_side(self) -> Target:
        if (self.below is None) == (self.above is None):
            raise ValueError("give one of below, above")
        return self

    def met(self, row: Mapping[str, Any]) -> bool:
        """Whether this history row reaches the target."""
        value = row[self.column]
        return bool(value <= self.below if self.below is not None else value >= self.above)


class Budget(_Section):
    """How long a run may be: one of steps, epochs, samples; bits and target may end it earlier.

    With bits or target alone a run has at most `MAX_STEPS` rounds.
    """

    MAX_STEPS: ClassVar[int] = 1_000_000

    steps: Count | None = None
    epochs: pydantic.PositiveFloat | None = None
    samples: Count | None = None
    bits: Count | None = None
    """Uplink bits on the wire, per worker."""
    target: Target | None = None

    @pydantic.model_validator(mode="after")
    def _bounded(self) -> Budget:
        lengths = [self.steps, self.epochs, self.samples]
        if sum(v is not None for v in lengths) > 1:
            raise ValueError("give one of steps, epochs, samples")
        if all(v is None for v in [*lengths, self.bits, self.target]):
            raise ValueError("give one of steps, epochs, samples, bits, target")
        return self

    def total_steps(
        self, steps_per_epoch: int, samples_per_step: int, updates_per_round: int = 1
    ) -> int:
        """Rounds of the runtime, at the most.

        `steps_per_epoch` and `samples_per_step` are of rounds of all workers, of which each has
        `updates_per_round` rounds of the runtime.
        """
        if self.steps is not None:
            return self.steps
        if self.epochs is not None:
            return max(1, round(self.epochs * steps_per_epoch * updates_per_round))
        if self.samples is not None:
            return max(1, self.samples * updates_per_round // samples_per_step)
        return self.MAX_STEPS


class Log(_Section):
    """When a row is written, and by which convention `*_bits_paper` are counted."""

    every: Count | Literal["epoch"] = 1
    convention: str = "formula"

    @pydantic.field_validator("convention")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CONVENTIONS:
            raise ValueError(f"unknown convention {value!r}, allowed: {', '.join(CONVENTIONS)}")
        return value

    def due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether the history has a row of `step`."""
        every = steps_per_epoch if self.every == "epoch" else self.every
        return step % every == 0


class _Rest(_Section):
    runtime: Annotated[RuntimeSpec, Named(runtimes, "simulated")]
    budget: Budget
    log: Log = Log()
    seed: Annotated[int, pydantic.Field(ge=0, strict=True)]
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunConfig:
    """A validated run: problem + method + runtime + budget + log + seed."""

    problem: ProblemSpec
    method: Method
    runtime: RuntimeSpec
    budget: Budget
    log: Log
    seed: int
    plugins: tuple[str, ...] = ()
    """Python files that register methods, compressors or problems from outside the package."""

    @staticmethod
    def parse(config: Mapping[str, Any], where: str = "run config") -> RunConfig:
        """Validate a mapping; ConfigError names `where`, the key and what is allowed."""
        rest = dict(config)
        parts = {key: rest.pop(key, None) for key in ("problem", "method")}
        given = checked(_Rest, rest, where, extra_keys=("problem", "method"))
        try:
            for path in given.plugins:
                load_plugin(path)
            for key, value in parts.items():
                if not isinstance(value, (str, Mapping)):
                    raise ConfigError(f"{key}: missing, a mapping with a name is required")
            return RunConfig(
                problem=problems.build(parts["problem"], "problem"),
                method=methods.build(parts["method"], "method"),
                **{name: getattr(given, name) for name in _Rest.model_fields},
            )
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def resolved(self) -> dict[str, Any]:
        """The mapping with every default filled in; `parse` of it gives this run again."""
        return {
            "problem": problems.spec(self.problem),
            "method": methods.spec(self.method),
            "runtime": runtimes.spec(self.runtime),
            "budget": self.budget.model_dump(),
            "log": self.log.model_dump(),
            "seed": self.seed,
            "plugins": list(self.plugins),
        }

    def sha256(self) -> str:
        """Digest of the resolved configuration and of the bytes of the files that it names."""
        content = [sha256_file(path) for path in (*self.plugins, *self.runtime.files)]
        text = json.dumps([self.resolved(), content], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema of a run configuration."""
    schema = _Rest.model_json_schema()
    schema["title"] = "wiregrad run"
    schema["properties"] = {
        "problem": problems.json_schema(),
        "method": methods.json_schema(),
    } | schema["properties"]
    schema["required"] = ["problem", "method", *schema["required"]]
    return schema


def load_plugin(path: str) -> None:
    """Import a Python file, which registers parts of runs; once per process and file."""
    file = Path(path).resolve()
    name = f"wiregrad_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return
    if not file.is_file():
        raise ConfigError(f"plugins: {path}: no such file (looked for {file})")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugins: {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
