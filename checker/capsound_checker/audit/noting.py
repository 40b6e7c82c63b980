"""What is noted while a log is read: findings, doubts and other warnings, each with the line that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from capsound.events import event_to_dict
from capsound.monitor import Finding
from capsound_checker.audit.audited import Shown
from capsound_checker.audit.doubts import DOUBTS, Warned
from capsound_checker.audit.records import Records
from capsound_checker.audit.times import moment
from capsound_checker.audit.values import shown


@dataclass(slots=True)
class Notes:
    """What was seen so far. ``line`` is the line to which whatever is noted now belongs, 0 for the latest one read.

    ``show`` is the number of findings of each anomaly that are kept; ``tell`` is given each of these.
    """

    records: Records
    show: int
    tell: Callable[[Shown], object] | None
    line: int = 0
    findings: list[Shown] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    warned: dict[str, Warned] = field(default_factory=dict)
    _time: int | Decimal | None = None
    _time_as_written: object = None
    _sequence: int | None = None

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
            return
        at = moment(raw)
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
