"""A row of the table, and the one way in which the sides of a ratio are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["%", "×", "s"]
Call = Callable[[], object]


@dataclass(frozen=True)
class Goal:
    """What a value must reach: at least that, or at most where `at_most`."""

    minimum: float
    stretch: float | None = None
    at_most: bool = False

    def met(self, value: float, bound: float | None) -> bool:
        """Whether `value` is on the good side of `bound`; no bound is never met."""
        return bound is not None and (value <= bound if self.at_most else value >= bound)

    def mark(self, value: float) -> str:
        """`stretch`, `pass`, or `MISSED`."""
        if self.met(value, self.stretch):
            return "stretch"
        return "pass" if self.met(value, self.minimum) else "MISSED"


@dataclass(frozen=True)
class Row:
    """One line: `what` was measured against what, the value, and its goal, if it has one.

    A value in % is a share (0.6), in × how many times as fast, in s seconds. `detail` says what
    the two sides took.
    """

    group: str
    what: str
    against: str
    value: float
    unit: Unit
    detail: str = ""
    goal: Goal | None = None

    @property
    def mark(self) -> str:
        """The goal's mark; empty for a row that is shown for comparison only."""
        return self.goal.mark(self.value) if self.goal else ""

    def text(self, value: float | None) -> str:
        """`value` in the row's unit, with the sign of a bound from above."""
        if value is None:
            return ""
        return {"%": f"{100 * value:.3g} %", "×": f"{value:.3g}×", "s": f"{value:.2f} s"}[self.unit]

    def bound(self, value: float | None) -> str:
        """`value` as a bound: ≥ or ≤."""
        if value is None or self.goal is None:
            return ""
        return f"{'≤' if self.goal.at_most else '≥'} {self.text(value)}"

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
        return asdict(self) | {"mark": self.mark}


def milliseconds(seconds: Mapping[str, float]) -> str:
    """`ours 12.3 ms, e += g 9.8 ms`."""
    return ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in seconds.items())


class Turns:
    """Times the sides of a ratio in turn, A B A B …, in one process.

    pytest-benchmark times ours; what it is held against is timed in the set-up of each of its
    rounds. So a slow minute of the machine slows all sides, and the least of each is compared.
    `clock` is the one that pytest-benchmark reads.
    """

    def __init__(self, benchmark: Any, rounds: int, clock: Callable[[], float]) -> None:
        self._benchmark, self._rounds, self._clock = benchmark, rounds, clock

    def __call__(
        self,
        ours: Call,
        others: Mapping[str, Call],
        before: Call | None = None,
        rounds: int | None = None,
    ) -> dict[str, float]:
        """Least seconds of each side, ours as "ours".

        `before` is called, untimed, ahead of every call of any side. One turn warms up.
        `rounds`: fewer turns than usual, for sides that take long.
        """
        taken: dict[str, list[float]] = {name: [] for name in others}

        def set_up() -> None:
            for name, call in others.items():
                if before is not None:
                    before()
                began = self._clock()
                call()
                taken[name].append(self._clock() - began)
            if before is not None:
                before()

        self._benchmark.pedantic(
            ours, setup=set_up, rounds=min(self._rounds, rounds or self._rounds), warmup_rounds=1
        )
        least = {name: min(seconds[1:]) for name, seconds in taken.items()}
        return {"ours": self._benchmark.stats.stats.min} | least
