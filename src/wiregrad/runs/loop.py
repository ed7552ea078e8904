"""The loop of a run: rounds, rows of the history, checkpoints, and when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any

import torch

from wiregrad.core.errors import NonFiniteError
from wiregrad.core.rng import Seeds
from wiregrad.methods.base import Step
from wiregrad.problems.base import Evaluation, Problem
from wiregrad.runs.checkpoint import Checkpointer
from wiregrad.runs.config import RunConfig
from wiregrad.runs.record import Outcome
from wiregrad.runtimes.base import AppliedGradient, Order, Runtime

Row = dict[str, Any]
Progress = Callable[[int, int, Row | None], None]
"""Called after each round with (rounds done, rounds at the most, the row just logged or None)."""


@dataclass
class Loop:
    """Drives one process's runtime through the whole run."""

    config: RunConfig
    problem: Problem
    runtime: Runtime
    checkpointer: Checkpointer | None = None
    progress: Progress | None = None
    rows: list[Row] = field(default_factory=list)
    timing: list[Row] = field(default_factory=list)
    choices: list[torch.Tensor] = field(default_factory=list)
    """Of each round from the first on, int8 `[n]` (`record.CHOICES_SCHEMA`); empty without any."""
    applied: list[AppliedGradient] = field(default_factory=list)
    """Every gradient that was applied so far, if the runtime records their staleness."""
    outcome: Outcome = Outcome.COMPLETED
    final: Evaluation = field(default_factory=Evaluation)
    done: int = 0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Rounds at the most."""
        return self.config.budget.total_steps(
            self.problem.steps_per_epoch,
            self.problem.samples_per_step,
            self.runtime.updates_per_round,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Rounds of the runtime in a pass over the training set."""
        return self.problem.steps_per_epoch * self.runtime.updates_per_round

    def run(self) -> None:
        """Run rounds until the budget is used, a target is met, or the run diverges.

        On one CPU thread on every machine, since the order of a sum is part of the result.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            self._run()
        finally:
            torch.set_num_threads(threads)

    def _run(self) -> None:
        self._resume()
        stop = self._record(lr=self._step(1).lr) if not self.rows else False
        while self.done < self.total:
            order = self.runtime.agree(self._order(stop))
            if order is Order.STOP:
                break
            if order is Order.SAVE:
                self._save()
            stop = self._advance()

    def _order(self, stop: bool) -> Order:
        if stop:
            return Order.STOP
        due = self.checkpointer is not None and self.checkpointer.due()
        return Order.SAVE if due else Order.GO

    def _step(self, t: int) -> Step:
        epoch = (t - 1) / self.steps_per_epoch
        lr = self.config.method.lr_at(epoch)
        return Step(t, self.total, lr, epoch, Seeds(self.config.seed))

    def _advance(self) -> bool:
        """Run one round and, if it is due, log its row; returns whether to stop."""
        step = self._step(self.done + 1)
        due = step.t == self.total or self.config.log.due(step.t, self.steps_per_epoch)
        began = time.perf_counter()
        try:
            self.runtime.round(step, due)
        except NonFiniteError:
            self.done = step.t
            self._diverge(step.lr)
            return True
        self.seconds += time.perf_counter() - began
        self.done = step.t
        self.applied += self.runtime.applied()
        chosen = self.runtime.choices()
        if chosen is not None:
            self._choose(chosen)
        bits = self.config.budget.bits
        over = bits is not None and self.runtime.bits().uplink_bits_wire >= bits
        stop = self._record(step.lr) if due or over else False
        if self.progress is not None:
            self.progress(self.done, self.total, self.rows[-1] if due else None)
        return stop or over

    def _choose(self, chosen: torch.Tensor) -> None:
        """Keep this round's choices; zeros stand for rounds before the method offered any."""
        none = torch.zeros_like(chosen, device="cpu")
        self.choices += [none] * (self.done - 1 - len(self.choices))
        self.choices.append(chosen.to("cpu", copy=True))

    def _record(self, lr: float) -> bool:
        """Evaluate x and log a row; returns whether the run diverged or met its target."""
        if not self.runtime.leads:
            return False
        self.final = self.problem.evaluate(self.runtime.x)
        if not math.isfinite(self.final.loss_train):
            self._diverge(lr)
            return True
        target = self.config.budget.target
        row = self._row(lr, self.final)
        self._append(row)
        return target is not None and target.met(row)

    def _diverge(self, lr: float) -> None:
        self.outcome = Outcome.DIVERGED
        if self.runtime.leads:
            self._append(self._row(lr, Evaluation()) | {"diverged": True})

    def _append(self, row: Row) -> None:
        self.rows.append(row)
        self.timing.append({"step": row["step"], "seconds": self.seconds})

    def _row(self, lr: float, measured: Evaluation) -> Row:
        samples = self.done * self.problem.samples_per_step // self.runtime.updates_per_round
        stale = self._staleness()
        return {
            "step": self.done,
            "epoch": self.done / self.steps_per_epoch,
            "samples": samples,
            "loss_train": measured.loss_train,
            "loss_test": measured.loss_test,
            "metric_test": measured.metric_test,
            "grad_norm": measured.grad_norm,
            **asdict(self.runtime.bits()),
            "compression_error": self.runtime.compression_error() if self.done else math.nan,
            "staleness_mean": sum(stale) / len(stale) if stale else 0.0,
            "staleness_max": max(stale, default=0),
            "lr": lr,
            "diverged": False,
        }

    def _staleness(self) -> list[int]:
        """The staleness of the gradients that were applied since the previous row."""
        last = self.rows[-1]["step"] if self.rows else 0
        fresh = takewhile(lambda gradient: gradient.update > last, reversed(self.applied))
        return [gradient.staleness for gradient in fresh]

    def _resume(self) -> None:
        saved = None if self.checkpointer is None else self.checkpointer.load()
        if saved is None:
            return
        self.rows, self.timing = saved["rows"], saved["timing"]
        self.done, self.seconds = saved["done"], saved["seconds"]
        self.choices = list(saved["choices"])
        self.applied = [AppliedGradient(*each) for each in saved["applied"]]
        self.runtime.load_state_dict(saved["runtime"])

    def _save(self) -> None:
        if self.checkpointer is None:
            return
        self.checkpointer.save(
            {
                "rows": self.rows,
                "timing": self.timing,
                "choices": self.choices,
                "applied": [tuple(each) for each in self.applied],
                "done": self.done,
                "seconds": self.seconds,
                "runtime": self.runtime.state_dict(),
            }
        )
