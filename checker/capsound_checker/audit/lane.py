"""The fast lane of the monitor and the auditor: who takes what of a log in our own vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from capsound.live_books import LiveHold
from capsound.monitor_fast import FastMonitor
from capsound_checker.audit.bounds import Bounds
from capsound_checker.audit.noting import Notes
from capsound_checker.audit.records import Records
from capsound_checker.audit.spending import Spending
from capsound_checker.audit.typed import as_data, model_of

if TYPE_CHECKING:
    from capsound_checker.audit.capsfile import Ceiling


class Taker(Protocol):
    """The auditor, as the lane needs it."""

    bills: str
    ceilings: tuple[Ceiling, ...]
    events: int
    assumed: int
    assumed_line: int
    records: Records
    monitor: FastMonitor
    notes: Notes
    bounds: Bounds
    spending: Spending

    def native(self, data: dict[str, Any]) -> None:
        """Take an object with the fields beside its event."""

    def of_model(self, data: dict[str, Any], model: str) -> None:
        """Take the data of an event, with its model where that is told."""


TakerT = TypeVar("TakerT", bound=Taker)


def texts(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    """Return numbered lines without their numbers."""
    return (text for _, text in lines)


def stamp(auditor: Taker, line: int, event: Any) -> None:
    """Note the number of a line, and the time and the sequence number that stand beside its event."""
    auditor.records.line = line
    if event.at is None:
        auditor.notes.now = None
    else:
        auditor.notes.clock(event.at)
    if event.seq is not None:
        auditor.notes.sequence(event.seq)


@dataclass(slots=True)
class Counting(Generic[TakerT]):
    """What an auditor lets the lane of its monitor take, and counts of it."""

    auditor: TakerT

    def lane(self) -> tuple[bool, bool, bool]:
        """Return whether the lane may take bills, sends, and settlements that stand for bills.

        The first of each is evidence of what the log tells, and is for the auditor.
        """
        auditor = self.auditor
        if auditor.ceilings:  # requests count under them, too
            return auditor.bills == "logged", False, False
        return auditor.bills == "logged", auditor.bounds.sends, auditor.bills == "settled" and auditor.assumed_line > 0

    def took(self, line: int, events: int, told: int) -> None:
        """Count what the lane took."""
        self.auditor.records.line = max(line, self.auditor.records.line)
        self.auditor.events += events
        self.auditor.assumed += told

    def reuses(self, event: Any) -> None:
        """Forget the model of a hold that was forgotten itself, where its name is used again."""
        named = self.auditor.spending.named
        again = bool(named) and type(event).__name__ == "reserve" and event.hold in named
        if again and self.auditor.monitor.hold(event.hold) is None:
            del named[event.hold]

    def spend(self, hold: LiveHold, amount: int) -> None:
        """Count a bill by who spent it."""
        self.auditor.spending.bill(hold.owner, amount, hold)

    def spend_by(self, agents: Mapping[str | None, int]) -> None:
        """Count bills of which neither the time nor the model is told."""
        self.auditor.spending.bills(agents)


@dataclass(slots=True)
class Lane(Counting[Taker]):
    """Takes for an auditor what the lane of its monitor leaves alone."""

    def stamp(self, line: int, event: Any) -> None:
        """Note the time and the number of a line."""
        stamp(self.auditor, line, event)
        self.reuses(event)

    def odd(self, line: int, text: str, event: Any) -> None:
        """Judge a line in the readable way, read again where the fast way did not read it."""
        records, auditor = self.auditor.records, self.auditor
        records.line = line
        if event is not None:
            if getattr(event, "at", None) is None:
                auditor.notes.now = None
            auditor.of_model(as_data(event), model_of(event))
            return
        for data in records.one(text, iter(())):
            auditor.native(data)
