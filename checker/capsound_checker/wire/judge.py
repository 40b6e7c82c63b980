"""What one run shows: its events, which the monitor judges, and what the wire alone can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from capsound.amounts import AccountId, Amount, CallId, HoldId
from capsound.events import Bill, Cancel, Event, Open, Reserve, Send, Settle, Timeout
from capsound.guarantees import Guarantee
from capsound.monitor import fold
from capsound.properties import Property
from capsound.report import Report, refuted
from capsound.verdict import Verdict
from capsound.windowed import WindowMonitor
from capsound.windows import Meter, Whole, Window, spent
from capsound_checker.wire.acting import Did
from capsound_checker.wire.money import Cap
from capsound_checker.wire.stepping import Run

ROOT = AccountId("application")
"""The account that the events of an application are about."""

_WHOLE = Whole()

PLAIN = frozenset({"answer", "most", "low"})
"""The acts with which nothing goes wrong."""

TELLING = frozenset({"answer", "most", "low", "cached", "over"})
"""The acts that tell the usage."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One run and what it shows."""

    run: Run
    events: tuple[Event, ...]
    billed: int
    overshoot: int
    in_flight: int
    """How many requests were unanswered at once, at most."""
    faults: tuple[str, ...]
    """What went wrong for the application in it: acts, and ``left`` where it gave up by itself."""
    permitted: int
    """What all its requests together permit."""
    approached: bool
    """Whether what was billed came so near to the cap that not even its smallest request would have fitted."""
    refuted: Guarantee | None
    after_cap: tuple[Did, ...]
    """The requests that left although what had been told had reached the cap."""
    retries: int
    retries_billed: int
    unpriced: tuple[str, ...]
    """Models whose price is not known: what they cost is no part of ``billed``."""
    doubts: tuple[str, ...]
    """Why an answer may not have been what a request demanded."""
    unbounded: int
    """Requests that set no limit to their output."""
    passed: bool = True
    """Whether something that was billed has left the window of the cap; without a window, it need not."""
    timed: bool = False
    """Whether the cap has a window."""

    @property
    def overlapped(self) -> bool:
        """Whether two requests were in flight at once."""
        return self.in_flight > 1


def events_of(run: Run, cap: Cap) -> tuple[Event, ...]:
    """Return a run in the vocabulary of the monitor.

    A request holds the largest bill that it permits, and each repeat is a request of its own.
    """
    return tuple(event for _, event in moments_of(run, cap))


def moments_of(run: Run, cap: Cap) -> list[tuple[int, Event]]:
    """Return the events of a run, each with the latest moment that is known before it."""
    events: list[tuple[int, Event]] = []
    now = min((did.at for did in run.did if did.at), default=0)

    def add(*more: Event) -> None:
        events.extend((now, event) for event in more)

    add(Open(ROOT, Amount(cap.amount)))
    told: set[str] = set()
    ceilings = {did.number: did.bill for did in run.did if did.what == "billed" and did.bill is not None}
    for did in run.did:
        hold, call = HoldId(did.label), CallId(did.label)
        now = max(now, did.at)  # requests that arrive together are in the order of their names
        match did.what:
            case "arrived":
                bill = ceilings.get(did.number)
                add(Reserve(ROOT, hold, Amount((bill.ceiling or 0) if bill else 0)), Send(hold, call))
            case "billed":
                assert did.bill is not None
                add(Bill(call, Amount(did.bill.amount or 0)))
            case "answered" | "stalled":
                if did.act not in TELLING:
                    add(Timeout(call))
            case "left":
                add(Cancel(hold))
            case _:
                continue
        ended = did.what == "left" or did.what in ("answered", "closed")
        if ended and did.label not in told and (bill := ceilings.get(did.number)) is not None:
            told.add(did.label)
            add(Settle(hold, Amount(bill.amount or 0)))
    return events


def _report(events: list[tuple[int, Event]], window: Window) -> tuple[Report, bool]:
    """Return what the monitor says of a run, and whether anything left the window in it: without one, it need not."""
    if isinstance(window, Whole):
        return fold(event for _, event in events), True
    monitor = WindowMonitor(window, at=events[0][0])
    for at, event in events:
        monitor.passes(at)
        monitor.feed(event)
    return monitor.report(), monitor.ended > 0


def refutes(report: Report) -> Guarantee | None:
    """Return the weakest guarantee that the true bills of a run refute: what it needed beside them says which.

    The monitor's other findings are about holds, and those of an application are not on the wire.
    """
    shown = [finding for finding in report.findings if finding.anomaly in ("overshoot", "window-leak")]
    broken = {Property.OVERRUN} if report.verdicts.get(Property.OVERRUN) is Verdict.VIOLATED else set[Property]()
    return refuted(shown, report.exercise, broken)


def counted(run: Run, models: Sequence[str]) -> Run:
    """Return a run with the requests to these models alone, given as patterns; all of it where there are none."""
    if not models:
        return run
    asked = {did.number: did.asked for did in run.did if did.what == "arrived"}
    mine = {n for n, one in asked.items() if one is None or any(fnmatchcase(one.model, p) for p in models)}
    return replace(run, did=tuple(did for did in run.did if did.number in mine or did.number not in asked))


def judge(run: Run, cap: Cap, models: Sequence[str] = (), window: Window = _WHOLE) -> Judged:
    """Return what a run shows of a cap under which the requests to ``models`` count, in all or in each window."""
    run = counted(run, models)
    timed = moments_of(run, cap)
    events = tuple(event for _, event in timed)
    report, passed = _report(timed, window)
    bills = [did.bill for did in run.did if did.what == "billed" and did.bill is not None]
    billed = most_billed(run, window)
    faults = [d.act for d in run.did if d.what in ("answered", "stalled", "leaves") and d.act not in PLAIN]
    faults += [
        "left" for d in run.did if d.what == "left" and not any(_same(d, e) for e in run.did if e.what == "stalled")
    ]
    after = after_cap(run, cap, window)
    rung = Guarantee.STOPS if after else refutes(report)
    smallest = min((bill.ceiling for bill in bills if bill.ceiling), default=0)
    asked = {d.number: d for d in run.did if d.what == "arrived"}
    repeats = {number for number, d in asked.items() if d.repeats}
    return Judged(
        run,
        events,
        billed,
        max(0, billed - cap.amount),
        most_in_flight(run.did),
        tuple(dict.fromkeys(faults)),
        sum(bill.ceiling or 0 for bill in bills),
        bool(smallest) and billed + smallest > cap.amount,
        rung,
        after,
        len(repeats),
        sum(d.bill.amount or 0 for d in run.did if d.what == "billed" and d.bill is not None and d.number in repeats),
        tuple(
            sorted(
                {
                    asked[d.number].asked.model  # type: ignore[union-attr]
                    for d in run.did
                    if d.what == "billed" and d.bill is not None and d.bill.amount is None
                }
            )
        ),
        tuple(sorted({d.asked.doubt for d in asked.values() if d.asked is not None and d.asked.doubt})),
        sum(not bill.bounded for bill in bills),
        passed,
        not isinstance(window, Whole),
    )


def most_billed(run: Run, window: Window) -> int:
    """Return what was billed in a window at most."""
    meter = Meter(window)
    for did in run.did:
        if did.what == "billed" and did.bill is not None and did.bill.amount:
            meter.add(did.at, did.bill.amount)
    return meter.most()[1]


def _same(one: Did, other: Did) -> bool:
    return one.number == other.number


def most_in_flight(did: Sequence[Did]) -> int:
    """Return how many requests were in flight at once, at most."""
    flying: set[int] = set()
    most = 0
    for one in did:
        if one.what == "arrived":
            flying.add(one.number)
        elif one.what in ("answered", "left", "closed"):
            flying.discard(one.number)
        most = max(most, len(flying))
    return most


def after_cap(run: Run, cap: Cap, window: Window = _WHOLE) -> tuple[Did, ...]:
    """Return the requests that left although what their sender had been told had reached the cap, in its window.

    Whoever sends a request may have decided on it before the last answer came, where others were in flight then: it is
    held against an application only if the cap was reached one answer earlier, or nothing else was in flight.
    """
    told: list[tuple[int, int]] = []
    before = now = 0
    billed = {did.number: did.at for did in run.did if did.what == "billed"}
    flying: set[int] = set()
    alone = True
    found: list[Did] = []
    for one in run.did:
        match one.what:
            case "arrived":
                now = max(now, one.at)
                reached = spent(window, told if alone else told[:before], now)
                if reached >= cap.amount and not one.repeats:
                    found.append(one)
                flying.add(one.number)
            case "answered":
                alone = flying <= {one.number}
                flying.discard(one.number)
                before = len(told)
                if one.act in TELLING and one.bill is not None:
                    told.append((billed.get(one.number, 0), one.bill.amount or 0))
            case "left" | "closed":
                flying.discard(one.number)
    return tuple(found)
