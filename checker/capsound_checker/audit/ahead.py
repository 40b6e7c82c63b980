"""What a mapping makes of the lines of a foreign log, made by several processes ahead of the auditor.

A mapping looks at one line at a time, and reading the line and looking at it takes most of the time. So lines are given
to workers in bundles, and what they make of them is taken in the order of the lines: everything that looks at several
records, such as duplicates, families and the order of times, is done by one auditor as ever. So the report is the same.

Records stay where they are. What the auditor would look at in them is told: whether one carries usage although it does
not count, whether it hides retries, and which fields the worker has seen in it for the first time.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from capsound_checker.audit.calls import Bill, Noted
from capsound_checker.audit.doubts import Unseen, carries_usage
from capsound_checker.audit.records import Records, Unusable
from capsound_checker.audit.rules import Facts, LogMapping, Made, Node
from capsound_checker.audit.sampled import told
from capsound_checker.audit.values import BadRecord

BUNDLE = 256
"""How many lines are given to a worker at once."""

AHEAD = 2
"""How many bundles wait for each worker, or have been made by it."""

Ahead = Callable[[Iterable[str], Records], Iterator[Iterable[Made | BadRecord]]]
"""Makes of lines what a mapping makes of them. It keeps the records up to date as to the line that comes next."""


@dataclass(slots=True)
class Maker:
    """Makes of bundles of lines what a mapping makes of them."""

    mapping: LogMapping
    numbers: dict[int, int] = field(init=False)
    unseen: Unseen = field(init=False)
    wrong: list[Unusable | str] = field(default_factory=list)
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = {id(rule): number for number, rule in enumerate(self.mapping.rules)}
        self.unseen = Unseen(self.mapping)
        self.records = Records(self.wrong.append, self.wrong.append, True)
        self.records.whole = True

    def make(self, bundle: bytes) -> bytes:
        """Return what becomes of each line: what it makes, and what is wrong with it, both written down."""
        return pickle.dumps([self._line(text) for text in pickle.loads(bundle)], pickle.HIGHEST_PROTOCOL)

    def _line(self, text: str) -> list[Any]:
        said: list[Any] = [[self._flat(one) for one in self.mapping.made(d)] for d in self.records.one(text, iter(()))]
        if self.wrong:
            said += [one if isinstance(one, str) else (one.message, one.hint, one.cause) for one in self.wrong]
            self.wrong.clear()
        return said

    def _flat(self, made: Made | BadRecord) -> tuple[Any, ...]:
        if isinstance(made, BadRecord):
            return made.message, made.hint
        rule, node, bill = made.rule, made.node, made.bill
        usage, resent = "", None
        if rule is None or not (rule.counts or rule.repeats):
            usage = carries_usage(made.record, self.mapping.amounts, models=rule is None)
        elif rule.call is not None and rule.call.hides_retries(made.record):
            resent = rule.call.written_by(made.record)
        return (
            -1 if rule is None else self.numbers[id(rule)],
            [_event(at, event) for at, event in made.events],
            made.amount,
            node and (node.group, node.own, node.parent, node.same),
            made.broken,
            bill and (bill.low, bill.high, bill.hold, bill.unpriced, bill.silent),
            made.times,
            made.credit,
            made.silent,
            made.key,
            made.awaits,
            made.answers,
            (usage, resent, told(made.record), self.unseen.fresh(made)),
        )


def _event(at: object, event: dict[str, Any]) -> tuple[Any, ...]:
    if isinstance(event, Noted):
        return at, dict(event), event.model, event.agent, event.ranged, event.more
    return at, event


def _read_event(at: object, data: dict[str, Any], *noted: Any) -> tuple[object, dict[str, Any]]:
    if not noted:
        return at, data
    model, agent, ranged, more = noted
    event = Noted(data, model=model, agent=agent)
    event.ranged, event.more = ranged, more
    return at, event


def _read_made(mapping: LogMapping, flat: tuple[Any, ...]) -> Made | BadRecord:
    if len(flat) == 2:
        return BadRecord(flat[0], hint=flat[1])
    number, events, amount, node, broken, bill, times, credit, silent, key, awaits, answers, facts = flat
    return Made(
        {},
        None if number < 0 else mapping.rules[number],
        tuple(_read_event(*event) for event in events),
        amount,
        node and Node(*node),
        broken,
        bill and Bill(*bill),
        times,
        credit,
        silent,
        key,
        awaits,
        answers,
        Facts(*facts),
    )


def ahead(mapping: LogMapping, workers: int, give: Callable[[int, bytes], None], take: Callable[[int], bytes]) -> Ahead:
    """Return what makes records of lines: ``give`` hands a bundle to a worker, ``take`` waits for its next answer."""

    def run(source: Iterable[str], records: Records) -> Iterator[Iterable[Made | BadRecord]]:
        lines = enumerate(source, records.line + 1)
        # The first ones are read here: they may be the beginning of a document that spreads over several.
        records.whole = records.whole or records.line > 0
        for number, text in lines:
            records.line = number
            for data in records.one(text, (rest for _, rest in lines)):
                yield mapping.made(data)
            if records.whole and not records.in_document:
                break
        waiting: deque[tuple[int, int, int]] = deque()
        given, over = 0, False
        while waiting or not over:
            while not over and len(waiting) < AHEAD * workers:
                bundle = list(islice(lines, BUNDLE))
                over = len(bundle) < BUNDLE
                if bundle:
                    give(given % workers, pickle.dumps([text for _, text in bundle], pickle.HIGHEST_PROTOCOL))
                    waiting.append((given % workers, bundle[0][0], len(bundle)))
                    given += 1
            if waiting:
                worker, line, count = waiting.popleft()
                for number, said in enumerate(pickle.loads(take(worker)), line):
                    records.line = number
                    for one in said:
                        if isinstance(one, list):
                            yield [_read_made(mapping, flat) for flat in one]
                        elif isinstance(one, str):
                            records.truncated(one)
                        else:
                            records.unusable(Unusable(*one))
                records.line = line + count - 1

    return run
