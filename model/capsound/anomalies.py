"""Every violation has one name, and this is the only module that lists them (design section 2).

The implication graph says what else can no longer be claimed: an edge a -> b reads "a run that shows a also
breaks what b breaks, or can be continued until it does", with the reason on the edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.guarantees import Guarantee
from capsound.properties import Property


class UnknownName(CapsoundError):
    """A name was asked for that the catalogue does not list."""

    name = "unknown-name"
    exit_status = EXIT_BAD_INPUT


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One named violation.

    ``breaks`` is the property it is evidence against, ``ends`` the weakest guarantee that can no longer be
    claimed, ``cure`` what usually removes it, ``reference`` where it is known from.
    """

    name: str
    meaning: str
    breaks: Property
    ends: Guarantee | None
    cure: str
    reference: str


ANOMALIES: dict[str, Anomaly] = {
    a.name: a
    for a in (
        Anomaly(
            "overshoot",
            "the true bills of a root exceed its cap",
            Property.CAP,
            Guarantee.CONCURRENT,
            "reserve the worst case in the same atomic block that checks the balance",
            "design section 2; the fan-out race of arXiv 2606.04056",
        ),
        Anomaly(
            "slice-overshoot",
            "the true bills below an account exceed its grant",
            Property.SLICE,
            Guarantee.DELEGATED,
            "move the slice out of the parent when it is delegated, and admit against the slice",
            "design section 2",
        ),
        Anomaly(
            "stale-admit",
            "a call was admitted on a balance that calls in flight had already used up",
            Property.ADMISSION,
            None,
            "check and reserve in one atomic block, so that no other call comes in between",
            "check-then-act; design section 1",
        ),
        Anomaly(
            "over-admit",
            "a call was admitted although settled calls had left too little",
            Property.ADMISSION,
            None,
            "compare the estimate with what is left before the call, not the total after it",
            "record-after-the-fact callbacks; docs/decisions/0005-names-added.md",
        ),
        Anomaly(
            "no-stop",
            "a call was admitted after the recorded spend had reached the cap",
            Property.ADMISSION,
            Guarantee.STOPS,
            "refuse every call once recorded spend is at the cap",
            "guarantee `stops`; docs/decisions/0005-names-added.md",
        ),
        Anomaly(
            "dropped-overrun",
            "a bill above its hold was not charged in full",
            Property.TRUTH,
            Guarantee.OVERRUN_BOUNDED,
            "charge the whole bill, let the account go into debt, and close it to admission",
            "design section 6: commit above the hold drops the excess",
        ),
        Anomaly(
            "refund-after-send",
            "the hold of a sent call was returned before its bill was known",
            Property.ADMISSION,
            Guarantee.FAULT_TOLERANT,
            "after send, forfeit the hold or keep it until the provider has answered",
            "design section 6: cancel after send refunds in full",
        ),
        Anomaly(
            "double-settle",
            "one hold was resolved twice, and the balance moved twice",
            Property.CONSERVATION,
            Guarantee.SEQUENTIAL,
            "give each hold an identity and resolve it in one atomic step",
            "design section 6: double resolve of a receipt",
        ),
        Anomaly(
            "minted",
            "capacity appeared from nothing",
            Property.CONSERVATION,
            Guarantee.SEQUENTIAL,
            "refuse negative amounts, forbid copies of handles, debit the parent before the child is credited",
            "design section 6: negative confirm, copied handle, self-merge, foreign refund",
        ),
        Anomaly(
            "vanished",
            "capacity disappeared without being charged, forfeited or returned",
            Property.CONSERVATION,
            None,
            "a refused operation must leave the balance as it was",
            "design section 6: a refused spend or merge destroys the balance",
        ),
        Anomaly(
            "use-after-move",
            "a handle was used after it was delegated, merged, closed or resolved",
            Property.HANDLES,
            Guarantee.DELEGATED,
            "make handles affine: mark them as moved and refuse the second use",
            "design section 2; affine budgets of arXiv 2606.04056",
        ),
        Anomaly(
            "wrong-root",
            "money moved between roots",
            Property.CONSERVATION,
            Guarantee.DELEGATED,
            "check that both accounts belong to one root before anything moves",
            "design section 6: refund into another root",
        ),
        Anomaly(
            "ledger-drift",
            "the ledger's spend differs from what the settled calls were billed",
            Property.TRUTH,
            Guarantee.OVERRUN_BOUNDED,
            "keep exact integers, and update the balance in one atomic read-modify-write",
            "design section 2: floats, lost updates",
        ),
        Anomaly(
            "bad-amount",
            "a negative, NaN, infinite or non-numeric amount was accepted",
            Property.ARGUMENTS,
            None,
            "validate every amount where it enters",
            "design section 2",
        ),
        Anomaly(
            "late-refusal",
            "a call was refused after it was sent",
            Property.ADMISSION,
            None,
            "decide before the request leaves",
            "design section 2",
        ),
        Anomaly(
            "false-refusal",
            "a call was refused although it fit alongside everything outstanding",
            Property.PRECISION,
            None,
            "compare with what is available, and release what is left of a hold as soon as the bill is known",
            "design section 2",
        ),
        Anomaly(
            "stranded",
            "everything is settled, but capacity that should be free cannot be used",
            Property.PRECISION,
            None,
            "return what a closed slice has not spent, and resolve the holds of agents that died",
            "design section 2",
        ),
        Anomaly(
            "window-leak",
            "a reset forgot holds in flight, and the window that follows exceeds its cap",
            Property.CAP,
            Guarantee.CONCURRENT,
            "keep the holds of calls in flight through a reset, and count each bill in the window in which it comes",
            "budgets with a period; docs/decisions/0024-windows.md",
        ),
        Anomaly(
            "expired-hold",
            "a hold was let go by its age while its call could still be billed",
            Property.ADMISSION,
            Guarantee.CONCURRENT,
            "let a hold expire only if its request never left; after that, keep it until the bill is known",
            "holds with a time to live; docs/decisions/0024-windows.md",
        ),
        Anomaly(
            "partial-hold",
            "a call was refused by one ceiling, and what it held in others was never given back",
            Property.CONSERVATION,
            None,
            "hold in all ceilings in one atomic step, or give back what was held when a later one refuses",
            "several ceilings over one call; docs/decisions/0024-windows.md",
        ),
        Anomaly(
            "hang",
            "no step is possible, but work is left",
            Property.PROGRESS,
            Guarantee.FAULT_TOLERANT,
            "release locks on every way out, and never hold one across the provider call",
            "design section 2",
        ),
    )
}

IMPLICATIONS: tuple[tuple[str, str, str], ...] = (
    ("stale-admit", "overshoot", "if every admitted call bills its estimate, the sum is above the grant"),
    ("over-admit", "overshoot", "if the call bills its estimate, the sum is above the grant"),
    ("no-stop", "over-admit", "nothing is left once recorded spend has reached the cap"),
    ("refund-after-send", "stale-admit", "the returned amount is admitted again while the first bill is open"),
    ("double-settle", "minted", "the second resolution returns capacity that is no longer held"),
    ("minted", "overshoot", "capacity beyond the cap can be spent"),
    ("dropped-overrun", "ledger-drift", "the excess is billed and never charged"),
    ("ledger-drift", "over-admit", "if spend is too low, the next check passes on money that is gone"),
    ("use-after-move", "minted", "two handles of one capacity can both be spent"),
    ("wrong-root", "minted", "the receiving root has more than it was opened with"),
    ("bad-amount", "minted", "a negative amount is a credit"),
    (
        "slice-overshoot",
        "overshoot",
        "if all of the cap is delegated, slices above their grants exceed it",
    ),
    ("window-leak", "overshoot", "the bills of the window that follows exceed its cap"),
    ("expired-hold", "stale-admit", "the room of the expired hold is admitted again while its call is in flight"),
    ("partial-hold", "stranded", "nobody settles or releases what a refused call still holds"),
    ("vanished", "stranded", "lost capacity cannot be used"),
    ("hang", "stranded", "nobody can use what a blocked agent holds"),
)


def get_anomaly(name: str) -> Anomaly:
    """Return the anomaly called ``name``; raises ``UnknownName`` with the nearest match."""
    try:
        return ANOMALIES[name]
    except KeyError:
        raise UnknownName(f"there is no anomaly {name!r}", hint=nearest(name, ANOMALIES)) from None


def implied_by(name: str) -> tuple[str, ...]:
    """Return every anomaly that ``name`` implies, directly or not, in catalogue order; not ``name`` itself."""
    start = get_anomaly(name).name
    reached, todo = {start}, [start]
    while todo:
        here = todo.pop()
        further = {effect for cause, effect, _ in IMPLICATIONS if cause == here} - reached
        reached |= further
        todo += further
    return tuple(other for other in ANOMALIES if other in reached and other != start)
