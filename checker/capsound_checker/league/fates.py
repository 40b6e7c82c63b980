"""What becomes of a call that does not end as planned: a bill above its hold, a cancelled call, a lost one.

One small program each, run once, and told from its events: what it says is seen, and no more than that one run shows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from capsound_checker.check.plan import Plan
from capsound_checker.check.replaying import replay
from capsound_checker.programs.program import Step

CAP, HOLD, BILL, LARGE = 10, 4, 7, 13
"""A cap, a hold, a bill above the hold that still fits, and one above the cap."""

AWAITS = 60
"""How often a call may be suspended before it reaches the provider."""

FAULTS = {"cancelled": "cancel", "timed out": "fail", "abandoned": "crash"}
"""What can happen to a call, with the step that does it to one that the library makes itself."""


Run = Callable[[Sequence[Step]], Sequence[Mapping[str, Any]] | None]
"""Runs a program, and returns what happened; None where the run did not come to its end."""


def fates(plan: Plan, adapter: Mapping[str, Any], stop: threading.Event | None = None) -> dict[str, str]:
    """Return what an overrun does, and what happens to a call that is cancelled, timed out or abandoned, in words."""

    def run(program: Sequence[Step]) -> Sequence[Mapping[str, Any]] | None:
        _, ran, doubts = replay(plan, {"job": "replay", "program": program}, stop)
        return None if ran is None or doubts else list(ran["events"])

    within, beyond = (_overrun(run, adapter, bill) for bill in (BILL, LARGE))
    told = within if within == beyond else f"{within}; above the cap: {beyond}"
    return {"overrun": told, **{name: _fault(run, adapter, name) for name in FAULTS}}


def _calling(adapter: Mapping[str, Any]) -> bool:
    return bool(adapter["gate"] == "call")


def _begun(adapter: Mapping[str, Any], bill: int) -> list[Step]:
    if _calling(adapter):
        return [Step("open", amount=CAP), Step("begin", amount=HOLD, bill=bill), *[Step("step")] * AWAITS]
    return [Step("open", amount=CAP), Step("reserve", amount=HOLD), Step("send", bill=bill)]


def _overrun(run: Run, adapter: Mapping[str, Any], bill: int) -> str:
    if adapter["gate"] == "charge" and "settle" not in adapter["offers"]:
        return "it never learns the bill"
    ask = "begin" if _calling(adapter) else "reserve"
    probes = [Step(ask, new=1 + n, amount=amount) for n, amount in enumerate((CAP, CAP - HOLD, CAP - BILL, 1))]
    program = [*_begun(adapter, bill), Step("reply" if _calling(adapter) else "settle"), *probes]
    events = run(program)
    if events is None:
        return "not known: the run did not come to its end"
    if not any(event["event"] == "send" for event in events):
        return "not known: the call was not made"
    at = next((n for n, event in enumerate(events) if event["event"] in ("settle", "forfeit", "release")), len(events))
    after = events[at + 1 :]
    spent = next((event["spent"] for event in after if event.get("spent") is not None), None)
    if "spent" in adapter["offers"] and spent is not None:
        return _counted(int(spent), bill)
    admitted = next((event for event in after if event["event"] == "reserve"), None)
    if admitted is None:
        return "no further call is admitted"
    if int(admitted["amount"]) == CAP and not _minds(run, ask):
        return "not known: it does not report what is spent, and its gate ignores amounts"
    return _counted(CAP - int(admitted["amount"]), bill, ", judging by what it still admits")


def _minds(run: Run, ask: str) -> bool:
    """Whether the gate looks at the amount of a call: only then what it still admits says what it has counted."""
    events = run([Step("open", amount=CAP), Step(ask, amount=CAP + 1)])
    return events is not None and not any(event["event"] == "reserve" for event in events)


def _counted(spent: int, bill: int, how: str = "") -> str:
    if spent >= min(bill, CAP if how else bill):
        return f"charged in full{how}"
    if spent == HOLD:
        return f"charged up to the hold, and the rest is lost{how}"
    return f"not charged at all{how}" if spent == 0 else f"charged {spent} of {bill}{how}"


def _fault(run: Run, adapter: Mapping[str, Any], name: str) -> str:
    if not _calling(adapter):
        return _by_hand(run, adapter, name)
    events = run([*_begun(adapter, HOLD - 1), Step(FAULTS[name])])
    if events is None:
        return "not known: the run did not come to its end"
    at = next((n for n, event in enumerate(events) if event["event"] in ("cancel", "timeout", "crash")), None)
    if at is None:
        return "not known: the call was not made"
    return _resolved(events[at + 1 :])


def _resolved(events: Iterable[Mapping[str, Any]]) -> str:
    for event in events:
        match event["event"]:
            case "release":
                return "released, although the provider may bill it"
            case "forfeit":
                return "the hold counts as spent"
            case "settle":
                whole = int(event["amount"]) == HOLD
                return "the hold is charged" if whole else f"charged {event['amount']} of a hold of {HOLD}"
    return "the hold stays open"


def _by_hand(run: Run, adapter: Mapping[str, Any], name: str) -> str:
    """Return what can be done about a call that the library does not make itself: it does not hear of the fault."""
    gate, offers = adapter["gate"], set(adapter["offers"])
    if gate in ("check", "record"):
        return "never recorded"
    if gate == "charge":
        return "the estimate stays charged"
    if name == "abandoned":
        expires = (adapter.get("timing") or {}).get("expires")
        return f"the hold expires after {expires} s" if expires else "the hold stays open"
    ways = ["the caller can write it off"] if "forfeit" in offers else []
    if "release" in offers and "sent" not in offers:
        ways.append("the caller may release it: the library does not know that the call was sent")
    elif "release" in offers:
        events = run([*_begun(adapter, HOLD - 1), Step("release")])
        back = events is not None and any(event["event"] == "release" for event in events)
        ways.append("the caller may release it after sending" if back else "it refuses to release it after sending")
    return "; ".join(ways) or "the hold stays open until it is settled"
