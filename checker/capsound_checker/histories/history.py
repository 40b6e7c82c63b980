"""Histories: what a real concurrent run did, recorded by its clients and judged afterwards.

For implementations whose threads, processes or servers nobody can schedule. ``recording`` lets several threads work on
one implementation, with the provider still ours, and writes down when each operation was called and when it came back.
``check`` asks whether some order explains all answers (``linearize``), and lets the monitor listen to that order
together with the true bills. A history may also come from elsewhere, as JSON lines (docs/history.md).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from capsound.accounts import RESOLVED
from capsound.amounts import Amount, CallId
from capsound.errors import EXIT_BAD_INPUT, CapsoundError, nearest
from capsound.events import (
    Bill,
    Close,
    Delegate,
    Event,
    Extend,
    Forfeit,
    Merge,
    Open,
    Record,
    Refuse,
    Release,
    Reserve,
    Send,
    Settle,
)
from capsound.guarantees import Guarantee
from capsound.monitor import Monitor
from capsound.properties import Property
from capsound.verdict import Verdict
from capsound_checker.histories.blame import contended, ended_by, refuted
from capsound_checker.histories.linearize import STEPS, Linearization, Offence, linearize
from capsound_checker.histories.sequential import CREATES, ON_HOLD, OPERATIONS, OUTCOMES, READS, Operation
from capsound_checker.intake.limits import TooMuch, cut, read_json
from capsound_checker.programs.lockstep import account_id, agent_id, hold_id

FORMAT = 1
"""The version of the JSON lines."""


class BadHistory(CapsoundError):
    """A recorded history cannot be read; the message says in which line, the hint what belongs there."""

    name = "bad-history"
    exit_status = EXIT_BAD_INPUT

    def __init__(self, message: str, *, hint: str, where: str) -> None:
        super().__init__(cut(message), hint=cut(hint), where=cut(where))  # they quote what others wrote


@dataclass(frozen=True, slots=True)
class History:
    """What was done, in no particular order; the times of the operations say what came before what.

    ``strict`` and ``complete`` are what the implementation claims. ``hung`` are the operations that did not come back,
    in words.
    """

    operations: tuple[Operation, ...]
    strict: bool = False
    complete: bool = False
    seed: int = 0
    hung: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the history as JSON lines; ``read`` is the inverse."""
        head = {"history": FORMAT, "strict": self.strict, "complete": self.complete, "seed": self.seed}
        yield json.dumps(head if not self.hung else {**head, "hung": list(self.hung)})
        for operation in self.operations:
            data = {name: getattr(operation, name) for name in _FIELDS}
            left_out = {name for name, value in _USUAL.items() if data[name] == value}
            if operation.do not in _AMOUNTS:
                left_out.add("amount")
            yield json.dumps({name: value for name, value in data.items() if name not in left_out})

    @classmethod
    def read(cls, lines: Iterable[str], where: str = "history") -> History:
        """Return the history that JSON lines describe; raises ``BadHistory`` with the line and a cure."""
        return _read(lines, where)


_FIELDS = ("client", "do", "on", "new", "amount", "value", "called", "returned", "outcome")
_USUAL: dict[str, object] = {"new": -1, "value": None, "returned": None, "outcome": "done"}
_AMOUNTS = frozenset({"open", "reserve", "charge", "record", "check", "delegate", "sent", "settle", "extend"})


@dataclass(frozen=True, slots=True)
class Windowed:
    """An operation of the offending window; ``unexplained`` marks the one that no order explains."""

    client: int
    text: str
    called: int
    returned: int | None
    unexplained: bool

    def __str__(self) -> str:
        """Return it as a line, with its mark."""
        until = "..." if self.returned is None else str(self.returned)
        return f"{'**' if self.unexplained else '  '} [{self.called}, {until}] client {self.client}: {self.text}"


@dataclass(frozen=True, slots=True)
class HistoryVerdict:
    """What a history shows.

    ``window`` is the offending part in words, one operation a line, by invocation: the least that shows it, where
    ``shortest`` says so (``capsound_checker.histories.windows``). ``reads_only``: without what the
    implementation says of itself, everything is explained. ``order`` are the positions of the operations in the order
    that explains them. ``steps`` counts transitions tried; ``overlap`` the most operations that were under way at once.
    ``refutes`` is the guarantee that the anomaly ends, if it ends one; ``contended`` counts how often two clients asked
    for admission at once and only one of them got it: without, the run could not have shown a race at the gate.
    """

    verdict: Verdict
    anomaly: str | None
    sentence: str
    window: tuple[str, ...]
    reads_only: bool
    operations: int
    clients: int
    roots: int
    admitted: int
    refused: int
    overlap: int
    seed: int
    steps: int
    order: tuple[int, ...] = ()
    shortest: bool = False
    refutes: Guarantee | None = None
    contended: int = 0
    interrupted: bool = False
    shown: tuple[Windowed, ...] = ()

    @property
    def exit_status(self) -> int:
        """The exit status of a command with this verdict: 130 where Ctrl-C came before the end of the search."""
        return 130 if self.interrupted else self.verdict.exit_status


# -------------------------------------------------------------------------------------------------- judging


def check(history: History, *, steps: int = STEPS) -> HistoryVerdict:
    """Return what a history shows; after ``steps`` transitions without an end the verdict is ``unknown``.

    ``sound``: some order explains every answer, and the monitor, told that order and the true bills, finds nothing. A
    run in which an operation did not come back, or in which nothing was refused and the cap never approached,
    shows nothing: ``unknown``. On Ctrl-C what is known so far is returned. Raises ``BadTrace`` when an operation names
    what no operation has created.
    """
    operations = history.operations
    interrupted, reads_only = False, False

    def again(some: Sequence[Operation]) -> Linearization:
        return linearize(some, strict=history.strict, complete=history.complete, steps=steps)

    try:
        found = again(operations)
    except KeyboardInterrupt:
        found, interrupted = Linearization(Verdict.UNKNOWN), True
    anomaly: str | None = None
    window: tuple[str, ...] = ()
    shown: tuple[Windowed, ...] = ()
    verdict = found.verdict
    refutes: Guarantee | None = None
    if found.offence is not None:
        anomaly, sentence = found.offence.anomaly, found.offence.sentence
        shown = tuple(_shown(operations, found.offence))
        window, interrupted = tuple(map(str, shown)), found.offence.interrupted
        if not interrupted:
            try:
                refutes, reads_only = refuted(operations, found, again)
            except KeyboardInterrupt:
                interrupted = True
    elif interrupted:
        sentence = "interrupted before an order was found, or none"
    elif verdict is Verdict.UNKNOWN:
        sentence = f"no answer within {steps:,} transitions"
    else:
        verdict, anomaly, sentence = _monitored(operations, found.order, complete=history.complete)
        if anomaly is not None:
            refutes = ended_by(anomaly, operations[-1], operations, operations, low=False)
    if history.hung and verdict is not Verdict.VIOLATED:
        verdict, anomaly = Verdict.UNKNOWN, "hang"
        count = len(history.hung)
        sentence = f"{count:,} operations never returned" if count > 1 else "1 operation never returned"
        window = tuple(map(cut, history.hung))
    counts = Counter((op.do, op.outcome) for op in operations)
    return HistoryVerdict(
        verdict,
        anomaly,
        sentence,
        window,
        reads_only,
        operations=len(operations),
        clients=len({op.client for op in operations}),
        roots=counts["open", "done"],
        admitted=counts["reserve", "done"] + counts["charge", "done"],
        refused=counts["reserve", "refused"] + counts["charge", "refused"],
        overlap=_overlap(operations),
        seed=history.seed,
        steps=found.steps,
        order=found.order,
        shortest=found.offence is not None and found.offence.shortest,
        refutes=refutes if verdict is Verdict.VIOLATED else None,
        contended=contended(operations),
        interrupted=interrupted,
        shown=shown,
    )


def _shown(operations: tuple[Operation, ...], offence: Offence) -> Iterator[Windowed]:
    """Yield the operations of the offending window."""
    for index in offence.window:
        op = operations[index]
        yield Windowed(op.client, str(op), op.called, op.returned, index == offence.operation)


def _overlap(operations: tuple[Operation, ...]) -> int:
    """Return the most operations that were under way at once."""
    moments = [(op.called, 1) for op in operations]
    moments += [(op.returned, -1) for op in operations if op.returned is not None]
    most = now = 0
    for _, change in sorted(moments, key=lambda moment: (moment[0], -moment[1])):
        now += change
        most = max(most, now)
    return most


def _monitored(
    operations: tuple[Operation, ...], order: tuple[int, ...], *, complete: bool
) -> tuple[Verdict, str | None, str]:
    """Return what the monitor says of the order that was found, told the true bills of each root in turn."""
    informative, listened = False, 0
    for positions in _by_root(operations, order):
        monitor = Monitor()
        for index in positions:
            for event in _events(operations[index], index, monitor, complete=complete):
                monitor.feed(event)
                listened += 1
        report = monitor.report()
        informative = informative or report.exercise.informative
        excused = report.exercise.overran and report.verdicts[Property.OVERRUN] is not Verdict.VIOLATED
        for finding in report.findings:
            if not (excused and finding.anomaly in ("overshoot", "slice-overshoot")):
                return Verdict.VIOLATED, finding.anomaly, finding.sentence
    if not informative:
        return Verdict.UNKNOWN, None, "nothing was refused and no cap was approached: the run shows nothing"
    return (
        Verdict.SOUND,
        None,
        f"an order of {len(order)} operations explains every answer; {listened} events were judged",
    )


def _by_root(operations: tuple[Operation, ...], order: tuple[int, ...]) -> list[list[int]]:
    """Return the positions of each root, in order."""
    root: dict[int, int] = {}
    owner: dict[int, int] = {}
    parts: dict[int, list[int]] = {}
    for index in order:
        op = operations[index]
        if op.do == "open":
            root[op.on] = op.on
        account = owner[op.on] if op.do in ON_HOLD else op.on
        if op.new >= 0 and op.do == "delegate":
            root[op.new] = root[account]
        elif op.new >= 0 and op.do == "reserve":
            owner[op.new] = account
        parts.setdefault(root[account], []).append(index)
    return list(parts.values())


def _events(op: Operation, index: int, monitor: Monitor, *, complete: bool) -> Iterator[Event]:
    """Yield what an operation means in events, at its place in the order; what changed nothing is left out."""
    state, amount = monitor.state, Amount(op.amount)
    account = state.hold(hold_id(op.on)).account if op.do in ON_HOLD else account_id(op.on)
    done = op.outcome in ("done", "pending")
    if op.do == "open":
        yield Open(account, amount)
        return
    if state.account(account).closed or (op.do in ON_HOLD and state.hold(hold_id(op.on)).state in RESOLVED):
        return
    hold = hold_id(op.on)
    if not done and op.do != "settle":
        if op.do in ("reserve", "charge", "delegate", "extend") and (op.outcome == "refused" or complete):
            yield Refuse(account, amount, agent=agent_id(op.client))
        return
    match op.do:
        case "reserve":
            yield Reserve(account, hold_id(op.new), amount, agent_id(op.client))
        case "charge":  # all of it counts as spent: the bill is no business of the ledger
            name = hold_id(-index - 1)
            yield Reserve(account, name, amount, agent_id(op.client))
            yield Forfeit(name)
        case "delegate":
            yield Delegate(account, account_id(op.new), amount)
        case "close":
            yield Close(account)
        case "merge":
            yield Merge(account, account_id(op.new))
        case "sent":
            yield Send(hold, CallId(f"c{index}"))
            yield Bill(CallId(f"c{index}"), amount)
        case "settle":
            yield Settle(hold, amount)
        case "release":
            yield Release(hold)
        case "forfeit":
            yield Forfeit(hold)
        case "extend":
            yield Extend(hold, amount)
        case "record":
            yield Record(account, amount)


# ------------------------------------------------------------------------------------------------- reading


def _read(lines: Iterable[str], where: str) -> History:
    head: dict[str, Any] | None = None
    operations: list[Operation] = []
    created: dict[tuple[str, int], int] = {}
    places: list[int] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        data = _parsed(line, f"{where}:{number}")
        if head is None:
            head = _head(data, f"{where}:{number}")
            continue
        op = _operation(data, f"{where}:{number}")
        if op.do in CREATES and op.outcome in ("done", "pending"):
            new = op.on if op.do == "open" else op.new
            if new >= 0 and created.setdefault((CREATES[op.do], new), number) != number:
                raise BadHistory(
                    f"{CREATES[op.do]} {new} was created in line {created[CREATES[op.do], new]} already",
                    hint="number accounts and holds so that no number is used twice",
                    where=f"{where}:{number}",
                )
        operations.append(op)
        places.append(number)
    if head is None:
        raise BadHistory("the history is empty", hint='begin with {"history": 1}', where=f"{where}:{max(1, number)}")
    for op, place in zip(operations, places, strict=True):
        for kind, name in _named(op):
            if (kind, name) not in created:
                raise BadHistory(
                    f"{op.do} names {kind} {name}, which no operation creates",
                    hint="record every open, delegate and reserve that was done, or may have been",
                    where=f"{where}:{place}",
                )
    return History(tuple(operations), head["strict"], head["complete"], head["seed"], head["hung"])


def _named(op: Operation) -> Iterator[tuple[str, int]]:
    if op.do != "open":
        yield ("hold" if op.do in ON_HOLD else "account"), op.on
    if op.do == "merge":
        yield "account", op.new


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        data = read_json(line)
    except TooMuch as error:
        raise BadHistory(f"this line cannot be used: {error}", hint="one JSON object a line", where=where) from None
    except ValueError as error:
        raise BadHistory(f"this line is not JSON: {error}", hint="one JSON object a line", where=where) from None
    if not isinstance(data, dict):
        raise BadHistory(
            f"this line is not a JSON object: {cut(line.strip(), 60)}", hint="one object a line", where=where
        )
    return data


def _head(data: dict[str, Any], where: str) -> dict[str, Any]:
    if data.get("history") != FORMAT or isinstance(data.get("history"), bool):
        raise BadHistory(
            f"the first line says history {data.get('history')!r}, and not {FORMAT}",
            hint=f'begin with {{"history": {FORMAT}}}, the version of the format',
            where=where,
        )
    checks: dict[str, tuple[object, Callable[[Any], bool]]] = {
        "strict": (False, lambda value: isinstance(value, bool)),
        "complete": (False, lambda value: isinstance(value, bool)),
        "seed": (0, lambda value: type(value) is int),
        "hung": ([], lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value)),
    }
    if extra := sorted(set(data) - set(checks) - {"history"}):
        raise BadHistory(f"the first line has no field {extra[0]!r}", hint=nearest(extra[0], checks), where=where)
    head: dict[str, Any] = {}
    for name, (default, fits) in checks.items():
        head[name] = data.get(name, default)
        if not fits(head[name]):
            raise BadHistory(f"{name!r} is {head[name]!r}", hint=f"for example {default!r}", where=where)
    head["hung"] = tuple(head["hung"])
    return head


def _operation(data: dict[str, Any], where: str) -> Operation:
    def bad(message: str, hint: str) -> BadHistory:
        return BadHistory(message, hint=hint, where=where)

    if extra := sorted(set(data) - set(_FIELDS)):
        raise bad(f"an operation has no field {extra[0]!r}", nearest(extra[0], _FIELDS))
    do, outcome = data.get("do"), data.get("outcome", "done")
    if not isinstance(do, str) or do not in OPERATIONS:
        raise bad(f"{do!r} is no operation", nearest(str(do), OPERATIONS))
    if not isinstance(outcome, str) or outcome not in OUTCOMES:
        raise bad(f"{outcome!r} is no outcome", nearest(str(outcome), OUTCOMES))
    done = outcome in ("done", "pending")
    needed = ["client", "on", "called"]
    if outcome != "pending":
        needed.append("returned")
    elif data.get("returned") is not None:
        raise bad("a pending operation has no 'returned'", "leave it out, or say how the operation ended")
    if do == "merge" or (do in CREATES and do != "open" and outcome == "done"):
        needed.append("new")
    if do in _AMOUNTS:
        needed.append("amount")
    if (do in READS or do == "check") and outcome == "done":
        needed.append("value")
    for name in needed:
        if data.get(name) is None:
            raise bad(f"{do} ({outcome}) needs {name!r}", "docs/history.md lists the fields of each operation")
    for name in ("client", "on", "new", "amount", "value", "called", "returned"):
        value = data.get(name)
        if value is None:
            continue
        if type(value) is not int or (value < 0 and name not in ("value", "called", "returned")):
            raise bad(f"{name!r} is {value!r}", "give a whole number; names are numbers from 0")
    called, returned = data["called"], data.get("returned")
    if returned is not None and returned < called:
        raise bad(f"it returned at {returned}, before it was called at {called}", "read both times from one clock")
    new = data.get("new", -1) if done or do == "merge" else -1
    return Operation(
        data["client"], do, data["on"], called, returned, outcome, new, data.get("amount") or 0, data.get("value")
    )
