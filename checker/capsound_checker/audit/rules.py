"""What a mapping says, ready for use: which records count, what becomes of each, and what has to hold in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from capsound.amounts import Amount
from capsound_checker.audit.values import Absent, BadRecord, Field, Get, Record, flattened, records_in

BELOW, BESIDE = "below", "beside"
"""Whose usage a record repeats: of the records below it in the tree, or of one beside it."""

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
    when: tuple[Callable[[Record], bool], ...]
    emit: tuple[Emit, ...]
    repeats: str = ""
    """``BELOW`` or ``BESIDE``: the record only repeats what others say, up to ``amount``."""
    amount: Get | None = None
    expected: tuple[Field, ...] = ()
    """Fields of amounts and times that have a default: each should be there in one record at least."""


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
class Node:
    """The place of a record in the tree."""

    group: str
    own: str
    parent: str
    same: str


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


@dataclass(frozen=True, slots=True)
class LogMapping:
    """A mapping, ready for use. ``made`` turns one line, read as JSON, into events in our vocabulary."""

    path: str
    title: str = ""
    unit: str = "units"
    notes: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    root: str | None = None
    cap: Amount | None = None
    window: int | None = None
    rules: tuple[MappingRule, ...] = field(default_factory=tuple)
    checks: tuple[Check, ...] = ()
    tree: Tree | None = None
    amounts: tuple[Field, ...] = ()
    """Every field from which an amount is taken."""
    assumed: tuple[str, ...] = ()
    """What is assumed of every log of this kind, in words."""

    def made(self, line: Record) -> Iterator[Made | BadRecord]:
        """Yield what becomes of each record of a line.

        A ``BadRecord`` stands for a record to which a rule applies and in which a field is missing, or is no name or
        number.
        """
        for record in records_in(line, self.records):
            flat = flattened(record, self.attributes)
            rule = next((r for r in self.rules if all(holds(flat) for holds in r.when)), None)
            try:
                yield self._made(flat, rule)
            except BadRecord as error:
                yield error

    def _made(self, record: Record, rule: MappingRule | None) -> Made:
        node = None if self.tree is None else _node(self.tree, record)
        if rule is None:
            return Made(record, node=node)
        return Made(
            record,
            rule,
            tuple(_event(emit, record, rule) for emit in rule.emit),
            0 if rule.amount is None else int(str(rule.amount(record))),
            node,
            tuple(_broken(self.checks, record)) if rule.emit else (),
        )


def _node(tree: Tree, record: Record) -> Node | None:
    group, own = _text(tree.group, record), _text(tree.own, record)
    if not own:
        return None
    return Node(group, own, _text(tree.parent, record), "" if tree.same is None else _text(tree.same, record))


def _text(get: Get, record: Record) -> str:
    with suppress(Absent, BadRecord):
        return str(get(record))
    return ""


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
            hint="give it a default in the mapping, or let `when` leave such records out",
        ) from None
    except BadRecord as error:
        error.message = f"{error.message}: {name!r} of {emit.kind!r}, in the rule {rule.name!r}"
        error.args = (error.message,)
        raise
