"""``capsound audit``: the monitor on what a production system wrote down.

A log is our vocabulary of events, one JSON object a line, or anything that a mapping turns into it. It is read once,
from first to last line, in memory that does not grow with its length (``capsound.monitor_fast``). What cannot be
known from it is said: which amounts stand for bills, which lines are missing, and what was forgotten.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn, cast

from capsound.accounts import RESOLVED
from capsound.amounts import AccountId, Amount, CallId
from capsound.errors import BadAmount, BadTrace, CapsoundError
from capsound.events import Bill, Open, Record, Send, event_to_dict
from capsound.monitor import Exercise, Finding
from capsound.monitor_fast import MEMORY, FastMonitor, UnknownHandle
from capsound.verdict import Verdict
from capsound_checker.audit.audited import JUDGED, WARNED, Audit, Root, Shown, Warned
from capsound_checker.audit.logreading import BadLog
from capsound_checker.audit.mapping import BadRecord, LogMapping, moment
from capsound_checker.display.telling import printable

BILLS = ("auto", "logged", "settled")
"""Where true bills are taken from: ``bill`` events, told costs where there are none, or whichever the log has."""

_ROOTS = 10
"""How many roots are listed, those that were overshot most first."""

_SAID = {
    "settled": "no bill is in the log: {count:,} amounts that it was told stand for what the provider billed (A7)",
    "lost": "{count:,} calls were sent and their cost was never told: each is taken to be within its hold (A1)",
}
_INCOMPLETE = ("seq-gap", "unknown-handle", "skipped")
"""Warnings after which a log is known not to tell everything: nothing found in it is no evidence."""


def audit(
    source: Iterable[str],
    *,
    name: str = "-",
    mapping: LogMapping | None = None,
    cap: int | None = None,
    bills: str = "auto",
    lenient: bool = False,
    memory: int = MEMORY,
    show: int = 5,
    tell: Callable[[Shown], object] | None = None,
) -> Audit:
    """Judge a log. ``source`` yields its lines, ``name`` is what errors and the report call it.

    ``cap`` is the cap of every account that is used without having been opened, in place of the one of the mapping.
    ``bills`` is one of ``BILLS``. With ``lenient``, lines that cannot be used are left out and counted. ``memory`` is
    the number of resolved holds that are remembered, ``show`` the number of findings of each anomaly that are kept;
    ``tell`` is given each of those when it is found. An interrupt (``KeyboardInterrupt``) ends the log: what is known
    is returned.

    Raises ``BadLog`` for a line that cannot be used, naming it, and for a log without a single event.
    """
    if bills not in BILLS:
        raise ValueError(f"bills is one of {', '.join(BILLS)}, not {bills!r}")
    return _Auditor(name, mapping, cap, bills, lenient, memory, show, tell).run(source)


# ---------------------------------------------------------------------------------------------- the work


class _Unusable(Exception):
    """A line that cannot be used, and why."""

    def __init__(self, message: str, hint: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.cause = message, hint, cause


@dataclass(slots=True)
class _Auditor:
    """One pass over a log. ``line`` is the number of the line to which whatever is said now belongs."""

    name: str
    mapping: LogMapping | None
    cap: int | None
    bills: str
    lenient: bool
    memory: int
    show: int
    tell: Callable[[Shown], object] | None
    line: int = 0
    lines: int = 0
    events: int = 0
    ignored: int = 0
    assumed: int = 0
    assumed_line: int = 0
    interrupted: bool = False
    sends: bool = False
    monitor: FastMonitor = field(default_factory=FastMonitor)
    findings: list[Shown] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    warned: dict[str, Warned] = field(default_factory=dict)
    last_at: Any = None
    last_raw: object = None
    last_seq: int | None = None

    def run(self, source: Iterable[str]) -> Audit:
        self.monitor = FastMonitor(self.memory)
        if self.mapping is not None:
            self.cap = self.mapping.cap if self.cap is None else self.cap
            if self.mapping.root is not None and self.cap is not None:
                self.monitor.feed(Open(AccountId(self.mapping.root), Amount(self.cap)))
        try:
            records = self._read(source)
            if self.mapping is None:
                for record in records:
                    self._native(record)
            else:
                for line, event in self._in_order(self._mapped(records, self.mapping)):
                    self.line = line
                    self._guard(self._take, event)
        except KeyboardInterrupt:
            self.interrupted = True
        if not self.events and not self.interrupted:
            self._nothing()
        return self._result()

    # ------------------------------------------------------------------------------------------- lines

    def _read(self, source: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the objects of a log; ``line`` is then the number of the line."""
        # Decimals only where a mapping converts them: in our own vocabulary there are whole numbers alone.
        decoder = json.JSONDecoder(parse_float=None if self.mapping is None else Decimal)
        decode = decoder.raw_decode
        data: Any = None
        whole = False
        for text in source:
            self.lines += 1
            self.line = self.lines
            try:
                data, end = decode(text)
                plain = type(data) is dict and (end >= len(text) - 1 or not text[end:].strip())
            except (ValueError, RecursionError):
                plain = False
            if not plain:
                data = self._odd(text, decoder, whole)
            whole = whole or text[-1:] == "\n"
            if data is not None:
                yield data

    def _odd(self, text: str, decoder: json.JSONDecoder, whole: bool) -> dict[str, Any] | None:
        """Return the object of a line that is not simply one; None where it has to be left out."""
        stripped = text.strip(" \t\r\n\ufeff")
        if not stripped:
            return None
        try:
            data = decoder.decode(stripped)
        except RecursionError:
            self._unusable(_Unusable("the line is nested too deeply", _WANTED))
            return None
        except ValueError as error:
            told = getattr(error, "msg", str(error))
            if whole and not text.endswith("\n"):
                self._warn("truncated", printable(told))
                return None
            column = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            self._unusable(_Unusable(f"the line is not JSON: {told}{column}", _WANTED))
            return None
        if not isinstance(data, dict):
            self._unusable(_Unusable(f"the line is {_short(data)}, not an object", _WANTED))
            return None
        return data

    def _unusable(self, error: _Unusable) -> None:
        """Leave the line out, or stop here: that is what ``lenient`` says."""
        if not self.lenient:
            self._stop(error)
        self._warn("skipped", printable(error.message))

    def _stop(self, error: _Unusable) -> NoReturn:
        hint = error.hint or "repair the line"
        raise BadLog(
            printable(error.message),
            where=f"{self.name}:{self.line}",
            cause=error.cause,
            hint=f"{hint}; --lenient leaves such lines out and counts them",
        )

    def _nothing(self) -> NoReturn:
        skipped = self.warned.get("skipped")
        if self.mapping is not None and self.ignored:
            raise BadLog(
                f"no rule of the mapping applies to any of the {self.ignored:,} records",
                where=self.name,
                hint=f"compare `when` in {self.mapping.path} with the first line of the log",
            )
        if skipped is not None:
            raise BadLog(
                f"no line could be used, line {skipped.line}: {skipped.detail}",
                where=self.name,
                hint=_WANTED if self.mapping else f"{_WANTED}; foreign logs need --mapping",
            )
        raise BadLog("the log is empty", where=self.name, hint=f"{_WANTED}; is it the right file?")

    # ------------------------------------------------------------------------------------------ events

    def _native(self, data: dict[str, Any]) -> None:
        """Take a line in our own vocabulary, with the fields beside it that logs have."""
        if "at" in data:
            self._clock(data.pop("at"))
        if "seq" in data:
            self._sequence(data.pop("seq"))
        data.pop("v", None)
        self._guard(self._take, data)

    def _guard(self, take: Callable[[dict[str, Any]], None], data: dict[str, Any]) -> None:
        try:
            take(data)
        except UnknownHandle as error:
            self._warn("unknown-handle", printable(error.message))
        except (BadTrace, BadAmount) as error:
            self._unusable(self._explained(error))
        except _Unusable as error:
            self._unusable(error)

    def _explained(self, error: CapsoundError) -> _Unusable:
        hint = error.hint
        if "was never opened" in error.message:
            hint = "give its cap: --cap, or [open] in a mapping" if self.cap is None else "slices are delegated first"
        elif "was never" in error.message:
            hint = "begin the log where it begins"
        return _Unusable(error.message, hint, error.cause)

    def _take(self, data: dict[str, Any]) -> None:
        monitor = self.monitor
        if self.cap is not None:
            self._open_first(data)
        if self.bills != "logged":
            self._bill_told(data)
        found = monitor.take(data)
        self.events += 1
        if found:
            self._note(found)

    def _open_first(self, data: dict[str, Any]) -> None:
        """Open an account that is used for the first time and was neither opened nor delegated."""
        kind = data.get("event")
        account = data.get("parent" if kind == "delegate" else "account")
        if not isinstance(account, str) or self.monitor.knows(account):
            return
        if self.mapping is None or self.mapping.root is None:
            self.monitor.feed(Open(AccountId(account), Amount(cast("int", self.cap))))

    def _bill_told(self, data: dict[str, Any]) -> None:
        """Let a told cost stand for the bill where the log has none; the first evidence decides which kind it is."""
        kind, amount, monitor = data.get("event"), data.get("amount"), self.monitor
        if kind == "bill":
            if self.assumed:
                raise _Unusable(
                    f"here is a bill, but since line {self.assumed_line:,} told costs have been taken for bills",
                    "if bills may come after the cost is told, or calls may cost nothing, give --bills logged",
                )
            if self.bills == "auto":
                self.bills = "logged"
        elif kind == "send":
            self.sends = True
        elif len(data) != 3 or type(amount) is not int or amount <= 0:
            return
        elif kind == "settle":
            hold = monitor.hold(data.get("hold"))
            # A ledger that logs what it sends, and settles what it has not sent, is wrong about it.
            if hold is None or hold.state in RESOLVED or hold.billed or (self.sends and not hold.calls):
                return
            call = hold.calls[-1] if hold.calls else CallId(f"{hold.id} (told)")
            if not hold.calls:
                monitor.feed(Send(hold.id, call))
            self._assume(monitor.feed(Bill(call, Amount(amount))))
        elif kind == "record" and monitor.knows(data.get("account")):
            account = AccountId(data["account"])
            monitor.may_have_overlapped()  # it says nothing of when the call began
            self._assume(monitor.spend_unheld(account, amount, Record(account, Amount(amount))))

    def _assume(self, found: tuple[Finding, ...]) -> None:
        self.bills = "settled"
        self.assumed += 1
        self.assumed_line = self.assumed_line or self.line
        self._note(found)

    def _note(self, found: Iterable[Finding]) -> None:
        for f in found:
            count = self.counts[f.anomaly] = self.counts.get(f.anomaly, 0) + 1
            if count <= self.show:
                shown = Shown(self.line, f.anomaly, f.rule, f.sentence, event_to_dict(f.event), f.numbers)
                self.findings.append(shown)
                if self.tell is not None:
                    self.tell(shown)

    # ------------------------------------------------------------------------------------ mapped events

    def _mapped(
        self, records: Iterable[dict[str, Any]], mapping: LogMapping
    ) -> Iterator[tuple[int, list[tuple[object, dict[str, Any]]]]]:
        for data in records:
            made = mapping.events(data)
            while True:
                try:
                    events = next(made, None)
                except BadRecord as error:
                    # The generator is finished by its error: what follows in the same line is left out with it.
                    self._unusable(_Unusable(error.message, error.hint))
                    break
                if events is None:
                    break
                self.ignored += not events
                yield self.line, events

    def _in_order(
        self, records: Iterable[tuple[int, list[tuple[object, dict[str, Any]]]]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield events in the order of their times, as far as the window of the mapping reaches."""
        window = self.mapping.window if self.mapping is not None else None
        waiting: list[tuple[Any, int, int, dict[str, Any]]] = []
        number, latest, done = 0, None, None
        for line, events in records:
            for at, event in events:
                if window is None:
                    self.line = line
                    if at is not None:
                        self._clock(at)
                    yield line, event
                    continue
                when = moment(at)
                if when is None:
                    self._warn("no-time", _short(at))
                    when = latest if latest is not None else 0
                latest = when if latest is None else max(latest, when)
                if done is not None and when < done:
                    self._warn("late")
                number += 1
                heapq.heappush(waiting, (when, number, line, event))
            while waiting and latest is not None and waiting[0][0] <= latest - cast("int", window):
                done, _, at_line, event = heapq.heappop(waiting)
                yield at_line, event
        while waiting:
            _, _, at_line, event = heapq.heappop(waiting)
            yield at_line, event

    # ---------------------------------------------------------------------------------------- warnings

    def _warn(self, name: str, detail: str = "") -> None:
        known = self.warned.get(name)
        if known is None:
            self.warned[name] = Warned(name, 1, self.line, detail)
        else:
            self.warned[name] = Warned(name, known.count + 1, known.line, known.detail)

    def _clock(self, raw: object) -> None:
        if raw == self.last_raw:
            return
        at = moment(raw)
        if at is None:
            self._warn("no-time", _short(raw))
            return
        if self.last_at is not None and at < self.last_at:
            self._warn("clock", f"{_short(raw)} after {_short(self.last_raw)}")
        self.last_at, self.last_raw = at, raw

    def _sequence(self, seq: object) -> None:
        if type(seq) is not int:
            self._warn("no-seq", _short(seq))
            return
        last = self.last_seq
        self.last_seq = seq
        if last is None or seq == last + 1:
            return
        self._warn("seq-gap" if seq > last else "seq-order", f"{seq} after {last}")

    # ------------------------------------------------------------------------------------------- result

    def _result(self) -> Audit:
        monitor = self.monitor
        report = monitor.report()
        self.line = self.lines
        self._note(f for f in report.findings if f.anomaly == "stranded")
        accounts = list(monitor.accounts())
        spent: dict[AccountId, int] = {}
        held: dict[AccountId, int] = {}
        used = 0
        for a in accounts:
            spent[a.root] = spent.get(a.root, 0) + a.spent
            held[a.root] = held.get(a.root, 0) + a.held
            used += a.spent + a.billed
        roots = [
            Root(a.id, a.granted, a.below, spent[a.id], held[a.id], a.peak, a.windows)
            for a in accounts
            if a.parent is None
        ]
        roots.sort(key=lambda r: -r.overshoot)
        broken = report.refuted is not None or any(report.verdicts[p] is Verdict.VIOLATED for p in JUDGED)
        doubts = [] if broken else self._doubts(report.exercise, used)
        verdict = Verdict.VIOLATED if broken else Verdict.UNKNOWN if doubts else Verdict.SOUND
        return Audit(
            name=self.name,
            lines=self.lines,
            events=self.events,
            ignored=self.ignored,
            verdict=verdict,
            doubts=tuple(doubts),
            verdicts=report.verdicts,
            refuted=report.refuted,
            findings=tuple(sorted(self.findings, key=lambda f: f.line)),
            counts=dict(self.counts),
            exercise=report.exercise,
            roots=tuple(roots[:_ROOTS]),
            root_count=len(roots),
            slice_count=len(accounts) - len(roots),
            open_holds=sum(a.holds for a in accounts),
            overshot_roots=sum(r.overshoot > 0 for r in roots),
            bills="settled" if self.assumed else "logged" if self.bills == "logged" else "none",
            assumed=tuple(self._assumed()),
            warnings=tuple(sorted(self.warned.values(), key=lambda w: (w.line, w.name))),
            notes=self.mapping.notes if self.mapping is not None else (),
            unit=self.mapping.unit if self.mapping is not None else "units",
            interrupted=self.interrupted,
        )

    def _doubts(self, exercise: Exercise, used: int) -> list[str]:
        doubts = []
        if not exercise.admitted:
            doubts.append("no call was admitted: the log says nothing of how calls are admitted")
        elif not used:
            doubts.append("nothing was spent: the log exercises nothing")
        elif not exercise.informative:
            doubts.append("the cap never came into play: no call was refused, and less than half of it was used")
        missing = (self.warned[name] for name in _INCOMPLETE if name in self.warned)
        return doubts + [f"the log does not tell everything: {WARNED[w.name]}, line {w.line:,}" for w in missing]

    def _assumed(self) -> Iterator[str]:
        if self.assumed:
            yield _SAID["settled"].format(count=self.assumed)
            lost = sum(1 for h in self.monitor.open_holds() if h.calls) + self.monitor.lost
            if lost:
                yield _SAID["lost"].format(count=lost)


_WANTED = 'each line is one event as a JSON object, such as {"event": "open", "root": "root", "cap": 60}'


def _short(value: object) -> str:
    """Return a value from outside as it can be shown: on one line, and not too long."""
    text = printable(str(value) if isinstance(value, Decimal) else repr(value))
    return text if len(text) <= 40 else f"{text[:37]}..."
