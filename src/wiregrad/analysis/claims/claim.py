"""Claims as a paper's configuration describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

from wiregrad.analysis.claims.spec import Check, checks
from wiregrad.core.errors import ConfigError
from wiregrad.core.names import hint


class Budget(pydantic.BaseModel):
    """What every run must have spent for a claim to be tested."""

    model_config = pydantic.ConfigDict(extra="forbid")

    epochs: float | None = None
    samples: float | None = None
    steps: float | None = None
    ours: bool = False
    """Whether the budget is ours: the task is not the paper's, or its budget is not known."""
    least: Annotated[float, pydantic.Field(gt=0, le=1)] = 1.0
    """The share of the budget from which a claim is judged; the verdict then says how much."""

    def items(self) -> list[tuple[str, str, float]]:
        """(key, history column, amount) of each part that is set."""
        columns = {"epochs": "epoch", "samples": "samples", "steps": "step"}
        return [(k, column, float(v)) for k, column in columns.items() if (v := getattr(self, k))]


Kind = Literal["empirical", "identity", "bound", "own"]
Setting = Literal["paper", "ours"]


class Claim(pydantic.BaseModel):
    """One claim of a paper, as written in `claims:` of its configuration."""

    model_config = pydantic.ConfigDict(extra="forbid")

    id: str
    statement: str
    where: str
    paper_value: str
    check: str
    args: dict[str, Any]
    tolerance: float = 0.0
    why: str = ""
    """Why this tolerance."""
    scales: list[str] | Literal["all"] = "all"
    otherwise: str = ""
    """Why the claim cannot be tested at the other scales."""
    budget: Budget = Budget()
    kind: Kind = "empirical"
    """What a paper observed, an identity of bits, a bound that a theorem gives, or a claim of ours.
    The last three are counted apart."""
    setting: Setting = "paper"
    """Whose setting is tested: the paper's, or ours, which is recalled or made up."""
    seeds: Annotated[int, pydantic.Field(ge=3)] | Literal["deterministic"] = 5
    """The seeds that a verdict takes; or that nothing is random. For kinds empirical and own."""
    rates: Literal["tuned", "given"] = "tuned"
    """Whether learning rates have to be tuned, or the paper or a theorem gives them. Likewise."""

    @property
    def statistical(self) -> bool:
        """Whether seeds and tuning can decide it: identities and bounds hold in every run."""
        return self.kind in {"empirical", "own"}

    def build(self, paper: str) -> Check:
        """The check with the claim's arguments; ConfigError names the claim and the key.

        Checks are known once `claims.catalogue` was imported.
        """
        where = f"config/papers/{paper}: claims.{self.id}"
        if self.check not in checks:
            known = hint(self.check, sorted(checks))
            raise ConfigError(f"{where}.check: {self.check!r} is no check{known}")
        if "tolerance" in self.args:
            raise ConfigError(f"{where}.args.tolerance: belongs to the claim, beside args")
        return checks.build(
            {"name": self.check, **self.args, "tolerance": self.tolerance}, f"{where}.args"
        )
