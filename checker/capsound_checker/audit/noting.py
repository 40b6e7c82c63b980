"""What is noted while a log is read: findings, doubts and other warnings, each with the line that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from capsound.events import event_to_dict
from capsound.monitor import Finding
from capsound_checker.audit.audited import Shown
from capsound_checker.audit.doubts import DOUBTS, Warned
from capsound_checker.audit.records import Records
from capsound_checker.audit.times import Moment, moment
from capsound_checker.audit.values import shown

_RANKS = {"clock": 0, "no-time": 0, "seq-gap": 1, "seq-order": 1, "no-seq": 1}
"""In which order a line is looked at: its time, its number, its event."""


@dataclass(slots=True)
class Notes:
    """What was seen so far. ``line`` is the line to which whatever is noted now belongs, 0 for the latest one read.

    ``show`` is the number of findings of each anomaly that are kept; ``tell`` is given each of these.
    """

    SET_UP: ClassVar[frozenset[str]] = frozenset({"records", "show", "tell", "line"})

    records: Records
    show: int
    tell: Callable[[Shown], object] | None
    line: int = 0
    findings: list[Shown] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    warned: dict[str, Warned] = field(default_factory=dict)
    now: Moment | None = None
    """When the event at hand happened; None where that is not told."""
    _time: int | Decimal | None = None
    _time_as_written: object = None
    _sequence: int | None = None

    @property
    def as_written(self) -> object:
        """The latest time, as it was written."""
        return self._time_as_written

    @property
    def last_number(self) -> int | None:
        """The latest sequence number."""
        return self._sequence

    def go_on(self, time: object, number: int | None) -> None:
        """Go on after lines that were looked at by others, the last of which had this time and this number."""
        if time is not None:
            self._time, self._time_as_written = moment(time), time
        if number is not None:
            self._sequence = number

    def add(self, warned: Iterable[Warned], line: int) -> None:
        """Add what others warned of, who counted lines from after ``line``; what is seen first comes first."""
        for one in warned:
            known, first = self.warned.get(one.name), one.line + line
            if known is None:
                self.warned[one.name] = Warned(one.name, one.count, first, one.detail)
            else:
                self.warned[one.name] = Warned(
                    one.name, known.count + one.count, *min((known.line, known.detail), (first, one.detail))
                )
        self.warned = dict(sorted(self.warned.items(), key=lambda item: (item[1].line, _RANKS.get(item[0], 2))))

    @property
    def at(self) -> int:
        """The number of the line to which whatever is noted now belongs."""
        return self.line or self.records.line

    @property
    def doubts(self) -> list[str]:
        """The warnings after which nothing that was not found is evidence, in words."""
        return [w.sentence for w in self.warned.values() if w.name in DOUBTS]

    def found(self, findings: Iterable[Finding]) -> None:
        """Note what the monitor found."""
        for f in findings:
            count = self.counts[f.anomaly] = self.counts.get(f.anomaly, 0) + 1
            if count <= self.show:
                finding = Shown(self.at, f.anomaly, f.rule, f.sentence, event_to_dict(f.event), f.numbers)
                self.findings.append(finding)
                if self.tell is not None:
                    self.tell(finding)

    def warn(self, name: str, detail: str = "") -> None:
        """Count something that is odd about the log itself; the first line that shows it is kept."""
        known = self.warned.get(name)
        if known is None:
            self.warned[name] = Warned(name, 1, self.at, detail)
        else:
            self.warned[name] = Warned(name, known.count + 1, *min((known.line, known.detail), (self.at, detail)))

    def clock(self, raw: object) -> None:
        """Take the time of an event: it should be one, and not go back."""
        if raw == self._time_as_written:
            self.now = self._time
            return
        self.now = at = moment(raw)
        if at is None:
            self.warn("no-time", shown(raw))
            return
        if self._time is not None and at < self._time:
            self.warn("clock", f"{shown(raw)} after {shown(self._time_as_written)}")
        self._time, self._time_as_written = at, raw

    def sequence(self, number: object) -> None:
        """Take the number of a line: it should be one more than the last."""
        if type(number) is not int:
            self.warn("no-seq", shown(number))
            return
        last, self._sequence = self._sequence, number
        if last is not None and number != last + 1:
            self.warn("seq-gap" if number > last else "seq-order", f"{number} after {last}")
