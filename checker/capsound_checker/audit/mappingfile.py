"""Reading a mapping file: its tables and keys become rules, and what no mapping can say becomes an error.

The message of every error names the key, as it stands in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

from capsound.amounts import Amount, as_amount, as_ratio
from capsound.errors import EXIT_BAD_INPUT, BadAmount, CapsoundError, nearest
from capsound.events import EVENT_TYPES, TOLD
from capsound_checker.audit.rules import BELOW, BESIDE, Check, Emit, LogMapping, MappingRule, Tree
from capsound_checker.audit.values import (
    ROUNDING,
    UNBOUNDED,
    Field,
    Get,
    Record,
    among,
    as_name,
    as_whole,
    first_of,
    look,
    or_default,
    shown,
    summed,
)
from capsound_checker.intake.limits import TooMuch, cut, exact

_NUMBERS = frozenset({"amount", "at_most", "cap", "spent", "remaining", "held", *TOLD})
_SHAPES = ("field", "value", "join", "sum")


class BadMapping(CapsoundError):
    """A mapping file that cannot be used; the message names the key, ``where`` the file, the hint the cure."""

    name = "bad-mapping"
    exit_status = EXIT_BAD_INPUT


def read_mapping(data: dict[str, Any], path: str) -> LogMapping:
    """Return the mapping that ``data`` describes; ``path`` is named in errors. Raises ``BadMapping``."""
    return _Parser(path).mapping(data)


@dataclass(frozen=True, slots=True)
class _Parser:
    path: str
    amounts: list[Field] = field(default_factory=list)
    """The fields of all amounts, as they are met."""

    def error(self, key: str, message: str, hint: str = "") -> BadMapping:
        return BadMapping(f"{cut(key, 80)}: {cut(message)}", where=self.path, hint=cut(hint))

    def mapping(self, data: dict[str, Any]) -> LogMapping:
        known = (
            *("title", "unit", "notes", "assumed", "records", "attributes"),
            *("open", "order", "tree", "checks", "rules"),
        )
        self.only(data, known, "")
        opened = self.table(data.get("open", {}), "open", ("root", "cap"))
        order = self.table(data.get("order", {}), "order", ("window",))
        window = order.get("window")
        if "order" in data and (type(window) is not int or window < 0):
            raise self.error(
                "order.window", f"{shown(window)} is no span of time", "a whole number, in the unit of `at`"
            )
        rules = data.get("rules")
        if not isinstance(rules, list) or not rules:
            raise self.error("rules", "there is none", "write at least one [[rules]] with one [[rules.emit]]")
        if "root" in opened and "cap" not in opened:
            raise self.error("open.cap", "is missing", "say how much the root may spend, or leave out `root`")
        made = tuple(self.rule(rule, f"rules[{number}]", window is not None) for number, rule in enumerate(rules, 1))
        return LogMapping(
            path=self.path,
            title=self.text(data.get("title", ""), "title"),
            unit=self.text(data.get("unit", "units"), "unit"),
            notes=self.texts(data.get("notes", []), "notes"),
            records=self.texts(data.get("records", []), "records"),
            attributes=self.texts(data.get("attributes", []), "attributes"),
            root=self.text(opened["root"], "open.root") if "root" in opened else None,
            cap=self.amount(opened["cap"], "open.cap") if "cap" in opened else None,
            window=window,
            rules=made,
            amounts=tuple(self.amounts),
            checks=self.checks(data.get("checks", [])),
            tree=self.tree(data["tree"]) if "tree" in data else None,
            assumed=self.texts(data.get("assumed", []), "assumed"),
        )

    def checks(self, data: object) -> tuple[Check, ...]:
        if not isinstance(data, list):
            raise self.error("checks", f"{shown(data)} is no list of tables", "write [[checks]] for each")
        made = []
        for number, item in enumerate(data, 1):
            key = f"checks[{number}]"
            table = self.table(item, key, ("name", "least", "most"))
            self.all_of(("name", "least", "most"), table, key)
            least, most = (self.value(table[side], f"{key}.{side}", True) for side in ("least", "most"))
            made.append(Check(self.text(table["name"], f"{key}.name"), least, most))
        return tuple(made)

    def tree(self, data: object) -> Tree:
        table = self.table(data, "tree", ("group", "id", "parent", "same"))
        self.all_of(("group", "id", "parent"), table, "tree")
        group, own, parent = (self.value(table[name], f"tree.{name}", False) for name in ("group", "id", "parent"))
        return Tree(group, own, parent, self.value(table["same"], "tree.same", False) if "same" in table else None)

    def all_of(self, names: Iterable[str], table: dict[str, Any], key: str) -> None:
        for name in names:
            if name not in table:
                raise self.error(f"{key}.{name}", "is missing", f"give all of: {', '.join(names)}")

    def rule(self, data: object, key: str, ordered: bool) -> MappingRule:
        table = self.table(data, key, ("name", "when", "emit", "repeats", "amount"))
        repeats = table.get("repeats", "")
        if "repeats" in table and repeats not in (BELOW, BESIDE):
            raise self.error(f"{key}.repeats", f"{shown(repeats)} is not {BELOW!r} or {BESIDE!r}")
        if bool(repeats) is not ("amount" in table) or (repeats and "emit" in table):
            raise self.error(f"{key}.repeats", "goes with `amount`, and without `emit`", "say what the record repeats")
        emits = [] if repeats else table.get("emit")
        if not isinstance(emits, list):
            raise self.error(f"{key}.emit", "is missing", "write one [[rules.emit]] for each event")
        when = table.get("when", {})
        if not isinstance(when, dict):
            raise self.error(f"{key}.when", f"{shown(when)} is no table", 'write: when = { "a/field" = "a value" }')
        return MappingRule(
            name=self.text(table.get("name", key), f"{key}.name"),
            when=tuple(self.condition(path, wanted, f"{key}.when.{path}") for path, wanted in when.items()),
            emit=tuple(self.emit(emit, f"{key}.emit[{n}]", ordered) for n, emit in enumerate(emits, 1)),
            repeats=repeats,
            amount=self.value(table["amount"], f"{key}.amount", True) if repeats else None,
            expected=tuple(self.expected(emits, key)),
        )

    def expected(self, emits: list[Any], key: str) -> Iterator[Field]:
        """Yield the fields of amounts and times that a record may lack: nobody would notice a name that is misspelt.

        Where a bill has an upper end of its own, what is missing is counted there.
        """
        ranged = any("at_most" in emit for emit in emits)
        for number, emit in enumerate(emits, 1):
            for name, spec in emit.items():
                if name == "at" or (name in _NUMBERS and not ranged):
                    yield from self.optional(spec, f"{key}.emit[{number}].{name}", name == "at")

    def optional(self, spec: object, key: str, may_lack: bool) -> Iterator[Field]:
        if isinstance(spec, str):
            spec = {"field": spec}
        if not isinstance(spec, dict) or spec.get("default") == UNBOUNDED:
            return
        if "field" in spec and (may_lack or "default" in spec):
            yield self.place(spec["field"], key)
        for number, part in enumerate(spec.get("sum", []), 1):
            yield from self.optional(part, f"{key}.sum[{number}]", False)

    def condition(self, path: str, wanted: object, key: str) -> Callable[[Record], bool]:
        parts = tuple(path.split("/"))
        if isinstance(wanted, dict):
            self.only(wanted, ("present", "not"), key)
            if len(wanted) != 1:
                raise self.error(key, "says two things at once", "give either `present` or `not`")
            if "present" in wanted:
                if not isinstance(wanted["present"], bool):
                    raise self.error(f"{key}.present", f"{shown(wanted['present'])} is not true or false")
                return lambda record: (look(record, parts) is not None) is wanted["present"]
            unwanted = self.choices(wanted["not"], f"{key}.not")
            return lambda record: not among(look(record, parts), unwanted)
        choices = self.choices(wanted, key)
        return lambda record: among(look(record, parts), choices)

    def choices(self, wanted: object, key: str) -> list[object]:
        choices = wanted if isinstance(wanted, list) else [wanted]
        if not choices or not all(isinstance(c, str | int | bool | Decimal) for c in choices):
            raise self.error(
                key, f"{shown(wanted)} cannot be compared with", "a text, a number, true, false, or a list"
            )
        return choices

    def emit(self, data: object, key: str, ordered: bool) -> Emit:
        if not isinstance(data, dict):
            raise self.error(key, f"{shown(data)} is no table", "write one [[rules.emit]] for each event")
        kind = data.get("event")
        kinds = [k for k in EVENT_TYPES if k != "stall"]
        if kind not in kinds:
            raise self.error(f"{key}.event", f"{shown(kind)} is no event", nearest(str(kind), kinds))
        wanted = {f.name: f.default is not MISSING for f in fields(EVENT_TYPES[kind])}
        if kind == "bill":
            wanted["at_most"] = True
        self.only(data, ("event", "at", *wanted), key)
        for name, optional in wanted.items():
            if not optional and name not in data:
                raise self.error(f"{key}.{name}", "is missing", f"{kind} needs: {', '.join(_needed(wanted))}")
        if ordered and "at" not in data:
            raise self.error(f"{key}.at", "is missing", "where [order] is given, every event needs its time")
        return Emit(
            kind,
            tuple((n, self.value(data[n], f"{key}.{n}", n in _NUMBERS), wanted[n]) for n in wanted if n in data),
            self.value(data["at"], f"{key}.at", None) if "at" in data else None,
        )

    def value(self, spec: object, key: str, number: bool | None) -> Get:
        """Return how to get a value: a number, a name, or (``None``) whatever is there."""
        if isinstance(spec, str):
            spec = {"field": spec}
        modifiers = ("default", "separator", *(("scale", "round") if number else ()))
        table = self.table(spec, key, (*_SHAPES, *modifiers))
        shapes = [shape for shape in _SHAPES if shape in table]
        if len(shapes) != 1:
            raise self.error(key, f"has {len(shapes)} of: {', '.join(_SHAPES)}", "give exactly one of them")
        get = self.shape(shapes[0], table, key, number)
        if "default" in table:
            get = or_default(get, self.constant(table["default"], f"{key}.default"))
        if not number:
            return get if number is None else as_name(get)
        return as_whole(get, self.scale(table.get("scale", 1), key), self.rounding(table.get("round", "exact"), key))

    def shape(self, shape: str, table: dict[str, Any], key: str, number: bool | None) -> Get:
        given = table[shape]
        if shape == "value":
            constant = self.constant(given, f"{key}.value")
            return lambda _record: constant
        if shape == "field":
            where = self.place(given, key)
            if number:
                self.amounts.append(where)
            return first_of(where)
        if not isinstance(given, list) or not given:
            raise self.error(f"{key}.{shape}", f"{shown(given)} is no list of values", "list fields or tables")
        parts = [self.value(part, f"{key}.{shape}[{n}]", shape == "sum") for n, part in enumerate(given, 1)]
        if shape == "sum":
            if not number:
                raise self.error(f"{key}.sum", "is for amounts", "a name is made of several fields by `join`")
            return summed(parts)
        separator = self.text(table.get("separator", "/"), f"{key}.separator")
        return lambda record: separator.join(str(part(record)) for part in parts)

    def place(self, given: object, key: str) -> Field:
        names = [given] if isinstance(given, str) else given
        paths = tuple(tuple(name.split("/")) for name in self.texts(names, f"{key}.field"))
        if not paths:
            raise self.error(f"{key}.field", "names no field", 'write: field = "a/b", or a list of them')
        return Field(key, paths)

    def constant(self, value: object, key: str) -> object:
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise self.error(key, f"{shown(value)} is no text and no number")
        return value

    def scale(self, value: object, key: str) -> Fraction:
        try:
            for part in str(value).split("/"):
                exact(part)
            ratio = as_ratio(value)
        except TooMuch as error:
            raise self.error(f"{key}.scale", str(error), "for example 1000000 for dollars to micro-dollars") from None
        except BadAmount as error:
            raise self.error(
                f"{key}.scale", error.message, "for example 1000000 for dollars to micro-dollars"
            ) from None
        if not ratio:
            raise self.error(f"{key}.scale", "0 makes every amount 0")
        return ratio

    def rounding(self, value: object, key: str) -> Callable[[Fraction], int] | None:
        if value == "exact":
            return None
        if not isinstance(value, str) or value not in ROUNDING:
            raise self.error(f"{key}.round", f"{shown(value)} is no way to round", "one of: exact, up, down")
        return ROUNDING[value]

    def table(self, data: object, key: str, known: Iterable[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.error(key, f"{shown(data)} is no table")
        self.only(data, known, key)
        return data

    def only(self, data: dict[str, Any], known: Iterable[str], key: str) -> None:
        names = list(known)
        if extra := sorted(set(data) - set(names)):
            raise self.error(".".join(filter(None, (key, extra[0]))), "there is no such key", nearest(extra[0], names))

    def text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            raise self.error(key, f"{shown(value)} is no text")
        return value

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, f"{shown(value)} is no list of texts")
        return tuple(value)

    def amount(self, value: object, key: str) -> Amount:
        try:
            return as_amount(value)
        except BadAmount as error:
            raise self.error(key, error.message, error.hint) from None


def _needed(wanted: dict[str, bool]) -> list[str]:
    return [name for name, optional in wanted.items() if not optional]
