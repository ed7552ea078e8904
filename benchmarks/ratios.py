"""A row of the table, and the timing of the two sides of a ratio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Unit = Literal["%", "×", "s"]
Call = Callable[[], object]


@dataclass(frozen=True)
class Goal:
    """The bound that a value must meet: at least `minimum`, or at most it if `at_most`.

    `stretch` is a stricter bound of the same kind.
    """

    minimum: float
    stretch: float | None = None
    at_most: bool = False

    def met(self, value: float, bound: float | None) -> bool:
        """Whether `value` meets `bound`; False where there is no bound."""
        return bound is not None and (value <= bound if self.at_most else value >= bound)

    def mark(self, value: float) -> str:
        """`stretch`, `pass`, or `MISSED`."""
        if self.met(value, self.stretch):
            return "stretch"
        return "pass" if self.met(value, self.minimum) else "MISSED"


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, against what, the value, and its goal, if any.

    The unit of `value`: % is a share (0.6 means 60 %), × is how many times as fast, s is seconds.
    `detail` is the time of each side.
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
        """`value` in the row's unit; empty for None."""
        if value is None:
            return ""
        return {"%": f"{100 * value:.3g} %", "×": f"{value:.3g}×", "s": f"{value:.2f} s"}[self.unit]

    def bound(self, value: float | None) -> str:
        """`value` as a bound, with ≥ or ≤; empty where there is no goal."""
        if value is None or self.goal is None:
            return ""
        return f"{'≤' if self.goal.at_most else '≥'} {self.text(value)}"

    def as_json(self) -> dict[str, Any]:
        """The row as JSON values."""
        return asdict(self) | {"mark": self.mark}


def milliseconds(seconds: Mapping[str, float]) -> str:
    """Each side with its time: `ours 12.3 ms, e += g 9.8 ms`."""
    return ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in seconds.items())


class Turns:
    """Times the sides of a ratio alternately, A B A B …, in one process.

    pytest-benchmark times our side. The other sides are timed in the set-up of each of its rounds,
    by the same `clock`. So a slow minute of the machine slows all sides. The least time of each
    side is compared.
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
        """The least seconds of each side; our side has the key "ours".

        `before` is called before every timed call of any side, and is not timed. The first turn
        warms up and does not count. `rounds` limits the number of turns, for sides that take long.
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
