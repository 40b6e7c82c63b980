"""The result of a check as data: findings, what they refute, the verdict. Every rendering is a function of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.plan import Plan
from capsound_checker.check.tokens import token
from capsound_checker.programs.precision import Precision
from capsound_checker.programs.program import Step


@dataclass(frozen=True, slots=True)
class Shown:
    """One anomaly, by the smallest run that was found for it."""

    anomaly: str
    sentence: str
    program: tuple[Step, ...] = ()
    story: str = ""
    refutes: Guarantee | None = None
    without: frozenset[str] = frozenset()
    """What an implementation might assume and this run does not keep (``capsound.adapter.ASSUMABLE``)."""
    at: int = 0
    """By how many events it shows."""
    schedule: str = ""
    """The token of a schedule of asyncio, or of two operations at once."""
    events: tuple[Mapping[str, Any], ...] = ()
    """What was heard, where it was judged as events."""
    recorded: tuple[str, ...] = ()
    """The lines of a run that was recorded: it cannot be run again, but judged."""
    driver: str = ""
    """Which driver of threads has found it, if one of them did."""

    @property
    def misuse(self) -> bool:
        """Whether a handle is used twice or copied in it, or what is no amount is given as one."""
        return "affine" in self.without

    @property
    def token(self) -> str:
        """What ``capsound replay`` runs again; empty for a run that was recorded."""
        return token(self.program) if self.program else self.schedule


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check: data first, every rendering is a function of it."""

    plan: Plan
    adapter: Mapping[str, Any]
    shown: tuple[Shown, ...]
    refutations: tuple[tuple[Guarantee, frozenset[str]], ...]
    """What was refuted, each with what its run did not keep."""
    doubts: tuple[str, ...]
    """Why a check that found nothing would still not be ``sound``."""
    notes: tuple[str, ...]
    exercise: Mapping[str, int]
    programs: Mapping[str, int]
    operations: int
    schedules: Mapping[str, int]
    precision: Precision
    seconds: float

    @property
    def assumes(self) -> frozenset[str]:
        """What the adapter says that the implementation assumes: the verdict is relative to it."""
        return frozenset(self.adapter["assumes"])

    def counts(self, shown: Shown) -> bool:
        """Whether a finding is the implementation's fault: its run keeps what the implementation assumes."""
        return not shown.without & self.assumes

    @property
    def faults(self) -> tuple[Shown, ...]:
        """The findings that decide the verdict."""
        return tuple(filter(self.counts, self.shown))

    @property
    def verdict(self) -> Verdict:
        """``violated`` as soon as there is a fault, ``sound`` only where nothing is left to doubt."""
        if self.faults:
            return Verdict.VIOLATED
        return Verdict.UNKNOWN if self.doubts else Verdict.SOUND

    def refuted_under(self, assumed: frozenset[str]) -> Guarantee | None:
        """Return the weakest guarantee that is refuted by a run which keeps what is ``assumed``."""
        return min((g for g, without in self.refutations if not without & assumed), default=None)

    def strongest_under(self, assumed: frozenset[str]) -> Guarantee:
        """Return the strongest guarantee that no run refutes which keeps what is ``assumed``."""
        refuted = self.refuted_under(assumed)
        return Guarantee.OVERRUN_BOUNDED if refuted is None else Guarantee(refuted - 1)

    @property
    def refuted(self) -> Guarantee | None:
        """The weakest guarantee that is refuted, relative to what the implementation assumes."""
        return self.refuted_under(self.assumes)

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that nothing refutes, relative to what the implementation assumes."""
        return self.strongest_under(self.assumes)

    @property
    def exit_status(self) -> int:
        """0 where what is required is kept, though something above it may be refuted."""
        if self.plan.require is not Guarantee.OVERRUN_BOUNDED and self.faults and not self.doubts:
            return 0 if self.strongest >= self.plan.require else 1
        return self.verdict.exit_status

    def untried(self) -> dict[Guarantee, str]:
        """Return the guarantees that could not be tried, and what the adapter would have to offer."""
        mine = set(self.adapter["offers"])
        out: dict[Guarantee, str] = {}
        if "delegate" not in mine:
            out[Guarantee.DELEGATED] = "it offers no delegate"
        if not mine & {"forfeit", "release", "call"}:
            out[Guarantee.FAULT_TOLERANT] = "it offers no release, forfeit or call"
        return out
