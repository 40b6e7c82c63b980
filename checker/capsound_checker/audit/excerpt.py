"""The part of a log that shows what is wrong: the events around it on one root, and the books as they were before.

A log is judged in constant memory, and nobody keeps its lines. So it is read once more, as far as it has to be; what
can be read only once (standard input) has no excerpt.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from capsound.accounts import RESOLVED, State, move
from capsound.amounts import AccountId
from capsound.errors import CapsoundError
from capsound.events import event_from_dict
from capsound_checker.audit.asking import Asked
from capsound_checker.audit.audited import Audit, Shown
from capsound_checker.audit.auditing import Auditor
from capsound_checker.audit.rules import LogMapping

BEFORE, AFTER = 160, 24
"""How many events of the root are shown at most before what is wrong, and after it."""

_PRUNED = 256
"""After so many events the books of what came before forget the holds that are resolved."""


class _Enough(BaseException):
    """What has to be read has been; nothing that judges a line may take it for a fault of the line."""


Again = Callable[[], AbstractContextManager[Iterable[str]]]
"""Opens the lines of a log once more."""


def excerpt(again: Again, asked: Asked, mapping: LogMapping | None, audit: Audit) -> dict[str, Any] | None:
    """Return the excerpt of a judged log, which is read once more; None where nothing is wrong in it."""
    shown = _worst(audit)
    if shown is None:
        return None
    account = str(shown.numbers.get("account", ""))
    if account not in {root.name for root in audit.roots}:  # a slice, or one of very many roots
        finder = _Finder(shown.line)
        _read(again, asked, mapping, finder)
        account = finder.root_of(account)
    keeper = _Keeper(shown.line, account)
    _read(again, asked, mapping, keeper)
    return keeper.data()


def _read(again: Again, asked: Asked, mapping: LogMapping | None, told: _Finder) -> None:
    """Let ``told`` hear of each event of the log, until it has heard enough."""
    begun = asked.auditor(mapping)
    reading = _Reading(*(getattr(begun, name) for name in _FIELDS))
    reading.fast, reading.told, told.judge = False, told, reading
    with again() as lines, contextlib.suppress(_Enough):
        reading.run(lines)


def _worst(audit: Audit) -> Shown | None:
    """Return the finding around which to look: the first overshoot, else the first of all."""
    first = [f for f in audit.findings if f.anomaly == "overshoot"] or list(audit.findings)
    return min(first, key=lambda finding: finding.line, default=None)


_FIELDS = (
    "name",
    "mapping",
    "cap",
    "bills",
    "lenient",
    "memory",
    "show",
    "tell",
    "assume",
    "said",
    "what_if",
    "drawn",
    "ceilings",
)


@dataclass(slots=True)
class _Reading(Auditor):
    """An auditor that tells each event that it takes."""

    told: _Finder | None = None

    def _take(self, data: dict[str, Any]) -> None:
        event, assumed = dict(data), self.assumed
        super(_Reading, self)._take(data)
        assert self.told is not None
        self.told.took(self.notes.at, event, self.assumed > assumed)


@dataclass(slots=True)
class _Finder:
    """Reads until a line, for the root of what that is about."""

    line: int
    """The line that shows what is wrong."""
    root: str = ""
    """The root that it is about, where that is known."""
    judge: Auditor = field(init=False)
    """Who reads, and knows the books."""

    def took(self, line: int, data: dict[str, Any], assumed: bool) -> None:  # noqa: ARG002 - as a keeper is told
        """Note an event that was taken; raises ``_Enough`` where that was the last one."""
        if line > self.line:
            raise _Enough

    def root_of(self, name: str) -> str:
        """Return the root of an account, as far as it is known."""
        account = self.judge.monitor.state.accounts.get(AccountId(name))
        return name if account is None else str(account.root)


@dataclass(slots=True)
class _Keeper(_Finder):
    """Keeps the events of a root until a line, and a few of those after it."""

    recent: deque[tuple[int, dict[str, Any]]] = field(default_factory=deque)
    before: State = field(default_factory=State)
    left_out: int = 0
    more: int = AFTER
    known: set[str] = field(default_factory=set)

    def took(self, line: int, data: dict[str, Any], assumed: bool) -> None:
        """Note an event that was taken; raises ``_Enough`` where that was the last one."""
        if line > self.line and self.more <= 0:
            raise _Enough
        names = self._accounts(data)
        if not names or self.root_of(names[0]) != self.root:
            return
        self.more -= line > self.line
        for name in names:
            self._open(line, name, data)
        if assumed:
            self._told(line, data)
        self._keep(line, data)

    def _accounts(self, data: Mapping[str, Any]) -> list[str]:
        """Return the accounts that an event is about."""
        named = [str(data[key]) for key in ("root", "account", "parent", "child", "source", "target") if key in data]
        state = self.judge.monitor.state
        hold = data.get("hold", state.calls.get(data["call"]) if "call" in data else None)
        held = self.judge.monitor.hold(hold) if hold is not None else None
        return named + ([str(held.account)] if held is not None else [])

    def _open(self, line: int, name: str, data: Mapping[str, Any]) -> None:
        """Note that an account is there, which the log uses without opening it."""
        made = data["event"] == "open" or (data["event"] == "delegate" and data.get("child") == name)
        account = self.judge.monitor.state.accounts.get(AccountId(name))
        if name not in self.known and not made and account is not None and account.parent is None:
            self._keep(line, {"event": "open", "root": name, "cap": int(account.granted)})
        self.known.add(name)

    def _told(self, line: int, data: Mapping[str, Any]) -> None:
        """Note the bill for which a told cost stands."""
        amount, hold = data["amount"], data.get("hold")
        held = None if hold is None else self.judge.monitor.hold(hold)
        if held is not None:
            call = held.calls[-1]
            if call == f"{held.id} (told)":
                self._keep(line, {"event": "send", "hold": hold, "call": call})
            self._keep(line, {"event": "bill", "call": call, "amount": amount})

    def _keep(self, line: int, data: dict[str, Any]) -> None:
        self.recent.append((line, data))
        while len(self.recent) > BEFORE + AFTER - max(0, self.more):
            self._leave_out(self.recent.popleft()[1])

    def _leave_out(self, data: dict[str, Any]) -> None:
        self.left_out += 1
        with contextlib.suppress(CapsoundError):
            self.before = move(self.before, event_from_dict(data))
        if self.left_out % _PRUNED == 0:
            gone = {name for name, hold in self.before.holds.items() if hold.state in RESOLVED}
            holds = {name: hold for name, hold in self.before.holds.items() if name not in gone}
            calls = {call: hold for call, hold in self.before.calls.items() if hold not in gone}
            self.before = State(self.before.accounts, holds, calls)

    def data(self) -> dict[str, Any] | None:
        """Return the excerpt as JSON data; None where nothing was kept."""
        if not self.recent:
            return None
        state = self.before
        holds = [asdict(hold) for hold in state.holds.values() if hold.state not in RESOLVED]
        return {
            "root": self.root,
            "before": {
                "accounts": [asdict(account) for account in state.accounts.values()],
                "holds": holds,
                "calls": {call: hold for call, hold in state.calls.items() if any(h["id"] == hold for h in holds)},
            },
            "events": [{"line": line, "event": data} for line, data in self.recent],
            "left_out": self.left_out,
        }
