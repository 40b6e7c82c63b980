"""What a mapping says, ready for use: which records count, what becomes of each, and what has to hold in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from typing import Any

from capsound.amounts import Amount
from capsound_checker.audit.calls import TOKENS, Bill, CallSpec, Money
from capsound_checker.audit.mappingvalues import Condition
from capsound_checker.audit.shapes import Path, flattened, opened, records_in
from capsound_checker.audit.values import Absent, BadRecord, Field, Get, Record

BELOW, BESIDE = "below", "beside"
"""Whose usage a record repeats: of the records below it in the tree, or of one beside it."""

KEEPS = ("first", "last", "largest", "equal")
"""Which of the records of one key counts."""

Timed = tuple[object, dict[str, Any]]
"""An event in our vocabulary, with its time or None."""


@dataclass(frozen=True, slots=True)
class Emit:
    """One event that a rule makes of a record."""

    kind: str
    values: tuple[tuple[str, Get, bool], ...]
    """The fields: name, how to get it, and whether it may be absent."""
    at: Get | None


@dataclass(frozen=True, slots=True)
class MappingRule:
    """Which records count, and the events that they become."""

    name: str
    when: tuple[Condition, ...]
    emit: tuple[Emit, ...]
    repeats: str = ""
    """``BELOW`` or ``BESIDE``: the record only repeats what others say, up to ``amount``."""
    amount: Get | None = None
    expected: tuple[Field, ...] = ()
    """Fields of amounts and times that have a default: each should be there in one record at least."""
    call: CallSpec | None = None
    """What the call used that the record stands for, in place of ``emit`` and ``amount``."""

    credit: Get | None = None
    """What was given back: it is told, and not subtracted."""
    awaits: Get | None = None
    """What a request is of whose usage another record tells, once its stream has ended."""
    answers: Get | None = None
    """Of which request a record tells the usage: the same as what that one ``awaits``."""

    @property
    def counts(self) -> bool:
        """Whether anything comes of a record."""
        return bool(self.emit) or (self.call is not None and not self.repeats)


@dataclass(frozen=True, slots=True)
class Check:
    """Two amounts of a record of which the first is never above the second, where both are there.

    ``name`` says what is wrong where it is.
    """

    name: str
    least: Get
    most: Get


@dataclass(frozen=True, slots=True)
class Tree:
    """How records belong together: the names of a record, of the one above it, and of what both stand for."""

    group: Get
    own: Get
    parent: Get
    same: Get | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """Which records tell one bill: those of one key, of which one counts; ``within`` so many records of each other."""

    of: Get
    keep: str
    within: int


@dataclass(frozen=True, slots=True)
class Node:
    """The place of a record in the tree."""

    group: str
    own: str
    parent: str
    same: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What an auditor would see in a record.

    ``usage`` is where it carries usage although it does not count, ``resent`` who wrote it if that hides retries,
    ``sampled`` what it says of a sampler, and ``seen`` which of the fields that its rule expects it has, where they
    were not seen before.
    """

    usage: str
    resent: str | None
    sampled: str
    seen: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """What a mapping makes of one record. ``rule`` is None where none applies."""

    record: Record
    rule: MappingRule | None = None
    events: tuple[Timed, ...] = ()
    amount: int = 0
    """What a record says that only repeats others."""
    node: Node | None = None
    broken: tuple[str, ...] = ()
    """The checks that do not hold, in words."""
    bill: Bill | None = None
    """What the call of the record was billed, where the rule says what it used."""
    times: tuple[object, object] = (None, None)
    credit: int | None = None
    """What a record says was given back."""
    silent: bool = False
    """Whether it stands for a call and says nothing at all of what was used."""
    key: str = ""
    """The name that records of one bill have in common; empty where nothing is said of that."""
    awaits: str = ""
    answers: str = ""
    """What a request and the record of its stream have in common, on either side; empty for every other record."""
    facts: Facts | None = None
    """What is known of the record, where it was looked at elsewhere, and is not here."""


@dataclass(frozen=True, slots=True)
class LogMapping:
    """A mapping, ready for use. ``made`` turns one line, read as JSON, into events in our vocabulary."""

    path: str
    title: str = ""
    unit: str = "units"
    written_by: str = ""
    """What wrote the files that it was tested on: names and versions."""
    notes: tuple[str, ...] = ()
    records: tuple[Path, ...] = ()
    attributes: tuple[Path, ...] = ()
    json: tuple[Path, ...] = ()
    """Fields that hold JSON as a text."""
    nested: bool = False
    """Whether a rule asks for what encloses a record."""
    root: str | None = None
    cap: Amount | None = None
    window: int | None = None
    nanoseconds: bool = False
    """Whether its times are nanoseconds, since a unit is told; else a number is of the unit that its size says."""
    rules: tuple[MappingRule, ...] = field(default_factory=tuple)
    checks: tuple[Check, ...] = ()
    tree: Tree | None = None
    key: Key | None = None
    recognised: tuple[tuple[Condition, ...], ...] = ()
    """What records of this kind have: all of one of these."""
    amounts: tuple[Field, ...] = ()
    """Every field from which an amount is taken."""
    assumed: tuple[str, ...] = ()
    """What is assumed of every log of this kind, in words."""
    counts: str = TOKENS
    money: Money = Money()

    def prepared(self, line: Record) -> Iterator[Record | BadRecord]:
        """Yield the records of a line, with attributes as tables and JSON out of its texts."""
        for record in records_in(line, self.records, self.nested):
            if isinstance(record, BadRecord):
                yield record
                continue
            try:
                yield opened(flattened(record, self.attributes), self.json)
            except BadRecord as error:
                yield error

    def recognises(self, record: Record) -> bool:
        """Return whether a record is one of the kind that this mapping is for."""
        return any(all(holds(record) for holds in kind) for kind in self.recognised)

    def made(self, line: Record) -> Iterator[Made | BadRecord]:
        """Yield what becomes of each record of a line.

        A ``BadRecord`` stands for a record to which a rule applies and in which a field is missing, or is no name or
        number.
        """
        for record in self.prepared(line):
            if isinstance(record, BadRecord):
                yield record
                continue
            rule = next((r for r in self.rules if all(holds(record) for holds in r.when)), None)
            try:
                yield self._made(record, rule)
            except BadRecord as error:
                yield error

    def _made(self, record: Record, rule: MappingRule | None) -> Made:
        node = None if self.tree is None else _node(self.tree, record)
        if rule is None:
            return Made(record, node=node)
        broken = tuple(_broken(self.checks, record)) if rule.counts else ()
        key = _text(self.key.of, record) if self.key is not None and rule.counts else ""
        spec = rule.call
        if rule.credit is not None:
            try:
                given = abs(int(str(rule.credit(record))))
            except Absent as absent:
                raise BadRecord(f"there is no field {absent}, in the rule {rule.name!r}", hint=_DEFAULT) from None
            return Made(record, rule, node=node, credit=given)
        if spec is None:
            events = tuple(_event(emit, record, rule) for emit in rule.emit)
            amount = 0 if rule.amount is None else int(str(rule.amount(record)))
            return Made(record, rule, events, amount, node, broken, key=key)
        try:
            times = (_found(spec.began, record), _found(spec.ended, record))
            plain = spec.bill(record, Money())  # of what repeats what is asked in tokens, whatever they cost
            weight, silent = plain.low, plain.silent
            if rule.repeats:
                return Made(record, rule, (), weight, node, times=times)
            bill = plain if self.money.prices is None else spec.bill(record, self.money)
            events = spec.events(record, bill)
        except Absent as absent:
            raise BadRecord(f"there is no field {absent}, in the rule {rule.name!r}", hint=_DEFAULT) from None
        sides = tuple("" if get is None else _hashed(_text(get, record)) for get in (rule.awaits, rule.answers))
        made = Made(record, rule, events, weight, node, broken, bill, times, key=key, silent=silent)
        return replace(made, awaits=sides[0], answers=sides[1]) if any(sides) else made


def _node(tree: Tree, record: Record) -> Node | None:
    group, own = _text(tree.group, record), _text(tree.own, record)
    if not own:
        return None
    return Node(group, own, _text(tree.parent, record), "" if tree.same is None else _text(tree.same, record))


_DEFAULT = "give it a default in the mapping, or let `when` leave such records out"


def _found(get: Get | None, record: Record) -> object:
    with suppress(Absent):
        return None if get is None else get(record)
    return None


def _text(get: Get, record: Record) -> str:
    with suppress(Absent, BadRecord):
        return str(get(record))
    return ""


def _hashed(text: str) -> str:
    """Return a short text that stands for a long one."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest() if text else ""


def _broken(checks: tuple[Check, ...], record: Record) -> Iterator[str]:
    for check in checks:
        with suppress(Absent):
            least, most = check.least(record), check.most(record)
            if isinstance(least, int | Fraction) and isinstance(most, int | Fraction) and least > most:
                yield f"{check.name} ({least} > {most})"


def _event(emit: Emit, record: Record, rule: MappingRule) -> Timed:
    event: dict[str, Any] = {"event": emit.kind}
    name = ""
    try:
        for name, get, optional in emit.values:
            try:
                event[name] = get(record)
            except Absent:
                if not optional:
                    raise
        name = "at"
        with suppress(Absent):
            return (None if emit.at is None else emit.at(record)), event
        return None, event
    except Absent as absent:
        raise BadRecord(
            f"there is no field {absent} for {name!r} of {emit.kind!r}, in the rule {rule.name!r}",
            hint=_DEFAULT,
        ) from None
    except BadRecord as error:
        error.message = f"{error.message}: {name!r} of {emit.kind!r}, in the rule {rule.name!r}"
        error.args = (error.message,)
        raise
