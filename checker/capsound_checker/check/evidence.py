"""What was tried of each guarantee: a guarantee is kept only where runs that could have refuted it came to their end.

Every run that a child sends is folded here, in the process that judges, so that nobody is believed to have tried
anything. What schedules show inside a library (calls in each other's way at the gate) is told by whoever ran them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capsound.accounts import State
from capsound.events import Bill, Cancel, Crash, Event, Extend, Forfeit, Refuse, Release, Reserve, Timeout
from capsound.guarantees import Guarantee
from capsound.monitor import Monitor
from capsound.rolled_up import CeilingMonitor
from capsound.windowed import WindowMonitor
from capsound_checker.programs.timing import event_in, monitor_for

WORDS: Mapping[str, tuple[str, str]] = {
    "programs": ("program", "programs"),
    "admitted": ("call admitted", "calls admitted"),
    "at_the_cap": ("call asked for when the cap was spent", "calls asked for when the cap was spent"),
    "overlaps": (
        "call asked for while calls in flight held its room",
        "calls asked for while calls in flight held theirs",
    ),
    "overlapped": ("call begun beside others, of which not all fit", "calls begun beside others, of which not all fit"),
    "overlapped_at_gate": ("overlap between gate and provider", "overlaps between gate and provider"),
    "uninterruptible": ("call without an await at its gate", "calls without an await at their gate"),
    "threads": ("schedule of threads", "schedules of threads"),
    "handlers": ("schedule of handlers", "schedules of handlers"),
    "asyncio": ("schedule of asyncio", "schedules of asyncio"),
    "histories": ("recorded run of threads", "recorded runs of threads"),
    "slices": ("call asked for on a slice", "calls asked for on slices"),
    "faults": ("fault injected", "faults injected"),
    "released": ("call given up before it was sent", "calls given up before they were sent"),
    "overruns": ("bill above its hold", "bills above their holds"),
    "ended": ("end of a window passed", "ends of windows passed"),
    "carried": ("call in flight then", "calls in flight then"),
    "ceilings": ("call asked for under several ceilings", "calls asked for under several ceilings"),
}
"""What is counted as evidence, in words: of one, and of several."""


NO_ROOM = "no room in "
"""How the evidence of a further dimension begins: the calls that were asked for while it had no room for them."""


def in_words(counts: Mapping[str, int]) -> str:
    """Return what was tried of a guarantee in words."""
    return ", ".join(f"{count:,} {_words(name, several=count != 1)}" for name, count in counts.items() if count)


def _words(name: str, *, several: bool) -> str:
    if name.startswith(NO_ROOM):
        noun = "calls" if several else "call"
        return f"{noun} for which there was {name}"
    return WORDS[name][several]


@dataclass
class Evidence:
    """What was counted, by guarantee; and what was told of the gates of calls that the library makes itself."""

    counts: dict[Guarantee, Counter[str]] = field(default_factory=lambda: {g: Counter() for g in Guarantee})
    gate: Counter[str] = field(default_factory=Counter)
    timed: dict[Guarantee, Counter[str]] = field(default_factory=lambda: {g: Counter() for g in Guarantee})
    """Of runs in time: how often a window ended in what could have refuted a guarantee, and with calls in flight."""
    tight: dict[Guarantee, Counter[str]] = field(default_factory=lambda: {g: Counter() for g in Guarantee})
    """Of runs in several dimensions: for how many calls each further one had no room."""
    prepaid: bool = False
    """Whether every call is written off at its estimate: that is no fault then."""
    only_releases: bool = False
    """Whether a call can be given up only before it is sent: that is all that can be asked of its faults."""

    def hear_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Count what one run could have refuted that was sent as data, with its moments where it is one in time."""
        monitor = monitor_for(data)
        self._hear((event_in(one, monitor) for one in data), monitor)

    def hear(self, events: Iterable[Event]) -> None:
        """Count what one run could have refuted: a run in proper use, done to its end."""
        self._hear(events, Monitor())

    def _hear(self, events: Iterable[Event], monitor: Monitor | WindowMonitor | CeilingMonitor) -> None:
        seen = Counter[str]()
        for event in events:
            seen.update(_shows(event, monitor.state))
            if self.prepaid and isinstance(event, Forfeit):
                seen["faults"] -= 1
            monitor.feed(event)
        if isinstance(monitor, WindowMonitor | CeilingMonitor):
            seen["ended"], seen["carried"] = monitor.ended, monitor.carried
        if isinstance(monitor, CeilingMonitor):
            seen["ceilings"] = monitor.shared
            seen.update({NO_ROOM + dimension: count for dimension, count in monitor.tight.items()})
        exercise = monitor.report().exercise
        if not exercise.admitted and not exercise.refused:
            return
        self._add(Guarantee.STOPS, seen, "at_the_cap")
        if exercise.overran:
            self._add(Guarantee.OVERRUN_BOUNDED, seen, "overruns")
            return
        if seen["faults"]:
            self._add(Guarantee.FAULT_TOLERANT, seen, "faults")
            return
        if self.only_releases:
            self._add(Guarantee.FAULT_TOLERANT, seen, "released")
        if exercise.delegated:
            self._add(Guarantee.DELEGATED, seen, "slices")
        elif exercise.overlapped:
            self._add(Guarantee.CONCURRENT, seen, "overlaps")
        elif exercise.informative:
            self._add(Guarantee.SEQUENTIAL, seen, "admitted")

    def _add(self, guarantee: Guarantee, seen: Mapping[str, int], *needed: str) -> None:
        """Count a run for a guarantee, where what is needed to refute it has happened in it."""
        if all(seen.get(name, 0) for name in needed):
            self.counts[guarantee].update({"programs": 1, **{name: seen[name] for name in ("admitted", *needed)}})
            self.timed[guarantee].update({name: seen.get(name, 0) for name in ("ended", "carried", "ceilings")})
            self.tight[guarantee].update({name: seen[name] for name in seen if name.startswith(NO_ROOM)})

    def tell_gate(self, told: Mapping[str, Any]) -> None:
        """Take how often calls were in each other's way between gate and provider, as whoever ran them says."""
        for name in ("overlapped", "overlapped_at_gate", "uninterruptible"):
            self.gate[name] += int(told.get(name, 0))

    def of(self, guarantee: Guarantee, schedules: Mapping[str, int]) -> dict[str, int]:
        """Return what was counted for a guarantee, in the order in which it is told."""
        counts: dict[str, int] = dict(self.counts[guarantee]) | dict(self.timed[guarantee])
        if guarantee is Guarantee.CONCURRENT:
            counts |= self.gate
            counts |= {"histories" if name == "history" else name: count for name, count in schedules.items()}
        tight = {name: count for name, count in sorted(self.tight[guarantee].items()) if count}
        return {name: counts[name] for name in WORDS if counts.get(name)} | tight


def _shows(event: Event, state: State) -> Iterable[str]:
    """Yield what an event is evidence of, in the state in which it comes."""
    match event:
        case Reserve(account=name, amount=amount) | Refuse(account=name, amount=amount):
            if isinstance(event, Refuse) and event.hold is not None:
                return  # of a call that was made
            account = state.account(name)
            if isinstance(event, Reserve):
                yield "admitted"
            if amount and account.spent >= account.granted > 0:
                yield "at_the_cap"
            if account.available < amount <= account.available + account.held:
                yield "overlaps"
            if account.parent is not None:
                yield "slices"
        case Extend(hold=hold, amount=amount):
            account = state.account(state.hold(hold).account)
            if account.available < amount <= account.available + account.held:
                yield "overlaps"
        case Release():
            yield "released"
        case Cancel() | Timeout() | Crash() | Forfeit():
            yield "faults"
        case Bill(call=call, amount=amount):
            hold_of = state.hold_of(call)
            if amount and hold_of.billed + amount > hold_of.amount:
                yield "overruns"
        case _:
            pass
