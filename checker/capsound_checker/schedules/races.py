"""What two threads race for: the operations, the account on which they meet, and how a race is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from capsound.adapter import Adapter, Gate, offers
from capsound.anomalies import ANOMALIES
from capsound.guarantees import Guarantee
from capsound.report import BY_CIRCUMSTANCE
from capsound_checker.programs.program import Program, Step, call, possible


@dataclass(frozen=True, slots=True)
class Race:
    """One schedule of two operations that no order one after the other explains."""

    before: tuple[Step, ...]
    first: Step
    second: Step
    at: int
    where: str
    anomaly: str
    sentence: str
    handler: bool = False
    """Whether the second operation is done by a signal handler, and not by another thread."""

    def story(self) -> str:
        """Return the race in words."""
        how = "in a signal handler" if self.handler else "in another thread"
        lines = [f"[{n}] {call(step)}" for n, step in enumerate(self.before, start=1)]
        lines.append(f"[{len(lines) + 1}] {call(self.first)}, stopped at {self.where}")
        lines.append(f"[{len(lines) + 1}] {call(self.second)} {how}, meanwhile")
        return "\n".join([*lines, f"   ** {self.anomaly}: {self.sentence}"])


BEFORE: tuple[Step, ...] = (
    Step("open", new=0, amount=6),
    Step("delegate", on=0, new=1, amount=2),
    Step("reserve", on=0, new=0, amount=2),
    Step("send", on=0, bill=1),
    Step("reserve", on=0, new=1, amount=1),
)
"""A root of 6 with a slice of 2, a sent hold of 2 billed 1, a hold of 1, and room for exactly one more."""

OPERATIONS: tuple[Step, ...] = (
    Step("reserve", on=0, new=7, amount=1),
    Step("settle", on=0),
    Step("release", on=1),
    Step("forfeit", on=0),
    Step("extend", on=0, amount=1),
    Step("delegate", on=0, new=7, amount=1),
    Step("close", on=1),
    Step("merge", on=0, new=1),
    Step("reserve", on=0, new=7, amount=2),
    Step("reserve", on=1, new=7, amount=2),
    Step("send", on=1, bill=0),
)
"""What is raced where the gate is ``reserve`` or ``charge``."""

ROOM = 5
"""What is free where nothing is held before the call: for one call of 3, and not for two."""

CALL = Step("begin", on=0, new=7, amount=3, bill=3)
"""One call from its admission to its bill: ``check`` and then ``record``, or all of ``call``, in one thread."""

WHOLE: tuple[Step, ...] = (
    CALL,
    Step("settle", on=1),
    Step("delegate", on=0, new=7, amount=3),
    Step("close", on=1),
    Step("merge", on=0, new=1),
)
"""What is raced where an admission keeps nothing, or the library makes the calls."""

GATES: Mapping[Gate, str] = {
    Gate.RESERVE: "reserve",
    Gate.CHARGE: "charge",
    Gate.CHECK: "check, then record",
    Gate.RECORD: "record",
    Gate.CALL: "call",
}
"""What two threads race for at each gate, in words."""


def pairs(adapter: type[Adapter]) -> Iterator[tuple[Program, Step, Step]]:
    """Yield every pair of operations that the adapter offers, an operation with itself included."""
    can = possible(adapter) - (frozenset() if settles(adapter) else {"settle"})
    before = [step for step in _before(adapter) if step.do in can]
    whole = adapter.gate in (Gate.CHECK, Gate.RECORD, Gate.CALL)
    chosen = [step for step in (WHOLE if whole else OPERATIONS) if step.do in can or step is CALL]
    if adapter.gate is Gate.RECORD:  # nobody is asked: only the recording is left of a call
        chosen.remove(CALL)
    chosen = [step for step in chosen if step.on != 1 or _about_hold(step) or "delegate" in can]
    for one in chosen:
        for two in chosen:
            yield before, one, _beside(two) if whole else two._replace(new=8) if two.do in _CREATE else two


_CREATE = frozenset({"reserve", "delegate", "begin"})


def _beside(two: Step) -> Step:
    """Return the second operation with a number of its own for what it creates, or ends."""
    return two._replace(on=2) if two.do == "settle" else two._replace(new=8) if two.do in _CREATE else two


def settles(adapter: type[Adapter]) -> bool:
    """Whether the adapter is told what calls have cost."""
    return "settle" in offers(adapter) or adapter.gate in (Gate.CHECK, Gate.RECORD)


def _before(adapter: type[Adapter]) -> tuple[Step, ...]:
    """Return what is done before two operations race: in the end, no two of them that are admitted fit together."""
    if adapter.gate is Gate.RESERVE or adapter.gate is Gate.CHARGE:
        return BEFORE
    slice_ = 2 if "delegate" in offers(adapter) else 0
    begun = Step("open", new=0, amount=1 + ROOM + slice_), Step("delegate", on=0, new=1, amount=2)
    if adapter.gate is Gate.CALL:
        return *begun, Step("begin", on=0, new=0, amount=1, bill=1), Step("reply", on=0)
    told = Step("reserve", on=0, new=0, amount=1), Step("send", on=0, bill=1), Step("settle", on=0)
    under_way = [
        step for hold in (1, 2) for step in (Step("reserve", on=0, new=hold, amount=1), Step("send", on=hold, bill=1))
    ]
    return *begun, *told, *under_way


def at_the_gate(adapter: type[Adapter], step: Step) -> bool:
    """Whether an operation is what the adapter's gate admits calls by, or what it records them by."""
    if adapter.gate is Gate.RECORD:
        return step.do == "settle"
    return step.do == ("begin" if adapter.gate in (Gate.CHECK, Gate.CALL) else "reserve")


def ended_by_race(anomaly: str, program: Sequence[Step], overspent: bool | None) -> Guarantee | None:
    """Return the guarantee that a race of the last two steps of a program ends, or None.

    ``overspent`` says whether spending all that was left after it took the bills above a cap or a grant; None where
    that could not be tried. An overshoot ends the rung of what the two are for, and so does what implies one while no
    bill exceeds its hold: room given out twice. Where nobody knows what a race leads to, it may be that. A false
    refusal, or a balance that is off for a moment, costs nobody money: that is a matter of precision.
    """
    needed = _needed(program)
    if overspent or anomaly in OVERSPENDS:
        return max(needed, Guarantee.DELEGATED) if anomaly == "slice-overshoot" else needed
    ends = ANOMALIES[anomaly].ends if anomaly in ANOMALIES else Guarantee.OVERRUN_BOUNDED  # a journal of no order
    if overspent is None and anomaly not in SAFE and anomaly != "hang":
        return needed
    return None if ends is None else max(ends, needed)


def _needed(program: Sequence[Step]) -> Guarantee:
    """Return the rung that the last two steps of a program are for: each alone is right, so that they must overlap."""
    *before, one, two = program
    accounts = {step.new: step.on for step in before if step.do in ("reserve", "begin")}
    if "forfeit" in (one.do, two.do):
        return Guarantee.FAULT_TOLERANT
    for step in (one, two):
        if step.do in ("delegate", "close", "merge"):
            return Guarantee.DELEGATED
        if accounts.get(step.on, 0) if _about_hold(step) else step.on:
            return Guarantee.DELEGATED
    return Guarantee.CONCURRENT


OVERSPENDS = BY_CIRCUMSTANCE | {"stale-admit", "over-admit"}
"""What is an overshoot, or lets one come."""

SAFE = frozenset({"false-refusal", "vanished", "stranded"})
"""What takes capacity away, and lets nobody spend more."""


def _about_hold(step: Step) -> bool:
    return step.do in ("settle", "release", "forfeit", "extend", "send")
