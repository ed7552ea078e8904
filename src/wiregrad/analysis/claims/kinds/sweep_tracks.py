"""Methods need no more bits to tolerances than another: the check `sweep_tracks`."""

from __future__ import annotations

from dataclasses import dataclass

from wiregrad.analysis.claims.spec import checks
from wiregrad.analysis.claims.sweeps import Bits, ToleranceCheck, ratio


@checks.register("sweep_tracks")
@dataclass(frozen=True, kw_only=True)
class SweepTracks(ToleranceCheck):
    """The methods `followers` need at most about as many bits to a gradient norm as `leader`.

    That is, at most 1 + `tolerance` times the uplink bits, at the best points of their sweeps, at
    ‖∇f‖ ≤ 1e-3 to 1e-6 in half decades and by the area between their curves. Fewer bits are no
    failure. The effect is the smallest ratio of the leader's bits to a follower's, by area.
    """

    followers: tuple[str, ...]
    leader: str

    @property
    def labels(self) -> tuple[str, ...]:
        """See Check."""
        return (*self.followers, self.leader)

    def pairs(self) -> list[tuple[str, str]]:
        """See LevelsCheck."""
        return [(follower, self.leader) for follower in self.followers]

    @property
    def need(self) -> float:
        """See ToleranceCheck."""
        return 1 / (1 + self.tolerance)

    def factor(self, better: Bits, worse: Bits) -> float:
        """See ToleranceCheck."""
        return ratio(worse, better, self.need)
