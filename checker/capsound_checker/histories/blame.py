"""Which rung of the ladder a recorded run ends, and how much of it could have ended one.

The rules are those of every other way of asking (``capsound.report``): an anomaly ends what the catalogue says of it.
An admission that no order explains is an overshoot to come, under A1; so is spending that is lost, and capacity from
nothing. What they end depends on what the run needed for it: calls that overlap, or slices. A false refusal ends
nothing, and so does a refund that is too small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from capsound.anomalies import ANOMALIES
from capsound.guarantees import Guarantee
from capsound.report import BY_CIRCUMSTANCE
from capsound.verdict import Verdict
from capsound_checker.histories.linearize import Linearization
from capsound_checker.histories.sequential import ON_HOLD, READS, Operation, family

ADMISSIONS = frozenset({"reserve", "charge", "check", "extend"})
"""The operations by which calls are admitted."""

_OVERSPENDS = BY_CIRCUMSTANCE | {"stale-admit", "over-admit"}


def ended_by(
    anomaly: str,
    operation: Operation | None,
    window: Iterable[Operation],
    operations: Sequence[Operation],
    *,
    low: bool,
) -> Guarantee | None:
    """Return the guarantee that an anomaly of a recorded run ends, or None.

    ``window`` are the operations that show it, ``low`` says whether a read told of less spending than there was.
    """
    ends = ANOMALIES[anomaly].ends if anomaly in ANOMALIES else Guarantee.CONCURRENT
    if anomaly in _OVERSPENDS or (anomaly == "ledger-drift" and low):
        ends = Guarantee.DELEGATED if _needs_slices(window, operations) else Guarantee.SEQUENTIAL
    if ends is None or operation is None:
        return ends
    return max(ends, Guarantee.CONCURRENT) if _overlaps(operations) else ends


def _needs_slices(window: Iterable[Operation], operations: Sequence[Operation]) -> bool:
    _, parent, owner = family(operations)
    for op in window:
        account = owner.get(op.on, -1) if op.do in ON_HOLD else op.on
        if op.do in ("delegate", "close", "merge") or parent.get(account, -1) >= 0:
            return True
    return False


def _overlaps(operations: Sequence[Operation]) -> bool:
    """Whether any two operations were under way at once."""
    latest = -1
    for op in sorted(operations, key=lambda op: op.called):
        if op.called < latest:
            return True
        latest = max(latest, op.called if op.returned is None else op.returned)
    return False


def undisturbed(operations: Sequence[Operation]) -> list[Operation]:
    """Return the operations without the reads during which something else was under way: these may be torn."""
    acts = sorted((op for op in operations if op.do not in READS), key=lambda op: op.called)
    return [op for op in operations if op.do not in READS or not any(_meet(op, act) for act in acts)]


def _meet(one: Operation, two: Operation) -> bool:
    return (two.returned is None or one.called <= two.returned) and (one.returned is None or two.called <= one.returned)


def contended(operations: Sequence[Operation]) -> int:
    """Return how often two clients asked for admission at once and one of them was refused: there a race can show."""
    asked = sorted((op for op in operations if op.do in ADMISSIONS and op.do != "extend"), key=lambda op: op.called)
    count = 0
    for number, op in enumerate(asked):
        for other in asked[number + 1 :]:
            if op.returned is not None and other.called > op.returned:
                break
            if other.on == op.on and (op.outcome == "done") is not (other.outcome == "done"):
                count += 1
    return count


def refuted(
    operations: Sequence[Operation], found: Linearization, again: Callable[[Sequence[Operation]], Linearization]
) -> tuple[Guarantee | None, bool]:
    """Return the guarantee that an offence ends, if it ends one, and whether nothing is wrong but reads.

    ``again`` looks for an order of some of the operations.
    """
    rest = [op for op in operations if op.do not in READS]
    others = again(rest)
    calm = undisturbed(operations)  # what a read says in the middle of an operation may be torn
    ends = [_ended(operations, found, torn=True), _ended(rest, others), _ended(calm, again(calm))]
    least = min((guarantee for guarantee in ends if guarantee is not None), default=None)
    return least, others.verdict is Verdict.SOUND


def _ended(operations: Sequence[Operation], found: Linearization, *, torn: bool = False) -> Guarantee | None:
    """Return the guarantee that the offence of a history ends; a read that may be torn tells of no lost spending."""
    offence = found.offence
    if offence is None:
        return None
    op = operations[offence.operation]
    if torn and op.do in READS:
        return None if ANOMALIES[offence.anomaly].ends is None else ANOMALIES["ledger-drift"].ends
    window = [operations[index] for index in offence.window]
    return ended_by(offence.anomaly, op, window, operations, low=offence.low)
