"""The result of a check as data: findings, what they refute, the verdict. Every rendering is a function of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from capsound.guarantees import Guarantee
from capsound.verdict import Verdict
from capsound_checker.check.evidence import NO_ROOM, Evidence, in_words
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
    """The weakest guarantee that this anomaly refutes in this run; None where it refutes none."""
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
    elsewhere: bool = False
    """Whether it was found in another interpreter, in which nothing of capsound can be seen."""

    @property
    def misuse(self) -> bool:
        """Whether a handle is used twice or copied in it, or what is no amount is given as one."""
        return "affine" in self.without

    @property
    def token(self) -> str:
        """What ``capsound replay`` runs again; empty for a run that was recorded."""
        return token(self.program) if self.program else self.schedule


class Doubt(NamedTuple):
    """Why a check that found nothing would still not be ``sound``."""

    text: str
    at: Guarantee = Guarantee.STOPS
    """The weakest guarantee that might be refuted, but for this; all above it are in doubt as well."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check: data first, every rendering is a function of it."""

    plan: Plan
    adapter: Mapping[str, Any]
    shown: tuple[Shown, ...]
    refutations: tuple[tuple[Guarantee, frozenset[str]], ...]
    """What was refuted, each with what its run did not keep."""
    doubted: tuple[Doubt, ...]
    """What stood in the way; what was not tried is no part of it."""
    notes: tuple[str, ...]
    exercise: Mapping[str, int]
    programs: Mapping[str, int]
    operations: int
    schedules: Mapping[str, int]
    precision: Precision
    evidence: Evidence
    blind_stops: frozenset[frozenset[str]]
    """What runs did not keep in which it admitted a call after bills that reach the cap, saying nothing of itself."""
    unvaried: tuple[str, ...]
    """What was the same in all runs: a fault that needs it is not found."""
    seconds: float

    @property
    def assumes(self) -> frozenset[str]:
        """What the implementation assumes: the verdict is relative to it.

        Beside what the adapter says: one that debits before the call and is never told the bill relies on A1.
        """
        return frozenset(self.adapter["assumes"]) | ({"A1"} if is_prepaid(self.adapter) else frozenset())

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

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why a check that found nothing is not ``sound``: what stood in the way, and what was not tried."""
        untried = [
            f"{guarantee.label} was not tried: {why}"
            for guarantee in Guarantee
            if self.state(guarantee) == NOT_TRIED and (why := self.missing(guarantee))
        ]
        return (*(doubt.text for doubt in self.doubted), *untried)

    def state(self, guarantee: Guarantee, assumed: frozenset[str] | None = None) -> str:
        """Return how it stands with a guarantee, relative to what is ``assumed``: one of ``STATES``."""
        known = self.assumes if assumed is None else assumed
        refuted = self.refuted_under(known)
        if guarantee is Guarantee.NONE:
            return KEPT
        if refuted is not None and guarantee >= refuted:
            return REFUTED
        if guarantee in self.not_offered():
            return NOT_OFFERED
        if guarantee is Guarantee.OVERRUN_BOUNDED and "A1" in known:
            return ASSUMED
        if self.missing(guarantee):
            return NOT_TRIED
        return UNKNOWN if any(doubt.at <= guarantee for doubt in self.doubted) else KEPT

    def why(self, guarantee: Guarantee) -> str:
        """Return why a guarantee stands as it does: what refutes it, what is missing, or what was tried, in words."""
        match self.state(guarantee):
            case "refuted":
                by = [s for s in self.faults if s.refutes is not None and s.refutes <= guarantee]
                least = min(by, key=lambda s: (s.refutes or 0, s.misuse, len(s.program)), default=None)
                return f"by {least.anomaly}" if least is not None else ""
            case "not offered":
                return self.not_offered()[guarantee]
            case "assumed":
                return "no bill exceeds its hold (A1)"
            case "not tried":
                return self.missing(guarantee)
            case "unknown":
                return "see below"
            case _:
                return in_words(self.tried(guarantee))

    def tried(self, guarantee: Guarantee) -> dict[str, int]:
        """Return the evidence for a guarantee: how often what could have refuted it was tried, by name."""
        return self.evidence.of(guarantee, self.schedules)

    def not_offered(self) -> dict[Guarantee, str]:
        """Return the guarantees about operations that the implementation does not have: nobody can break them."""
        mine = set(self.adapter["offers"])
        out: dict[Guarantee, str] = {}
        if "delegate" not in mine:
            out[Guarantee.DELEGATED] = "it offers no delegate"
        if not mine & {"forfeit", "release", "call"}:
            out[Guarantee.FAULT_TOLERANT] = "it offers no release, forfeit or call"
        return out

    def missing(self, guarantee: Guarantee) -> str:
        """Return what was not tried and could have refuted a guarantee; empty where there is evidence for it."""
        ceilings = "ceiling" in self.adapter["offers"] and guarantee > Guarantee.STOPS
        if ceilings and not self.evidence.timed[guarantee]["ceilings"] and guarantee not in self.not_offered():
            return "no run of it asked for a call under several ceilings"
        if guarantee > Guarantee.STOPS and guarantee not in self.not_offered():
            for dimension in self.adapter.get("dimensions", ())[1:]:
                if not self.evidence.tight[guarantee][NO_ROOM + dimension]:
                    return f"no run of it asked for a call for which there was no room in {dimension}"
        return self._missing_at_once(guarantee) or self._missing_in_time(guarantee)

    def _missing_in_time(self, guarantee: Guarantee) -> str:
        """Return what was not tried of the time that an implementation says that it keeps."""
        said = self.adapter.get("timing")
        if said is None:
            return ""
        if guarantee is Guarantee.DELEGATED:
            return "slices were not tried across the end of a window" if said["window"] else ""
        tried = self.evidence.timed[guarantee]
        if not tried["ended"]:
            return "no run of it went beyond the end of a window" if said["window"] else "no run of it let time pass"
        if guarantee is Guarantee.CONCURRENT and not tried["carried"]:
            return "no call was in flight when " + ("a window ended" if said["window"] else "time passed")
        return ""

    def _missing_at_once(self, guarantee: Guarantee) -> str:
        adapter = self.adapter
        if guarantee is Guarantee.STOPS and any(not without & self.assumes for without in self.blind_stops):
            return "it does not say what it has recorded, and admitted a call after bills that reach the cap"
        if guarantee is Guarantee.OVERRUN_BOUNDED and is_prepaid(adapter):
            return "it is never told a bill: what is above an estimate is not in its books, however often that happens"
        gate = self.evidence.gate
        if not self.evidence.counts[guarantee] and not (guarantee is Guarantee.CONCURRENT and gate["overlapped"]):
            if guarantee is Guarantee.FAULT_TOLERANT and adapter["gate"] == "call":
                return "your code awaited provider() at most once; its error path was never entered"
            return _MISSING.get(guarantee, "")
        if guarantee is Guarantee.CONCURRENT:
            if adapter["interruptible"] and not gate["overlapped_at_gate"] + gate["uninterruptible"]:
                return "no call was interrupted between its gate and the provider"
            idle = [n for n in ("threads", "handlers") if n in adapter["claims"] and not self.schedules.get(n)]
            if idle:
                return f"it claims {' and '.join(idle)}, which had no turn"
        return ""

    def refuted_under(self, assumed: frozenset[str]) -> Guarantee | None:
        """Return the weakest guarantee that is refuted by a run which keeps what is ``assumed``."""
        return min((g for g, without in self.refutations if not without & assumed), default=None)

    def strongest_under(self, assumed: frozenset[str]) -> Guarantee:
        """Return the strongest guarantee that is kept, with all below it, relative to what is ``assumed``."""
        strongest = Guarantee.NONE
        for guarantee in Guarantee:
            if self.state(guarantee, assumed) not in (KEPT, NOT_OFFERED):
                break
            strongest = guarantee
        return strongest

    @property
    def refuted(self) -> Guarantee | None:
        """The weakest guarantee that is refuted, relative to what the implementation assumes."""
        return self.refuted_under(self.assumes)

    @property
    def strongest(self) -> Guarantee:
        """The strongest guarantee that is kept, with all below it, relative to what the implementation assumes."""
        return self.strongest_under(self.assumes)

    @property
    def exit_status(self) -> int:
        """0 where what is required is kept, though something above it may be refuted; 2 where it was not tried."""
        require, refuted = self.plan.require, self.refuted
        if require is Guarantee.OVERRUN_BOUNDED or self.verdict is Verdict.SOUND:
            return self.verdict.exit_status
        if self.strongest >= require:
            return Verdict.SOUND.exit_status
        broken = refuted is not None and refuted <= require
        return (Verdict.VIOLATED if broken else Verdict.UNKNOWN).exit_status


KEPT, REFUTED, NOT_OFFERED, ASSUMED = "kept", "refuted", "not offered", "assumed"
NOT_TRIED, UNKNOWN = "not tried", "unknown"

STATES: Mapping[str, str] = {
    KEPT: "runs that could have refuted it came to their end, and none did",
    REFUTED: "a run shows what it rules out",
    NOT_OFFERED: "the library has no such operation, so that nobody can break it",
    ASSUMED: "it is about what the library assumes not to happen",
    NOT_TRIED: "no run could have refuted it",
    UNKNOWN: "something stood in the way",
}
"""How it can stand with a guarantee."""

_MISSING: Mapping[Guarantee, str] = {
    Guarantee.STOPS: "no call was asked for when the cap was spent",
    Guarantee.SEQUENTIAL: "no run of calls one after the other came near the cap",
    Guarantee.CONCURRENT: "no call was asked for while calls in flight held its room",
    Guarantee.DELEGATED: "no call was asked for on a slice",
    Guarantee.FAULT_TOLERANT: "no call was given up",
    Guarantee.OVERRUN_BOUNDED: "no bill exceeded its hold",
}
"""What is missing where there is no evidence for a guarantee."""


def is_prepaid(adapter: Mapping[str, Any]) -> bool:
    """Whether an implementation debits before the call and is never told the bill."""
    return adapter["gate"] == "charge" and "settle" not in adapter["offers"]
