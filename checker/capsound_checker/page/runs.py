"""The runs in a ``--json`` document, step by step, with the balances that each step changed.

Balances are the model's: what is drawn is what ``capsound.accounts`` computes, and no second way of counting. A run is
drawn in one *pane*; a second pane beside it, where there is one, shows the same agents under a cured design.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from capsound.accounts import Account, State, move
from capsound.errors import CapsoundError
from capsound.events import Event, event_from_dict
from capsound_checker.page.words import QUIET, Tell, sentence

BALANCES = ("available", "held", "charged", "forfeited", "delegated", "returned", "billed")
"""What is shown of an account, in this order."""

ROWS = 16
"""How many rows a picture has at most: what would need more is drawn in one."""

_BESIDE = ("at", "timing", "under", "model", "seq", "v", "at_most")
"""What may stand beside an event."""

_ENDS = frozenset({"settle", "release", "forfeit", "cancel", "expire"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its number (0 before the first), who acted, what it did, in words, and what it changed."""

    number: int
    actor: str
    action: str
    says: str
    events: tuple[Mapping[str, Any], ...] = ()
    changes: tuple[tuple[str, str, int, int], ...] = ()
    """Account, balance, before, after."""
    found: tuple[tuple[str, str], ...] = ()
    """Anomaly and sentence, of each thing that is wrong here."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What was truly billed in a step, and what that makes below its root."""

    root: str
    step: int
    amount: int
    total: int
    name: str
    row: str


@dataclass(frozen=True, slots=True)
class Bar:
    """What lasts from one step to another: a hold, or an operation; ``end`` is None where nothing ended it."""

    name: str
    row: str
    begin: int
    end: int | None
    says: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Pane:
    """One picture: a list of steps, a row for each agent, bills that add up towards caps, and bars."""

    title: str
    verdict: str
    note: str
    steps: tuple[Step, ...]
    bars: tuple[Bar, ...] = ()
    bills: tuple[Bill, ...] = ()
    caps: tuple[tuple[str, int], ...] = ()
    tell: Tell = str
    begin: State | None = None
    """The books before the first step, where it is not the beginning."""
    counted: str = "step"
    """What the numbers of its steps count: steps, lines of a log, or units of time."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Who has a row, in order of appearance; where there are too many, nobody has one of their own."""
        named = dict.fromkeys([*(step.actor for step in self.steps), *(bar.row for bar in self.bars)])
        names = tuple(name for name in named if name)
        return names if len(names) <= ROWS else ()

    def data(self) -> dict[str, Any]:
        """Return it for the script of the page: amounts are texts, and numbers where they are only drawn."""
        tell, rows = self.tell, self.rows
        return {
            "title": self.title,
            "verdict": self.verdict,
            "note": self.note,
            "counted": self.counted,
            "rows": list(rows),
            "caps": [[root, cap, tell(cap)] for root, cap in self.caps],
            "begin": {} if self.begin is None else dict(_billed(self.begin)),
            "opening": []
            if self.begin is None
            else [[account, balance, tell(now)] for account, balance, _, now in _changes(State(), self.begin)],
            "bills": [
                [b.root, b.step, b.amount, b.name, _place(rows, b.row), tell(b.total), tell(b.amount)]
                for b in self.bills
            ],
            "bars": [[b.name, _place(rows, b.row), b.begin, b.end, b.says, b.wrong] for b in self.bars],
            "steps": [
                [
                    s.number,
                    s.actor,
                    s.action,
                    s.says,
                    [[account, balance, tell(was), tell(now)] for account, balance, was, now in s.changes],
                    [list(found) for found in s.found],
                ]
                for s in self.steps
            ],
        }


def _place(rows: Sequence[str], name: str) -> int:
    return rows.index(name) if name in rows else -1


@dataclass(frozen=True, slots=True)
class Run:
    """A run to be shown. ``hence`` is what it comes to; ``replay`` is the command that runs it again."""

    title: str
    verdict: str
    hence: str
    panes: tuple[Pane, ...]
    argument: tuple[str, ...]
    replay: str
    rests: str = ""
    """What the verdict rests on: an assumption, and how far it reaches."""
    over: str = ""
    """By how much the cap can be exceeded, as a sentence; empty where that is not known."""
    anomalies: tuple[str, ...] = ()
    cure: str = ""
    unit: str = ""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of the run itself."""
        return self.panes[0].steps if self.panes else ()

    def data(self) -> dict[str, Any]:
        """Return it for the script of the page."""
        return {
            "title": self.title,
            "verdict": self.verdict,
            "hence": self.hence,
            "argument": list(self.argument),
            "replay": self.replay,
            "cure": self.cure,
            "over": self.over,
            "rests": self.rests,
            "unit": self.unit,
            "panes": [pane.data() for pane in self.panes],
        }


# ------------------------------------------------------------------------------------------- from events to a pane

Told = tuple[int, str, str, Sequence[Mapping[str, Any]]]
"""A step as it is told: its number, who acted, what it did, and its events."""


def one_by_one(events: Iterable[Mapping[str, Any]]) -> Iterator[Told]:
    """Return events as steps of their own; those that only open accounts at the beginning are one step, number 0.

    What an account says of itself belongs to the step after which it says so.
    """
    rest = list(events)[::-1]
    opening: list[Mapping[str, Any]] = []
    while rest and (rest[-1].get("event") == "open" or (opening and rest[-1].get("event") in QUIET)):
        opening.append(rest.pop())
    if opening:
        yield 0, "", "", opening
    owners: dict[str, str] = {}
    number = 0
    while rest:
        number += 1
        together = [rest.pop()]
        while rest and rest[-1].get("event") in QUIET and together[0].get("event") not in QUIET:
            together.append(rest.pop())
        yield number, actor_of(together[0], owners), str(together[0].get("event")), together


def pane_of(
    told: Iterable[Told],
    findings: Sequence[Mapping[str, Any]],
    *,
    title: str = "",
    verdict: str = "violated",
    note: str = "",
    tell: Tell = str,
    begin: State | None = None,
) -> Pane:
    """Return the pane of a run. ``findings`` name their events from 1, over all steps."""
    state = State() if begin is None else begin
    steps: list[Step] = []
    bars = {
        str(hold.id): Bar(str(hold.id), str(hold.agent or hold.id), 0, None, f"{hold.id} {tell(hold.amount)}")
        for hold in state.holds.values()
    }
    bills: list[Bill] = []
    totals: dict[str, int] = dict(_billed(state))
    wrong: dict[int, list[tuple[str, str]]] = {}
    for finding in findings:
        wrong.setdefault(int(finding["event"]), []).append((str(finding["anomaly"]), str(finding["sentence"])))
    count = 0
    for place, (number, actor, action, events) in enumerate(told):
        before, found = state, []
        for data in events:
            count += 1
            found += wrong.get(count, [])
            event = _event(data)
            after = state if event is None else _moved(state, event)
            _bars(data, actor, place, bars, tell)
            for root, total in _billed(after):
                if total > totals.get(root, 0) and data.get("event") in ("bill", "record"):
                    name = str(data.get("call", data.get("account", "")))
                    bills.append(Bill(root, place, total - totals.get(root, 0), total, name, actor))
                totals[root] = total
            state = after
        says = _says(action, events, tell).removeprefix(f"{actor} " if actor else "")
        steps.append(
            Step(
                number, actor, action, says, tuple(events), tuple(_changes(before, state)), tuple(dict.fromkeys(found))
            )
        )
    caps = _caps(steps, begin)
    return Pane(title, verdict, note, tuple(steps), tuple(bars.values()), tuple(bills), caps, tell, begin)


def _caps(steps: Sequence[Step], begin: State | None) -> tuple[tuple[str, int], ...]:
    opened = [(str(a.id), int(a.granted)) for a in begin.accounts.values() if a.parent is None] if begin else []
    for step in steps:
        opened += [(str(e["root"]), int(e["cap"])) for e in step.events if e["event"] == "open" and "cap" in e]
    return tuple(dict(opened).items())


def _says(action: str, events: Sequence[Mapping[str, Any]], tell: Tell) -> str:
    loud = [event for event in events if event.get("event") not in QUIET]
    return "; ".join(sentence(event, tell) for event in loud or events) or action


def _event(data: Mapping[str, Any]) -> Event | None:
    try:
        return event_from_dict({key: value for key, value in data.items() if key not in _BESIDE})
    except CapsoundError:  # what is not understood moves no money
        return None


def _moved(state: State, event: Event) -> State:
    try:
        return move(state, event)
    except CapsoundError:  # nor does what names nothing known
        return state


def actor_of(data: Mapping[str, Any], owners: dict[str, str]) -> str:
    """Return whose event it is: that of the agent who made the hold or sent the call, else the hold is its own row."""
    names = [str(data[key]) for key in ("hold", "call") if key in data]
    known = next((owners[name] for name in names if name in owners), "")
    who = str(data.get("agent") or known or (names[0] if names else ""))
    for name in names:
        owners.setdefault(name, who)
    return who


def _bars(data: Mapping[str, Any], row: str, place: int, bars: dict[str, Bar], tell: Tell) -> None:
    name = str(data.get("hold", ""))
    if data.get("event") == "reserve":
        said = tell(data.get("amount", ""))
        bars[name] = Bar(name, row, place, None, f"{name} {said}")
    elif data.get("event") in _ENDS and name in bars and bars[name].end is None:
        bars[name] = replace(bars[name], end=place)


def _changes(before: State, after: State) -> Iterator[tuple[str, str, int, int]]:
    for name, account in after.accounts.items():
        old: Account | None = before.accounts.get(name)
        if old is account:
            continue
        for balance in BALANCES:
            was, now = 0 if old is None else int(getattr(old, balance)), int(getattr(account, balance))
            if was != now:
                yield str(name), balance, was, now


def _billed(state: State) -> Iterator[tuple[str, int]]:
    totals: dict[str, int] = {}
    for account in state.accounts.values():
        totals[str(account.root)] = totals.get(str(account.root), 0) + int(account.billed)
    yield from totals.items()
